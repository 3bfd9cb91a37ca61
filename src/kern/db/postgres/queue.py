"""The queue of PostgreSQL: PgQueuer's tables and statements, over kern's connections."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import uuid4

from typing_extensions import override

from kern.aio.batch import Batcher
from kern.db.postgres.connections import Connections, reporting
from kern.db.postgres.listener import Listener
from kern.db.postgres.names import Names
from kern.db.queue import Entry, Queue

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.queries import Queries
    from pgqueuer.domain.models import Job

# An entry lives for milliseconds; one that is older was with a process that is lost.
_UNACKNOWLEDGED = timedelta(seconds=15)


class PostgresQueue(Queue):
    """The entries of one session table, in the queue that all of the schema share."""

    def __init__(self, connections: Connections, names: Names) -> None:
        """Open nothing, and import nothing of PgQueuer, before the first use."""
        self._connections = connections
        self._names = names
        self._consumer = uuid4()
        self._acknowledged = Batcher(self._acknowledge_all)
        self._listener: Listener | None = None

    @override
    async def listen(self, on_due: Callable[[], None]) -> None:
        from kern.db.queue_tables import queue_settings

        def notified(payload: str) -> None:
            if json.loads(payload).get("operation") == "insert":
                on_due()

        listener = Listener(
            self._connections.connect,
            queue_settings(self._names.schema).channel,
            notified,
            lost=lambda: None,
            back=on_due,
        )
        with reporting(self._connections.address):
            await listener.start()
        self._listener = listener

    @override
    async def dequeue(
        self, agent_ids: Sequence[str], limit: int, *, children_only: bool = False
    ) -> list[Entry]:
        from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
        from pgqueuer.ports.repository import EntrypointExecutionParameter

        unlimited = EntrypointExecutionParameter(0)
        with reporting(self._connections.address):
            jobs = await self._queries.dequeue(
                batch_size=limit,
                entrypoints={
                    QueueEntrypoint(each): unlimited
                    for each in self._entrypoints(agent_ids, ">" if children_only else ">/")
                },
                queue_manager_id=QueueManagerId(self._consumer),
                global_concurrency_limit=None,
                heartbeat_timeout=_UNACKNOWLEDGED,
            )
        return [Entry((job.payload or b"").decode(), job) for job in jobs]

    @override
    async def acknowledge(self, entry: Entry) -> None:
        await self._acknowledged.put(_job(entry))

    @override
    async def put_back(self, entry: Entry, delay: float) -> None:
        with reporting(self._connections.address):
            await self._queries.retry_job(_job(entry), timedelta(seconds=delay), None)

    @override
    async def next_due(self, agent_ids: Sequence[str]) -> float | None:
        from pgqueuer.domain.types import QueueEntrypoint

        entrypoints = [QueueEntrypoint(each) for each in self._entrypoints(agent_ids, ">/")]
        with reporting(self._connections.address):
            due_in = await self._queries.next_deferred_eta(entrypoints)
        return None if due_in is None else due_in.total_seconds()

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            await self._listener.close()

    @cached_property
    def _queries(self) -> "Queries":
        from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver

        from kern.db.queue_tables import queue_queries

        return queue_queries(AsyncpgPoolDriver(self._connections.pool), self._names.schema)

    def _entrypoints(self, agent_ids: Sequence[str], kinds: str) -> Iterable[str]:
        table = self._names.session_table
        return (f"{table}{kind}{agent_id}" for agent_id in agent_ids for kind in kinds)

    async def _acknowledge_all(self, jobs: "Sequence[Job]") -> list[None]:
        with reporting(self._connections.address):
            await self._queries.log_jobs([(job, "successful", None) for job in jobs])
        return [None] * len(jobs)


def _job(entry: Entry) -> "Job":
    from pgqueuer.domain.models import Job

    assert isinstance(entry.key, Job)
    return entry.key
