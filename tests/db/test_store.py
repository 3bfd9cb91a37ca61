"""The contract of the port: what every database does with a run."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from stores import LAPSED, LEASE, ending, execute, new_run, row

from kern.aio.batch import to_the_end
from kern.db.base import Accepted, Database, Store, Waiting
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


async def test_a_run_after_its_intent_is_cancelled(store: Store) -> None:
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
    assert await store.claim("run", LEASE) is None


async def test_a_run_with_a_lease_after_its_intent_is_cancelled(store: Store) -> None:
    await store.cancel("run")
    accepted = await store.submit(new_run(lease=LEASE))
    assert accepted is not None
    assert accepted.status is RunStatus.cancelled
    assert await store.settle(ending()) is None
    assert await status_of(store) is RunStatus.cancelled


async def test_an_intent_is_used_up_by_its_run(store: Store) -> None:
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
    assert await store.claim("run", LEASE) is None


async def test_a_run_with_a_lease_is_in_its_first_attempt(store: Store) -> None:
    accepted = await store.submit(new_run(lease=LEASE))
    assert accepted is not None
    assert accepted.status is RunStatus.running
    stored = await store.get("run")
    assert stored is not None
    assert (stored.status, stored.attempt) == (RunStatus.running, 1)
    assert stored.started_at is not None
    assert stored.finished_at is None
    assert await store.claim("run", LEASE) is None
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
    claimed = await store.claim(run.run_id, LEASE)
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
    claimed = await store.claim("run", LEASE)
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
        input='"Hi"',
    )
    assert await status_of(store) is RunStatus.running


async def test_there_is_nothing_to_claim_where_no_run_is(store: Store) -> None:
    assert await store.claim("run", LEASE) is None
    await store.cancel("intent")
    assert await store.claim("intent", LEASE) is None


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_run_that_has_ended_is_not_claimed(store: Store, status: RunStatus) -> None:
    await store.submit(new_run(lease=LAPSED))
    await store.settle(ending(status=status))
    before = await row(store)
    assert await store.claim("run", LEASE) is None
    assert await row(store) == before


async def test_a_run_is_not_claimed_while_its_lease_lives(store: Store) -> None:
    await store.submit(new_run())
    assert await store.claim("run", LEASE) is not None
    before = await row(store)
    assert await store.claim("run", LEASE) is None
    assert await row(store) == before


async def test_a_run_whose_lease_has_run_out_is_taken_over(store: Store) -> None:
    await store.submit(new_run())
    first = await store.claim("run", LAPSED)
    second = await store.claim("run", LEASE)
    assert first is not None
    assert second is not None
    assert (second.status, second.attempt) == (RunStatus.running, 2)
    assert second.started_at == first.started_at
    assert second.input == '"Hi"'


async def test_a_claim_of_a_run_whose_cancel_was_asked_for_ends_it(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    assert await store.cancel("run")
    await store.extend([("run", 1)], LAPSED)
    claimed = await store.claim("run", LEASE)
    assert claimed is not None
    assert (claimed.status, claimed.attempt) == (RunStatus.cancelled, 2)
    assert claimed.finished_at is not None
    assert await status_of(store) is RunStatus.cancelled
    assert await store.claim("run", LEASE) is None


async def test_claims_at_once_are_one_attempt(store: Store) -> None:
    await store.submit(new_run())
    claims = await asyncio.gather(*(store.claim("run", LEASE) for _ in range(10)))
    assert [claim.attempt for claim in claims if claim is not None] == [1]


async def test_claims_of_two_event_loops_at_once_are_one_attempt_each(db: Database) -> None:
    store = await db.store()
    run_ids = [f"run-{number}" for number in range(20)]
    await asyncio.gather(*(store.submit(new_run(run_id)) for run_id in run_ids))

    async def claim_all() -> list[str]:
        store = await db.store()
        claims = await asyncio.gather(*(store.claim(run_id, LEASE) for run_id in run_ids))
        return [claim.run_id for claim in claims if claim is not None]

    elsewhere = asyncio.to_thread(lambda: asyncio.run(claim_all()))
    here, there = await asyncio.gather(claim_all(), elsewhere)
    assert sorted(here + there) == sorted(run_ids)


# --- extend


async def test_an_extended_attempt_is_protected(store: Store) -> None:
    await store.submit(new_run(lease=LAPSED))
    assert await store.extend([("run", 1)], LEASE) == {"run": False}
    assert await store.claim("run", LEASE) is None


async def test_extend_tells_whose_cancel_was_asked_for(store: Store) -> None:
    await store.submit(new_run("wanted", lease=LEASE))
    await store.submit(new_run("unwanted", lease=LEASE))
    await store.cancel("unwanted")
    mine = await store.extend([("wanted", 1), ("unwanted", 1)], LEASE)
    assert mine == {"wanted": False, "unwanted": True}


async def test_extend_leaves_out_what_is_not_theirs_any_more(store: Store) -> None:
    await store.submit(new_run("overtaken", lease=LAPSED))
    await store.claim("overtaken", LEASE)
    await store.submit(new_run("ended", lease=LEASE))
    await store.settle(ending("ended"))
    await store.submit(new_run("released", lease=LEASE))
    await store.release("released", 1)
    before = [await row(store, run_id) for run_id in ("overtaken", "ended", "released")]

    attempts = [("overtaken", 1), ("ended", 1), ("released", 1), ("unknown", 1)]
    assert await store.extend(attempts, LEASE) == {}
    assert [await row(store, run_id) for run_id in ("overtaken", "ended", "released")] == before


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


async def test_an_overtaken_attempt_settles_nothing(store: Store) -> None:
    await store.submit(new_run(lease=LAPSED))
    await store.claim("run", LEASE)
    before = await row(store)
    assert await store.settle(ending(attempt=1)) is None
    assert await store.settle(ending(attempt=3)) is None
    assert await row(store) == before
    assert await store.settle(ending(attempt=2)) is RunStatus.completed


async def test_a_run_that_does_not_run_is_not_settled(store: Store) -> None:
    await store.submit(new_run())
    assert await store.settle(ending(attempt=0)) is None
    await store.claim("run", LEASE)
    await store.release("run", 1)
    assert await store.settle(ending(attempt=1)) is None
    assert await store.settle(ending("unknown")) is None
    assert await status_of(store) is RunStatus.pending


async def test_of_attempts_that_settle_at_once_only_the_newest_is_heard(store: Store) -> None:
    await store.submit(new_run(lease=LAPSED))
    await store.claim("run", LAPSED)
    await store.claim("run", LEASE)
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
    await store.release("run", 1)
    stored = await store.get("run")
    assert stored is not None
    assert (stored.status, stored.attempt) == (RunStatus.pending, 1)
    claimed = await store.claim("run", LEASE)
    assert claimed is not None
    assert claimed.attempt == 2


async def test_a_run_whose_cancel_was_asked_for_ends_when_it_is_released(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.cancel("run")
    await store.release("run", 1)
    stored = await store.get("run")
    assert stored is not None
    assert stored.status is RunStatus.cancelled
    assert stored.finished_at is not None


async def test_an_overtaken_attempt_releases_nothing(store: Store) -> None:
    await store.submit(new_run(lease=LAPSED))
    await store.claim("run", LEASE)
    before = await row(store)
    await store.release("run", 1)
    await store.release("unknown", 1)
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
    assert await store.claim("run", LEASE) is None


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
    await store.submit(new_run(lease=LAPSED))
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


async def test_an_unknown_run_is_not_cancelled_but_its_intent_is_kept(store: Store) -> None:
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
    for run_id in ("stopping", "stopped", "pending", "intent"):
        await store.cancel(run_id)
    await store.settle(ending("stopped"))
    run_ids = ["running", "pending", "stopping", "stopped", "intent", "unknown"]
    assert await store.asked(run_ids) == [("stopping", True, False)]
    assert await store.asked(["running"]) == []
    assert await store.asked([]) == []


async def test_the_running_runs_whose_events_are_asked_for_are_named(store: Store) -> None:
    for run_id in ("read", "both", "running"):
        await store.submit(new_run(run_id, lease=LEASE))
    await store.submit(new_run("pending"))
    for run_id in ("read", "both", "pending", "unknown"):
        await store.read(run_id)
    await store.cancel("both")
    found = await store.asked(["running", "pending", "both", "read", "unknown"])
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


# --- unfinished


async def test_unfinished_runs_are_named_oldest_first_where_the_queue_forgets(
    store: Store,
) -> None:
    await store.submit(new_run("c"))
    await store.submit(new_run("a", agent_id="other", lease=LAPSED))
    await store.submit(new_run("b", lease=LEASE))
    await store.submit(new_run("ended", lease=LEASE))
    await store.settle(ending("ended"))
    await store.submit(new_run("cancelled"))
    await store.cancel("cancelled")
    await store.cancel("intent")
    await store.submit(new_run("later", priority=3, run_at=datetime.fromtimestamp(2**31, UTC)))
    unfinished = [Waiting("c", "agent", 0, None), Waiting("a", "other", 0, None)]
    unfinished += [Waiting("b", "agent", 0, None)]
    unfinished += [Waiting("later", "agent", 3, datetime.fromtimestamp(2**31, UTC))]
    expected = [] if store.enqueues else unfinished
    assert await store.unfinished(["agent", "other", "unknown"]) == expected
    assert await store.unfinished(["other"]) == expected[1:2]
    assert await store.unfinished([]) == []
