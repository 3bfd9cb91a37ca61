"""When the scheduler starts runs, by a clock that the test sets."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kern.db.base import Store
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.dispatch.scheduler import Scheduler
from kern.errors import BudgetExceededError, DatabaseUnavailableError
from kern.run.record import NewRun
from kern.run.schedule import Missed, Schedule

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


class Clock:
    """Shows the time that it was set to, or goes on from there."""

    def __init__(self, moment: datetime, goes: bool = False) -> None:
        self.moment = moment
        self._begin = asyncio.get_running_loop().time() if goes else None

    async def __call__(self) -> datetime:
        if self._begin is None:
            return self.moment
        return self.moment + timedelta(seconds=asyncio.get_running_loop().time() - self._begin)


class Runs:
    """Where the runs go that the scheduler starts."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._came: asyncio.Queue[str] = asyncio.Queue()

    async def submit(self, run: NewRun) -> None:
        self.ids.append(run.run_id)
        self._came.put_nowait(run.run_id)

    async def next(self) -> str:
        return await asyncio.wait_for(self._came.get(), 20)


async def nothing() -> None:
    pass


async def hourly(store: Store, name: str = "hourly", **changes: Any) -> Schedule:
    values: dict[str, Any] = {"cron": "0 * * * *", "now": NOON - SECOND}
    return await store.schedules.create(Schedule.new(name, "agent", "Go", **values | changes))


@pytest.fixture
async def store(db: Database) -> Store:
    return await db.store()


@pytest.fixture
async def memory() -> Store:
    return await InMemoryDb().store()


def make(store: Store, moment: datetime, *, goes: bool = False) -> tuple[Scheduler, Runs, Clock]:
    runs, clock = Runs(), Clock(moment, goes)
    store.schedules.now = clock  # type: ignore[method-assign]
    return Scheduler(store.schedules, runs.submit, nothing), runs, clock


