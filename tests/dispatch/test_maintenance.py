"""What is done in the background of a process that executes runs, with nobody waiting for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from stores import CLAIM, ending, new_run

from kern.db.base import Store
from kern.db.database import Database
from kern.dispatch.maintenance import Maintenance
from kern.dispatch.opening import open_runtime
from kern.dispatch.settings import Settings
from kern.errors import ConfigurationError, DatabaseUnavailableError

OFTEN = 0.01


async def nothing() -> None:
    """Do nothing."""


@asynccontextmanager
async def maintained(
    store: Store,
    keep: timedelta | None = None,
    sweep: Callable[[], Awaitable[None]] = nothing,
) -> AsyncIterator[None]:
    """Have a database maintained, a hundred times a second."""
    maintenance = Maintenance(store.retention, sweep=sweep, pause=OFTEN, keep=keep, often=OFTEN)
    task = asyncio.create_task(maintenance.run())
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


def count_cleaning(store: Store, patch: pytest.MonkeyPatch, *failures: Exception) -> Rounds:
    """Count how often the retention is asked to clean."""
    cleaned, clean = Rounds(*failures), store.retention.clean

    async def counted() -> int:
        await cleaned()
        return await clean()

    patch.setattr(store.retention, "clean", counted)
    return cleaned


async def test_what_is_older_than_the_retention_goes_by_itself(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await db.store()
    for run_id in ("ended", "live"):
        await store.submit(new_run(run_id, session_id=run_id))
    await store.claim("ended", CLAIM)
    await store.settle(ending("ended"))
    cleaned = count_cleaning(store, monkeypatch)
    async with maintained(store, timedelta(hours=1)):
        await cleaned.passed(3)
    ended = await store.get("ended")
    assert ended is not None
    async with maintained(store, timedelta(0)):
        while ended is not None:
            ended = await store.get("ended")
    assert await store.get("live") is not None


async def test_without_a_retention_everything_stays(
    sqlite_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await sqlite_db.store()
    await store.submit(new_run())
    await store.cancel("run")
    cleaned = count_cleaning(store, monkeypatch)
    async with maintained(store):
        await cleaned.passed(3)
    assert await store.get("run") is not None


async def test_a_failure_does_not_end_it(
    sqlite_db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, broken = DatabaseUnavailableError("it is away"), RuntimeError("it is broken")
    store = await sqlite_db.store()
    swept, cleaned = Rounds(away, broken), count_cleaning(store, monkeypatch, away, broken)
    async with maintained(store, sweep=swept):
        await swept.passed(4)
        await cleaned.passed(4)
    assert "it is broken" in caplog.text


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
    assert Settings.of().retention is None
    monkeypatch.setenv("KERN_RETENTION", text)
    assert (await open_runtime(sqlite_db))._duties._maintenance._keep == expected


@pytest.mark.parametrize("text", ["0d", "30", "d", "-1d", "1.5h", "30 d", "9999999w", "1d\n", "١d"])
def test_what_is_no_retention(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("KERN_RETENTION", text)
    with pytest.raises(ConfigurationError, match="KERN_RETENTION"):
        Settings.of()
