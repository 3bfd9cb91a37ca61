"""Promise 10: a session's ten thousandth run costs what its first one did, and so does a list.

The cost is counted, not timed: in PostgreSQL the pages that a step touches, in SQLite the
instructions of its virtual machine.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from costs import ROUNDS, Costs, counting_costs
from journals import DONE, row
from msgspec.structs import replace
from stores import CLAIM, EXPIRED, LEASE, ending, execute, new_run, seconds_ago, sweep

from kern.db.approvals import ApprovalFilter
from kern.db.base import Store
from kern.db.database import Database
from kern.db.erasing import BEHIND
from kern.db.listing import RunFilter
from kern.db.sessions import SessionFilter
from kern.db.sqlite import SqliteDb
from kern.db.values import Claim, Resume
from kern.run.base import RunStatus
from kern.run.state import StatePatch

MANY = 10_000


@pytest.fixture
async def costs(shared_db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Costs]:
    """What each step costs, on each kind of database in turn."""
    async with counting_costs(shared_db, monkeypatch) as costs:
        # So many that the trees of the indexes are about as deep as with ten thousand.
        others = {"run_id": "'other ' || n", "session_id": "'other ' || n % 100"}
        await insert(costs.store, 1000, **others)
        await costs.settle_down()
        yield costs


async def insert(store: Store, count: int, **columns: str) -> None:
    """Put many runs into the tables, each column an expression in which ``n`` is a number."""
    columns = {
        "run_id": "'many-' || n",
        "session_id": "'session'",
        "agent_id": "'agent'",
        "status": "'COMPLETED'",
        "input": "'\"Hi\"'",
        "created_at": seconds_ago(store, 86400),
    } | columns
    await insert_into("runs", store, count, columns)
    states = {"session_id": f"'of ' || {columns['run_id']}", "key": "'key'", "position": "1"}
    await insert_into("states", store, count, states)


async def insert_into(table: str, store: Store, count: int, columns: dict[str, str]) -> None:
    """Put many rows into a table, each column an expression in which ``n`` is a number."""
    await execute(
        store,
        "WITH RECURSIVE numbers (n) AS "
        f"(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
        f"INSERT INTO {{{table}}} ({', '.join(columns)}) "
        f"SELECT {', '.join(columns.values())} FROM numbers",
    )


async def end_and_wait(store: Store, count: int) -> None:
    """Put runs of a session into the tables that have ended, and as many that wait for it."""
    waits = {"status": "'PENDING'", "ordered": "true", "waiting": "true"}
    await insert(store, count, run_id=f"'{count} ended ' || n")
    await insert(store, count, run_id=f"'{count} waiting ' || n", **waits)


async def begin_next(costs: Costs, claim: Claim, how: str) -> str:
    """Take the only entry that is due, and claim its run."""
    [entry] = await costs.count("dequeue", costs.store.queue.dequeue(["agent"], 10))
    begun = await costs.count(f"claim, {how}", costs.store.claim(entry.run_id, claim))
    assert begun is not None
    await costs.count("acknowledge", costs.store.queue.acknowledge(entry))
    return entry.run_id


async def accept(costs: Costs) -> list[str]:
    """Have runs accepted in each way: queued, begun at once, in order, as a child."""
    queued, begun, ordered, child = run_ids = [str(uuid4()) for _ in range(4)]
    for how, run in (
        ("queued", new_run(queued)),
        ("begun at once", new_run(begun, lease=LEASE, executor="executor")),
        ("in order", new_run(ordered, ordered=True)),
        ("of a child", new_run(child, parent_run_id=begun)),
    ):
        await costs.count(f"submit, {how}", costs.store.submit(run))
    return run_ids


async def live(costs: Costs) -> None:
    """Take a few runs of a session through their lives."""
    store, count = costs.store, costs.count
    queued, begun, ordered, child = await accept(costs)
    for entry in await count("dequeue", store.queue.dequeue(["agent"], 10)):
        await count("acknowledge", store.queue.acknowledge(entry))
    await count("next_due", store.queue.next_due(["agent"]))
    for how, run_id in (("queued", queued), ("in order", ordered), ("of a child", child)):
        assert await count(f"claim, {how}", store.claim(run_id, CLAIM))
    await count("held", store.held(queued, "executor"))
    await count("history", store.history("session", queued, 3))
    await count("history, old", store.history("other 7", queued, 3))
    await count("append", store.append(queued, 1, [row(queued, 1, DONE)], False))
    changing = replace(row(queued, 2, DONE), state=StatePatch({"key": 1, "other": [1]}))
    await count("append, with state", store.append(queued, 1, [changing], False))
    await count("state", store.states.of("session"))
    await count("change state", store.states.change("session", StatePatch({"key": 2})))
    await count("extend", store.extend([(queued, 1)], LEASE))
    await count("extend, heart", asyncio.to_thread(costs.heart.extend, [(queued, 1)], LEASE))
    await count("events", store.events(queued, 0))
    await count("wanted", store.wanted([queued, begun]))
    await count("get", store.get(queued))
    await count("watch", store.watch(queued))
    await count("read", store.read(queued))
    await count("children", store.children(begun))
    await count("fork", store.fork(new_run(str(uuid4()), cancelled=True), queued, 1))
    await count("settle", store.settle(ending(queued)))
    await count("settle, in order", store.settle(ending(ordered)))
    await count("refuse", store.refuse(child, 1, "No key.", 0.0, timedelta(days=1)))
    assert await store.claim(child, CLAIM)
    await count("release", store.release(child, 2))
    assert await store.claim(child, CLAIM)
    await count("postpone", store.postpone(child, 3, 60, []))
    await count("cancel, waiting", store.cancel(child))
    assert await count("resume", store.resume(queued, RunStatus.completed, 1, []))
    await store.cancel(queued)
    await count("cancel, executing", store.cancel(begun))
    await count("settle, cancelled", store.settle(ending(begun)))
    await count("cancel, unknown", store.cancel(str(uuid4())))


async def test_every_step_costs_what_it_did_in_the_first_run_of_the_session(
    costs: Costs,
) -> None:
    await costs.assert_flat(partial(live, costs), partial(insert, costs.store, MANY))


async def test_no_step_looks_for_its_run_among_those_that_execute_or_wait(costs: Costs) -> None:
    async def grow() -> None:
        states = {
            "executing": {"status": "'RUNNING'", "lease_until": seconds_ago(costs.store, -3600)},
            "waiting": {"status": "'PENDING'", "waiting": "true"},
            "due": {"status": "'PENDING'", "due_at": seconds_ago(costs.store, 60)},
        }
        for name, columns in states.items():
            others = {"run_id": f"'{name} ' || n", "session_id": "'s ' || n", "agent_id": "'b'"}
            await insert(costs.store, MANY // 2, **others, **columns)

    await costs.assert_flat(partial(live, costs), grow, settles_down=False)


async def test_runs_that_are_paused_cost_nothing_but_their_rows(costs: Costs) -> None:
    store, count = costs.store, costs.count

    async def grow() -> None:
        later, asked = seconds_ago(store, -3600), "'[]'"
        columns = {"agent_id": "'agent'", "status": "'PAUSED'", "requirements": asked}
        for name, more in {"at any time": {}, "in time": {"expires_at": later}}.items():
            others = {"run_id": f"'{name} ' || n", "session_id": "'s ' || n"}
            await insert(store, MANY // 2, **others, **columns, **more)

    async def pause_one() -> None:
        run_id = str(uuid4())
        await count("submit", store.submit(new_run(run_id, lease=LEASE, executor="executor")))
        end = replace(ending(run_id, status=RunStatus.paused), requirements="[]", expires_at=1.0)
        await count("settle", store.settle(end))
        assert await count("expired_pauses", store.expired_pauses(10)) == [run_id]
        await begin_next(costs, CLAIM, "expired")
        await count("settle", store.settle(replace(end, attempt=2, expires_at=None)))
        assert await count(
            "resume", store.resume(run_id, RunStatus.paused, 2, [], Resume("e", LEASE))
        )
        await count("settle, its end", store.settle(ending(run_id, attempt=3)))
        await count("sweep", sweep(store))
        await count("expired_pauses, none", store.expired_pauses(10))

    await costs.assert_flat(pause_one, grow)


async def test_the_session_lock_is_handed_off_at_the_same_cost_however_many_wait(
    costs: Costs,
) -> None:
    store, count = costs.store, costs.count
    await store.submit(new_run("first", ordered=True, lease=LEASE, executor="executor"))
    holder = "first"

    async def hand_off() -> None:
        nonlocal holder
        withdrawn, cancelled = str(uuid4()), str(uuid4())
        for run_id in (withdrawn, cancelled):
            await count("submit", store.submit(new_run(run_id, ordered=True)))
        assert await count("withdraw", store.withdraw(withdrawn))
        assert await count("cancel", store.cancel(cancelled))
        assert await count("settle", store.settle(ending(holder)))
        holder = await begin_next(costs, CLAIM, "in order")

    # Those that wait since before it has grown are through by then.
    await end_and_wait(store, ROUNDS)
    await costs.assert_flat(hand_off, partial(end_and_wait, store, MANY))


@pytest.mark.parametrize(
    "claim",
    [CLAIM._replace(agent_limit=1), CLAIM._replace(user_limit=1)],
    ids=["of the agent", "of the user"],
)
async def test_a_limit_is_kept_at_the_same_cost_however_many_wait_for_it(
    costs: Costs, claim: Claim
) -> None:
    store, count = costs.store, costs.count
    await store.submit(new_run("first", user_id="ada"))
    holder = await begin_next(costs, claim, "within the limit")

    async def find_it_full(run_id: str) -> None:
        await store.submit(new_run(run_id, user_id="ada"))
        [entry] = await store.queue.dequeue(["agent"], 10)
        assert await count("claim, above the limit", store.claim(run_id, claim)) is None
        await store.queue.acknowledge(entry)

    async def let_wait(count: int, name: str) -> None:
        await insert(
            store,
            count,
            run_id=f"'{name}-' || n",
            user_id="'ada'",
            status="'PENDING'",
            concurrency_key="(SELECT concurrency_key FROM {runs} WHERE run_id = 'waits')",
        )

    async def pass_on() -> None:
        nonlocal holder
        await find_it_full(str(uuid4()))
        for counted in (False, True):
            await count("set_counted", store.set_counted(holder, 1, counted))
        await count("settle", store.settle(ending(holder)))
        await count("make due", store.make_due("agent", "ada", claim))
        holder = await begin_next(costs, claim, "within the limit")

    await find_it_full("waits")
    await let_wait(20, "few")
    await costs.assert_flat(pass_on, partial(let_wait, MANY, "many"))


async def test_the_queued_runs_of_a_user_are_counted_at_the_same_cost_however_many_have_ended(
    costs: Costs,
) -> None:
    async def count_them() -> None:
        run_id = str(uuid4())
        await costs.store.submit(new_run(run_id, user_id="ada"))
        assert await costs.count("queued_of_user", costs.store.queued_of_user("ada")) == 1
        await costs.store.cancel(run_id)

    await costs.assert_flat(count_them, partial(insert, costs.store, MANY, user_id="'ada'"))


async def test_a_sweep_costs_the_same_however_many_have_ended_or_wait(costs: Costs) -> None:
    store, count = costs.store, costs.count
    await store.submit(new_run("holder", ordered=True, lease=LEASE, executor="executor"))

    async def lose_one() -> None:
        lost = str(uuid4())
        await store.submit(new_run(lost, session_id=lost, lease=EXPIRED, executor="lost"))
        swept = await count("sweep", sweep(store))
        assert swept.expired == [lost]
        await begin_next(costs, CLAIM, "again")
        assert await count("settle", store.settle(ending(lost, attempt=2)))

    await end_and_wait(store, 20)
    await costs.assert_flat(lose_one, partial(end_and_wait, store, MANY))


async def test_an_entry_is_taken_at_the_same_cost_however_many_are_due(costs: Costs) -> None:
    store, count = costs.store, costs.count

    async def take() -> None:
        await store.submit(new_run(str(uuid4())))
        [entry] = await count("dequeue", store.queue.dequeue(["agent"], 1))
        assert await count("claim", store.claim(entry.run_id, CLAIM))
        await count("acknowledge", store.queue.acknowledge(entry))
        await count("settle", store.settle(ending(entry.run_id)))
        await count("next_due", store.queue.next_due(["agent"]))

    async def grow(count: int, name: str) -> None:
        due = {"status": "'PENDING'", "due_at": seconds_ago(store, 3600)}
        await insert(store, count, run_id=f"'{name} ' || n", **due)
        while (await sweep(store)).enqueued:
            pass

    await grow(20, "few")
    await costs.assert_flat(take, partial(grow, MANY, "many"))


async def test_in_sqlite_to_find_nothing_due_costs_the_same_however_many_are_due_later(
    sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = {"status": "'PENDING'", "due_at": ":now + 3600"}
    async with counting_costs(sqlite_db, monkeypatch) as costs:
        store = costs.store

        async def look() -> None:
            assert await costs.count("dequeue", store.queue.dequeue(["agent"], 1)) == []

        await costs.assert_flat(look, partial(insert, store, MANY, **later))


ERROR, COMPLETED = (RunStatus.error,), (RunStatus.completed,)
UNENDED = (RunStatus.paused, RunStatus.pending, RunStatus.running)


def lists(lately: datetime) -> dict[str, RunFilter]:
    """Return what is listed, with a moment since which few runs were accepted."""
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    return {
        "all": RunFilter(),
        "COMPLETED": RunFilter(statuses=COMPLETED),
        "of an agent": RunFilter("agent"),
        "of a session": RunFilter(session_id="session"),
        "of a user": RunFilter(user_id="user"),
        "since long ago": RunFilter(since=long_ago),
        "by everything": RunFilter("agent", COMPLETED, "session", "user", long_ago),
        # Few, and older than all others.
        "ERROR": RunFilter(statuses=ERROR),
        "not ended": RunFilter(statuses=UNENDED),
        "of a rare agent": RunFilter("rare"),
        "of two rare agents": RunFilter(agents=("rare", "rarer")),
        "of a user and two agents": RunFilter(user_id="user", agents=("agent", "rare")),
        "of a rare session": RunFilter(session_id="rare"),
        "of a rare user": RunFilter(user_id="rare"),
        "ERROR of a user": RunFilter(user_id="user", statuses=ERROR),
        "of an agent in a rare session": RunFilter("agent", session_id="rare"),
        "of a rare agent since long ago": RunFilter("rare", since=long_ago),
        "of a rare session since long ago": RunFilter(session_id="rare", since=long_ago),
        "of a rare user since long ago": RunFilter(user_id="rare", since=long_ago),
        "ERROR since long ago": RunFilter(statuses=ERROR, since=long_ago),
        "ERROR of an agent since long ago": RunFilter("agent", ERROR, since=long_ago),
        "of a rare agent until lately": RunFilter("rare", until=lately),
        "of a rare user until lately": RunFilter(user_id="rare", until=lately),
        "COMPLETED of a rare agent": RunFilter("rare", COMPLETED),
        # Fewer than are asked for.
        "since lately": RunFilter(since=lately),
        "of an agent since lately": RunFilter("agent", since=lately),
    }


async def test_a_list_costs_the_same_however_many_runs_there_are(costs: Costs) -> None:
    store, lately = costs.store, datetime.now(UTC)
    for column, value in (
        *(("agent_id", "rare"), ("user_id", "rare"), ("session_id", "rare")),
        *(("status", status) for status in ("ERROR", "PAUSED", "RUNNING")),
    ):
        columns = {"user_id": "'user'", column: f"'{value}'"}
        await insert(store, 20, run_id=f"'{value} {column} ' || n", **columns)

    async def grow(count: int, hours: int) -> None:
        nonlocal lately
        for few, before in ((count, hours), (5, hours - 2)):
            await insert(
                store,
                few,
                run_id=f"'{before} hours ago ' || n",
                user_id="'user'",
                created_at=seconds_ago(store, before * 3600),
            )
        lately = datetime.now(UTC) - timedelta(hours=hours - 1)

    async def look() -> None:
        for which, wanted in lists(lately).items():
            assert await costs.count(which, store.find(wanted, 10))

    await grow(20, 9)
    await costs.assert_flat(look, partial(grow, MANY, 6))


async def test_lists_and_erasures_cost_the_same_however_many_runs_are_erased(costs: Costs) -> None:
    store, count = costs.store, costs.count

    async def look() -> None:
        for which in ("all", "COMPLETED", "of an agent", "of a session", "of a user"):
            assert len(await count(which, store.find(lists(datetime.now(UTC))[which], 10)))
        sessions = store.sessions
        assert len(await count("runs", sessions.runs("session", 3, user_id=None))) == 3
        assert len(await count("previews", sessions.previews(["session"], 3))) == 3
        assert len(await count("history", store.history("session", "last", 3))) == 3
        await count("get", sessions.get("session"))
        run_id = str(uuid4())
        await store.submit(new_run(run_id, unstored=True, lease=LEASE))
        await store.settle(ending(run_id))
        await count("erase", store.erasing.erase([run_id]))
        assert await count("hide", store.erasing.hide("first")) is False
        await count("sweep", sweep(store))

    async def grow(count: int) -> None:
        tombstones = {
            "run_id": f"'{count} erased ' || n",
            "user_id": "'user'",
            "position": f"n + {count} - {BEHIND}",
            "erased_at": seconds_ago(store, 1),
            "finished_at": seconds_ago(store, 1),
        }
        await insert(store, count, **tombstones)

    await insert(store, 20, run_id="'few ' || n", user_id="'user'", output="'\"Hi\"'")
    await store.submit(new_run("last"))
    await grow(20)
    await costs.assert_flat(look, partial(grow, MANY))


async def test_a_session_is_read_at_the_same_cost_however_many_runs_it_has(costs: Costs) -> None:
    store, count = costs.store, costs.count
    await store.submit(new_run("first", cancelled=True))
    session = await store.sessions.get("session")
    assert session is not None

    async def look() -> None:
        sessions = store.sessions
        await count("get", sessions.get("session"))
        assert len(await count("runs", sessions.runs("session", 3, user_id=None))) == 3
        assert (
            len(await count("completed", sessions.runs("session", 3, COMPLETED, user_id=None))) == 3
        )
        assert len(await count("previews", sessions.previews(["session"], 3))) == 3
        assert await count("put", sessions.put(session))
        assert await count("rename", sessions.rename("session", "Trip"))

    await insert(store, 20, run_id="'few ' || n", output="'\"Hi\"'")
    await costs.assert_flat(look, partial(insert, store, MANY))


async def test_sessions_are_listed_at_the_same_cost_however_many_there_are(costs: Costs) -> None:
    store, count = costs.store, costs.count
    lately = datetime.now(UTC)

    async def begin(many: int, **columns: str) -> None:
        columns = {
            "session_id": f"'{many} ' || n",
            "agent_id": "'agent'",
            "user_id": "'user'",
            "created_at": seconds_ago(store, 86400),
            "updated_at": seconds_ago(store, 86400),
        } | columns
        await insert_into("sessions", store, many, columns)

    async def look() -> None:
        for which, wanted in {
            "all": SessionFilter(),
            "of a user": SessionFilter(user_id="user"),
            "of a rare user": SessionFilter(user_id="rare"),
            "of an agent": SessionFilter(agent_id="agent"),
            "of a rare agent": SessionFilter(agent_id="rare"),
            "of two rare agents": SessionFilter(agents=("rarer", "rare")),
            "of a user and two agents": SessionFilter("user", agents=("agent", "rare")),
            "by name": SessionFilter(name="trip"),
            "of teams": SessionFilter(is_of_team=True),
            "of agents": SessionFilter(is_of_team=False),
            "since lately": SessionFilter(since=lately - timedelta(hours=1)),
        }.items():
            found = store.sessions.find(wanted, 5, oldest_first=False)
            page = await count(which, found)
            assert len(page) == 5
            if not wanted.agents:
                after = page[0].session_id
                following = store.sessions.find(wanted, 5, oldest_first=False, after=after)
                assert len(await count(f"{which}, the next page", following)) >= 4

    await begin(20)
    await begin(5, session_id="'user ' || n", user_id="'rare'")
    await begin(5, session_id="'agent ' || n", agent_id="'rare'")
    await begin(5, session_id="'name ' || n", name="'Trip ' || n")
    await begin(5, session_id="'team ' || n", session_type="'team'")
    await begin(5, session_id="'lately ' || n", created_at=seconds_ago(store, 1))
    await costs.assert_flat(look, partial(begin, MANY))


async def test_approvals_are_listed_at_the_same_cost_however_many_there_are(costs: Costs) -> None:
    store, count = costs.store, costs.count

    async def ask(many: int, **columns: str) -> None:
        columns = {
            "id": f"'{many} ' || n",
            "run_id": "'run ' || n",
            "agent_id": "'agent'",
            "user_id": "'user'",
            "status": "'approved'",
            "approval_type": "'required'",
            "pause_type": "'confirmation'",
            "source_type": "'agent'",
            "created_at": seconds_ago(store, 86400),
            "updated_at": seconds_ago(store, 86400),
        } | columns
        await insert_into("approvals", store, many, columns)

    async def look() -> None:
        for which, wanted in {
            "all": ApprovalFilter(),
            "pending": ApprovalFilter(status="pending"),
            "of a rare user": ApprovalFilter(user_id="rare"),
            "pending of an agent": ApprovalFilter(status="pending", agent_id="agent"),
            "pending of a user": ApprovalFilter(status="pending", user_id="user"),
            "pending of two agents": ApprovalFilter(status="pending", agents=("agent", "rare")),
            "of a rare agent": ApprovalFilter(agent_id="rare"),
            "of two rare agents": ApprovalFilter(agents=("rarer", "rare")),
            "of a user and two agents": ApprovalFilter(user_id="user", agents=("agent", "rare")),
        }.items():
            page = await count(which, store.approvals.find(wanted, 5))
            assert len(page) == 5
            if not wanted.agents:
                following = store.approvals.find(wanted, 5, before=page[0].id)
                assert len(await count(f"{which}, the next page", following)) >= 4

    await ask(20)
    await ask(5, id="'user ' || n", user_id="'rare'")
    await ask(5, id="'agent ' || n", agent_id="'rare'")
    await ask(5, id="'status ' || n", status="'pending'")
    await costs.assert_flat(look, partial(ask, MANY))
