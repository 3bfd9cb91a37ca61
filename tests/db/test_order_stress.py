"""Many processes do to a few sessions what they like, at once: nobody is left waiting."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from deliveries import Deliveries
from stores import EXPIRED, execute, new_run, same

from kern.db.base import Store
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.postgres.store import PostgresStore
from kern.run.base import RunStatus
from kern.run.record import RunRecord

PENDING, ERROR, PAUSED = RunStatus.pending, RunStatus.error, RunStatus.paused

LIMIT = 2


class Chaos:
    """What several workers and callers do, and what they must not see."""

    def __init__(self, stores: Sequence[Store], seed: int) -> None:
        """Have done nothing yet."""
        self.worker = Deliveries(*stores, user_limit=LIMIT)
        self.random = random.Random(seed)
        self.run_ids: list[str] = []
        self.executing: dict[str, RunRecord] = {}
        self.ordered: dict[str, bool] = {}

    @property
    def store(self) -> Store:
        return self.random.choice(self.worker._stores)

    async def act(self, times: int) -> None:
        """Do something, again and again."""
        steps = [self.submit] * 6 + [self.deliver] * 8 + [self.end] * 7 + [self.pause] * 2
        steps += [self.release, self.postpone, self.refuse, self.lose, self.resume, self.resume]
        steps += [self.hold_up] * 6 + [self.cancel] * 2 + [self.withdraw, self.interrupt]
        for _ in range(times):
            await self.random.choice(steps)()

    async def hold_up(self) -> None:
        """Keep rows locked for a moment, so that statements have looked long before they write."""
        if isinstance(store := self.store, PostgresStore) and self.run_ids:
            async with store.connections.transaction() as connection:
                await connection.execute(
                    f"SELECT FROM {store.names.runs} WHERE run_id = ANY($1) FOR UPDATE SKIP LOCKED",
                    self.random.choices(self.run_ids[-12:], k=5),
                )
                await asyncio.sleep(0.02)

    async def submit(self) -> None:
        number = len(self.run_ids)
        run_id = f"run-{number}"
        self.run_ids.append(run_id)
        self.ordered[run_id] = self.random.random() < 0.85
        if self.random.random() < 0.05:
            await self.store.cancel(run_id)
        delay = self.random.choice([None, None, None, None, 0.05])
        run = new_run(
            run_id,
            session_id=f"session-{self.random.randrange(3)}",
            user_id=self.random.choice([None, "ada", "eve"]),
            ordered=self.ordered[run_id],
            priority=self.random.randrange(3),
            run_at=delay and datetime.now(UTC) + timedelta(seconds=delay),
            max_attempts=1000,
        )
        await self.worker.submit(run)

    async def deliver(self) -> None:
        record = await self.worker.deliver()
        if record is None:
            return
        if record.run_id not in self.executing and self.ordered[record.run_id]:
            others = [
                each.run_id
                for each in self.executing.values()
                if self.ordered[each.run_id] and each.session_id == record.session_id
            ]
            assert others == [], f"{record.run_id} has begun as well"
        self.executing[record.run_id] = record
        users = [each.user_id for each in self.executing.values()]
        assert record.user_id is None or users.count(record.user_id) <= LIMIT

    def executed(self) -> RunRecord | None:
        """Return a run that executes, and count it as ended from now on."""
        if not self.executing:
            return None
        return self.executing.pop(self.random.choice(list(self.executing)))

    async def end(self) -> None:
        if record := self.executed():
            await self.worker.end(record, self.random.choice([RunStatus.completed, ERROR]))

    async def pause(self) -> None:
        if record := self.executed():
            await self.worker.end(record, PAUSED)

    async def release(self) -> None:
        if record := self.executed():
            await self.store.release(record.run_id, record.attempt)
            await self.worker.make_due(record.run_id)

    async def postpone(self) -> None:
        if record := self.executed():
            await self.store.postpone(record.run_id, record.attempt, 0.03, [])
            await self.worker.make_due(record.run_id)

    async def refuse(self) -> None:
        if record := self.executed():
            await self.store.refuse(record.run_id, record.attempt, "No.", 0.03, timedelta(days=1))
            await self.worker.make_due(record.run_id)

    async def lose(self) -> None:
        if record := self.executed():
            await self.store.extend([(record.run_id, record.attempt)], EXPIRED)
            await self.store.sweep(0.0)

    async def cancel(self) -> None:
        if self.run_ids:
            await self.worker.cancel(self.random.choice(self.run_ids[-12:]))

    async def withdraw(self) -> None:
        if self.run_ids:
            await self.store.withdraw(self.random.choice(self.run_ids[-8:]))

    async def interrupt(self) -> None:
        if self.run_ids:
            for run_id in await self.store.before(self.random.choice(self.run_ids[-12:])):
                await self.worker.cancel(run_id)

    async def resume(self) -> None:
        if self.run_ids:
            run_id = self.random.choice(self.run_ids[-20:])
            await self.resume_as(run_id, self.random.choice([PAUSED, ERROR]))

    async def resume_as(self, run_id: str, status: RunStatus) -> None:
        if record := await self.store.get(run_id):
            await self.store.resume(run_id, status, record.attempt, [])

    async def drain(self) -> None:
        """Bring everything to its end."""
        while left := await self.left():
            await self.store.sweep(0.0)
            while record := self.executed():
                await self.worker.end(record)
            while record := await self.worker.deliver():
                await self.worker.end(record)
            for run_id in left:
                await self.resume_as(run_id, PAUSED)
            await asyncio.sleep(0.01)

    async def left(self) -> list[str]:
        """Return the runs that have not ended."""
        records = [await self.store.get(run_id) for run_id in self.run_ids]
        return [each.run_id for each in records if each and not each.status.is_terminal]


async def stress(databases: Sequence[Database], seed: int, times: int) -> Store:
    stores = [await database.store() for database in databases]
    chaos = Chaos(stores, seed)
    await asyncio.gather(*(chaos.act(times) for _ in range(8)))
    try:
        async with asyncio.timeout(60):
            await chaos.drain()
    except TimeoutError:
        pytest.fail(
            f"seed {seed}: {await chaos.left()} wait without end: {await chaos.worker.offered()}"
        )
    return stores[0]


@pytest.mark.parametrize("times", [25, pytest.param(250, marks=pytest.mark.nightly)])
async def test_in_postgresql_nobody_is_left_waiting(postgres_db: PostgresDb, times: int) -> None:
    databases = [postgres_db, same(postgres_db), same(postgres_db)]
    store = await stress(databases, random.randrange(10**9), times)
    left = "SELECT run_id FROM {runs} WHERE waiting OR concurrency_key IS NOT NULL"
    assert await execute(store, left) == []
    assert await execute(store, "SELECT FROM {sessions} WHERE lock_run_id IS NOT NULL") == []


async def test_in_sqlite_nobody_is_left_waiting() -> None:
    await stress([InMemoryDb()], random.randrange(10**9), 100)
