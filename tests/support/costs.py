"""What steps cost a database: counted, not timed, so that no noise of a machine changes it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median_low
from typing import Any, ClassVar, TypeVar

import asyncpg
import pytest
from typing_extensions import override

from kern.db.base import Store
from kern.db.database import Database
from kern.db.heart import Heart
from kern.db.postgres import PostgresDb
from kern.db.postgres.connector import Session
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.heart import SqliteHeart

Result = TypeVar("Result")

# PostgreSQL may plan a statement anew, for all values, when it is sent for the sixth time.
_UNCOUNTED, _COUNTED = 5, 5

ROUNDS = _UNCOUNTED + _COUNTED
"""How often all steps are taken, before the tables have grown and after that."""


class Costs(ABC):
    """What each step of a store has cost.

    Attributes:
        store: takes the steps.
        heart: extends leases beside it.
        slack: what a step may cost more where its indexes are deeper.
    """

    slack: int

    def __init__(self, store: Store, heart: Heart) -> None:
        self.store = store
        self.heart = heart
        self._counts = False
        self._counted: dict[str, list[int]] = {}

    async def count(self, step: str, work: Awaitable[Result]) -> Result:
        """Take a step, and note what it costs."""
        if not self._counts:
            return await work
        # Only meanwhile: to count takes a multiple of what it takes to work.
        self.observe(True)
        try:
            before = self.total
            result = await work
        finally:
            self.observe(False)
        self._counted.setdefault(step, []).append(self.total - before)
        return result

    async def assert_flat(
        self,
        live: Callable[[], Awaitable[None]],
        grow: Callable[[], Awaitable[None]],
        *,
        settles_down: bool = True,
    ) -> None:
        """Make sure that steps cost no more once there is much in the tables.

        Args:
            live: takes the steps.
            grow: puts much into the tables.
            settles_down: whether the database takes note of that before the steps are taken again;
                otherwise it plans them as for the tables that there were.
        """
        first = await self._measure(live)
        await grow()
        if settles_down:
            await self.settle_down()
        last = await self._measure(live)
        grown = {
            step: f"{first[step]} -> {cost}"
            for step, cost in last.items()
            if cost > first[step] + self.slack
        }
        assert not grown, f"These steps cost more: {grown}"

    async def _measure(self, live: Callable[[], Awaitable[None]]) -> dict[str, int]:
        for _ in range(_UNCOUNTED):
            await live()
        self._counted.clear()
        self._counts = True
        for _ in range(_COUNTED):
            await live()
        self._counts = False
        return {step: median_low(costs) for step, costs in self._counted.items()}

    @property
    @abstractmethod
    def total(self) -> int:
        """What was counted so far."""

    @abstractmethod
    def observe(self, counts: bool) -> None:
        """Begin or cease to count."""

    @abstractmethod
    async def settle_down(self) -> None:
        """Do what the database does by itself after many changes."""


class _CountingSession(Session):
    """Counts the pages of kern's tables and indexes that its statements touch.

    EXPLAIN would leave out those that only a part of a statement touches whose rows nobody reads.
    """

    pages: ClassVar[int] = 0
    relations: ClassVar[list[int]] = []
    """The tables and indexes whose pages count."""

    @override
    async def fetch(self, query: str, *args: object, **more: Any) -> Any:
        return await self._count(lambda: super(_CountingSession, self).fetch(query, *args, **more))

    @override
    async def fetchval(self, query: str, *args: object, **more: Any) -> Any:
        return await self._count(
            lambda: super(_CountingSession, self).fetchval(query, *args, **more)
        )

    @override
    async def execute(self, query: str, *args: object, **more: Any) -> str:
        if not args:  # BEGIN, COMMIT and the like.
            return await super().execute(query, **more)
        return await self._count(
            lambda: super(_CountingSession, self).execute(query, *args, **more)
        )

    async def _count(self, send: Callable[[], Awaitable[Result]]) -> Result:
        if not self.relations:
            return await send()
        if not self.is_in_transaction():  # Within one, PostgreSQL keeps its figures.
            async with self.transaction():
                return await self._count(send)
        before = await self._touched()
        result = await send()
        _CountingSession.pages += await self._touched() - before
        return result

    async def _touched(self) -> int:
        touched: int = await super().fetchval(
            "SELECT coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0)::bigint "
            "FROM unnest($1::oid[]) AS oid",
            self.relations,
        )
        return touched


class _Pages(Costs):
    """The pages of tables and indexes that PostgreSQL touches."""

    # A run is in a dozen indexes, whose trees may be a page or two deeper where there are ten
    # thousand keys. What grows with the rows grows by hundreds.
    # Where it plans with the values, PostgreSQL looks at the ends of an index for each range.
    slack = 30

    @property
    @override
    def total(self) -> int:
        return _CountingSession.pages

    @override
    def observe(self, counts: bool) -> None:
        _CountingSession.relations = self._relations if counts else []

    @override
    async def settle_down(self) -> None:
        await self._pool.execute(f"VACUUM ANALYZE {', '.join(self._tables)}")

    async def leave_alone(self) -> None:
        """Have the server not look at the tables meanwhile: it plans statements anew then."""
        for table in self._tables:
            await self._pool.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")

    async def find_relations(self) -> None:
        """Find the tables and indexes whose pages count; other tests have left others."""
        assert isinstance(self.store, PostgresStore)
        names = self.store.names
        found = await self._pool.fetch(
            "SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace($1) "
            "AND (relname = $2 OR starts_with(relname, $2 || '_') "
            "OR starts_with(relname, 'pgqueuer'))",
            names.schema,
            names.session_table,
        )
        self._relations = [each["oid"] for each in found]

    @property
    def _pool(self) -> asyncpg.Pool:
        assert isinstance(self.store, PostgresStore)
        return self.store.pool

    @property
    def _tables(self) -> tuple[str, ...]:
        assert isinstance(self.store, PostgresStore)
        names = self.store.names
        return (names.runs, names.sessions, names.events, names.queue, names.approvals)


class _Instructions(Costs):
    """The instructions of SQLite's virtual machine."""

    slack = 20

    def __init__(self, store: Store, db: SqliteDb) -> None:
        heart = db.open_heart()
        super().__init__(store, heart)
        self._total = 0
        assert isinstance(heart, SqliteHeart)
        self._connections = (db._file._connection, heart._connection)

    @property
    @override
    def total(self) -> int:
        return self._total

    @override
    async def settle_down(self) -> None:
        """Do nothing: SQLite keeps no statistics of its own accord."""

    @override
    def observe(self, counts: bool) -> None:
        step = self._step if counts else None
        for connection in self._connections:
            connection.look(lambda raw: raw.set_progress_handler(step, 1))

    def _step(self) -> int:
        self._total += 1
        return 0


@asynccontextmanager
async def counting_costs(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Costs]:
    """Open a database whose steps are counted."""
    if isinstance(db, PostgresDb):
        monkeypatch.setattr("kern.db.postgres.connector.Session", _CountingSession)
        pages = _Pages(await db.store(), db.open_heart())
        await pages.leave_alone()
        await pages.find_relations()
        costs: Costs = pages
    else:
        assert isinstance(db, SqliteDb)
        costs = _Instructions(await db.store(), db)
    yield costs
    await asyncio.to_thread(costs.heart.close)
