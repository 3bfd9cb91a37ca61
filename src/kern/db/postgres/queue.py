"""The queue of PostgreSQL, which PgQueuer keeps."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import uuid4

from typing_extensions import override

from kern.aio.batch import Batcher
from kern.db.postgres.connections import Connections
from kern.db.postgres.listener import Subscription
from kern.db.postgres.names import Names
from kern.db.queue import Entry, Queue

if TYPE_CHECKING:
    from kern.db.postgres.pgqueuer import PgQueuer

_CHILDREN, _ROOTS = ">", "/"
"""What is between the table and the agent in the entrypoint of an entry."""

# After how many seconds to look again for what has become due meanwhile.
_AGAIN = 0.1

_NEW = json.dumps({"operation": "insert"})


class PostgresQueue(Queue):
    """The entries of one session table, in the queue that all of the schema share."""

    def __init__(self, connections: Connections, names: Names) -> None:
        """Open nothing, and import nothing of PgQueuer, before the first use."""
        self._connections = connections
        self._names = names
        self._consumer = uuid4()
        self._acknowledged = Batcher(self._acknowledge_all)
        self._subscriptions: list[Subscription] = []

    @override
    async def listen(self, on_due: Callable[[], None]) -> None:
        from kern.db.queue_tables import queue_settings

        def notified(payload: str) -> None:
            # PgQueuer notifies of what is acknowledged as well.
            if json.loads(payload).get("operation") == "insert":
                on_due()

        listener = self._connections.listener(
            queue_settings(self._names.schema).channel,
            notified,
            lost=lambda: None,
            back=on_due,
        )
        await listener.start()
        self._subscriptions.append(listener)

    @override
    async def dequeue(
        self, agent_ids: Sequence[str], limit: int, *, children_only: bool = False
    ) -> list[Entry]:
        kinds = _CHILDREN if children_only else _CHILDREN + _ROOTS
        entrypoints = self._entrypoints(agent_ids, kinds)
        jobs = await self._pgqueuer.dequeue(entrypoints, limit, self._consumer)
        before = len(self._names.session_table) + 1
        return [Entry((job.payload or b"").decode(), job.entrypoint[before:], job) for job in jobs]

    @override
    async def acknowledge(self, entry: Entry) -> None:
        await self._acknowledged.put(entry)

    @override
    async def put_back(self, entry: Entry, delay: float) -> None:
        from kern.db.queue_tables import queue_settings

        await self._pgqueuer.put_back(entry.key, delay)
        # PgQueuer notifies of new entries only.
        channel = queue_settings(self._names.schema).channel
        await self._connections.fetch("SELECT pg_notify($1, $2)", channel, _NEW)

    @override
    async def next_due(self, agent_ids: Sequence[str]) -> float | None:
        # Not PgQueuer's: that does not see what has become due since the last look.
        rows = await self._connections.fetch(
            "SELECT extract(epoch FROM execute_after - now())::float8 AS due_in "
            f"FROM {self._names.queue} WHERE status = 'queued' AND entrypoint = ANY($1) "
            "AND execute_after > now() - interval '1 second' ORDER BY execute_after LIMIT 1",
            list(self._entrypoints(agent_ids, _CHILDREN + _ROOTS)),
        )
        # What is due and was not handed out may be another's in a moment, and is not polled for.
        return None if not rows else rows[0]["due_in"] if rows[0]["due_in"] > 0 else _AGAIN

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Delete the entries of runs that are not there any more."""
        rows = await self._connections.fetch(
            f"SELECT id FROM {self._names.queue} WHERE payload = ANY($1::bytea[]) "
            "AND (starts_with(entrypoint, $2) OR starts_with(entrypoint, $3))",
            [run_id.encode() for run_id in run_ids],
            *self._entrypoints([""], _CHILDREN + _ROOTS),
        )
        if rows:
            await self._pgqueuer.forget([row["id"] for row in rows])

    async def close(self) -> None:
        """Stop listening."""
        for each in self._subscriptions:
            await each.close()

    @cached_property
    def _pgqueuer(self) -> "PgQueuer":
        from kern.db.postgres.pgqueuer import PgQueuer

        return PgQueuer(self._connections, self._names.schema)

    def _entrypoints(self, agent_ids: Sequence[str], kinds: str) -> Iterable[str]:
        table = self._names.session_table
        return (f"{table}{kind}{agent_id}" for agent_id in agent_ids for kind in kinds)

    async def _acknowledge_all(self, entries: Sequence[Entry]) -> list[None]:
        await self._pgqueuer.acknowledge([entry.key for entry in entries])
        return [None] * len(entries)
