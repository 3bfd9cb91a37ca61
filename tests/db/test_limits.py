"""How many runs a user may have executing, how often a run is tried, and when it begins."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from deliveries import Deliveries
from stores import EXPIRED, LEASE, ending, execute, new_run, row, same

from kern.db.base import Database, Store
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun

PENDING, RUNNING, CANCELLED = RunStatus.pending, RunStatus.running, RunStatus.cancelled
PAUSED, ERROR = RunStatus.paused, RunStatus.error

TOMORROW = datetime.now(UTC) + timedelta(days=1)


def of(run_id: str, user_id: str | None = "ada", **changes: object) -> NewRun:
    """Return a run of a user, in a session of its own."""
    return new_run(run_id, **{"user_id": user_id, "session_id": run_id} | changes)


async def parked(store: Store, *run_ids: str) -> list[str]:
    """Return which of the runs wait for another one."""
    records = [await store.get(run_id) for run_id in run_ids]
    return [record.run_id for record in records if record is not None and record.waiting]


# --- what a run is given


async def test_what_a_run_is_given_is_kept(store: Store) -> None:
    run = new_run(
        priority=7, run_at=TOMORROW, timeout=2.5, max_attempts=3, webhook="https://x.test"
    )
    await store.submit(run)
    found = await store.get("run")
    assert found is not None
    assert (found.priority, found.run_at, found.timeout) == (7, run.run_at, 2.5)
    assert (found.max_attempts, found.webhook, found.failures) == (3, "https://x.test", 0)


async def test_a_run_does_not_begin_before_its_time(store: Store) -> None:
    await store.submit(new_run(run_at=TOMORROW))
    assert await store.claim("run", CLAIM) is None
    assert await parked(store, "run") == []
    past = "now() - interval '1 s'" if store.enqueues else "1"
    await execute(store, f"UPDATE {{runs}} SET run_at = {past}")
    assert await store.claim("run", CLAIM) is not None


async def test_the_runs_that_are_due_and_have_not_begun_are_counted(store: Store) -> None:
    worker = Deliveries(store)
    for run in (
        *(new_run("a", ordered=True), new_run("b", ordered=True), new_run("parallel")),
        *(of("full"), of("parked"), new_run("delayed", run_at=TOMORROW)),
        *(new_run("other", agent_id="other"), new_run("cancelled", cancelled=True)),
    ):
        await worker.submit(run)
    assert await store.queued("agent") == 5
    limited = Deliveries(store, user_limit=1)
    for run_id in ("full", "parked"):
        await take(store, run_id)
        await limited.deliver_run(run_id)
    assert await store.queued("agent") == 4
    assert await store.queued("other") == 1
    assert await store.queued("unknown") == 0


async def take(store: Store, run_id: str) -> None:
    """Take the entry of a run out of the queue."""
    if store.enqueues:
        await execute(store, "DELETE FROM {queue} WHERE payload = convert_to({1}, 'UTF8')", run_id)


# --- the runs of a user


async def test_a_user_has_no_more_runs_executing_than_allowed(db: Database) -> None:
    databases = [db, same(db)]
    stores = [await each.store() for each in databases]
    worker = Deliveries(*stores, user_limit=2)
    run_ids = [str(number) for number in range(8)]
    for run_id in run_ids:
        await worker.submit(of(run_id))
    claimed = await asyncio.gather(
        *(stores[number % 2].claim(run_id, LEASE, 2) for number, run_id in enumerate(run_ids))
    )
    running = [record for record in claimed if record is not None]
    assert len(running) == 2
    assert len(await parked(stores[0], *run_ids)) == 6

    while await worker.take():
        """All of them have been delivered."""
    for record in running:
        await worker.end(record)
    again = [await worker.deliver() for _ in range(3)]
    assert [record is None for record in again] == [False, False, True]
    for each in again[:2]:
        assert each is not None
        await worker.end(each)
    assert len(await worker.execute_all()) == 4


@pytest.mark.parametrize("how", ["end", "pause", "release", "postpone", "cancel"])
async def test_whoever_stops_executing_lets_another_run_of_the_user_begin(
    store: Store, how: str
) -> None:
    worker = Deliveries(store, user_limit=1)
    for run_id in "ab":
        await worker.submit(of(run_id))
    first = await worker.deliver()
    assert first is not None
    assert await worker.deliver() is None
    assert await parked(store, "a", "b") == ["b"]
    if how in ("end", "pause"):
        await worker.end(first, PAUSED if how == "pause" else ERROR)
    elif how == "release":
        await store.release("a", 1)
    elif how == "postpone":
        await store.postpone("a", 1, 3600, [])
    else:
        await store.extend([("a", 1)], EXPIRED)
        await store.cancel("a")
    await worker.follow("a")
    second = await worker.deliver()
    assert second is not None
    assert second.run_id == "b"


async def test_those_who_wait_for_a_user_go_on_by_priority_then_by_age(store: Store) -> None:
    worker = Deliveries(store, user_limit=1)
    for run_id, priority in (("first", 0), ("b", 1), ("a", 1), ("low", -1), ("high", 9)):
        await worker.submit(of(run_id, priority=priority))
    first = await store.claim("first", LEASE, 1)
    assert first is not None
    for run_id in ("low", "a", "high", "b"):
        assert await store.claim(run_id, LEASE, 1) is None
    while await worker.take():
        """All of them have been delivered."""
    await worker.end(first)
    assert await worker.execute_all() == ["high", "b", "a", "low"]


async def test_a_limit_is_for_the_runs_of_one_user_of_one_agent(store: Store) -> None:
    await store.submit(of("a"))
    await store.claim("a", LEASE, 1)
    others = (of("b", "eve"), of("c", agent_id="other"), of("d", None), of("e", None))
    for run in others:
        await store.submit(run)
        assert await store.claim(run.run_id, LEASE, 1) is not None


async def test_a_run_that_its_caller_executes_takes_nobody_s_place(store: Store) -> None:
    for run_id in ("a", "b"):
        await store.submit(of(run_id, lease=LEASE))
    await store.submit(of("queued"))
    assert await store.claim("queued", LEASE, 1) is not None
    await store.release("a", 1)
    await store.settle(ending("b", status=PAUSED))
    await store.resume("b", PAUSED, [])
    assert await parked(store, "a", "b") == []


async def test_a_run_that_was_lost_is_not_in_its_own_way(store: Store) -> None:
    await store.submit(of("a"))
    assert await store.claim("a", EXPIRED, 1) is not None
    taken_over = await store.claim("a", LEASE, 1)
    assert taken_over is not None
    assert taken_over.attempt == 2


async def test_who_cannot_begin_takes_nobody_s_place(store: Store) -> None:
    """A run that waits for its session, or for its time, is not let in before one that can."""
    worker = Deliveries(store, user_limit=1)
    await worker.submit(new_run("holder", ordered=True, user_id="eve"))
    await worker.submit(of("delayed", run_at=TOMORROW))
    await worker.submit(new_run("waits", ordered=True, user_id="ada", run_at=TOMORROW))
    past = "now() - interval '1 s'" if store.enqueues else "1"
    await execute(store, f"UPDATE {{runs}} SET run_at = {past} WHERE run_id = 'waits'")
    for run_id in ("first", "second"):
        await worker.submit(of(run_id))
    first = await store.claim("first", LEASE, 1)
    assert first is not None
    for run_id in ("delayed", "waits", "second"):
        assert await store.claim(run_id, LEASE, 1) is None
    while await worker.take():
        """All of them have been delivered."""
    await worker.end(first)
    assert "second" in await worker.entries()


async def test_a_run_that_waits_for_its_user_keeps_its_turn(store: Store) -> None:
    worker = Deliveries(store, user_limit=1)
    await worker.submit(of("first"))
    await worker.submit(new_run("a", ordered=True, user_id="ada"))
    await worker.submit(new_run("b", ordered=True, user_id="eve"))
    first = await worker.deliver()
    assert first is not None
    assert await worker.deliver() is None
    assert await parked(store, "a", "b") == ["a", "b"]
    await worker.end(first)
    assert await worker.execute_all() == ["a", "b"]


async def test_a_run_cancelled_while_it_waits_for_its_user_hands_its_turn_on(store: Store) -> None:
    worker = Deliveries(store, user_limit=1)
    await worker.submit(of("first"))
    for run_id in "ab":
        await worker.submit(new_run(run_id, ordered=True, user_id="ada"))
    first = await worker.deliver()
    assert first is not None
    assert await worker.deliver() is None
    assert await worker.cancel("a")
    await worker.end(first)
    assert await worker.execute_all() == ["b"]


# --- attempts


@pytest.mark.parametrize(("given", "allowed"), [(None, 5), (1, 1), (3, 3)])
async def test_a_run_whose_executors_are_lost_is_given_up(
    store: Store, given: int | None, allowed: int
) -> None:
    await store.submit(new_run(max_attempts=given, ordered=True))
    await store.submit(new_run("next", ordered=True))
    for attempt in range(1, allowed + 1):
        begun = await store.claim("run", LOST)
        assert begun is not None
        assert (begun.status, begun.attempt, begun.failures) == (RUNNING, attempt, attempt - 1)
    given_up = await store.claim("run", LOST)
    assert given_up is not None
    assert given_up.status is ERROR
    assert given_up.finished_at is not None
    assert given_up.error is not None
    message = json.loads(given_up.error)["message"]
    assert message.startswith(f"The workers of {allowed} attempts were lost")
    assert await store.claim("run", CLAIM) is None
    assert await store.settle(ending(attempt=allowed)) is None
    assert await store.claim("next", CLAIM) is not None


async def test_a_run_that_was_let_go_was_not_lost(store: Store) -> None:
    await store.submit(new_run(max_attempts=1))
    for attempt in range(1, 4):
        assert await store.claim("run", CLAIM)
        await store.release("run", attempt)
    begun = await store.claim("run", CLAIM)
    assert begun is not None
    assert (begun.status, begun.failures) == (RUNNING, 0)


async def test_a_cancel_comes_before_the_loss_of_too_many(store: Store) -> None:
    await store.submit(new_run(max_attempts=1, lease=LEASE))
    await store.cancel("run")
    await store.extend([("run", 1)], EXPIRED)
    ended = await store.claim("run", CLAIM)
    assert ended is not None
    assert (ended.status, ended.error) == (CANCELLED, None)


async def test_a_failed_attempt_is_made_again_later(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    journal = [JournalRow("run", 1, "RunFailed", "{}")]
    before = datetime.now(UTC)
    assert await store.postpone("run", 1, 60, journal) is PENDING
    found = await store.get("run")
    assert found is not None
    assert (found.status, found.failures, found.finished_at) == (PENDING, 1, None)
    assert found.run_at is not None
    assert timedelta(seconds=50) < found.run_at - before < timedelta(seconds=70)
    assert [event.type for event in await store.events("run", 0)] == ["RunFailed"]
    assert await store.claim("run", CLAIM) is None

    written = await row(store)
    assert await store.postpone("run", 1, 0, journal) is None
    assert await row(store) == written


async def test_an_attempt_that_was_overtaken_postpones_nothing(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await store.claim("run", CLAIM)
    before = await row(store)
    assert await store.postpone("run", 1, 0, [JournalRow("run", 1, "RunFailed", "{}")]) is None
    assert await row(store) == before
    assert await store.events("run", 0) == []


async def test_a_run_that_is_to_be_cancelled_is_not_made_again(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.cancel("run")
    assert await store.postpone("run", 1, 60, []) is CANCELLED
    found = await store.get("run")
    assert found is not None
    assert found.finished_at is not None


@pytest.mark.parametrize("status", [ERROR, PAUSED])
async def test_a_run_that_is_taken_up_begins_anew(store: Store, status: RunStatus) -> None:
    await store.submit(new_run())
    await store.claim("run", LOST)
    await store.claim("run", CLAIM)
    await store.postpone("run", 2, -1, [])
    assert await store.claim("run", CLAIM)
    await store.settle(ending(attempt=3, status=status))
    assert await store.resume("run", status, [])
    found = await store.get("run")
    assert found is not None
    assert (found.attempt, found.failures, found.started_at, found.run_at) == (3, 0, None, None)


# --- who is told


async def test_the_runs_whose_end_was_not_told_are_named_where_the_queue_forgets(
    store: Store,
) -> None:
    for run_id in ("a", "b", "c", "running"):
        await store.submit(new_run(run_id, webhook="https://x.test", lease=LEASE))
    await store.submit(new_run("silent", lease=LEASE))
    await store.cancel("intended")
    for run_id, status in (("a", PAUSED), ("b", ERROR), ("c", ERROR), ("silent", ERROR)):
        await store.settle(ending(run_id, status=status))
    await store.webhook_delivered("b", 1)
    expected: Sequence[str] = [] if store.enqueues else ["c"]
    assert await store.untold() == expected
    await store.resume("b", ERROR, [])
    await store.cancel("b")
    expected = [] if store.enqueues else ["b", "c"]
    assert await store.untold() == expected
