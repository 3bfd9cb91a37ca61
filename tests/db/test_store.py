"""The contract of the port: what every database does with a run."""

import asyncio
from datetime import UTC, datetime, timedelta

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

from kern.db.base import Store
from kern.db.database import Database
from kern.db.values import Claim
from kern.run.base import RunStatus
from kern.run.record import NewRun, RunRecord, Settlement

TERMINAL = [RunStatus.completed, RunStatus.error, RunStatus.cancelled]


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
    assert settled_as(await store.settle(ending(attempt=1))) is RunStatus.completed


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
    assert settled_as(await store.settle(ending(run.run_id, output=output))) is RunStatus.completed
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
        claimed_at=claimed.claimed_at,
        input='"Hi"',
    )
    assert claimed.claimed_at == pytest.approx(claimed.started_at.timestamp(), abs=0.001)
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
    for _ in range(2):
        assert await store.watch("run") == await store.get("run")
    assert await store.watch("unknown") is None
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
