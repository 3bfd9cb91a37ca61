"""The contract of the port: how runs are given up, end and are cancelled."""

import asyncio

import pytest
from stores import (
    CLAIM,
    EXPIRED,
    LEASE,
    LOST,
    ending,
    execute,
    new_run,
    row,
    settled_as,
    status_of,
    sweep,
)

from kern.aio.batch import to_the_end
from kern.db.base import Store
from kern.db.database import Database
from kern.db.values import Accepted
from kern.run.base import RunStatus

TERMINAL = [RunStatus.completed, RunStatus.error, RunStatus.cancelled]


# --- settle


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_settled_run_keeps_its_end(store: Store, status: RunStatus) -> None:
    await store.submit(new_run(lease=LEASE))
    error = '{"type":"ValueError"}' if status is RunStatus.error else None
    assert settled_as(await store.settle(ending(status=status, error=error))) is status
    stored = await store.get("run")
    assert stored is not None
    assert (stored.status, stored.attempt) == (status, 1)
    assert (stored.output, stored.error) == ('{"content":"Hello"}', error)
    assert stored.finished_at is not None
    assert (await row(store))["usage"] == "{}"


async def test_a_run_ends_once(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.settle(ending())
    before = await row(store)
    assert await store.settle(ending(status=RunStatus.error, output="{}")) is None
    assert await store.settle(ending()) is None
    assert await row(store) == before


async def test_a_stale_attempt_settles_nothing(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await sweep(store)
    await store.claim("run", CLAIM)
    before = await row(store)
    assert await store.settle(ending(attempt=1)) is None
    assert await store.settle(ending(attempt=3)) is None
    assert await row(store) == before
    assert settled_as(await store.settle(ending(attempt=2))) is RunStatus.completed


async def test_a_run_that_does_not_run_is_not_settled(store: Store) -> None:
    await store.submit(new_run())
    assert await store.settle(ending(attempt=0)) is None
    await store.claim("run", CLAIM)
    await store.release("run", 1)
    assert await store.settle(ending(attempt=1)) is None
    assert await store.settle(ending("unknown")) is None
    assert await status_of(store) is RunStatus.pending


async def test_of_attempts_that_settle_at_once_only_the_newest_is_heard(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    for claim in (LOST, CLAIM):
        await sweep(store)
        await store.claim("run", claim)
    ends = [ending(attempt=attempt, output=f'"{attempt}"') for attempt in (3, 1, 2)]
    answers = await asyncio.gather(*map(store.settle, ends))
    assert list(map(settled_as, answers)) == [RunStatus.completed, None, None]
    stored = await store.get("run")
    assert stored is not None
    assert stored.output == '"3"'


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_run_whose_cancel_was_asked_for_ends_cancelled(
    store: Store, status: RunStatus
) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.cancel("run")
    assert settled_as(await store.settle(ending(status=status))) is RunStatus.cancelled
    stored = await store.get("run")
    assert stored is not None
    assert stored.status is RunStatus.cancelled
    assert stored.output == '{"content":"Hello"}', "what was produced is kept"


@pytest.mark.parametrize("moments", range(3))
def test_an_end_that_asyncio_run_interrupts_is_written(db: Database, moments: int) -> None:
    """The main task ends just after another one began to settle."""

    async def begin() -> None:
        store = await db.store()
        await store.submit(new_run(lease=LEASE))
        settling = asyncio.create_task(to_the_end(lambda: store.settle(ending())))
        for _ in range(moments):
            await asyncio.sleep(0)
        assert not settling.done()

    async def look() -> RunStatus:
        return await status_of(await db.store())

    asyncio.run(begin())
    assert asyncio.run(look()) is RunStatus.completed


# --- release


async def test_a_released_run_is_pending_for_the_next(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    assert await store.release("run", 1) is RunStatus.pending
    stored = await store.get("run")
    assert stored is not None
    assert (stored.status, stored.attempt) == (RunStatus.pending, 1)
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert claimed.attempt == 2


async def test_a_run_whose_cancel_was_asked_for_ends_when_it_is_released(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.cancel("run")
    assert await store.release("run", 1) is RunStatus.cancelled
    stored = await store.get("run")
    assert stored is not None
    assert stored.status is RunStatus.cancelled
    assert stored.finished_at is not None


async def test_a_stale_attempt_releases_nothing(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await sweep(store)
    await store.claim("run", CLAIM)
    before = await row(store)
    assert await store.release("run", 1) is None
    assert await store.release("unknown", 1) is None
    assert await row(store) == before


async def test_a_run_that_has_ended_is_not_released(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.settle(ending())
    before = await row(store)
    await store.release("run", 1)
    assert await row(store) == before


# --- cancel


async def test_a_pending_run_is_cancelled_at_once(store: Store) -> None:
    await store.submit(new_run())
    assert await store.cancel("run")
    stored = await store.get("run")
    assert stored is not None
    assert stored.status is RunStatus.cancelled
    assert stored.finished_at is not None
    assert await store.claim("run", CLAIM) is None


async def test_a_paused_run_is_cancelled_at_once(store: Store) -> None:
    await store.submit(new_run())
    await execute(store, "UPDATE {runs} SET status = 'PAUSED'")
    assert await store.cancel("run")
    assert await status_of(store) is RunStatus.cancelled


async def test_a_running_run_runs_until_its_executor_stops_it(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    assert await store.cancel("run")
    assert await status_of(store) is RunStatus.running
    asked = (await row(store))["cancel_requested_at"]
    assert asked is not None
    assert await store.cancel("run")
    assert (await row(store))["cancel_requested_at"] == asked
    assert settled_as(await store.settle(ending())) is RunStatus.cancelled


async def test_a_run_without_a_living_executor_is_cancelled_at_once(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    assert await store.cancel("run")
    assert await status_of(store) is RunStatus.cancelled
    before = await row(store)
    assert await store.settle(ending()) is None, "its executor was only asleep"
    assert await store.extend([("run", 1)], LEASE) == {}
    await store.release("run", 1)
    assert await row(store) == before


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_run_that_has_ended_is_not_cancelled(store: Store, status: RunStatus) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.settle(ending(status=status))
    before = await row(store)
    assert not await store.cancel("run")
    assert await row(store) == before


async def test_the_cancel_of_an_unknown_run_is_kept_for_it(store: Store) -> None:
    assert not await store.cancel("run")
    assert await store.get("run") is None
    assert await store.get("run", with_input=True) is None
    before = await row(store)
    assert not await store.cancel("run")
    assert await row(store) == before


async def test_a_cancel_and_a_submit_at_once_end_cancelled(store: Store) -> None:
    async def race(run_id: str) -> tuple[Accepted | None, bool]:
        return await asyncio.gather(store.submit(new_run(run_id)), store.cancel(run_id))

    for number in range(20):
        run_id = f"run-{number}"
        accepted, _ = await race(run_id)
        assert accepted is not None
        assert await status_of(store, run_id) is RunStatus.cancelled


async def test_a_cancel_and_a_settle_at_once_agree(store: Store) -> None:
    for number in range(20):
        run_id = f"run-{number}"
        await store.submit(new_run(run_id, lease=LEASE))
        settled, cancelled = await asyncio.gather(
            store.settle(ending(run_id)), store.cancel(run_id)
        )
        status = RunStatus.cancelled if cancelled else RunStatus.completed
        assert settled_as(settled) is status
        assert await status_of(store, run_id) is status


async def test_the_running_runs_whose_cancel_was_asked_for_are_named(store: Store) -> None:
    for run_id in ("stopping", "stopped", "running"):
        await store.submit(new_run(run_id, lease=LEASE))
    await store.submit(new_run("pending"))
    for run_id in ("stopping", "stopped", "pending", "unknown"):
        await store.cancel(run_id)
    await store.settle(ending("stopped"))
    run_ids = ["running", "pending", "stopping", "stopped", "unknown"]
    assert await store.wanted(run_ids) == [("stopping", True, False)]
    assert await store.wanted(["running"]) == []
    assert await store.wanted([]) == []


async def test_the_running_runs_whose_events_are_asked_for_are_named(store: Store) -> None:
    for run_id in ("read", "both", "running"):
        await store.submit(new_run(run_id, lease=LEASE))
    await store.submit(new_run("pending"))
    for run_id in ("read", "both", "pending", "unknown"):
        await store.read(run_id)
    await store.cancel("both")
    found = await store.wanted(["running", "pending", "both", "read", "unknown"])
    assert sorted(found) == [("both", True, True), ("read", False, True)]
