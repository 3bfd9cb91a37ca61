"""The contract of the port: what every database does with a run."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from stores import CLAIM, EXPIRED, LEASE, LOST, ending, execute, new_run, row, sweep

from kern.aio.batch import to_the_end
from kern.db.base import Accepted, Claim, Database, Store, Swept
from kern.db.processes import Process
from kern.run.base import RunStatus
from kern.run.record import NewRun, RunRecord, Settlement

TERMINAL = [RunStatus.completed, RunStatus.error, RunStatus.cancelled]


async def status_of(store: Store, run_id: str = "run") -> RunStatus:
    found = await store.get(run_id)
    assert found is not None
    return found.status


# --- submit


async def test_a_new_run_is_pending(store: Store) -> None:
    before = datetime.now(UTC)
    accepted = await store.submit(new_run(user_id="ada", metadata='{"a": 1}'))

    assert accepted is not None
    assert accepted.status is RunStatus.pending
    assert abs(accepted.created_at - before) < timedelta(minutes=1)
    assert await store.get("run") == RunRecord(
        run_id="run",
        session_id="session",
        agent_id="agent",
        user_id="ada",
        status=RunStatus.pending,
        attempt=0,
        created_at=accepted.created_at,
        metadata='{"a": 1}',
    )


async def test_a_run_id_in_use_is_refused_and_its_run_stays_as_it_was(store: Store) -> None:
    await store.submit(new_run())
    before = await row(store)
    assert await store.submit(new_run()) is None
    assert await store.submit(new_run(session_id="other", input='"Other"', lease=LEASE)) is None
    assert await store.submit(new_run(cancelled=True)) is None
    assert await row(store) == before


async def test_a_run_id_stays_in_use_after_the_end_of_its_run(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.settle(ending())
    before = await row(store)
    assert await store.submit(new_run()) is None
    assert await row(store) == before


async def test_a_refused_run_makes_no_session(store: Store) -> None:
    await store.submit(new_run())
    await store.submit(new_run(session_id="other"))
    sessions = await execute(store, "SELECT session_id FROM {sessions}")
    assert {"session_id": "session"} in sessions


async def test_one_run_is_accepted_where_many_have_its_id_at_once(store: Store) -> None:
    answers = await asyncio.gather(
        *(store.submit(new_run(input=f'"{number}"')) for number in range(10))
    )
    assert [answer is None for answer in answers].count(False) == 1
    stored = await store.get("run", with_input=True)
    assert stored is not None
    winner = next(number for number, answer in enumerate(answers) if answer is not None)
    assert stored.input == f'"{winner}"'


async def test_many_runs_of_one_new_session_are_accepted_at_once(store: Store) -> None:
    runs = [new_run(f"run-{number}") for number in range(50)]
    answers = await asyncio.gather(*(store.submit(run) for run in runs))
    assert [answer is not None and answer.status for answer in answers] == [RunStatus.pending] * 50


async def test_a_run_after_its_pending_cancel_is_cancelled(store: Store) -> None:
    await store.cancel("run")
    accepted = await store.submit(new_run(user_id="ada"))

    assert accepted is not None
    assert accepted.status is RunStatus.cancelled
    stored = await store.get("run", with_input=True)
    assert stored is not None
    assert (stored.status, stored.attempt) == (RunStatus.cancelled, 0)
    assert (stored.session_id, stored.user_id, stored.input) == ("session", "ada", '"Hi"')
    assert stored.created_at == accepted.created_at
    assert stored.started_at is None
    assert stored.finished_at is not None
    assert await store.claim("run", CLAIM) is None


async def test_a_run_with_a_lease_after_its_pending_cancel_is_cancelled(store: Store) -> None:
    await store.cancel("run")
    accepted = await store.submit(new_run(lease=LEASE))
    assert accepted is not None
    assert accepted.status is RunStatus.cancelled
    assert await store.settle(ending()) is None
    assert await status_of(store) is RunStatus.cancelled


async def test_a_pending_cancel_is_used_up_by_its_run(store: Store) -> None:
    await store.cancel("run")
    await store.submit(new_run())
    assert await store.submit(new_run()) is None


@pytest.mark.parametrize("lease", [None, LEASE])
async def test_a_run_that_was_cancelled_before_is_accepted_as_cancelled(
    store: Store, lease: float | None
) -> None:
    accepted = await store.submit(new_run(cancelled=True, lease=lease))
    assert accepted is not None
    assert accepted.status is RunStatus.cancelled
    stored = await store.get("run")
    assert stored is not None
    assert (stored.status, stored.attempt) == (RunStatus.cancelled, 0)
    assert stored.started_at is None
    assert stored.finished_at is not None
    assert await store.claim("run", CLAIM) is None


async def test_a_run_with_a_lease_is_in_its_first_attempt(store: Store) -> None:
    accepted = await store.submit(new_run(lease=LEASE))
    assert accepted is not None
    assert accepted.status is RunStatus.running
    stored = await store.get("run")
    assert stored is not None
    assert (stored.status, stored.attempt) == (RunStatus.running, 1)
    assert stored.started_at is not None
    assert stored.finished_at is None
    assert await store.claim("run", CLAIM) is None
    assert await store.settle(ending(attempt=1)) is RunStatus.completed


async def test_what_is_awkward_to_store_comes_back_as_it_was(store: Store) -> None:
    run = NewRun(
        run_id='\'; DROP TABLE runs; -- "%s" {} $1 ?1 \\ 🦊',
        session_id="é" * 255,
        agent_id="agent/with/slashes",
        user_id="",
        input='"\\u0000 \\ud800 {} %s"',
        metadata='{"b":1,"a":{"\\u0000":[]},"a":2}',
    )
    assert await store.submit(run) is not None
    claimed = await store.claim(run.run_id, CLAIM)
    assert claimed is not None
    assert (claimed.run_id, claimed.session_id) == (run.run_id, run.session_id)
    assert (claimed.agent_id, claimed.user_id) == (run.agent_id, run.user_id)
    assert (claimed.input, claimed.metadata) == (run.input, run.metadata)
    output = '{"content":"\\u0000\\ud800"}'
    assert await store.settle(ending(run.run_id, output=output)) is RunStatus.completed
    stored = await store.get(run.run_id)
    assert stored is not None
    assert stored.output == output


# --- claim


async def test_a_pending_run_is_claimed_with_its_input(store: Store) -> None:
    accepted = await store.submit(new_run(user_id="ada", metadata="{}"))
    assert accepted is not None
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert claimed.started_at is not None
    assert claimed == RunRecord(
        run_id="run",
        session_id="session",
        agent_id="agent",
        user_id="ada",
        status=RunStatus.running,
        attempt=1,
        created_at=accepted.created_at,
        started_at=claimed.started_at,
        metadata="{}",
        executor="executor",
        input='"Hi"',
    )
    assert await status_of(store) is RunStatus.running


async def test_there_is_nothing_to_claim_where_no_run_is(store: Store) -> None:
    assert await store.claim("run", CLAIM) is None
    await store.cancel("pending cancel")
    assert await store.claim("pending cancel", CLAIM) is None


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_run_that_has_ended_is_not_claimed(store: Store, status: RunStatus) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await store.settle(ending(status=status))
    before = await row(store)
    assert await store.claim("run", CLAIM) is None
    assert await row(store) == before


@pytest.mark.parametrize("claim", [CLAIM, LOST])
async def test_a_running_run_is_not_claimed_whatever_its_lease(store: Store, claim: Claim) -> None:
    await store.submit(new_run())
    assert await store.claim("run", claim) is not None
    before = await row(store)
    assert await store.claim("run", CLAIM) is None
    assert await row(store) == before


async def test_a_claim_says_what_is_left_of_the_timeout(store: Store) -> None:
    await store.submit(new_run(timeout=100.0))
    first = await store.claim("run", CLAIM)
    assert first is not None
    assert first.remaining == 100.0
    await store.release("run", 1)
    second = await store.claim("run", CLAIM)
    assert second is not None
    assert second.remaining is not None
    assert 50 < second.remaining < 100


async def test_who_lost_the_answer_to_its_claim_or_submit_finds_what_it_holds(
    store: Store,
) -> None:
    await store.submit(new_run("here", executor="me", lease=LEASE))
    await store.submit(new_run("queued", executor="me"))
    assert await store.held("queued", "me") is None
    claimed = await store.claim("queued", Claim("me", LEASE))
    assert claimed is not None
    found = await store.held("queued", "me")
    assert found is not None
    assert (found.run_id, found.attempt, found.input) == ("queued", 1, '"Hi"')
    assert (await store.held("here", "me")) is not None
    assert await store.held("queued", "another") is None
    await store.settle(ending("queued"))
    await store.release("here", 1)
    assert await store.held("queued", "me") is None
    assert await store.held("here", "me") is None


# --- parents


@pytest.mark.parametrize("lease", [None, LEASE])
async def test_a_child_of_a_cancelled_parent_is_accepted_as_cancelled(
    store: Store, lease: float | None
) -> None:
    await store.submit(new_run("ended"))
    await store.submit(new_run("stopping", lease=LEASE))
    for parent in ("ended", "stopping", "unknown"):
        await store.cancel(parent)
        child = new_run(f"child of {parent}", parent_run_id=parent, lease=lease)
        accepted = await store.submit(child)
        assert accepted is not None
        assert accepted.status is RunStatus.cancelled
        found = await store.get(child.run_id)
        assert found is not None
        assert found.finished_at is not None
        assert found.parent_run_id == parent


async def test_a_child_of_a_parent_that_goes_on_or_has_ended_otherwise_is_accepted(
    store: Store,
) -> None:
    await store.submit(new_run("running", lease=LEASE))
    await store.submit(new_run("completed", lease=LEASE))
    await store.settle(ending("completed"))
    for parent in ("running", "completed", "unknown"):
        accepted = await store.submit(new_run(f"child of {parent}", parent_run_id=parent))
        assert accepted is not None
        assert accepted.status is RunStatus.pending


async def test_a_claim_ends_the_child_of_a_parent_that_was_cancelled_since(store: Store) -> None:
    await store.submit(new_run("parent", lease=LEASE))
    await store.submit(new_run(parent_run_id="parent", ordered=True))
    await store.submit(new_run("next", ordered=True))
    await store.cancel("parent")
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert (claimed.status, claimed.attempt) == (RunStatus.cancelled, 1)
    assert claimed.finished_at is not None
    assert await store.claim("next", CLAIM) is not None


async def test_a_cancel_of_a_parent_and_the_submit_of_a_child_at_once_end_both(
    store: Store,
) -> None:
    for number in range(20):
        parent, child = f"parent-{number}", f"child-{number}"
        await store.submit(new_run(parent, lease=LEASE))
        await asyncio.gather(
            store.submit(new_run(child, parent_run_id=parent)), store.cancel(parent)
        )
        await store.claim(child, CLAIM)
        assert await status_of(store, child) is RunStatus.cancelled


# --- claims at once


async def test_claims_at_once_are_one_attempt(store: Store) -> None:
    await store.submit(new_run())
    claims = await asyncio.gather(*(store.claim("run", CLAIM) for _ in range(10)))
    assert [claim.attempt for claim in claims if claim is not None] == [1]


async def test_claims_of_two_event_loops_at_once_are_one_attempt_each(db: Database) -> None:
    store = await db.store()
    run_ids = [f"run-{number}" for number in range(20)]
    await asyncio.gather(*(store.submit(new_run(run_id)) for run_id in run_ids))

    async def claim_all() -> list[str]:
        store = await db.store()
        claims = await asyncio.gather(*(store.claim(run_id, CLAIM) for run_id in run_ids))
        return [claim.run_id for claim in claims if claim is not None]

    elsewhere = asyncio.to_thread(lambda: asyncio.run(claim_all()))
    here, there = await asyncio.gather(claim_all(), elsewhere)
    assert sorted(here + there) == sorted(run_ids)


# --- extend


async def test_an_extended_attempt_is_protected(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    assert await store.extend([("run", 1)], LEASE) == {"run": False}
    assert (await sweep(store)).expired == []
    assert await status_of(store) is RunStatus.running


async def test_a_heart_extends_leases_from_a_thread_of_its_own(db: Database) -> None:
    store = await db.store()
    for run_id in ("living", "unwanted"):
        await store.submit(new_run(run_id, lease=EXPIRED))
    await store.submit(new_run("ended", lease=LEASE))
    await store.settle(ending("ended"))
    await store.extend([("unwanted", 1)], LEASE)
    await store.cancel("unwanted")
    heart = db.open_heart()
    attempts = [("living", 1), ("unwanted", 1), ("ended", 1), ("living", 2)]
    mine = await asyncio.to_thread(heart.extend, attempts, LEASE)
    assert mine == {"living": False, "unwanted": True}
    assert (await sweep(store)).expired == []
    await asyncio.to_thread(heart.close)
    # It connects anew.
    assert await asyncio.to_thread(heart.extend, [("living", 1)], LEASE) == {"living": False}
    assert await asyncio.to_thread(heart.extend, [], LEASE) == {}
    await asyncio.to_thread(heart.close)


async def test_extend_tells_whose_cancel_was_asked_for(store: Store) -> None:
    await store.submit(new_run("wanted", lease=LEASE))
    await store.submit(new_run("unwanted", lease=LEASE))
    await store.cancel("unwanted")
    mine = await store.extend([("wanted", 1), ("unwanted", 1)], LEASE)
    assert mine == {"wanted": False, "unwanted": True}


async def test_extend_leaves_out_what_is_not_theirs_any_more(store: Store) -> None:
    await store.submit(new_run("stale", lease=EXPIRED))
    await sweep(store)
    await store.claim("stale", CLAIM)
    await store.submit(new_run("ended", lease=LEASE))
    await store.settle(ending("ended"))
    await store.submit(new_run("released", lease=LEASE))
    await store.release("released", 1)
    before = [await row(store, run_id) for run_id in ("stale", "ended", "released")]

    attempts = [("stale", 1), ("ended", 1), ("released", 1), ("unknown", 1)]
    assert await store.extend(attempts, LEASE) == {}
    assert [await row(store, run_id) for run_id in ("stale", "ended", "released")] == before


async def test_extend_of_nothing_is_nothing(store: Store) -> None:
    assert await store.extend([], LEASE) == {}


# --- settle


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_settled_run_keeps_its_end(store: Store, status: RunStatus) -> None:
    await store.submit(new_run(lease=LEASE))
    error = '{"type":"ValueError"}' if status is RunStatus.error else None
    assert await store.settle(ending(status=status, error=error)) is status
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
    assert await store.settle(ending(attempt=2)) is RunStatus.completed


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
    heard = await asyncio.gather(*map(store.settle, ends))
    assert heard == [RunStatus.completed, None, None]
    stored = await store.get("run")
    assert stored is not None
    assert stored.output == '"3"'


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_run_whose_cancel_was_asked_for_ends_cancelled(
    store: Store, status: RunStatus
) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.cancel("run")
    assert await store.settle(ending(status=status)) is RunStatus.cancelled
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
    assert await store.settle(ending()) is RunStatus.cancelled


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
        assert settled is (RunStatus.cancelled if cancelled else RunStatus.completed)
        assert await status_of(store, run_id) is settled


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


# --- get


async def test_an_unknown_run_is_not_found(store: Store) -> None:
    assert await store.get("run") is None


async def test_the_input_is_read_only_where_it_is_asked_for(store: Store) -> None:
    await store.submit(new_run())
    without, with_input = await store.get("run"), await store.get("run", with_input=True)
    assert without is not None
    assert with_input is not None
    assert (without.input, with_input.input) == (None, '"Hi"')


async def test_watching_changes_nothing_that_is_read(store: Store) -> None:
    await store.submit(new_run())
    before = await store.get("run", with_input=True)
    await store.watch("run")
    await store.watch("run")
    await store.watch("unknown")
    assert await store.get("run", with_input=True) == before


# --- history


async def settle_in_order(store: Store, run_ids: list[str], session_id: str = "session") -> None:
    for run_id in run_ids:
        await store.submit(new_run(run_id, session_id=session_id, lease=LEASE))
    # A run's place is that of its acceptance, whenever it ends.
    for run_id in reversed(run_ids):
        await store.settle(ending(run_id, output=f'"{run_id}"'))


async def test_the_history_is_what_came_before_oldest_first(store: Store) -> None:
    await settle_in_order(store, ["a", "b", "c", "d"])
    assert await store.history("session", "d", 10) == [("a", '"a"'), ("b", '"b"'), ("c", '"c"')]
    assert await store.history("session", "b", 10) == [("a", '"a"')]
    assert await store.history("session", "a", 10) == []


async def test_a_short_history_is_the_newest(store: Store) -> None:
    await settle_in_order(store, ["a", "b", "c", "d"])
    assert await store.history("session", "d", 2) == [("b", '"b"'), ("c", '"c"')]
    assert await store.history("session", "d", 0) == []


async def test_the_history_is_of_completed_runs_of_the_session(store: Store) -> None:
    await settle_in_order(store, ["mine"])
    await settle_in_order(store, ["other"], session_id="other")
    for status in (RunStatus.error, RunStatus.cancelled):
        await store.submit(new_run(status.value, lease=LEASE))
        await store.settle(Settlement(status.value, 1, status, '"no"', None, "{}"))
    await store.submit(new_run("running", lease=LEASE))
    await store.submit(new_run("pending"))
    assert await store.history("session", "pending", 10) == [("mine", '"mine"')]
    assert await store.history("session", "unknown", 10) == []
    assert await store.history("unknown", "pending", 10) == []


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


async def test_a_sweep_is_due_three_times_a_heartbeat(db: Database) -> None:
    store = await db.store()
    swept = await asyncio.gather(*(store.sweep(60) for _ in range(5)))
    assert [each is not None for each in swept].count(True) == 1
    assert await store.sweep(60) is None


async def test_a_heartbeat_need_not_be_a_whole_number(store: Store) -> None:
    assert await store.sweep(2.9) is not None
    assert await store.sweep(2.9) is None


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
    assert await store.settle(ending(attempt=4)) is RunStatus.completed
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


# --- processes


async def test_living_processes_are_named_and_those_that_left_are_not(store: Store) -> None:
    here = Process("here", "host", 1, ("agent", "other"), "1.0", 5, 0)
    there = Process("there", "host", 2, (), "1.0", None, 3)
    await store.processes.beat(here)
    await store.processes.beat(there)
    await store.processes.beat(replace(here, executing=4))
    found = await store.processes.find(60)
    assert [replace(each, started_at=None, beat_at=None) for each in found] == [
        replace(here, executing=4),
        there,
    ]
    assert found[0].started_at is not None
    assert found[0].beat_at is not None
    assert found[0].started_at <= found[0].beat_at
    assert await store.processes.find(-60) == []
    await store.processes.leave("here")
    assert [each.executor for each in await store.processes.find(60)] == ["there"]


async def test_a_ping_is_answered(store: Store) -> None:
    await store.ping()
