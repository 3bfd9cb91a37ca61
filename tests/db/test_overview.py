"""The contract of the port: how runs stand that have not ended."""

import json
from datetime import UTC, datetime, timedelta

from journals import answer, row
from msgspec.structs import replace
from stores import CLAIM, LEASE, LOST, ending, new_run

from kern.db.base import Store
from kern.db.overview import Group, Standing
from kern.db.postgres import PostgresDb
from kern.db.postgres.overview import PostgresOverview
from kern.db.postgres.store import PostgresStore
from kern.run.base import RunStatus
from kern.run.steps import AnyStep, CallBegun, TextSlice
from kern.run.tool import ToolCall
from kern.run.tool_steps import CustomHappened, StepEnded, ToolEnded, ToolSlice

LIMITED = CLAIM._replace(agent_limit=1)
LIMITED_BY_USER = CLAIM._replace(user_limit=1)


async def standing(store: Store, run_id: str) -> Standing:
    [found] = await store.overview.standings([run_id])
    assert (found.run_id, found.at.tzinfo is not None) == (run_id, True)
    return found


async def test_a_run_that_executes_has_a_lease_by_the_database_s_clock(store: Store) -> None:
    await store.submit(new_run("run", lease=LEASE, executor="here"))
    found = await standing(store, "run")
    assert found.status is RunStatus.running
    assert found.begun_at is not None
    assert found.lease_until is not None
    assert found.begun_at <= found.at < found.lease_until
    assert found.cancel_requested_at is None
    await store.cancel("run")
    found = await standing(store, "run")
    assert found.cancel_requested_at is not None
    assert found.cancel_requested_at <= found.at <= await store.overview.now()


async def test_an_expired_lease_is_over(store: Store) -> None:
    await store.submit(new_run())
    await store.claim("run", LOST)
    found = await standing(store, "run")
    assert found.lease_until is not None
    assert found.lease_until < found.at


async def test_who_holds_the_session_lock_is_named(store: Store) -> None:
    for run_id in ("first", "second"):
        await store.submit(new_run(run_id, ordered=True))
    await store.claim("first", CLAIM)
    await store.settle(ending("first", status=RunStatus.paused))
    found = await standing(store, "second")
    assert found.waits_for_session
    assert (found.holder, found.holder_status) == ("first", RunStatus.paused)
    first = await standing(store, "first")
    assert (first.status, first.waits_for_session, first.holder) == (RunStatus.paused, False, None)


async def test_the_limit_that_is_reached_is_named_and_what_counts_towards_it(store: Store) -> None:
    for run_id, user_id in (("a", "ann"), ("b", "ann"), ("c", "bob")):
        await store.submit(new_run(run_id, session_id=run_id, user_id=user_id))
    await store.claim("a", LIMITED_BY_USER)
    await store.claim("b", LIMITED_BY_USER)
    await store.claim("c", LIMITED)
    of_user, of_agent = await standing(store, "b"), await standing(store, "c")
    assert (of_user.limit, of_user.counted, of_user.due_at) == ("user", 1, None)
    assert (of_agent.limit, of_agent.counted, of_agent.due_at) == ("agent", 1, None)
    assert (await standing(store, "a")).limit is None


async def test_a_run_of_later_is_due_then_and_a_refused_one_says_since_when(store: Store) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await store.submit(new_run("later", run_at=later))
    assert (await standing(store, "later")).due_at == later
    await store.submit(new_run("refused", session_id="other"))
    for attempt in (1, 2):
        await store.claim("refused", CLAIM)
        await store.refuse("refused", attempt, "No.", 0.0, timedelta(1))
    found = await standing(store, "refused")
    assert found.refusals == 2
    assert found.refused_at is not None
    assert found.refused_at <= found.at


async def test_what_has_ended_or_is_unknown_stands_nowhere(store: Store) -> None:
    await store.submit(new_run("ended"))
    await store.cancel("ended")
    await store.cancel("pending cancel")
    assert await store.overview.standings(["ended", "unknown", "pending cancel"]) == []
    assert await store.overview.groups(10) == []
    assert await store.overview.last_steps(["ended", "unknown"]) == []


async def test_runs_that_stand_alike_are_counted_together(store: Store) -> None:
    for number in range(3):
        await store.submit(new_run(f"due {number}", session_id=f"{number}"))
        await store.submit(new_run(f"waits {number}", session_id="one", ordered=True))
    await store.submit(new_run("other", session_id="x", agent_id="other"))
    await store.submit(new_run("runs", session_id="y", lease=LEASE))
    await store.submit(new_run("lost", session_id="z"))
    await store.claim("lost", LOST)
    assert await store.overview.groups(10) == [
        Group("due 0", 4),  # With the first of the session, which is due.
        Group("waits 1", 2),
        Group("other", 1),
        Group("runs", 1),
        Group("lost", 1),
    ]
    assert await store.overview.groups(1) == [Group("due 0", 4)]


