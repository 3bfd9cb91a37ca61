"""The queue: hands each entry to one process after another until one has done with it.

The journal makes a run safe to deliver more than once, so any at-least-once queue will do. It
stands behind this small port; PgQueuer does the work.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
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
from pgqueuer.domain.models import Job
from pgqueuer.ports import RepositoryPort
from typing_extensions import override

from kern.db.base import Store
from kern.db.queue_tables import queue_settings

logger = logging.getLogger("kern")

Deliver = Callable[[str, int], Awaitable[float | None]]

_BATCH = 100

# How long to wait for a database that is away, in seconds.
_PAUSE = 1.0

WEBHOOKS = "!webhook"
"""The topic of the runs whose end is to be told; no agent's topic looks like it."""


def topic_of(agent_id: str) -> str:
    """Return the topic of an agent's runs."""
    return f"/{agent_id}"


class Queue(ABC):
    """Delivers run ids, each at least once, by topic."""

    @abstractmethod
    async def enqueue(
        self,
        run_id: str,
        topic: str,
        *,
        priority: int = 0,
        run_at: datetime | None = None,
        again: bool = False,
    ) -> None:
        """Have a run delivered; one that is in the queue already stays there once.

        Args:
            run_id: the run.
            topic: whose business it is.
            priority: among the entries that are due the highest comes first.
            run_at: when it is due; by default now.
            again: have it delivered once more, though an entry of it may be on its way out.
        """

    @abstractmethod
    def serve(
        self, topic: str, deliver: Deliver, most: int | None = None, *, counts: bool = True
    ) -> None:
        """Take the entries of this topic, too, from now on.

        Args:
            topic: which entries.
            deliver: called with the run id, and how often its entry was put back before;
                returns None when done with it, else the seconds after which it is to be
                delivered again. Where it is cancelled, the entry is delivered again, to any
                process, at once.
            most: how many entries of the topic are under way at once, in all processes.
            counts: whether they count towards the process's limit.
        """

    @abstractmethod
    async def consume(self) -> None:
        """Deliver entries, many at a time, until :meth:`stop` or until the task is cancelled."""

    @abstractmethod
    def stop(self) -> None:
        """Take nothing new; :meth:`consume` returns when what is under way has ended."""

    @abstractmethod
    async def tidy(self) -> None:
        """Forget what is over, where the queue keeps that in this process's memory."""


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
        self._beside = 0

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
            self._topics[topic] = deliver if counts else self._uncounted(deliver), most
            if self._manager is not None:
                self._register(self._manager, topic)

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
        if self._manager is not None:
            self._manager.shutdown.set()

    @override
    async def tidy(self) -> None:
        if isinstance(self._queries, InMemoryQueries):
            await self._queries.clear_queue_log()
            await self._queries.clear_statistics_log()

    async def _consume(self) -> None:
        manager = self._manager = _Manager(self._queries, self._most)
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

    def _most(self) -> int | None:
        return None if self._concurrency is None else self._concurrency + self._beside

    def _uncounted(self, deliver: Deliver) -> Deliver:
        async def deliver_beside(run_id: str, times: int) -> float | None:
            self._beside += 1
            try:
                return await deliver(run_id, times)
            finally:
                self._beside -= 1

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

    def __init__(self, queries: RepositoryPort, most: Callable[[], int | None]) -> None:
        super().__init__(queries, channel=queries.qbe.settings.channel)
        self._most = most

    @override
    async def fetch_jobs(
        self,
        batch_size: int,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> AsyncGenerator[Job, None]:
        # The limit that is passed to run() must be twice the batch at least.
        jobs = super().fetch_jobs(batch_size, self._most(), heartbeat_timeout)
        try:
            async for job in jobs:
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
