"""Of a run that is erased a tombstone is left; who was lost in between has left a mark."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from at_rest import at_rest, is_at_rest
from msgspec.structs import replace
from stores import CLAIM, LOST, ending, execute, new_run, row, same, seconds_ago, status_of, sweep

from kern.db.base import Store
from kern.db.database import Database
from kern.db.listing import RunFilter
from kern.db.postgres import PostgresDb
from kern.db.postgres.blobs import PostgresBlobs
from kern.db.postgres.statements import Erasing as Statements
from kern.db.postgres.statements import Sweeping
from kern.db.postgres.store import PostgresStore
from kern.db.sessions import SessionFilter, SessionRow
from kern.db.values import Settled
from kern.dispatch.maintenance import prune
from kern.run.approval import Approval
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord

SECRET = "what nobody may keep"
SAID = f'"{SECRET}"'

# What a tombstone holds. The rest is as in a row that nothing was written to.
KEPT = {
    *("run_id", "position", "session_id", "agent_id", "user_id", "parent_run_id", "status"),
    *("attempt", "created_at", "started_at", "finished_at", "dispatched_at", "erased_at"),
    *("cancel_requested_at", "journal_version", "timeout", "max_attempts"),
    *("xmin", "ctid"),
}


def secretive(run_id: str = "run", **changes: Any) -> NewRun:
    """Return a run that tells the secret wherever a run can."""
    told: dict[str, Any] = {
        "user_id": "alice",
        "input": SAID,
        "metadata": SAID,
        "webhook": f"https://kern.invalid/{SECRET}",
        "traceparent": SECRET,
        "usage_limits": SAID,
        "output_schema": SAID,
        "lineage": SAID,
    }
    return new_run(run_id, **told | changes)


async def end(store: Store, run_id: str = "run", **changes: Any) -> Settled:
    """Have a run tell the secret in its journal, blobs and output, and end."""
    record = await store.claim(run_id, CLAIM)
    assert record is not None
    await store.blobs.put(run_id, SECRET.encode())
    seq = record.last_seq + 1
    rows = [JournalRow(run_id, seq, seq, "A", False, SAID)]
    assert await store.append(run_id, record.attempt, rows, False) is not None
    settlement = replace(
        ending(run_id, record.attempt, output=SAID, error=SAID),
        **{"usage": SAID, "model": SECRET, "error_kind": SECRET} | changes,
    )
    settled = await store.settle(settlement)
    assert settled is not None
    return settled


async def test_nothing_is_left_in_any_column_of_any_table(store: Store) -> None:
    await store.submit(secretive(session_id="session"))
    await store.claim("run", CLAIM)
    waits = Approval(id="approval", run_id="run", tool_name=SECRET, tool_args=SAID)
    paused = replace(
        ending(status=RunStatus.paused, output=SAID), requirements=SAID, approvals=(waits,)
    )
    assert await store.settle(paused) is not None
    assert await store.resume("run", RunStatus.paused, 1, []) is not None
    await end(store)
    fresh = new_run("fresh", session_id="other", user_id="alice")
    await store.submit(fresh)
    assert await is_at_rest(store, SECRET)

    assert await store.erasing.hide("run") is True
    await store.erasing.erase(["run"])
    assert not await is_at_rest(store, SECRET)
    left, other = await row(store), await row(store, "fresh")
    assert {name for name in left if left[name] != other[name] and left[name]} <= KEPT
    assert (left["run_id"], left["user_id"], left["agent_id"]) == ("run", "alice", "agent")
    assert (left["session_id"], left["status"]) == ("session", "COMPLETED")
    assert await store.events("run", 0) == []


async def test_a_tombstone_is_in_no_list(store: Store) -> None:
    for run_id in ("before", "run", "after"):
        await store.submit(new_run(run_id, user_id="alice"))
        await end(store, run_id)
    await store.erasing.hide("run")

    async def seen() -> list[object]:
        wanted = RunFilter("agent", (RunStatus.completed,), "session", "alice")
        now = datetime.now(UTC)
        around = RunFilter(since=now - timedelta(1), until=now + timedelta(1))
        return [
            [each.run_id for each in await store.find(wanted, 10)],
            [each.run_id for each in await store.find(RunFilter(), 10)],
            [each.run_id for each in await store.find(around, 10)],
            [each.run_id for each in await store.find(RunFilter(), 10, before="run")],
            [run_id for run_id, _ in await store.history("session", "after", 10)],
            [run_id for run_id, _ in await store.outputs(["before", "run"])],
            [each.run_id for each in await store.sessions.runs("session", 10, user_id=None)],
            [each.run_id for each in await store.sessions.records(["run", "after"])],
            [each["run_id"] async for each in store.users.export("alice") if each["kind"] == "run"],
            await store.get("run"),
            await store.get("run", with_input=True),
            await store.watch("run"),
            await store.read("run"),
        ]

    hidden = await seen()
    assert hidden == [
        *(["after", "before"],) * 3,
        ["before"],
        ["before"],
        ["before"],
        ["before", "after"],
        ["after"],
        ["before", "after"],
        *(None, None, None, False),
    ]
    await store.erasing.erase(["run"])
    assert await seen() == hidden
    previews = await store.sessions.previews(["session"], 10)
    assert len(previews) == 2


async def test_the_id_of_a_tombstone_is_in_use(store: Store) -> None:
    await store.submit(new_run(user_id="alice"))
    await end(store)
    for step in (store.erasing.hide("run"), store.erasing.erase(["run"])):
        await step
        assert await store.submit(new_run(user_id="alice")) is None
        assert await store.submit(new_run(user_id="bob")) is None
        assert (await store.users.owners(["run"], [])).runs == {"run": "alice"}
        assert not await store.cancel("run")
        assert await store.claim("run", CLAIM) is None
        assert await store.resume("run", RunStatus.completed, 1, []) is None
        stored = RunRecord(
            *("run", "session", "agent", "alice", RunStatus.completed, 1, datetime.now(UTC)),
            output=SAID,
        )
        assert not await store.sessions.put_run(stored)
    assert (await row(store))["status"] == "COMPLETED"


async def test_an_unstored_run_is_seen_until_it_has_ended(store: Store) -> None:
    await store.submit(secretive(unstored=True))
    found = await store.get("run")
    assert found is not None
    assert found.unstored
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert claimed.unstored
    settled = await store.settle(ending(output=SAID))
    assert settled is not None
    assert settled.unstored
    assert await store.get("run") is None
    assert await store.find(RunFilter(), 10) == []
    await store.erasing.erase(["run"])
    assert not await is_at_rest(store, SECRET)


async def test_what_has_not_ended_is_not_erased(store: Store) -> None:
    await store.submit(secretive(unstored=True))
    assert await store.erasing.hide("run") is None
    await store.erasing.erase(["run", "unknown"])
    await store.claim("run", CLAIM)
    assert await store.erasing.hide("run") is None
    await store.erasing.erase(["run"])
    assert await status_of(store) is RunStatus.running
    assert await store.cancel("run")
    assert await store.erasing.hide("run") is True  # It stops.
    await store.erasing.erase(["run"])
    assert await store.get("run") is None
    assert await is_at_rest(store, SECRET)
    settled = await store.settle(ending(output=SAID))
    assert settled is not None
    assert (settled.status, settled.unstored) == (RunStatus.cancelled, True)
    await store.erasing.erase(["run"])
    assert not await is_at_rest(store, SECRET)


async def test_the_sweep_erases_what_a_lost_process_has_left(store: Store) -> None:
    await store.submit(secretive("settled", unstored=True))
    await end(store, "settled")
    await store.submit(secretive("hidden"))
    await end(store, "hidden")
    assert await store.erasing.hide("hidden")
    await store.submit(secretive("kept", input='"Hi"', session_id="other"))
    assert await is_at_rest(store, SECRET)
    await sweep(store)
    for run_id in ("settled", "hidden"):
        assert (await row(store, run_id))["input"] is None
        assert (await row(store, run_id))["erased_at"] is not None
    assert (await row(store, "kept"))["metadata"] == SAID


async def test_an_unstored_run_whose_process_is_lost_ends_and_is_erased(store: Store) -> None:
    lease: dict[str, Any] = {"lease": -1.0, "executor": "lost", "foreground": True}
    await store.submit(secretive(unstored=True, **lease))
    await store.submit(new_run("stored", session_id="other", **lease))
    # The first sweep sees a gap in the ticks, and has nothing expire.
    async with asyncio.timeout(20):
        while (await row(store))["status"] == "RUNNING":
            await sweep(store)
    await sweep(store)
    assert (await row(store))["status"] == "CANCELLED"
    assert not await is_at_rest(store, SECRET)
    assert await status_of(store, "stored") is RunStatus.pending


async def test_with_a_run_its_children_go_and_theirs(store: Store) -> None:
    await store.submit(secretive("parent"))
    for run_id, parent in (("child", "parent"), ("grandchild", "child")):
        await store.submit(secretive(run_id, session_id=run_id, parent_run_id=parent))
        await end(store, run_id)
    await end(store, "parent")
    await store.erasing.hide("parent")
    await store.erasing.erase(["parent"])
    assert not await is_at_rest(store, SECRET)
    for run_id in ("parent", "child", "grandchild"):
        assert (await row(store, run_id))["erased_at"] is not None
        assert await store.get(run_id) is None


async def test_a_child_that_is_live_is_erased_at_its_end(store: Store) -> None:
    await store.submit(new_run("parent"))
    await store.submit(secretive("child", session_id="other", parent_run_id="parent"))
    await store.claim("child", CLAIM)
    await end(store, "parent")
    await store.erasing.hide("parent")
    await store.erasing.erase(["parent"])
    settled = await store.settle(ending("child", output=SAID))
    assert settled is not None
    assert settled.unstored
    await sweep(store)
    assert not await is_at_rest(store, SECRET)


async def test_a_child_that_comes_later_is_unstored(store: Store) -> None:
    await store.submit(new_run("parent"))
    await end(store, "parent")
    await store.erasing.hide("parent")
    await store.submit(secretive("early", session_id="early", parent_run_id="parent"))
    await store.erasing.erase(["parent"])
    await store.submit(secretive("late", session_id="late", parent_run_id="parent"))
    for run_id in ("early", "late"):
        assert (await end(store, run_id)).unstored
    await sweep(store)
    assert not await is_at_rest(store, SECRET)


async def test_with_an_unstored_run_only_the_calls_of_its_own_go(store: Store) -> None:
    """What a tool has submitted to the background was accepted for somebody else to read."""
    await store.submit(new_run("parent", unstored=True, foreground=True))
    for run_id in ("call", "job"):
        child = secretive(run_id, session_id=run_id, parent_run_id="parent")
        await store.submit(replace(child, foreground=run_id == "call"))
        await end(store, run_id)
    assert await store.get("call") is not None  # Its parent has to read it.
    await end(store, "parent")
    await store.erasing.erase(["parent"])
    assert await store.get("call") is None
    assert (await row(store, "call"))["input"] is None
    assert await store.get("job") is not None


async def test_two_erasures_at_once_erase_it_once(shared_db: Database) -> None:
    stores = [await shared_db.store(), await same(shared_db).store()]
    for number in range(10):
        await stores[0].submit(secretive(f"run {number}", session_id=f"session {number}"))
        await end(stores[0], f"run {number}")
    for number in range(10):
        run_id = f"run {number}"
        hidden = await asyncio.gather(*(store.erasing.hide(run_id) for store in stores * 2))
        assert sorted(map(bool, hidden)) == [False, False, False, True]
        await asyncio.gather(*(store.erasing.erase([run_id]) for store in stores * 2))
    assert not await is_at_rest(stores[0], SECRET)
    [found] = await execute(stores[0], "SELECT count(*) AS n FROM {runs} WHERE position < 0")
    assert found["n"] == 10


async def test_an_erasure_beside_a_settlement_leaves_nothing(shared_db: Database) -> None:
    executing, erasing = await shared_db.store(), await same(shared_db).store()

    async def erase(run_id: str) -> None:
        while await erasing.erasing.hide(run_id) is None:
            await erasing.cancel(run_id)
        await erasing.erasing.erase([run_id])

    for number in range(15):
        run_id = f"run {number}"
        await executing.submit(secretive(run_id, session_id=run_id))
        record = await executing.claim(run_id, CLAIM)
        assert record is not None
        settle = executing.settle(ending(run_id, output=SAID))
        if number % 2:
            settled, _ = await asyncio.gather(settle, erase(run_id))
        else:
            _, settled = await asyncio.gather(erase(run_id), settle)
        assert settled is not None
        if settled.unstored:
            await executing.erasing.erase([run_id])
    assert not await is_at_rest(executing, SECRET)


async def test_a_retry_beside_an_erasure_never_brings_a_run_back(shared_db: Database) -> None:
    retrying, erasing = await shared_db.store(), await same(shared_db).store()
    for number in range(10):
        run_id = f"run {number}"
        await retrying.submit(secretive(run_id, session_id=run_id))
        await end(retrying, run_id, status=RunStatus.error)
        resumed, hidden = await asyncio.gather(
            retrying.resume(run_id, RunStatus.error, 1, []), erasing.erasing.hide(run_id)
        )
        if resumed is None:
            assert hidden is True
        else:
            assert hidden is None
            assert await erasing.cancel(run_id)
            assert await erasing.erasing.hide(run_id) is True
        await erasing.erasing.erase([run_id])
        assert await retrying.get(run_id) is None
    assert not await is_at_rest(retrying, SECRET)


async def test_a_stale_attempt_leaves_no_blob(store: Store) -> None:
    await store.submit(secretive())
    await store.claim("run", LOST)
    assert await store.cancel("run")
    await store.erasing.hide("run")
    await store.blobs.put("run", SECRET.encode())
    await store.erasing.erase(["run"])
    await store.blobs.put("run", SECRET.encode())
    assert not await is_at_rest(store, SECRET)


async def test_a_session_that_was_made_with_the_run_goes_with_it(store: Store) -> None:
    await store.submit(secretive("alone", session_id="alone", unstored=True))
    await store.submit(secretive("first", session_id="both", unstored=True))
    await store.submit(new_run("second", session_id="both"))
    await store.sessions.put(SessionRow("named", "agent"))
    await store.submit(secretive("named", session_id="named", unstored=True))
    for run_id in ("alone", "first", "named"):
        await end(store, run_id)
        await store.erasing.erase([run_id])
    rows = await store.sessions.find(SessionFilter(), None, oldest_first=True)
    assert {each.session_id for each in rows} == {"both", "named"}
    assert {each.metadata for each in rows} == {None}


async def test_the_summary_of_a_session_goes_with_a_run_that_somebody_erases(store: Store) -> None:
    for run_id, unstored in (("unstored", True), ("stored", False)):
        await store.submit(new_run(run_id, unstored=unstored))
        await store.claim(run_id, CLAIM)
        written = await store.sessions.summarize("session", run_id, 1, SAID)
        assert written is not unstored
        await store.settle(ending(run_id))
    await store.erasing.erase(["unstored"])
    assert await is_at_rest(store, SECRET)
    await store.erasing.hide("stored")
    await store.erasing.erase(["stored"])
    assert not await is_at_rest(store, SECRET)


async def test_a_branch_keeps_its_copies_and_its_history(store: Store) -> None:
    for run_id in ("earlier", "origin"):
        await store.submit(new_run(run_id, input=SAID))
        await end(store, run_id)
    assert await store.fork(new_run("branch"), "origin", 1) is not None
    await store.erasing.hide("origin")
    await store.erasing.erase(["origin"])
    [kept] = await store.events("branch", 0)
    assert kept.payload == SAID
    assert [run_id for run_id, _ in await store.history("session", "origin", 9)] == ["earlier"]


async def test_a_copy_of_a_session_has_nothing_of_what_is_erased(store: Store) -> None:
    await store.submit(new_run("kept"))
    await end(store, "kept", output='{"content":"kept"}')
    await store.submit(secretive("hidden"))
    await end(store, "hidden")
    await store.submit(secretive("erased"))
    await end(store, "erased")
    found = await store.sessions.get("session")
    assert found is not None
    for run_id in ("hidden", "erased"):
        await store.erasing.hide(run_id)
    await store.erasing.erase(["erased"])
    copy = replace(found, session_id="copy", created_at=None)
    ids = [("kept", "copy of kept"), ("hidden", "copy of hidden"), ("erased", "copy of erased")]
    await store.sessions.copy("session", copy, ids)
    rows = await execute(store, "SELECT run_id FROM {runs} WHERE session_id = 'copy'")
    assert [each["run_id"] for each in rows] == ["copy of kept"]
    assert await store.events("copy of hidden", 0) == []


async def test_a_tombstone_goes_with_its_user_and_its_session(store: Store, db: Database) -> None:
    for run_id, session_id in (("first", "first"), ("second", "second")):
        await store.submit(new_run(run_id, session_id=session_id, user_id="alice"))
        await end(store, run_id, output="{}")
        await store.erasing.hide(run_id)
    await store.erasing.erase(["first"])
    await db.adelete_user("alice")
    assert "alice" not in await at_rest(store)


@pytest.mark.parametrize("is_dry", [False, True])
async def test_retention_deletes_tombstones_as_any_ended_run(store: Store, is_dry: bool) -> None:
    for number in range(12):
        await store.submit(new_run(f"run {number}", session_id=f"session {number % 4}"))
        await end(store, f"run {number}", output="{}")
    for number in range(0, 12, 2):
        await store.erasing.hide(f"run {number}")
        await store.erasing.erase([f"run {number}"])
    past = seconds_ago(store, 100)
    old = "('run 0', 'run 1', 'run 2', 'run 10')"
    await execute(
        store,
        f"UPDATE {{runs}} SET created_at = {past}, finished_at = {past} WHERE run_id IN {old}",
    )
    before = datetime.now(UTC) - timedelta(seconds=50)
    steps = prune(store.retention, before, deleting=not is_dry)
    assert sum([count async for count in steps]) == 4
    left = await execute(store, "SELECT run_id FROM {runs}")
    assert len(left) == (12 if is_dry else 8)


@pytest.fixture
async def postgres_store(postgres_db: PostgresDb) -> PostgresStore:
    found = await postgres_db.store()
    assert isinstance(found, PostgresStore)
    return found


async def waits(store: PostgresStore, many: int) -> None:
    """Wait until so many statements of a store wait for rows."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(20):
        while await store.pool.fetchval(statement) < many:  # noqa: ASYNC110 # nobody tells of it
            await asyncio.sleep(0.01)


