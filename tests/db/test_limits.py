"""How many runs execute at once, how often a run is tried, and when it begins."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from deliveries import Deliveries
from journals import row as step_row
from stores import CLAIM, EXPIRED, LEASE, LOST, ending, make_due, new_run, row, same, sweep

from kern.db.base import Store
from kern.db.database import Database
from kern.db.values import Claim
from kern.run.base import RunStatus
from kern.run.record import NewRun
from kern.run.steps import AttemptFailed

PENDING, RUNNING, CANCELLED = RunStatus.pending, RunStatus.running, RunStatus.cancelled
PAUSED, ERROR = RunStatus.paused, RunStatus.error

ONE_A_USER = Claim("limited", LEASE, user_limit=1)

TOMORROW = datetime.now(UTC) + timedelta(days=1)


def of(run_id: str, user_id: str | None = "ada", **changes: object) -> NewRun:
    """Return a run of a user, in a session of its own."""
    return new_run(run_id, **{"user_id": user_id, "session_id": run_id} | changes)


async def waiting(store: Store, *run_ids: str) -> list[str]:
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
    assert await waiting(store, "run") == []
    await make_due(store, "run")
    assert await store.claim("run", CLAIM) is not None


async def test_the_runs_that_are_due_and_have_not_begun_are_counted(store: Store) -> None:
    for run in (
        *(new_run("a", ordered=True), new_run("b", ordered=True), new_run("parallel")),
        *(of("full"), of("waits"), new_run("delayed", run_at=TOMORROW)),
        *(new_run("other", agent_id="other"), new_run("cancelled", cancelled=True)),
    ):
        await store.submit(run)
    assert await store.queued("agent") == 5
    for run_id in ("full", "waits"):
        await store.claim(run_id, ONE_A_USER)
    assert await store.queued("agent") == 4
    assert await store.queued("other") == 1
    assert await store.queued("unknown") == 0


# --- limits


def limited(limit: str, count: int, *stores: Store) -> Deliveries:
    """Return a worker that keeps one of the limits."""
    if limit == "agent":
        return Deliveries(*stores, agent_limit=count)
    return Deliveries(*stores, user_limit=count)


@pytest.mark.parametrize("limit", ["agent", "user"])
async def test_no_more_runs_execute_than_allowed(db: Database, limit: str) -> None:
    databases = [db, same(db)]
    stores = [await each.store() for each in databases]
    worker = limited(limit, 2, *stores)
    run_ids = [str(number) for number in range(8)]
    for run_id in run_ids:
        await worker.submit(of(run_id))
    claimed = await asyncio.gather(
        *(stores[number % 2].claim(run_id, worker.claim) for number, run_id in enumerate(run_ids))
    )
    running = [record for record in claimed if record is not None]
    assert len(running) == 2
    assert len(await waiting(stores[0], *run_ids)) == 6
    assert await worker.deliver() is None

    for record in running:
        await worker.end(record)
    again = [await worker.deliver() for _ in range(3)]
    assert [record is None for record in again] == [False, False, True]
    for each in again[:2]:
        assert each is not None
        await worker.end(each)
    assert len(await worker.execute_all()) == 4


@pytest.mark.parametrize("limit", ["agent", "user"])
@pytest.mark.parametrize("how", ["end", "pause", "release", "postpone", "refuse", "cancel", "loss"])
async def test_every_way_to_stop_executing_lets_another_run_begin(
    store: Store, how: str, limit: str
) -> None:
    worker = limited(limit, 1, store)
    for run_id in "ab":
        await worker.submit(of(run_id, priority=-ord(run_id)))
    first = await worker.deliver()
    assert first is not None
    assert await worker.deliver() is None
    assert await waiting(store, "a", "b") == ["b"]
    if how in ("end", "pause"):
        await worker.end(first, PAUSED if how == "pause" else ERROR)
    elif how == "release":
        await store.release("a", 1)
    elif how == "postpone":
        await store.postpone("a", 1, 3600, [])
    elif how == "refuse":
        await store.refuse("a", 1, "No key.", 3600, timedelta(days=1))
    else:
        await store.extend([("a", 1)], EXPIRED)
        if how == "cancel":
            await store.cancel("a")
        else:
            await sweep(store)
    if how in ("release", "loss"):  # It is due itself, and was there first.
        assert await store.claim("a", CLAIM._replace(executor="unlimited")) is not None
    await worker.make_due("a")
    second = await worker.deliver()
    assert second is not None
    assert second.run_id == "b"


async def test_a_run_whose_calls_all_wait_does_not_count_until_it_goes_on(store: Store) -> None:
    worker = Deliveries(store, agent_limit=1)
    for run_id in "abc":
        await worker.submit(of(run_id))
    first = await worker.deliver()
    assert first is not None
    assert await worker.deliver() is None
    await store.set_counted("a", 2, False)  # Not its newest attempt.
    await worker.make_due("a")
    assert await worker.deliver() is None
    await store.set_counted("a", 1, False)
    await worker.make_due("a")
    second = await worker.deliver()
    assert second is not None
    assert second.run_id == "b"
    # It goes on above the limit, and nothing new begins meanwhile.
    await store.set_counted("a", 1, True)
    await worker.end(second)
    assert await worker.deliver() is None
    await worker.end(first)
    assert await worker.execute_all() == ["c"]


async def test_those_who_wait_for_a_user_go_on_by_priority_then_by_age(store: Store) -> None:
    worker = Deliveries(store, user_limit=1)
    for run_id, priority in (("first", 0), ("b", 1), ("a", 1), ("low", -1), ("high", 9)):
        await worker.submit(of(run_id, priority=priority))
    first = await store.claim("first", worker.claim)
    assert first is not None
    for run_id in ("low", "a", "high", "b"):
        assert await store.claim(run_id, worker.claim) is None
    await worker.end(first)
    assert await worker.execute_all() == ["high", "b", "a", "low"]


async def test_a_user_at_the_limit_does_not_keep_others_from_the_room_of_the_agent(
    store: Store,
) -> None:
    worker = Deliveries(store, agent_limit=2, user_limit=1)
    for run_id, user_id in (("a1", "ada"), ("e1", "eve"), ("a2", "ada"), ("a3", "ada")):
        await worker.submit(of(run_id, user_id))
    for run_id, user_id in (("b1", "bob"), ("a4", "ada")):
        await worker.submit(of(run_id, user_id))
    running = [await worker.deliver() for _ in range(3)]
    assert [each and each.run_id for each in running] == ["a1", "e1", None]
    assert await waiting(store, "a2", "a3", "a4", "b1") == ["a2", "a3", "a4", "b1"]
    assert running[1] is not None
    await worker.end(running[1])
    third = await worker.deliver()
    assert third is not None
    assert third.run_id == "b1"
    assert await worker.deliver() is None
    assert running[0] is not None
    await worker.end(running[0])
    await worker.end(third)
    assert await worker.execute_all() == ["a2", "a3", "a4"]


async def test_who_waits_for_a_limit_that_nobody_reaches_any_more_goes_on(store: Store) -> None:
    """The process that has ended a run was lost before it could make another one due."""
    for run_id in ("first", "second"):
        await store.submit(of(run_id))
        await store.claim(run_id, ONE_A_USER)
    await store.settle(ending("first"))
    assert await waiting(store, "second") == ["second"]
    await sweep(store)
    assert await store.claim("second", ONE_A_USER) is not None


async def test_a_limit_is_for_the_runs_of_one_user_of_one_agent(store: Store) -> None:
    await store.submit(of("a"))
    await store.claim("a", ONE_A_USER)
    others = (of("b", "eve"), of("c", agent_id="other"), of("d", None), of("e", None))
    for run in others:
        await store.submit(run)
        assert await store.claim(run.run_id, ONE_A_USER) is not None


async def test_a_run_that_begins_where_it_is_accepted_counts_for_no_limit(store: Store) -> None:
    for run_id in ("a", "b"):
        await store.submit(of(run_id, lease=LEASE))
    await store.submit(of("queued"))
    assert await store.claim("queued", ONE_A_USER) is not None


async def test_a_run_that_was_lost_is_not_in_its_own_way(store: Store) -> None:
    await store.submit(of("a"))
    assert await store.claim("a", ONE_A_USER._replace(lease=EXPIRED)) is not None
    await sweep(store)
    again = await store.claim("a", ONE_A_USER)
    assert again is not None
    assert again.attempt == 2


async def test_who_cannot_begin_uses_no_room(store: Store) -> None:
    """A run that waits for its session, or for its time, is not made due before one that can."""
    worker = Deliveries(store, user_limit=1)
    await worker.submit(new_run("holder", ordered=True, user_id="eve"))
    await worker.submit(of("delayed", run_at=TOMORROW))
    await worker.submit(new_run("waits", ordered=True, user_id="ada", run_at=TOMORROW))
    await make_due(store, "waits")
    for run_id in ("first", "second"):
        await worker.submit(of(run_id))
    first = await store.claim("first", worker.claim)
    assert first is not None
    for run_id in ("delayed", "waits", "second"):
        assert await store.claim(run_id, worker.claim) is None
    await worker.end(first)
    assert "second" in await worker.offered()


async def test_a_run_that_waits_for_its_user_keeps_the_session_lock(store: Store) -> None:
    worker = Deliveries(store, user_limit=1)
    await worker.submit(of("first"))
    await worker.submit(new_run("a", ordered=True, user_id="ada"))
    await worker.submit(new_run("b", ordered=True, user_id="eve"))
    first = await worker.deliver()
    assert first is not None
    assert await worker.deliver() is None
    assert await waiting(store, "a", "b") == ["a", "b"]
    await worker.end(first)
    assert await worker.execute_all() == ["a", "b"]


async def test_a_run_cancelled_while_it_waits_for_its_user_hands_the_lock_off(store: Store) -> None:
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
        assert (await sweep(store)).expired == ["run"]
    given_up = await store.get("run")
    assert given_up is not None
    assert given_up.status is ERROR
    assert given_up.finished_at is not None
    assert given_up.error is not None
    message = json.loads(given_up.error)["message"]
    assert message.startswith(f"The workers of {allowed} attempts were lost")
    assert await store.claim("run", CLAIM) is None
    assert await store.settle(ending(attempt=allowed)) is None
    assert await store.claim("next", CLAIM) is not None


async def test_a_run_that_was_released_was_not_lost(store: Store) -> None:
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
    await sweep(store)
    ended = await store.get("run")
    assert ended is not None
    assert (ended.status, ended.error) == (CANCELLED, None)


async def test_a_failed_attempt_is_made_again_later(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    journal = [step_row("run", 1, AttemptFailed("No."))]
    before = datetime.now(UTC)
    assert await store.postpone("run", 1, 60, journal) is PENDING
    found = await store.get("run")
    assert found is not None
    assert (found.status, found.failures, found.finished_at) == (PENDING, 1, None)
    assert found.run_at is not None
    assert timedelta(seconds=50) < found.run_at - before < timedelta(seconds=70)
    assert [event.type for event in await store.events("run", 0)] == ["AttemptFailed"]
    assert await store.claim("run", CLAIM) is None

    written = await row(store)
    assert await store.postpone("run", 1, 0, journal) is None
    assert await row(store) == written


async def test_an_attempt_that_sleeps_counts_as_no_failure(store: Store) -> None:
    await store.submit(new_run(lease=LEASE, max_attempts=1))
    assert await store.postpone("run", 1, 0, [], failed=False) is PENDING
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert (claimed.attempt, claimed.failures) == (2, 0)


async def test_a_stale_attempt_postpones_nothing(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await sweep(store)
    await store.claim("run", CLAIM)
    before = await row(store)
    assert await store.postpone("run", 1, 0, [step_row("run", 1, AttemptFailed("No."))]) is None
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
async def test_a_resumed_run_begins_anew(store: Store, status: RunStatus) -> None:
    await store.submit(new_run())
    await store.claim("run", LOST)
    await sweep(store)
    await store.claim("run", CLAIM)
    await store.postpone("run", 2, -1, [])
    assert await store.claim("run", CLAIM)
    await store.settle(ending(attempt=3, status=status))
    assert await store.resume("run", status, 3, [])
    found = await store.get("run")
    assert found is not None
    assert (found.attempt, found.failures, found.started_at, found.run_at) == (3, 0, None, None)


@pytest.mark.parametrize("limit", ["agent", "user"])
async def test_the_ancestors_of_a_run_which_may_wait_for_it_do_not_count(
    store: Store, limit: str
) -> None:
    worker, above = limited(limit, 1, store), None
    for run_id in ("root", "child", "grandchild"):
        await worker.submit(of(run_id, parent_run_id=above))
        assert (await worker.deliver()) is not None, run_id
        above = run_id
    await worker.submit(of("other"))
    assert await worker.deliver() is None


async def test_the_child_of_a_cancelled_run_waits_for_no_limit(store: Store) -> None:
    await store.submit(new_run("parent", lease=LEASE))
    await store.submit(new_run("child", parent_run_id="parent"))
    await store.submit(new_run("other"))
    claim = Claim("executor", LEASE, agent_limit=1)
    assert await store.claim("other", claim) is not None
    await store.cancel("parent")
    ended = await store.claim("child", claim)
    assert ended is not None
    assert ended.status is RunStatus.cancelled
