"""Runs are listed as somebody wants to see them, and counted."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from stores import CLAIM, LEASE, LOST, ending, new_run

from kern.db.approvals import ApprovalFilter
from kern.db.base import Store
from kern.db.listing import BEGINNING, RunFilter
from kern.db.postgres import PostgresDb
from kern.db.postgres.store import PostgresStore
from kern.db.sessions import SessionFilter, SessionRow
from kern.operations.nesting import nested_runs
from kern.run.approval import Approval
from kern.run.base import RunStatus
from kern.run.codec import dump
from kern.run.ownership import own_id

HOSTILE = "x' OR '1'='1'; DROP TABLE runs; -- \" %s {} $1 :limit ?"


async def found(store: Store, wanted: RunFilter, limit: int = 50) -> list[str]:
    return [record.run_id for record in await store.find(wanted, limit)]


async def test_the_last_accepted_run_comes_first_and_a_pending_cancel_not_at_all(
    store: Store,
) -> None:
    await store.cancel("pending cancel")
    for run_id in "cab":
        await store.submit(new_run(run_id))
    assert await found(store, RunFilter()) == ["b", "a", "c"]
    assert await found(store, RunFilter(), limit=2) == ["b", "a"]
    [last] = await store.find(RunFilter(), 50, before="a")
    assert last.run_id == "c"
    assert await store.find(RunFilter(), 50, before="unknown") == []


async def test_the_runs_that_tool_calls_of_a_run_are_are_found(store: Store) -> None:
    for run_id, parent, user in (
        ("root", None, "ada"),
        ("first", "root", "ada"),
        ("second", "root", "bob"),
        ("below", "first", "ada"),
    ):
        await store.submit(new_run(run_id, parent_run_id=parent, user_id=user))
    wanted = RunFilter(parent_run_id="root")
    assert await found(store, wanted) == ["second", "first"]
    assert await found(store, replace(wanted, seen_by="ada", agents=("agent", "x"))) == ["first"]
    assert await found(store, replace(wanted, statuses=(RunStatus.running,))) == []
    assert await found(store, RunFilter(parent_run_id="below")) == []
    [first, second] = await nested_runs(store, "root", None)
    assert (first.record.run_id, second.record.run_id) == ("first", "second")
    assert [each.record.run_id for each in first.children] == ["below"]
    assert [each.record.run_id for each in await nested_runs(store, "root", "bob")] == ["second"]


@pytest.mark.parametrize("column", ["agent_id", "session_id", "user_id"])
async def test_each_condition_is_a_value_and_nothing_else(store: Store, column: str) -> None:
    for run_id, value in (("ours", HOSTILE), ("theirs", "other")):
        await store.submit(new_run(run_id, **{column: value}))
    wanted: dict[str, Any] = {column: HOSTILE}
    assert await found(store, RunFilter(**wanted)) == ["ours"]
    wanted = {"session_id": "session", "agent_id": "agent", **wanted}
    assert await found(store, RunFilter(**wanted)) == ["ours"]
    assert await found(store, RunFilter(**wanted | {"agent_id": "nobody"})) == []


async def test_runs_are_found_by_status_and_age(store: Store) -> None:
    for run_id in ("pending", "running", "expired", "completed", "paused", "waiting"):
        session = "one" if run_id in ("pending", "waiting") else run_id
        ordered = session == "one"
        await store.submit(new_run(run_id, session_id=session, ordered=ordered))
        if run_id not in ("pending", "waiting"):
            await store.claim(run_id, LOST if run_id == "expired" else CLAIM)
        if run_id in ("completed", "paused"):
            await store.settle(ending(run_id, status=RunStatus(run_id.upper())))
    await store.submit(new_run("foreground", lease=LEASE))
    pending, running = (RunStatus.pending,), (RunStatus.running,)
    assert await found(store, RunFilter(statuses=pending)) == ["waiting", "pending"]
    assert await found(store, RunFilter(statuses=running)) == ["foreground", "expired", "running"]
    assert await found(store, RunFilter(statuses=(*pending, RunStatus.paused))) == [
        *("waiting", "paused", "pending")
    ]
    [waiting, _] = await store.find(RunFilter(statuses=pending), 50)
    assert waiting.waiting
    now = datetime.now(UTC)
    assert len(await found(store, RunFilter(since=now - timedelta(minutes=5)))) == 7
    assert await found(store, RunFilter(since=now + timedelta(minutes=5))) == []
    assert len(await found(store, RunFilter(until=now + timedelta(minutes=5)))) == 7
    assert await found(store, RunFilter(until=now - timedelta(minutes=5))) == []


async def test_a_listed_run_has_no_output_and_the_beginning_of_its_input(store: Store) -> None:
    given = '{"messages":[{"role":"user","content":"\\u0000\\ud800' + "x" * 100_000 + '"}]}'
    await store.submit(new_run(input=given))
    await store.claim("run", CLAIM)
    await store.settle(
        ending(output='{"content":"' + "y" * 100_000 + '"}', error='{"message":"e"}')
    )
    [record] = await store.find(RunFilter(), 1)
    assert record.beginning == given[:BEGINNING]
    assert (record.input, record.output) == (None, None)
    assert (record.usage, record.error, record.attempt) == ("{}", '{"message":"e"}', 1)


async def test_runs_of_several_agents_are_found_in_their_order(store: Store) -> None:
    for number, agent_id in enumerate(("a", "b", "c", "a", "b", "c")):
        await store.submit(new_run(f"{number}", agent_id=agent_id, user_id="ada"))
    of_two = RunFilter(agents=("a", "c"))
    assert await found(store, of_two) == ["5", "3", "2", "0"]
    assert await found(store, of_two, limit=2) == ["5", "3"]
    assert [each.run_id for each in await store.find(of_two, 2, "3")] == ["2", "0"]
    assert await found(store, replace(of_two, user_id="ada"), limit=3) == ["5", "3", "2"]
    assert await found(store, replace(of_two, user_id="bob")) == []
    assert await found(store, replace(of_two, statuses=(RunStatus.pending,)), 3) == ["5", "3", "2"]
    assert await found(store, replace(of_two, session_id="session"), 3) == ["5", "3", "2"]
    assert await found(store, RunFilter(agents=("nobody", HOSTILE))) == []


async def test_sessions_and_approvals_of_several_agents_are_found_in_pages(store: Store) -> None:
    for number, agent_id in enumerate(("a", "b", "c", "a", "b", "c")):
        user_id = "ada" if number < 4 else "bob"
        moment = datetime(2026, 1, 1, 12, number // 2, tzinfo=UTC)
        session = SessionRow(f"s{number}", agent_id, user_id, created_at=moment)
        assert await store.sessions.put(session)
        approval = Approval(
            id=f"p{number}",
            run_id="run",
            agent_id=agent_id,
            user_id=user_id,
            created_at=moment.timestamp(),
        )
        assert await store.approvals.put(approval)

    async def sessions(
        limit: int | None, after: str | None, *, oldest_first: bool = False, **of: Any
    ) -> list[str]:
        rows = await store.sessions.find(
            SessionFilter(**of), limit, oldest_first=oldest_first, after=after
        )
        return [each.session_id for each in rows]

    async def approvals(limit: int, before: str | None, **of: Any) -> list[str]:
        rows = await store.approvals.find(ApprovalFilter(**of), limit, before=before)
        return [each.id for each in rows]

    two: dict[str, Any] = {"agents": ("a", "c")}
    assert await sessions(2, None) == ["s5", "s4"]
    assert await sessions(3, "s4") == ["s3", "s2", "s1"]
    assert await sessions(None, "s4", oldest_first=True) == ["s5"]
    assert await sessions(2, None, **two) == ["s5", "s3"]
    assert await sessions(2, "s3", **two) == ["s2", "s0"]
    assert await sessions(None, "s3", oldest_first=True, **two) == ["s5"]
    assert await sessions(9, None, user_id="ada", **two) == ["s3", "s2", "s0"]
    assert await sessions(9, "unknown", **two) == []
    assert await store.sessions.count(SessionFilter(**two)) == 4
    assert await approvals(2, None) == ["p5", "p4"]
    assert await approvals(2, "p4") == ["p3", "p2"]
    assert await approvals(2, None, **two) == ["p5", "p3"]
    assert await approvals(2, "p3", **two) == ["p2", "p0"]
    assert await approvals(9, None, user_id="ada", **two) == ["p3", "p2", "p0"]
    assert await approvals(9, None, status="pending", **two) == ["p5", "p3", "p2", "p0"]
    assert await approvals(9, "unknown", **two) == []
    assert await store.approvals.count(ApprovalFilter(**two)) == 4


async def test_those_that_have_not_ended_are_counted(store: Store) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await store.submit(new_run("running", session_id="a", lease=LEASE))
    await store.submit(new_run("delayed", session_id="b", run_at=later))
    for run_id in ("due", "waiting", "too"):
        await store.submit(new_run(run_id, session_id="c", ordered=True))
    await store.submit(new_run("ended", session_id="d"))
    await store.cancel("ended")
    assert (await store.load())[:4] == (1, 1, 2, 1)


NOW = datetime.now(UTC)

RARE = {
    "no condition": RunFilter(),
    "paused": RunFilter(statuses=(RunStatus.paused,)),
    "failed": RunFilter(statuses=(RunStatus.error,)),
    "live": RunFilter(statuses=(RunStatus.pending, RunStatus.running)),
    "live of a user": RunFilter(statuses=(RunStatus.pending,), user_id="rare"),
    "of an agent": RunFilter(agent_id="rare"),
    "of two agents": RunFilter(agents=("rare", "agent")),
    "of two agents, live": RunFilter(agents=("rare", "no"), statuses=(RunStatus.pending,)),
    "of two agents and a user": RunFilter(agents=("rare", "agent"), user_id="rare"),
    "of a user": RunFilter(user_id="rare"),
    "of a session": RunFilter(session_id="rare"),
    "recent": RunFilter(since=NOW - timedelta(minutes=1)),
    "none": RunFilter(since=NOW + timedelta(days=1)),
    "old": RunFilter(until=NOW - timedelta(seconds=19_000)),
    "old of a status": RunFilter(statuses=(RunStatus.error,), until=NOW - timedelta(seconds=9000)),
    "of an agent, recent": RunFilter(agents=("agent",), since=NOW - timedelta(seconds=10)),
    "of agents and a user, recent": RunFilter(
        agents=("agent",), user_id="user", since=NOW - timedelta(seconds=10)
    ),
    "of a user, searched": RunFilter(text="agent", user_id="rare", agents=("agent",)),
    "of a session, recent, searched": RunFilter(
        text="agent", session_id="s5", since=NOW - timedelta(minutes=9), agents=("rare",)
    ),
    "of an hour": RunFilter(since=NOW - timedelta(hours=3), until=NOW - timedelta(hours=2)),
    "before all": RunFilter(until=NOW - timedelta(days=1)),
    "children": RunFilter(parent_run_id="run-1", agents=("agent", "rare")),
    "children of nobody": RunFilter(parent_run_id="run-2", statuses=(RunStatus.completed,)),
}


async def test_in_postgresql_every_list_of_few_among_many_looks_at_few(
    postgres_db: PostgresDb,
) -> None:
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    await store.pool.execute(
        f"INSERT INTO {store.names.runs} (run_id, session_id, agent_id, user_id, status, input, "
        "parent_run_id, created_at) SELECT 'run-' || n, "
        "CASE WHEN n % 5000 = 0 THEN 'rare' ELSE 's' || n % 97 END,"
        " CASE WHEN n % 5000 = 0 THEN 'rare' ELSE 'agent' END, "
        "CASE WHEN n % 5000 = 0 THEN 'rare' WHEN n % 2 = 0 THEN 'user' END, "
        "CASE n % 5000 WHEN 1 THEN 'PAUSED' WHEN 2 THEN 'ERROR' WHEN 0 THEN 'PENDING' "
        "WHEN 4 THEN 'RUNNING' ELSE 'COMPLETED' END, '1', CASE n % 5000 WHEN 3 THEN 'run-1' END, "
        "$1::timestamptz - make_interval(secs => 20000 - n) "
        "FROM generate_series(1, 20000) AS n",
        NOW,
    )
    await store.pool.execute(f"VACUUM ANALYZE {store.names.runs}")
    expensive = {}
    for (name, wanted), before in product(RARE.items(), (None, "run-19000")):
        statement, values = store._reading.find(wanted, 20, before)
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        [plan] = json.loads(await store.pool.fetchval(explained, *values))
        pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        if pages > 120:
            expensive[name, before] = pages
    assert expensive == {}


async def test_a_text_is_found_in_ids_and_in_what_inputs_say(store: Store) -> None:
    def said(text: str) -> str:
        return dump({"messages": [{"role": "user", "content": text}]})

    for run_id, changes in {
        "run-1": {"input": said("Where is the Heat pump?")},
        "run-2": {"input": said('He said "no".\nÜber')},
        "other": {"agent_id": "research", "input": said("run-1")},
        "third": {"session_id": "research-7"},
        "4": {"user_id": "researcher", "agent_id": "writer"},
        "5": {"user_id": "Researcher", "input": said("percent % and under_score")},
    }.items():
        await store.submit(new_run(run_id, **changes))
    for text, expected in {
        "run-1": ["other", "run-1"],
        "run-": ["other", "run-2", "run-1"],
        "research": ["4", "third", "other"],
        "HEAT PUMP": ["run-1"],
        'said "no".\n': ["run-2"],
        "%": ["5"],
        "_": ["5"],
        "messages": [],
        "role": [],
        HOSTILE: [],
        "\0": [],
        "\ud800": [],
    }.items():
        assert await found(store, RunFilter(text=text)) == expected, text
    one = RunFilter(text="research", statuses=(RunStatus.pending, RunStatus.paused))
    assert await found(store, one) == ["4", "third", "other"]
    assert await found(store, one, limit=2) == ["4", "third"]
    assert [each.run_id for each in await store.find(one, 9, before="third")] == ["other"]
    assert await found(store, replace(one, agents=("research", "agent"))) == ["third", "other"]
    assert await found(store, replace(one, user_id="researcher")) == ["4"]
    assert await found(store, replace(one, statuses=(RunStatus.running,))) == []


async def test_a_user_s_own_ids_are_found_as_the_user_calls_them(store: Store) -> None:
    own = own_id("mine", "ada")
    await store.submit(new_run("mine", user_id="bob"))
    await store.submit(new_run(own, user_id="ada"))
    assert await found(store, RunFilter(text="mine", user_id="ada")) == [own]


async def test_a_text_is_looked_for_in_the_newest_inputs_only(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("postgres.statements", "sqlite"):
        monkeypatch.setattr(f"kern.db.{module}.reading.SEARCHED", 2)
    for number in range(4):
        given = dump({"messages": [{"role": "user", "content": f"same {number}"}]})
        await store.submit(new_run(f"{number}", input=given))
    assert await found(store, RunFilter(text="same")) == ["3", "2"]
    assert [each.run_id for each in await store.find(RunFilter(text="same"), 9, "2")] == ["1", "0"]