async def test_agents_are_found_by_their_runs(store: Store) -> None:
    assert await store.overview.agents(10) == []
    await store.cancel("pending cancel")
    for number, agent_id in enumerate(("b", "a", "b", "ü", "c")):
        await store.submit(new_run(f"{number}", session_id=f"{number}", agent_id=agent_id))
    assert await store.overview.agents(10) == ["a", "b", "c", "ü"]
    assert await store.overview.agents(2) == ["a", "b"]


async def test_the_last_steps_begin_with_the_last_answer_and_are_few(store: Store) -> None:
    asks = answer(None, ToolCall("1", "search", "{}"), ToolCall("2", "send", "{}"), starts=(0, 1))
    for run_id in ("run", "first", "silent"):
        await store.submit(new_run(run_id, session_id=run_id, lease=LEASE))
    steps: list[AnyStep] = [asks, ToolEnded(0, "a"), ToolEnded(1, "b")]
    for seq, step in enumerate(steps, 1):
        await store.append("run", 1, [row("run", seq, step)], False)
    within: list[AnyStep] = [
        StepEnded(0, "batch", 0, "64"),
        ToolSlice(0, "a"),
        CustomHappened(0, "app:Progress", {}),
    ]
    last: list[AnyStep] = [asks, ToolEnded(1, "c"), CallBegun(), TextSlice("Hi"), *within]
    for seq, step in enumerate(last, 4):
        await store.append("run", 1, [row("run", seq, step)], False)
    await store.append("first", 1, [row("first", 1, CallBegun())], False)
    found = await store.overview.last_steps(["run", "first", "silent"])
    assert [(each.run_id, each.seq, each.type) for each in found] == [
        ("run", 4, "ModelAnswered"),
        ("run", 5, "ToolEnded"),
        ("run", 6, "CallBegun"),
        ("first", 1, "CallBegun"),
    ]
    assert [replace(each, created_at=0.0) for each in found[:1]] == [row("run", 4, last[0])]
    assert abs(found[0].created_at - (await store.overview.now()).timestamp()) < 60


async def test_in_postgresql_a_look_at_few_among_many_reads_few(postgres_db: PostgresDb) -> None:
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    names = store.names
    await store.pool.execute(
        f"INSERT INTO {names.runs} (run_id, session_id, agent_id, user_id, status, input, waiting, "
        "concurrency_key, counted) SELECT 'run-' || n, 's' || n % 997, 'agent', 'u' || n % 7, "
        "CASE WHEN n % 1000 = 0 THEN 'RUNNING' WHEN n > 18000 THEN 'PENDING' ELSE 'COMPLETED' END,"
        " '1', n > 19000, CASE WHEN n BETWEEN 18001 AND 19000 THEN 'agent/agent' END, "
        "n % 1000 = 0 FROM generate_series(1, 20000) AS n"
    )
    await store.pool.execute(
        f"INSERT INTO {names.sessions} (session_id, agent_id, lock_run_id) "
        "SELECT 's' || n, 'agent', 'run-1000' FROM generate_series(0, 996) AS n"
    )
    await store.pool.execute(
        f"INSERT INTO {names.events} (run_id, seq, event, type, skippable, payload) "
        "SELECT 'run-' || n, seq, seq, CASE WHEN seq % 10 = 0 THEN 'ModelAnswered' "
        "ELSE 'ToolEnded' END, false, '1' FROM generate_series(1000, 20000, 1000) AS n, "
        "generate_series(1, 400) AS seq"
    )
    for table in (names.runs, names.sessions, names.events):
        await store.pool.execute(f"VACUUM ANALYZE {table}")
    assert isinstance(store.overview, PostgresOverview)
    overview, some = store.overview, [f"run-{n}" for n in (1000, 18500, 18501, 19500, 19501)]
    pages = {}
    for name in ("_standings", "_last_steps"):
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {getattr(overview, name)}"
        [plan] = json.loads(await store.pool.fetchval(explained, some))
        pages[name] = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    assert {name: count for name, count in pages.items() if count > 60} == {}
    plan = await store.pool.fetch(f"EXPLAIN {overview._groups}", 10)
    assert not any("Seq Scan" in row[0] for row in plan)
    everything = await overview.standings([f"run-{n}" for n in range(18001, 19001)])
    assert {(each.limit, each.counted) for each in everything} == {("agent", 20)}
