"""The runs of a session execute one after another, in the order of their acceptance."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from deliveries import Deliveries
from stores import (
    CLAIM,
    LOST,
    SWARM,
    Spawn,
    address,
    ending,
    execute,
    make_due,
    new_run,
    same,
    sweep,
)

from kern.db.base import Store
from kern.db.database import Database
from kern.run.base import RunStatus
from kern.run.record import NewRun

PENDING, RUNNING, CANCELLED = RunStatus.pending, RunStatus.running, RunStatus.cancelled
PAUSED, ERROR, COMPLETED = RunStatus.paused, RunStatus.error, RunStatus.completed


def ordered(run_id: str, **changes: object) -> NewRun:
    """Return a run that waits for the earlier ones of its session."""
    return new_run(run_id, ordered=True, **changes)


@pytest.fixture
def worker(store: Store) -> Deliveries:
    return Deliveries(store)


async def accept(worker: Deliveries, *run_ids: str) -> list[bool]:
    """Submit ordered runs one after another; say of each whether it waits."""
    accepted = [await worker.submit(ordered(run_id)) for run_id in run_ids]
    return [each is not None and each.waiting for each in accepted]


async def waiting(store: Store, run_id: str) -> bool:
    found = await store.get(run_id)
    assert found is not None
    return found.waiting


# --- the session lock


async def test_the_runs_of_a_session_execute_in_the_order_of_acceptance(
    store: Store, worker: Deliveries
) -> None:
    assert await accept(worker, "c", "a", "b") == [False, True, True]
    assert await worker.offered() == ["c"], "who waits is not in the queue"
    assert [await waiting(store, run_id) for run_id in "cab"] == [False, True, True]
    assert await store.claim("a", CLAIM) is None
    assert await worker.execute_all() == ["c", "a", "b"]
    assert await accept(worker, "d") == [False]


async def test_other_sessions_and_parallel_runs_neither_wait_nor_block(
    store: Store, worker: Deliveries
) -> None:
    await accept(worker, "holder")
    for run in (ordered("other", session_id="other"), new_run("parallel")):
        accepted = await worker.submit(run)
        assert accepted is not None
        assert not accepted.waiting
        assert await store.claim(run.run_id, CLAIM) is not None
    assert await store.claim("holder", CLAIM) is not None


async def test_many_runs_submitted_at_once_execute_in_the_order_of_acceptance(
    db: Database,
) -> None:
    databases = [db, same(db)]
    stores = [await each.store() for each in databases]
    worker = Deliveries(*stores)
    runs = [ordered(str(number), session_id=f"{number % 2}") for number in range(30)]
    await asyncio.gather(*map(worker.submit, runs))
    accepted = "SELECT run_id FROM {runs} WHERE session_id = {1} ORDER BY position"
    executed = await worker.execute_all()
    for session in "01":
        found = await execute(stores[0], accepted, session)
        mine = [run_id for run_id in executed if int(run_id) % 2 == int(session)]
        assert mine == [row["run_id"] for row in found]
        assert len(mine) == 15


@pytest.mark.parametrize("status", [COMPLETED, ERROR, CANCELLED])
async def test_every_end_lets_the_next_one_go_on(
    store: Store, worker: Deliveries, status: RunStatus
) -> None:
    await accept(worker, "a", "b")
    first = await worker.deliver()
    assert first is not None
    await worker.end(first, status)
    assert not await waiting(store, "b")
    assert await worker.execute_all() == ["b"]


async def test_a_paused_run_keeps_the_session_lock(store: Store, worker: Deliveries) -> None:
    await accept(worker, "a", "b")
    first = await worker.deliver()
    assert first is not None
    await worker.end(first, PAUSED)
    assert await worker.execute_all() == []
    assert await store.claim("b", CLAIM) is None

    assert await store.resume("a", PAUSED, 1, [])
    assert await worker.execute_all() == ["a", "b"]


async def test_a_run_that_was_released_refused_or_failed_keeps_the_session_lock(
    store: Store, worker: Deliveries
) -> None:
    await accept(worker, "a", "b")
    assert await store.claim("a", CLAIM)
    await store.release("a", 1)
    assert await store.claim("b", CLAIM) is None
    assert await store.claim("a", CLAIM)
    assert await store.refuse("a", 2, "No key.", 0.0, timedelta(days=1)) is PENDING
    assert await store.claim("b", CLAIM) is None
    assert await store.claim("a", CLAIM)
    assert await store.postpone("a", 3, 3600, []) is PENDING
    assert await waiting(store, "b")
    assert await store.claim("b", CLAIM) is None


async def test_a_lost_run_goes_on_before_the_next_one_begins(
    store: Store, worker: Deliveries
) -> None:
    await accept(worker, "a", "b")
    assert await store.claim("a", LOST)
    assert await store.claim("b", CLAIM) is None
    await sweep(store)
    assert await store.claim("b", CLAIM) is None
    assert await store.claim("a", CLAIM)


@pytest.mark.parametrize("before", [PENDING, RUNNING, PAUSED])
async def test_the_end_of_a_run_that_nobody_executes_lets_the_next_one_go_on(
    store: Store, worker: Deliveries, before: RunStatus
) -> None:
    await accept(worker, "a", "b", "c")
    if before is not PENDING:
        assert await store.claim("a", LOST)
    if before is PAUSED:
        await store.settle(ending("a", status=PAUSED))
    await worker.cancel("b")
    assert await worker.cancel("a")
    assert await worker.execute_all() == ["c"]


async def test_a_cancel_that_was_asked_for_lets_the_next_one_go_on(
    store: Store, worker: Deliveries
) -> None:
    await accept(worker, "a", "b", "c", "d")
    for end in ("settle", "release", "postpone"):
        running = await worker.deliver()
        assert running is not None
        assert await store.cancel(running.run_id)
        if end == "settle":
            assert await worker.end(running) is CANCELLED
        elif end == "release":
            await store.release(running.run_id, 1)
        else:
            assert await store.postpone(running.run_id, 1, 3600, []) is CANCELLED
    assert await worker.execute_all() == ["d"]


async def test_a_retried_run_waits_for_who_has_the_lock_and_goes_before_who_waits(
    store: Store, worker: Deliveries
) -> None:
    await accept(worker, "a", "b", "c")
    first = await worker.deliver()
    assert first is not None
    await worker.end(first, ERROR)
    second = await worker.deliver()
    assert second is not None
    assert await store.resume("a", ERROR, 1, [])
    assert await worker.deliver() is None
    assert await waiting(store, "a")
    await worker.end(second)
    assert await worker.execute_all() == ["a", "c"]


async def test_a_paused_run_that_goes_on_goes_before_one_that_is_retried(
    store: Store, worker: Deliveries
) -> None:
    await accept(worker, "a", "b")
    for status in (ERROR, PAUSED):
        running = await worker.deliver()
        assert running is not None
        await worker.end(running, status)
    assert await store.resume("a", ERROR, 1, [])
    assert await worker.deliver() is None
    assert await store.resume("b", PAUSED, 1, [])
    assert await worker.execute_all() == ["b", "a"]


async def test_a_fork_waits_as_any_other(store: Store, worker: Deliveries) -> None:
    await accept(worker, "a", "b")
    assert await store.fork(ordered("fork"), "a", 0)
    assert await waiting(store, "fork")
    assert await worker.execute_all() == ["a", "b", "fork"]


async def test_what_is_cancelled_from_the_start_never_has_the_session_lock(
    store: Store, worker: Deliveries
) -> None:
    await store.cancel("cancelled before")
    await worker.submit(ordered("cancelled before"))
    await worker.submit(ordered("cancelled", cancelled=True))
    assert await accept(worker, "a", "b") == [False, True]
    assert await worker.submit(ordered("a")) is None
    assert await worker.execute_all() == ["a", "b"]


async def test_a_session_knows_when_something_was_last_asked_of_it(
    store: Store, worker: Deliveries
) -> None:
    moments = []
    for run in (ordered("a"), ordered("b"), new_run("parallel"), ordered("c", cancelled=True)):
        await worker.submit(run)
        [session] = await execute(store, "SELECT created_at, updated_at FROM {sessions}")
        moments.append(session["updated_at"])
    assert session["created_at"] == moments[0]
    assert moments[0] != moments[1] == moments[2] == moments[3]


# --- delayed runs


async def test_a_delayed_run_requests_the_session_lock_when_it_is_due(
    store: Store, worker: Deliveries
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    accepted = await worker.submit(ordered("delayed", run_at=tomorrow))
    assert accepted is not None
    assert not accepted.waiting
    assert await accept(worker, "a", "b") == [False, True]
    assert await store.claim("delayed", CLAIM) is None
    first = await worker.deliver()
    assert first is not None
    assert first.run_id == "a"

    await make_due(store, "delayed")
    assert await store.claim("delayed", CLAIM) is None
    assert await waiting(store, "delayed")
    await worker.end(first)
    assert await worker.execute_all() == ["delayed", "b"]


# --- interrupting and rejecting


async def test_who_is_before_a_run_is_named_newest_first(store: Store, worker: Deliveries) -> None:
    await accept(worker, "a", "b", "c", "d")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await worker.submit(ordered("delayed", run_at=tomorrow))
    await worker.submit(new_run("parallel"))
    await worker.submit(ordered("other", session_id="other"))
    for _ in range(2):
        assert await store.before("d") == ["c", "b", "a"]
        assert await store.before("b") == ["a"]
        assert await store.before("a") == []
        await store.claim("a", CLAIM)
    await store.settle(ending("a", status=PAUSED))
    assert await store.before("c") == ["b", "a"]
    await worker.cancel("a")
    assert await store.before("c") == ["b"]
    assert await store.before("unknown") == []


async def test_all_before_a_run_can_be_cancelled(store: Store, worker: Deliveries) -> None:
    await accept(worker, "a", "b", "c", "d")
    for run_id in await store.before("d"):
        assert await worker.cancel(run_id)
    assert await worker.execute_all() == ["d"]


async def test_only_a_run_that_waits_can_be_withdrawn(store: Store, worker: Deliveries) -> None:
    await accept(worker, "a", "b", "c")
    await worker.submit(new_run("parallel"))
    for run_id in ("a", "parallel", "unknown"):
        assert not await store.withdraw(run_id)
    assert await store.withdraw("b")
    assert await store.get("b") is None
    assert not await store.withdraw("b")
    assert await accept(worker, "b") == [True]
    assert sorted(await worker.execute_all()) == ["a", "b", "c", "parallel"]
    assert not await store.withdraw("a")


# --- many processes

WORK = f"""{SWARM}
async def main(number):
    store = await db.store()
    for name in "ab":
        run = NewRun(number + name, "session", "agent", None, "{{}}", ordered=True)
        await store.submit(run)
    for name in "ab":
        while not (record := await store.claim(number + name, Claim(number, 60))):
            await asyncio.sleep(0.05)
        found = [await store.get(f"{{each}}{{name}}") for each in range(10) for name in "ab"]
        running = [each.run_id for each in found if each and each.status is RunStatus.running]
        assert running == [record.run_id], running
        end = Settlement(record.run_id, record.attempt, RunStatus.completed, "{{}}", None, "{{}}")
        await store.settle(end)

swarm(main)
"""


async def test_the_runs_of_many_processes_execute_in_the_order_of_acceptance(
    shared_db: Database, spawn: Spawn
) -> None:
    process = spawn(WORK, *address(shared_db))
    assert await asyncio.to_thread(process.wait, 40) == 0
    store = await shared_db.store()
    accepted = await execute(store, "SELECT run_id FROM {runs} ORDER BY position")
    ended = await execute(store, "SELECT run_id FROM {runs} ORDER BY finished_at")
    assert ended == accepted
    assert len(ended) == 20
