"""SQLite goes by the clock that it is given, and without a thread does things in order."""

from datetime import UTC, datetime

import pytest
from stores import (
    CLAIM,
    EXPIRED,
    LEASE,
    new_run,
)

from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.store import SqliteStore
from kern.db.values import Swept


async def test_what_is_written_goes_by_the_clock_of_the_file() -> None:
    shared = SqliteFile(":memory:", "runs", threaded=False)
    shared.clock = lambda: now
    now = 1_000_000.0
    store = SqliteStore(shared)
    await store.open()
    accepted = await store.submit(new_run(run_at=datetime.fromtimestamp(now + 60, UTC)))
    assert accepted is not None
    assert accepted.created_at.timestamp() == now
    assert await store.queue.next_due(["agent"]) == 60.0
    now += 60
    assert [each.run_id for each in await store.queue.dequeue(["agent"], 9)] == ["run"]
    assert await store.claim("run", CLAIM) is not None
    assert await store.sweep(1) is not None
    now += LEASE + 1
    assert await store.sweep(1) == Swept([], 0), "there was a gap"
    now += 0.5
    assert await store.sweep(1) == Swept([], 0), "there was a gap"
    now += 0.5
    assert await store.sweep(1) == Swept(["run"], 0)
    await store.close()


@pytest.mark.parametrize("gaps", [3])
async def test_gaps_that_follow_each_other_hold_expiry_back_only_so_often(gaps: int) -> None:
    shared = SqliteFile(":memory:", "runs", threaded=False)
    shared.clock = lambda: now
    now = 1_000_000.0
    store = SqliteStore(shared)
    await store.open()
    await store.submit(new_run(lease=EXPIRED))
    for _ in range(gaps):
        assert await store.sweep(10) == Swept([], 0)
        now += 100
    assert await store.sweep(10) == Swept(["run"], 0)
    await store.close()


async def test_a_clock_that_was_set_back_holds_no_sweep_back() -> None:
    shared = SqliteFile(":memory:", "runs", threaded=False)
    shared.clock = lambda: now
    now = 1_000_000.0
    store = SqliteStore(shared)
    await store.open()
    await store.sweep(10)
    now -= 3600
    await store.submit(new_run(lease=EXPIRED))
    assert await store.sweep(10) == Swept([], 0)
    now += 5
    assert await store.sweep(10) == Swept([], 0)
    now += 5
    assert await store.sweep(10) == Swept(["run"], 0)
    await store.close()


async def test_without_a_thread_operations_are_done_at_once_where_they_are_called() -> None:
    shared = SqliteFile(":memory:", "runs", threaded=False)
    store = SqliteStore(shared)
    await store.open()
    submitting = store.submit(new_run())
    with pytest.raises(StopIteration) as returned:
        submitting.send(None)  # It never waits.
    assert returned.value.value is not None
    await store.close()