async def test_an_erasure_waits_for_a_blob_that_is_being_written(
    postgres_store: PostgresStore,
) -> None:
    store = postgres_store
    await store.submit(secretive())
    await end(store)
    async with store.connections.transaction() as connection:
        blobs = PostgresBlobs(connection.fetch, store.names)
        await blobs.put("run", f"More of {SECRET}".encode())
        hiding = asyncio.create_task(store.erasing.hide("run"))
        await waits(store, 1)
    assert await hiding is True
    await store.erasing.erase(["run"])
    assert not await is_at_rest(store, SECRET)


@pytest.mark.parametrize("child_first", [True, False])
async def test_a_child_that_comes_while_its_parent_is_erased_goes_too(
    postgres_store: PostgresStore, child_first: bool
) -> None:
    store = postgres_store
    await store.submit(new_run("parent"))
    await end(store, "parent")
    child = secretive("child", session_id="child", parent_run_id="parent")
    steps: list[Awaitable[Any]] = [store.submit(child), store.erasing.hide("parent")]
    tasks: list[asyncio.Future[Any]] = []
    async with store.connections.transaction() as connection:
        await connection.fetch(f"SELECT FROM {store.names.runs} WHERE run_id = 'parent' FOR UPDATE")
        for step in steps if child_first else steps[::-1]:
            tasks.append(asyncio.ensure_future(step))
            await waits(store, len(tasks))
    await asyncio.gather(*tasks)
    await store.erasing.erase(["parent"])
    assert (await end(store, "child")).unstored
    await sweep(store)
    assert not await is_at_rest(store, SECRET)


async def test_postgres_finds_what_it_erases_by_indexes(postgres_store: PostgresStore) -> None:
    store = postgres_store
    runs = store.names.runs
    await store.pool.execute(
        f"INSERT INTO {runs} (run_id, session_id, agent_id, status, parent_run_id, finished_at) "
        "SELECT 'run ' || n, 'session ' || n % 50, 'agent', 'COMPLETED', "
        "CASE WHEN n % 3 = 0 THEN 'run ' || n - 1 END, now() FROM generate_series(1, 20000) AS n"
    )
    await store.pool.execute(f"VACUUM ANALYZE {runs}")
    statements, advance = Statements(store.names), Sweeping(store.names).advance
    for statement, values in (
        (statements.hide, ("run 7",)),
        (statements.erase, (["run 7", "run 8"],)),
        (statements.left, ()),
        (advance, (15.0,)),
    ):
        rows = await store.pool.fetch(f"EXPLAIN {statement}", *values)
        plan = "\n".join(each[0] for each in rows)
        assert f"Seq Scan on {store.names.session_table}_runs" not in plan, plan
