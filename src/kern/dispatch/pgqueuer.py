"""PgQueuer behind the port of the queue.

It is imported where a queue is opened: it takes longer than everything else together.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from pgqueuer.adapters.inmemory import InMemoryDriver, InMemoryQueries
from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context, Job
from pgqueuer.domain.types import JobId
from pgqueuer.ports import RepositoryPort
from pgqueuer.ports.repository import EntrypointExecutionParameter
from typing_extensions import override

from kern.db.base import Store
from kern.db.queue_tables import queue_settings
from kern.dispatch.queue import Deliver, Queue

logger = logging.getLogger("kern")

_BATCH = 100

# How many runs a process without a limit of its own begins beside the queue; what comes after
# them waits in the queue, where other processes find it.
_AT_ONCE = 1000

# How long to wait for a database that is away, in seconds.
_PAUSE = 1.0


class PgQueuerQueue(Queue):
    """PgQueuer: in the database itself on PostgreSQL, else in this process's memory."""

    def __init__(
        self,
        queries: Callable[[], RepositoryPort],
        session_table: str,
        heartbeat: float,
        concurrency: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            queries: opens PgQueuer's access to its tables.
            session_table: keeps the runs of several session tables in one queue apart.
            heartbeat: seconds without a sign of life after which a run is delivered to another.
            concurrency: how many entries are under way in this process at once.
        """
        self._open = queries
        self._queries = queries()
        self._table = session_table
        self._heartbeat = timedelta(seconds=heartbeat)
        self._concurrency = concurrency
        self._topics: dict[str, tuple[Deliver, int | None]] = {}
        self._manager: _Manager | None = None
        self._stopped = False
        self._uncounted = 0
        self._places_taken = 0
        self._freed = asyncio.Event()
        self._is_waited_for = False

    @override
    async def enqueue(
        self,
        run_id: str,
        topic: str,
        *,
        priority: int = 0,
        run_at: datetime | None = None,
        again: bool = False,
    ) -> None:
        delay = timedelta() if run_at is None else run_at - datetime.now(UTC)
        await self._queries.enqueue(
            f"{self._table}{topic}",
            run_id.encode(),
            priority,
            max(delay, timedelta()),
            dedupe_key=None if again else f"{self._table}{topic}/{run_id}",
            on_conflict="skip",
        )

    @override
    def serve(
        self, topic: str, deliver: Deliver, most: int | None = None, *, counts: bool = True
    ) -> None:
        if topic not in self._topics:
            self._topics[topic] = deliver if counts else self._uncounting(deliver), most
            if self._manager is not None:
                self._register(self._manager, topic)

    @override
    def take_place(self) -> bool:
        if not self._has_room:
            self._is_waited_for = True
        if self._is_waited_for or self._stopped:
            return False
        self._places_taken += 1
        return True

    @override
    def give_place_back(self) -> None:
        self._places_taken -= 1
        self._freed.set()

    @property
    def _has_room(self) -> bool:
        return self._free(self._concurrency or _AT_ONCE) > 0

    def _free(self, places: int) -> int:
        delivering = 0 if self._manager is None else len(self._manager.job_context)
        return places + self._uncounted - delivering - self._places_taken

    @override
    async def consume(self) -> None:
        while not self._stopped:
            try:
                await self._consume()
            except Exception as error:
                # PgQueuer looks at its tables first; from then on the manager bears a lost
                # database, and so the runs under way are not disturbed.
                logger.warning("the queue is unavailable, trying again in %g s: %r", _PAUSE, error)
                self._queries = self._open()
                await asyncio.sleep(_PAUSE)

    @override
    def stop(self) -> None:
        self._stopped = True
        self._freed.set()
        if self._manager is not None:
            self._manager.shutdown.set()

    @override
    async def tidy(self) -> None:
        if isinstance(self._queries, InMemoryQueries):
            await self._queries.clear_queue_log()
            await self._queries.clear_statistics_log()

    async def _consume(self) -> None:
        manager = self._manager = _Manager(
            self._queries, self._room, self._freed.set, self._has_looked
        )
        for topic in self._topics:
            self._register(manager, topic)
        await manager.run(
            batch_size=_BATCH,
            # Jobs of a process that was lost are looked for this often.
            dequeue_timeout=min(timedelta(seconds=1), self._heartbeat / 4),
            heartbeat_timeout=self._heartbeat,
            # PgQueuer sends its first probe before it listens, and so takes itself for deaf.
            shutdown_on_listener_failure=False,
        )

    async def _room(self) -> int:
        """Wait until another entry may be taken, and say how many."""
        if self._concurrency is None:
            return _BATCH
        while (free := self._free(self._concurrency)) <= 0 and not self._stopped:
            self._freed.clear()
            await self._freed.wait()
        return free

    def _has_looked(self) -> None:
        """Take in that the queue had nothing more for this process."""
        if self._has_room:
            self._is_waited_for = False

    def _uncounting(self, deliver: Deliver) -> Deliver:
        async def deliver_beside(run_id: str, times: int) -> float | None:
            self._uncounted += 1
            self._freed.set()
            try:
                return await deliver(run_id, times)
            finally:
                self._uncounted -= 1

        return deliver_beside

    def _register(self, manager: QueueManager, topic: str) -> None:
        deliver, most = self._topics[topic]

        async def handle(job: Job) -> None:
            assert job.payload is not None
            if self._stopped:  # It was being fetched when the end began.
                raise RetryRequested(reason="the process is ending")
            try:
                again = await deliver(job.payload.decode(), job.attempts)
            except asyncio.CancelledError:
                # PgQueuer takes a cancelled job for one that somebody cancelled, and drops it.
                raise RetryRequested(reason="the process is ending") from None
            if again is not None:
                raise RetryRequested(timedelta(seconds=again), "to be delivered again")

        # Whatever goes wrong with an entry, it is kept.
        manager.entrypoint(f"{self._table}{topic}", concurrency_limit=most or 0, on_failure="hold")(
            handle
        )


class _Manager(QueueManager):
    """PgQueuer's manager, with any limit, and with patience for a database that is away."""

    def __init__(
        self,
        queries: RepositoryPort,
        room: Callable[[], Awaitable[int]],
        has_ended: Callable[[], None],
        has_looked: Callable[[], None],
    ) -> None:
        super().__init__(queries, channel=queries.qbe.settings.channel)
        self._room = room
        self._has_ended = has_ended
        self._has_looked = has_looked

    @override
    def forget_job(self, job_id: JobId, context: Context, task: asyncio.Task[None]) -> None:
        super().forget_job(job_id, context, task)
        self._has_ended()

    @override
    async def fetch_jobs(
        self,
        batch_size: int,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> AsyncGenerator[Job, None]:
        # PgQueuer's own limit counts what has ended, too, until that is logged, and must be twice
        # the batch at least; a process at its limit would look for room ten times a second.
        try:
            while (room := await self._room()) > 0 and not self.shutdown.is_set():
                jobs = await self.queries.dequeue(
                    batch_size=min(room, batch_size),
                    entrypoints={
                        name: EntrypointExecutionParameter(executor.parameters.concurrency_limit)
                        for name, executor in self.entrypoint_registry.items()
                    },
                    queue_manager_id=self.queue_manager_id,
                    global_concurrency_limit=None,
                    heartbeat_timeout=heartbeat_timeout,
                )
                if not jobs:
                    self._has_looked()
                    return
                for job in jobs:
                    yield job
        except Exception as error:
            logger.warning("the queue is unavailable, trying again in %g s: %r", _PAUSE, error)

    @override
    async def _effective_dequeue_timeout(self, dequeue_timeout: timedelta) -> timedelta:
        try:
            return await super()._effective_dequeue_timeout(dequeue_timeout)
        except Exception:
            return min(dequeue_timeout, timedelta(seconds=_PAUSE))


def open_queue(
    store: Store, session_table: str, heartbeat: float, concurrency: int | None = None
) -> Queue:
    """Return the queue that goes with a store.

    Args:
        store: where the runs are.
        session_table: the table of the sessions.
        heartbeat: seconds without a sign of life after which a run is delivered to another.
        concurrency: how many entries are under way in this process at once.
    """
    if store.enqueues:
        from kern.db.postgres.queue import open_queries
        from kern.db.postgres.store import PostgresStore

        assert isinstance(store, PostgresStore)
        connections, schema = store.connections, store.names.schema
        return PgQueuerQueue(
            lambda: open_queries(connections, schema), session_table, heartbeat, concurrency
        )
    settings = queue_settings("memory")
    queries = InMemoryQueries(
        InMemoryDriver(),
        qbe=QueryBuilderEnvironment(settings),
        qbq=QueryQueueBuilder(settings),
        qbs=QuerySchedulerBuilder(settings),
    )
    return PgQueuerQueue(lambda: queries, session_table, heartbeat, concurrency)