@asynccontextmanager
async def running(scheduler: Scheduler) -> AsyncIterator[None]:
    task = asyncio.create_task(scheduler.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


async def test_a_run_is_started_when_its_moment_has_come(store: Store) -> None:
    await hourly(store)
    scheduler, runs, clock = make(store, NOON - SECOND)
    assert await scheduler._start_due() == 1
    clock.moment = NOON
    assert await scheduler._start_due() == 0
    assert runs.ids == ["hourly@2026-06-01T12:00Z"]
    found = await store.schedules.get("hourly")
    assert found is not None
    assert (found.last_at, found.next_at) == (NOON, NOON + HOUR)


@pytest.mark.parametrize(
    ("missed", "hours"), [("skip", []), ("once", [15]), ("all", [12, 13, 14, 15])]
)
async def test_what_was_missed(memory: Store, missed: Missed, hours: list[int]) -> None:
    await hourly(memory, missed=missed)
    scheduler, runs, _ = make(memory, NOON + 3.5 * HOUR)
    await scheduler._start_due()
    assert runs.ids == [f"hourly@2026-06-01T{hour}:00Z" for hour in hours]
    found = await memory.schedules.get("hourly")
    assert found is not None
    assert found.next_at == NOON + 4 * HOUR
    assert found.last_at == (NOON + 3 * HOUR if hours else None)


async def test_a_schedule_skips_what_its_users_budget_has_no_room_for(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await hourly(store)
    scheduler, runs, clock = make(store, NOON)

    async def refuse(_: NewRun) -> None:
        raise BudgetExceededError("The user 'alice' has used $2 this day.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduler, "_submit", refuse)
        await scheduler._start_due()
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "'hourly' skips its run of 2026-06-01T12:00" in record.getMessage()
    clock.moment = NOON + HOUR
    await scheduler._start_due()
    assert runs.ids == ["hourly@2026-06-01T13:00Z"]


async def test_nothing_is_looked_at_where_there_are_no_schedules(memory: Store) -> None:
    scheduler, _, _ = make(memory, NOON)
    assert await scheduler._start_due() is None


async def test_a_paused_schedule_starts_nothing(store: Store) -> None:
    await hourly(store)
    await store.schedules.pause("hourly")
    scheduler, runs, clock = make(store, NOON + 0.5 * HOUR)
    assert await scheduler._start_due() is None
    await store.schedules.resume("hourly")
    await scheduler._start_due()
    assert runs.ids == []
    clock.moment = NOON + HOUR
    await scheduler._start_due()
    assert runs.ids == ["hourly@2026-06-01T13:00Z"]


async def test_a_clock_that_is_set_back_repeats_nothing(memory: Store) -> None:
    await hourly(memory)
    scheduler, runs, clock = make(memory, NOON)
    await scheduler._start_due()
    clock.moment = NOON - 0.5 * HOUR
    # However long it is: who knows what the clock will show in a minute.
    assert await scheduler._start_due() == 60
    clock.moment = NOON
    await scheduler._start_due()
    assert runs.ids == ["hourly@2026-06-01T12:00Z"]


async def test_a_clock_that_is_set_forward_starts_what_it_passes(memory: Store) -> None:
    await hourly(memory)
    scheduler, runs, clock = make(memory, NOON - HOUR)
    async with running(scheduler):
        clock.moment = NOON + 5 * HOUR
        scheduler.wake()
        assert await runs.next() == "hourly@2026-06-01T17:00Z"


async def test_it_sleeps_until_the_moment(memory: Store) -> None:
    await hourly(memory)
    scheduler, runs, _ = make(memory, NOON - 0.2 * SECOND, goes=True)
    async with running(scheduler):
        assert await runs.next() == "hourly@2026-06-01T12:00Z"
        assert await memory.schedules.now() < NOON + 5 * SECOND


async def test_it_wakes_up_for_a_change(memory: Store) -> None:
    scheduler, runs, _ = make(memory, NOON)
    async with running(scheduler):
        for name in ("first", "second"):
            await hourly(memory, name)
            scheduler.wake()
            assert await runs.next() == f"{name}@2026-06-01T12:00Z"


async def test_it_waits_for_a_database_that_is_away(memory: Store) -> None:
    await hourly(memory)
    scheduler, runs, _ = make(memory, NOON)
    there: Callable[[datetime], Awaitable[list[Schedule]]] = memory.schedules.upcoming
    away = 2

    async def upcoming(now: datetime) -> list[Schedule]:
        nonlocal away
        away -= 1
        if away >= 0:
            raise DatabaseUnavailableError("It is away.")
        return await there(now)

    memory.schedules.upcoming = upcoming  # type: ignore[method-assign]
    async with running(scheduler):
        assert await runs.next() == "hourly@2026-06-01T12:00Z"


async def test_a_schedule_that_cannot_be_read_does_not_stop_the_others(
    memory: Store, caplog: pytest.LogCaptureFixture
) -> None:
    # Its time zone is known to other machines only.
    broken = Schedule.new("broken", "agent", "Go", now=NOON - HOUR, cron="0 * * * *")
    await memory.schedules.put(replace(broken, timezone="Mars/Olympus"))
    await hourly(memory)
    scheduler, runs, _ = make(memory, NOON)
    with caplog.at_level(logging.WARNING, "kern"):
        await scheduler._start_due()
    assert runs.ids == ["hourly@2026-06-01T12:00Z"]
    assert "'broken' cannot start" in caplog.text
    assert await scheduler._start_due() == 60


async def test_a_crash_before_it_is_noted_starts_no_second_run(store: Store) -> None:
    await hourly(store)
    scheduler, _, _ = make(store, NOON)
    accepted: list[bool] = []

    async def submit_and_crash(run: NewRun) -> None:
        accepted.append(await store.submit(run) is not None)
        raise DatabaseUnavailableError("It is away.")

    scheduler._submit = submit_and_crash
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError):
            await scheduler._start_due()
    assert accepted == [True, False]


async def test_two_at_once_start_one_run_each(store: Store) -> None:
    for number in range(5):
        await hourly(store, f"hourly {number}", missed="all")
    accepted: list[str] = []

    async def submit(run: NewRun) -> None:
        if await store.submit(run) is not None:
            accepted.append(run.run_id)

    schedulers = [make(store, NOON + HOUR)[0] for _ in range(3)]
    for each in schedulers:
        each._submit = submit
    await asyncio.gather(*(each._start_due() for each in schedulers))
    expected = [
        f"hourly {number}@2026-06-01T{hour}:00Z" for number in range(5) for hour in (12, 13)
    ]
    assert sorted(accepted) == expected
    assert {each.next_at for each in await store.schedules.find()} == {NOON + 2 * HOUR}
