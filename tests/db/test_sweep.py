"""The contract of the port: what lost and refusing processes leave to others."""

import asyncio
import json
from datetime import timedelta

from stores import (
    CLAIM,
    EXPIRED,
    LEASE,
    LOST,
    ending,
    execute,
    new_run,
    settled_as,
    status_of,
    sweep,
)

from kern.db.base import Store
from kern.db.database import Database
from kern.db.values import Swept
from kern.run.base import RunStatus

# --- sweep


async def test_an_expired_run_is_due_again(store: Store) -> None:
    await store.submit(new_run("living", lease=LEASE))
    await store.submit(new_run("lost"))
    first = await store.claim("lost", LOST)
    assert first is not None
    assert (await sweep(store)).expired == ["lost"]
    stored = await store.get("lost")
    assert stored is not None
    assert (stored.status, stored.attempt, stored.failures) == (RunStatus.pending, 1, 1)
    second = await store.claim("lost", CLAIM)
    assert second is not None
    assert (second.attempt, second.started_at, second.input) == (2, first.started_at, '"Hi"')
    assert (await sweep(store)).expired == []
    assert await status_of(store, "living") is RunStatus.running


async def test_an_expired_run_whose_cancel_was_asked_for_has_ended(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    assert await store.cancel("run")
    await store.extend([("run", 1)], EXPIRED)
    assert (await sweep(store)).expired == ["run"]
    stored = await store.get("run")
    assert stored is not None
    assert stored.status is RunStatus.cancelled
    assert stored.finished_at is not None
    assert await store.claim("run", CLAIM) is None


async def test_a_process_alone_sweeps_each_time_it_looks(store: Store) -> None:
    """It looks every third of a heartbeat, a quarter sooner or later; so it leaves no gap."""
    for _ in range(5):
        assert await store.sweep(0.6) is not None
        await asyncio.sleep(0.6 / 3 * 0.75 + 0.002)


async def test_a_sweep_is_done_by_one_process(db: Database) -> None:
    store = await db.store()
    swept = await asyncio.gather(*(store.sweep(60) for _ in range(5)))
    assert [each is not None for each in swept].count(True) == 1
    assert await store.sweep(60) is None


async def test_a_heartbeat_need_not_be_a_whole_number(store: Store) -> None:
    assert await store.sweep(99.9) is not None
    assert await store.sweep(99.9) is None


async def test_after_a_gap_nothing_expires_for_a_heartbeat(store: Store) -> None:
    """The database may have been away, so the living are given time to say that they live."""
    await store.submit(new_run(lease=EXPIRED))
    assert await store.sweep(1) == Swept([], 0)  # The first one ever comes after a gap.
    expired: list[str] = []
    async with asyncio.timeout(20):
        while not expired:
            await asyncio.sleep(0.1)
            swept = await store.sweep(1)
            expired = [] if swept is None else swept.expired
    assert expired == ["run"]


async def test_a_session_lock_that_an_ended_run_has_kept_is_handed_off(store: Store) -> None:
    for run_id in ("first", "second"):
        await store.submit(new_run(run_id, ordered=True))
    await execute(store, "UPDATE {runs} SET status = 'ERROR' WHERE run_id = 'first'")
    assert await store.claim("second", CLAIM) is None
    await sweep(store)
    assert await store.claim("second", CLAIM) is not None


# --- refuse


async def test_a_refused_run_is_left_to_others_and_counts_no_failure(store: Store) -> None:
    await store.submit(new_run(max_attempts=1, ordered=True))
    for attempt in (1, 2, 3):
        assert await store.claim("run", CLAIM) is not None
        day = timedelta(days=1)
        assert await store.refuse("run", attempt, "No key.", 0.0, day) is RunStatus.pending
    stored = await store.get("run")
    assert stored is not None
    assert (stored.failures, stored.refusal, stored.error) == (0, "No key.", None)
    assert await store.refuse("run", 3, "Late.", 0.0, timedelta()) is None
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert claimed.refusal == "No key."
    assert settled_as(await store.settle(ending(attempt=4))) is RunStatus.completed
    stored = await store.get("run")
    assert stored is not None
    assert stored.refusal is None


async def test_a_refused_run_is_not_due_before_its_delay(store: Store) -> None:
    await store.submit(new_run())
    await store.claim("run", CLAIM)
    assert await store.refuse("run", 1, "No key.", 60, timedelta(days=1)) is RunStatus.pending
    assert await store.claim("run", CLAIM) is None


async def test_a_run_that_all_refuse_for_too_long_ends_and_says_so(store: Store) -> None:
    await store.submit(new_run(ordered=True, webhook="https://x.test"))
    await store.submit(new_run("next", ordered=True))
    await store.claim("run", CLAIM)
    assert await store.refuse("run", 1, "No key.", 0.0, timedelta(days=1)) is RunStatus.pending
    await store.claim("run", CLAIM)
    assert await store.refuse("run", 2, "No tool.", 0.0, timedelta()) is RunStatus.error
    stored = await store.get("run")
    assert stored is not None
    assert stored.error is not None
    message = json.loads(stored.error)["message"]
    assert message.startswith("No worker could execute this run since 20")
    assert "No tool." in message
    assert stored.finished_at is not None
    assert [each.run_id for each in await store.outbox.take(9, LEASE)] == ["run"]
    assert await store.claim("next", CLAIM) is not None


async def test_a_refused_run_whose_cancel_was_asked_for_ends_cancelled(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.cancel("run")
    assert await store.refuse("run", 1, "No key.", 0.0, timedelta()) is RunStatus.cancelled
