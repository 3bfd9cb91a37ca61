"""PgQueuer's public interface, over kern's connections; imported at the first use of the queue."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import JobId, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from typing_extensions import override

from kern.db.postgres.connections import Connections
from kern.db.queue_tables import queue_queries

_UNLIMITED = EntrypointExecutionParameter(concurrency_limit=0)


class PgQueuer:
    """The statements that kern uses of it."""

    def __init__(self, connections: Connections, schema: str) -> None:
        """Use the queue in ``schema``."""
        self._queries = queue_queries(_Driver(connections), schema)
        # An entry lives for milliseconds; one that is older was with a process that is lost.
        self._unacknowledged = timedelta(seconds=connections.patience)

    async def dequeue(self, entrypoints: Iterable[str], limit: int, consumer: UUID) -> list[Job]:
        """Take due entries."""
        return await self._queries.dequeue(
            batch_size=limit,
            entrypoints={QueueEntrypoint(each): _UNLIMITED for each in entrypoints},
            queue_manager_id=QueueManagerId(consumer),
            global_concurrency_limit=None,
            heartbeat_timeout=self._unacknowledged,
        )

    async def acknowledge(self, entries: Sequence[object]) -> None:
        """Forget entries."""
        await self._queries.log_jobs([(_job(each), "successful", None) for each in entries])

    async def forget(self, ids: Iterable[int]) -> None:
        """Forget entries by their ids in the queue."""
        await self._queries.mark_job_as_cancelled([JobId(each) for each in ids])

    async def put_back(self, entry: object, delay: float) -> None:
        """Have an entry handed out again after ``delay`` seconds."""
        await self._queries.retry_job(_job(entry), timedelta(seconds=delay), None)


class _Driver(AsyncpgPoolDriver):
    """Sends statements as kern sends its own, and so raises kern's errors."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections.pool)
        self._connections = connections

    @override
    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return [dict(row) for row in await self._connections.fetch(query, *args)]

    @override
    async def execute(self, query: str, *args: object) -> str:
        await self._connections.fetch(query, *args)
        return ""


def _job(entry: object) -> Job:
    assert isinstance(entry, Job)
    return entry
