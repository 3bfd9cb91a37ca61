"""What is done in the background of a process that executes runs, with nobody waiting for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from kern.dispatch.pgqueuer import PgQueuerQueue
from stores import LEASE, ending, new_run

from kern.agent import Agent
from kern.db.base import Database, Store
from kern.db.in_memory import InMemoryDb
from kern.dispatch import pgqueuer
from kern.dispatch.maintenance import Housekeeper
from kern.dispatch.runtime import Runtime
from kern.dispatch.settings import Settings
from kern.errors import ConfigurationError, DatabaseUnavailableError
from kern.models.openai import OpenAIResponses

OFTEN = 0.01


async def nothing() -> None:
    """Do nothing."""


@asynccontextmanager
async def housekeeping(
    store: Store,
    keep: timedelta | None = None,
    repair: Callable[[], Awaitable[None]] = nothing,
    tidy: Callable[[], Awaitable[None]] = nothing,
) -> AsyncIterator[None]:
    """Have the house kept, a hundred times a second."""
    housekeeper = Housekeeper(
        store.retention, repair=repair, tidy=tidy, heartbeat=OFTEN, keep=keep, often=OFTEN
    )
    task = asyncio.create_task(housekeeper.run())
    try:
        async with asyncio.timeout(20):
            yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class Rounds:
    """Counts the calls, and fails at the first ones."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self._called = asyncio.Semaphore(0)

    async def __call__(self) -> None:
        self._called.release()
        if self._failures:
            raise self._failures.pop(0)

    async def passed(self, count: int) -> None:
        for _ in range(count):
            await self._called.acquire()


async def test_what_is_older_than_the_retention_goes_by_itself(db: Database) -> None:
    store = await db.store()
    for run_id in ("ended", "live"):
        await store.submit(new_run(run_id, session_id=run_id))
    await store.claim("ended", LEASE)
    await store.settle(ending("ended"))
    tidied = Rounds()
    async with housekeeping(store, timedelta(hours=1), tidy=tidied):
        await tidied.passed(3)
    ended = await store.get("ended")
    assert ended is not None
    async with housekeeping(store, timedelta(0)):
        while ended is not None:
            ended = await store.get("ended")
    assert await store.get("live") is not None


async def test_without_a_retention_everything_stays(sqlite_db: Database) -> None:
    store = await sqlite_db.store()
    await store.submit(new_run())
    await store.cancel("run")
    tidied = Rounds()
    async with housekeeping(store, tidy=tidied):
        await tidied.passed(3)
    assert await store.get("run") is not None


async def test_a_failure_does_not_end_it(
    sqlite_db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    away, broken = DatabaseUnavailableError("it is away"), RuntimeError("it is broken")
    repaired, tidied = Rounds(away, broken), Rounds(away, broken)
    async with housekeeping(await sqlite_db.store(), repair=repaired, tidy=tidied):
        await repaired.passed(4)
        await tidied.passed(4)
    assert "housekeeping has to wait: it is away" in caplog.text
    assert "it is broken" in caplog.text


async def test_a_queue_in_memory_forgets_what_is_over(
    model: OpenAIResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgqueuer, "_AT_ONCE", 0)
    db = InMemoryDb()
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Go", background=True)
    await agent.await_run(run.run_id)
    queue = (await Runtime.of(db))._queue
    assert isinstance(queue, PgQueuerQueue)
    assert await queue._queries.queue_log()
    await queue.tidy()
    assert await queue._queries.queue_log() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("90s", timedelta(seconds=90)),
        ("12h", timedelta(hours=12)),
        ("8w", timedelta(56)),
    ],
)
async def test_the_retention_is_set_by_the_environment(
    sqlite_db: Database, monkeypatch: pytest.MonkeyPatch, text: str, expected: timedelta | None
) -> None:
    assert Settings.from_environment().retention is None
    monkeypatch.setenv("KERN_RETENTION", text)
    assert (await Runtime.of(sqlite_db))._housekeeper._keep == expected


@pytest.mark.parametrize("text", ["0d", "30", "d", "-1d", "1.5h", "30 d", "9999999w", "1d\n", "١d"])
def test_what_is_no_retention(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("KERN_RETENTION", text)
    with pytest.raises(ConfigurationError, match="KERN_RETENTION"):
        Settings.from_environment()
