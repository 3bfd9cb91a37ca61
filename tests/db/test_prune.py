"""Runs that have ended are deleted; all that anybody still needs is kept."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from journals import DONE, row
from stores import CLAIM, ending, execute, new_run

from kern.db.base import Store
from kern.db.postgres import PostgresDb
from kern.db.postgres.store import PostgresStore
from kern.db.retention import Pruned
from kern.dispatch.maintenance import prune
from kern.run.base import RunStatus
from kern.run.record import Settlement
from kern.run.state import StatePatch

ENDED = [RunStatus.completed, RunStatus.error, RunStatus.cancelled]


def cutoff(days: float = 30) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


async def accept(store: Store, run_id: str, age: float = 40, **changes: object) -> None:
    """Have a run accepted so many days ago, in a session of its own."""
    await store.submit(new_run(run_id, **{"session_id": f"of-{run_id}", **changes}))
    await move(store, run_id, "created_at", age)


async def end(store: Store, run_id: str, status: RunStatus, age: float = 40) -> None:
    """Have a run executed, and ended so many days ago."""
    assert await store.claim(run_id, CLAIM) is not None
    journal = (row(run_id, 1, DONE),)
    await store.settle(Settlement(run_id, 1, status, "{}", None, "{}", journal=journal))
    await move(store, run_id, "finished_at", age)


async def move(store: Store, run_id: str, column: str, age: float) -> None:
    moment = str((datetime.now(UTC) - timedelta(days=age)).timestamp())
    is_postgres = isinstance(store, PostgresStore)
    then = "to_timestamp({2}::text::float8)" if is_postgres else "CAST({2} AS REAL)"
    statement = f"UPDATE {{runs}} SET {column} = {then} WHERE run_id = {{1}}"
    await execute(store, statement, run_id, moment)


async def pruned(store: Store, before: datetime | None = None) -> int:
    """Delete everything that is to go, and return how many runs went."""
    return sum([runs async for runs in prune(store.retention, before or cutoff())])


async def sessions(store: Store) -> set[object]:
    rows = await execute(store, "SELECT session_id FROM {sessions}")
    return {row["session_id"] for row in rows}


@pytest.mark.parametrize("status", ENDED)
async def test_a_run_that_ended_before_the_moment_goes_with_all_it_has(
    store: Store, status: RunStatus
) -> None:
    for run_id in ("old", "new"):
        await accept(store, run_id)
    await end(store, "old", status)
    await end(store, "new", status, age=20)
    assert await pruned(store) == 1
    assert await store.get("old") is None
    assert await store.events("old", 0) == []
    assert await sessions(store) == {"of-new"}
    assert len(await store.events("new", 0)) == 1
    assert await pruned(store) == 0


@pytest.mark.parametrize("status", [RunStatus.pending, RunStatus.running, RunStatus.paused])
async def test_a_run_that_has_not_ended_keeps_its_session_and_its_parent(
    store: Store, status: RunStatus
) -> None:
    for run_id in ("earlier", "parent"):
        await accept(store, run_id)
        await end(store, run_id, RunStatus.completed)
    await accept(store, "live", session_id="of-earlier", parent_run_id="parent")
    if status is not RunStatus.pending:
        assert await store.claim("live", CLAIM) is not None
    if status is RunStatus.paused:
        await store.settle(ending("live", status=status))
        await move(store, "live", "finished_at", 40)
    assert await pruned(store) == 0

    assert await store.cancel("live")
    if status is RunStatus.running:
        await store.settle(ending("live"))
    await move(store, "live", "finished_at", 40)
    assert await pruned(store) == 3


async def test_a_webhook_that_was_not_delivered_keeps_its_run_for_four_days(store: Store) -> None:
    ages = {"delivered": 3.0, "given up": 3.0, "undelivered": 3.0, "old": 5.0}
    for run_id, age in ages.items():
        await accept(store, run_id, webhook="https://example.com/")
        await end(store, run_id, RunStatus.completed, age)
    for delivery in await store.outbox.take(9, 60):
        if delivery.run_id == "delivered":
            await store.outbox.delivered(delivery)
        elif delivery.run_id == "given up":
            await store.outbox.failed(delivery, "It is gone.", None)
    assert await pruned(store, cutoff(1)) == 3
    assert await store.get("undelivered") is not None


async def test_a_session_with_a_state_stays(store: Store) -> None:
    await accept(store, "run")
    await end(store, "run", RunStatus.completed)
    assert await store.states.change("of-run", StatePatch({"a": 1}))
    assert await pruned(store) == 1
    assert await sessions(store) == {"of-run"}


async def test_each_step_goes_on_where_the_last_one_ended(store: Store) -> None:
    for number in range(5):
        await accept(store, f"old-{number}")
        await end(store, f"old-{number}", RunStatus.completed)
    await accept(store, "paused")
    for number in range(5):
        await accept(store, f"new-{number}", age=1)
    steps, position = [], 0
    while True:
        step = await store.retention.prune(cutoff(), position, 3)
        steps.append(step.runs)
        if step.position is None:
            break
        assert step.position > position
        position = step.position
    assert steps == [3, 2, 0]  # The fourth would be among runs that are too young.
    # What has been looked at is not looked at again.
    await end(store, "paused", RunStatus.completed)
    assert (await store.retention.prune(cutoff(), position, 100)).runs == 0
    assert await pruned(store) == 1


async def test_counting_deletes_nothing(store: Store) -> None:
    await accept(store, "run")
    await end(store, "run", RunStatus.completed)
    for _ in range(2):
        step = await store.retention.prune(cutoff(), 0, 100, deleting=False)
        assert step == Pruned(1, None)
    assert len(await store.events("run", 0)) == 1
    assert await sessions(store) == {"of-run"}


async def test_a_run_that_is_submitted_meanwhile_gets_the_session_lock(store: Store) -> None:
    for number in range(20):
        old, new = f"old-{number}", f"new-{number}"
        await accept(store, old, session_id="session", ordered=True)
        await end(store, old, RunStatus.completed)
        run = new_run(new, ordered=True, run_at=datetime.now(UTC) + timedelta(milliseconds=1))
        await asyncio.gather(pruned(store), store.submit(run))
        await asyncio.sleep(0.002)  # Until it is due, and has to request the lock itself.
        assert await store.claim(new, CLAIM) is not None
        await store.settle(ending(new))
        await move(store, new, "finished_at", 40)


async def test_cancels_of_runs_that_never_came_are_kept_for_seven_days(store: Store) -> None:
    for run_id, age in (("old", 8), ("new", 6)):
        await store.cancel(run_id)
        await move(store, run_id, "created_at", age)
    assert await store.retention.clean() == 1
    assert await store.retention.clean() == 0
    statuses = [await store.submit(new_run(run_id)) for run_id in ("old", "new")]
    assert [each and each.status for each in statuses] == [RunStatus.pending, RunStatus.cancelled]


@pytest.fixture
async def postgres_store(postgres_db: PostgresDb) -> PostgresStore:
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    return store


async def test_a_run_that_is_resumed_at_this_moment_stays(postgres_store: PostgresStore) -> None:
    store = postgres_store
    await accept(store, "run")
    await end(store, "run", RunStatus.error)
    async with store.pool.acquire() as other, other.transaction():
        await other.execute(
            f"UPDATE {store.names.runs} SET status = 'PENDING' WHERE run_id = 'run'"
        )
        assert await pruned(store) == 0
    assert await store.get("run") is not None


async def test_a_session_in_which_a_run_is_submitted_at_this_moment_stays(
    postgres_store: PostgresStore,
) -> None:
    store = postgres_store
    await accept(store, "run")
    await end(store, "run", RunStatus.completed)
    async with store.pool.acquire() as other, other.transaction():
        # As the submission of a run does.
        await other.execute(f"SELECT FROM {store.names.sessions} FOR UPDATE")
        assert await pruned(store) == 1
    assert await sessions(store) == {"of-run"}


async def test_one_process_prunes_at_a_time(postgres_store: PostgresStore) -> None:
    store = postgres_store
    await accept(store, "run")
    await end(store, "run", RunStatus.completed)
    async with store.pool.acquire() as other, other.transaction():
        key = f"kern/prune/{store.names.runs}"
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)
        assert await store.retention.prune(cutoff(), 0, 100, alone=True) == Pruned(0, None)
    assert await store.retention.prune(cutoff(), 0, 100, alone=True) == Pruned(1, None)


async def test_the_log_of_the_queue_is_deleted_after_an_hour(
    postgres_store: PostgresStore,
) -> None:
    pool, schema = postgres_store.pool, postgres_store.names.schema
    await pool.execute(
        f"""
INSERT INTO {schema}.pgqueuer_log (created, job_id, status, priority, entrypoint, aggregated)
SELECT now() - age * interval '1 hour', 1, 'queued', 0, 'test_log', aggregated
FROM (VALUES (2, true), (2, false), (25, false), (0.5, true)) AS row (age, aggregated)"""
    )
    assert await postgres_store.retention.clean() >= 3
    rows = await pool.fetch(
        f"DELETE FROM {schema}.pgqueuer_log WHERE entrypoint = 'test_log' "
        "RETURNING round(extract(epoch FROM now() - created) / 1800) / 2 AS hours"
    )
    assert [row["hours"] for row in rows] == [0.5]
