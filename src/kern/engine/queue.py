"""The queue: hands each run to one process after another until one has done with it.

The journal makes a run safe to deliver more than once, so any at-least-once queue will do. It
stands behind this small port; PgQueuer does the work.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import timedelta

from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
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
from kern.db.queue_tables import queue_queries, queue_settings

logger = logging.getLogger("kern")

Deliver = Callable[[str], Awaitable[float | None]]

_BATCH = 100


class Queue(ABC):
    """Delivers run ids, each at least once."""

    @abstractmethod
    async def enqueue(self, run_id: str, agent_id: str, *, again: bool = False) -> None:
        """Have a run delivered; one that is in the queue already stays there once.

        Args:
            run_id: the run.
            agent_id: its agent.
            again: have it delivered once more, though an entry of it may be on its way out.
        """

    @abstractmethod
    def serve(self, agent_id: str) -> None:
        """Take the runs of this agent, too, from now on."""

    @abstractmethod
    async def consume(self, deliver: Deliver) -> None:
        """Deliver runs, many at a time, until the task is cancelled.

        Args:
            deliver: executes a run; returns None when done with it, else the seconds after which
                it is to be delivered again. Where it is cancelled, the run is delivered again, to
                any process, at once.
        """


class PgQueuerQueue(Queue):
    """PgQueuer: in the database itself on PostgreSQL, else in this process's memory."""

    def __init__(
        self, queries: Callable[[], RepositoryPort], session_table: str, heartbeat: float
    ) -> None:
        """Prepare.

        Args:
            queries: opens PgQueuer's access to its tables.
            session_table: keeps the runs of several session tables in one queue apart.
            heartbeat: seconds without a sign of life after which a run is delivered to another.
        """
        self._open = queries
        self._queries = queries()
        self._table = session_table
        self._heartbeat = timedelta(seconds=heartbeat)
        self._agents: set[str] = set()
        self._manager: QueueManager | None = None
        self._deliver: Deliver | None = None

    @override
    async def enqueue(self, run_id: str, agent_id: str, *, again: bool = False) -> None:
        await self._queries.enqueue(
            f"{self._table}/{agent_id}",
            run_id.encode(),
            dedupe_key=None if again else f"{self._table}/{run_id}",
            on_conflict="skip",
        )

    @override
    def serve(self, agent_id: str) -> None:
        if agent_id not in self._agents:
            self._agents.add(agent_id)
            self._register(agent_id)

    @override
    async def consume(self, deliver: Deliver) -> None:
        self._deliver = deliver
        while True:
            try:
                await self._consume()
            except Exception as error:
                # The database was lost, or its notifications: a new manager begins anew.
                logger.warning("the queue is unavailable, trying again in 1 s: %r", error)
                self._queries = self._open()
                await asyncio.sleep(1)

    async def _consume(self) -> None:
        queries = self._queries
        self._manager = QueueManager(queries, channel=queries.qbe.settings.channel)
        for agent_id in self._agents:
            self._register(agent_id)
        await self._manager.run(
            batch_size=_BATCH,
            # Jobs of a process that was lost are looked for this often.
            dequeue_timeout=min(timedelta(seconds=1), self._heartbeat / 4),
            heartbeat_timeout=self._heartbeat,
            # PgQueuer sends its first probe before it listens, and so takes itself for deaf.
            shutdown_on_listener_failure=False,
        )

    def _register(self, agent_id: str) -> None:
        if self._manager is not None:
            self._manager.entrypoint(f"{self._table}/{agent_id}")(self._handle)

    async def _handle(self, job: Job) -> None:
        assert self._deliver is not None
        assert job.payload is not None
        try:
            again = await self._deliver(job.payload.decode())
        except asyncio.CancelledError:
            # PgQueuer takes a cancelled job for one that somebody cancelled, and drops it.
            raise RetryRequested(reason="the process is ending") from None
        if again is not None:
            raise RetryRequested(timedelta(seconds=again), "the run is executed elsewhere")


def open_queue(store: Store, session_table: str, heartbeat: float) -> Queue:
    """Return the queue that goes with a store.

    Args:
        store: where the runs are.
        session_table: the table of the sessions.
        heartbeat: seconds without a sign of life after which a run is delivered to another.
    """
    if store.enqueues:
        from kern.db.postgres.store import PostgresStore

        assert isinstance(store, PostgresStore)
        pool, schema = store.pool, store.names.schema
        return PgQueuerQueue(
            lambda: queue_queries(AsyncpgPoolDriver(pool), schema), session_table, heartbeat
        )
    settings = queue_settings("memory")
    queries = InMemoryQueries(
        InMemoryDriver(),
        qbe=QueryBuilderEnvironment(settings),
        qbq=QueryQueueBuilder(settings),
        qbs=QuerySchedulerBuilder(settings),
    )
    return PgQueuerQueue(lambda: queries, session_table, heartbeat)
