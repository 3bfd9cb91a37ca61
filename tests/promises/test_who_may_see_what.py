"""Who may see what: where a request names a user, it meets only what is that user's or nobody's."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.errors import (
    InvalidInputError,
    KernError,
    RunConflictError,
    ScheduleNotFoundError,
)
from kern.local.postgres import EmbeddedPostgres
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.cancel import acancel_run
from kern.session.agent import AgentSession
from kern.testing import FunctionModel, Reply, ResponsesServer
from kern.testing.record import RequestRecord


def said(request: RequestRecord) -> list[str]:
    """Return the texts of the conversation in a request."""
    contents = [item["content"] for item in request.body["input"]]
    return [each if isinstance(each, str) else each[0]["text"] for each in contents]


@pytest.fixture
def agent(db: Database, model: OpenAIResponses) -> Agent:
    """An agent that is shown its conversations, on each kind of database in turn."""
    return Agent("Tester", model, db=db, add_history_to_context=True)


async def ended(agent: Agent, given: str, **options: Any) -> Any:
    """Return a background run once it has ended."""
    run = await agent.arun(given, background=True, **options)
    found = await agent.await_run(run.run_id, timeout=20)
    assert found is not None
    return found


async def events(agent: Agent, run_id: str, **options: Any) -> list[Any]:
    """Return the events of a run."""
    return [event async for event in agent.astream_run(run_id, **options)]


SECURITY = Path(__file__).parents[2] / "docs/guides/security.md"

LATER = datetime.now(UTC) + timedelta(days=1)

Ask = Callable[[Agent, str, str | None], Awaitable[object]]

ASKS: dict[str, Ask] = {
    "get": lambda agent, run_id, user: agent.aget_run_output(run_id, user_id=user),
    "await": lambda agent, run_id, user: agent.await_run(run_id, 5, user_id=user),
    "stream": lambda agent, run_id, user: events(agent, run_id, user_id=user),
    "cancel": lambda agent, run_id, user: agent.acancel_run(run_id, user_id=user),
    "retry": lambda agent, run_id, user: agent.aretry_run(run_id, user_id=user),
    "continue": lambda agent, run_id, user: agent.acontinue_run(run_id, user_id=user),
    "fork": lambda agent, run_id, user: agent.acontinue_run(run_id, from_seq=1, user_id=user),
    "blob": lambda agent, run_id, user: agent.aget_blob(run_id, "0" * 64, user_id=user),
    "page": lambda agent, run_id, user: agent.alist_runs(before=run_id, user_id=user),
}


async def answer(ask: Ask, agent: Agent, run_id: str, user: str | None) -> object:
    """Return what came of a question: its result, or its error with the id left out."""
    try:
        return await ask(agent, run_id, user)
    except KernError as error:
        return type(error), str(error).replace(run_id, "RUN")


@pytest.mark.parametrize("status", ["COMPLETED", "PENDING", "ERROR"])
async def test_the_run_of_another_user_answers_as_one_that_never_was(
    agent: Agent, server: ResponsesServer, status: str
) -> None:
    if status == "PENDING":
        agent.max_concurrent_runs = 1
        server.script.append(Reply.hang())
        await agent.arun("A secret", background=True, run_id="hers", user_id="alice")
    else:
        server.default = Reply.text("A secret") if status == "COMPLETED" else Reply.failed()
        await ended(agent, "A secret", run_id="hers", user_id="alice")

    for name, ask in ASKS.items():
        hers, nobodys = [await answer(ask, agent, each, "bob") for each in ("hers", "none")]
        assert hers == nobodys, name

    found = await agent.aget_run_output("hers", user_id="alice")
    assert found is not None
    assert found.status in {status, "RUNNING"}


@pytest.mark.parametrize(("owner", "user"), [("alice", "alice"), (None, "bob")])
async def test_a_run_is_seen_by_its_user_and_by_everybody_where_it_has_none(
    agent: Agent, server: ResponsesServer, owner: str | None, user: str
) -> None:
    run = await ended(agent, "Hello?", run_id="mine", user_id=owner)
    assert run.status is RunStatus.completed
    for name, ask in ASKS.items():
        if name == "page" and owner is None:
            continue  # A user's list holds what names the user.
        if name == "fork":
            assert (await agent.acontinue_run("mine", from_seq=1, user_id=user)).user_id == user
            continue
        named, unnamed = [await answer(ask, agent, "mine", each) for each in (user, None)]
        assert named == unnamed, name


async def test_two_users_choose_the_same_run_id_and_have_a_run_each(
    agent: Agent, server: ResponsesServer
) -> None:
    server.script += [Reply.text("For Alice"), Reply.text("For Bob")]
    hers = await ended(agent, "Hi", run_id="order-1", user_id="alice")
    his = await ended(agent, "Hi", run_id="order-1", user_id="bob")
    assert (hers.content, his.content) == ("For Alice", "For Bob")
    assert hers.run_id == "order-1"

    for user, content in (("alice", "For Alice"), ("bob", "For Bob")):
        found = await agent.aget_run_output("order-1", user_id=user)
        assert found is not None
        assert (found.content, found.user_id) == (content, user)
        again = await agent.arun("Hi", background=True, run_id="order-1", user_id=user)
        assert (again.status, again.content) == (RunStatus.completed, content)
        waited = await agent.await_run("order-1", 5, user_id=user)
        assert waited is not None
        assert waited.content == content
        assert (await events(agent, "order-1", user_id=user))[-1].content == content
    assert len(server.requests) == 2
    with pytest.raises(RunConflictError):
        await agent.arun("Another", background=True, run_id="order-1", user_id="bob")


@pytest.mark.parametrize("background", [True, False])
async def test_users_who_choose_an_id_and_a_session_at_the_same_moment_are_kept_apart(
    agent: Agent, server: ResponsesServer, background: bool
) -> None:
    users = [f"user {number}" for number in range(8)] * 2
    runs = await asyncio.gather(
        *(
            agent.arun(
                f"I am {user}",
                background=background,
                run_id="same",
                session_id="chat",
                user_id=user,
            )
            for user in users
        )
    )
    for user in set(users):
        found = await agent.await_run("same", 20, user_id=user)
        assert found is not None
        assert found.user_id == user
        assert found.messages[0].content == f"I am {user}"
    assert len({run.run_id for run in runs}) == len({run.session_id for run in runs}) == 8
    assert len(server.requests) == 8


async def test_a_streamed_submit_follows_the_users_own_run(
    agent: Agent, server: ResponsesServer
) -> None:
    server.script += [Reply.text("For Alice"), Reply.text("For Bob"), Reply.text("For Carl")]
    await ended(agent, "Hi", run_id="x", user_id="alice")
    for background, user in ((True, "bob"), (False, "carl")):
        stream = agent.arun("Hi", stream=True, background=background, run_id="x", user_id=user)
        text = "".join([event.content or "" async for event in stream])
        assert text == f"For {user.capitalize()}"
    stream = agent.arun("Hi", stream=True, run_id="x", user_id="bob")
    assert "For Bob" in "".join([event.content or "" async for event in stream])


async def test_a_session_id_alone_gives_nobody_anothers_conversation(
    agent: Agent, server: ResponsesServer
) -> None:
    hers = await ended(agent, "A secret", session_id="chat", user_id="alice")
    his = await ended(agent, "What was said?", session_id="chat", user_id="bob")
    assert said(server.requests[-1]) == ["What was said?"]
    assert hers.session_id == "chat" != his.session_id

    await ended(agent, "And then?", session_id="chat", user_id="bob")
    assert said(server.requests[-1]) == ["What was said?", "Hello.", "And then?"]
    await ended(agent, "And mine?", session_id="chat", user_id="alice")
    assert said(server.requests[-1]) == ["A secret", "Hello.", "And mine?"]

    for user, count in (("alice", 2), ("bob", 2), ("carl", 0)):
        listed = await agent.alist_runs(session_id="chat", user_id=user)
        assert [each.user_id for each in listed] == [user] * count
    assert await agent.aget_run_output(his.run_id, "chat", user_id="bob") is not None
    assert await agent.aget_run_output(hers.run_id, "chat", user_id="bob") is None


async def test_nobody_waits_for_the_session_of_another_user(
    agent: Agent, server: ResponsesServer
) -> None:
    server.script.append(Reply.hang())
    await agent.arun("Slow", background=True, session_id="chat", user_id="alice", run_id="slow")
    await server.wait_for_requests(1)
    run = await agent.arun(
        "Hi", background=True, session_id="chat", user_id="bob", session_policy="reject"
    )
    assert (await agent.await_run(run.run_id, 20)) is not None
    run = await agent.arun(
        "Hi", background=True, session_id="chat", user_id="bob", session_policy="interrupt"
    )
    await agent.await_run(run.run_id, 20)
    slow = await agent.aget_run_output("slow", user_id="alice")
    assert slow is not None
    assert slow.status is RunStatus.running


async def test_of_a_session_without_a_user_everybody_sees_only_what_is_nobodys_or_theirs(
    agent: Agent, server: ResponsesServer
) -> None:
    await ended(agent, "Public", session_id="open")
    await ended(agent, "A secret", session_id="open", user_id="alice")
    await ended(agent, "Bob's", session_id="open", user_id="bob")
    assert said(server.requests[-1]) == ["Public", "Hello.", "Bob's"]
    await ended(agent, "All?", session_id="open")
    assert said(server.requests[-1])[::2] == ["Public", "A secret", "Bob's", "All?"]


async def test_the_methods_of_sessions_show_of_one_without_a_user_what_is_nobodys_or_theirs(
    db: Database,
) -> None:
    seen: dict[str | None, list[str | None]] = {}

    def look(session: AgentSession, user_id: str | None = None) -> None:
        seen[user_id] = [each.user_id for each in session.runs]

    model = FunctionModel(lambda request: f"To {request.messages[-1].text}")
    agent = Agent("Tester", model, db=db, pre_hooks=[look])
    for user in (None, "alice", "bob"):
        await agent.arun(f"{user}", session_id="open", user_id=user)
    assert seen == {None: [None], "alice": [None, "alice"], "bob": [None, "bob"]}
    for user, theirs in (("alice", ["alice"]), ("bob", ["bob"]), (None, ["alice", "bob"])):
        told = [each.text for each in await agent.aget_chat_history("open", user_id=user)]
        assert told[::2] == ["None", *theirs]
        last = await agent.aget_last_run_output("open", user_id=user)
        assert last is not None
        assert last.user_id == theirs[-1]
        session = await agent.aget_session("open", user)
        limited = await agent.aget_session("open", user, runs_limit=2)
        renamed = await agent.aset_session_name("open", session_name="Open", user_id=user)
        for each in (session, limited, renamed):
            assert each is not None
            runs = await asyncio.to_thread(getattr, each, "runs")
            assert [run.user_id for run in runs][-1] == theirs[-1]
            assert {run.user_id for run in runs} <= {None, *theirs}


async def test_the_summary_of_a_session_without_a_user_holds_nothing_of_users(db: Database) -> None:
    def answer(request: ModelRequest) -> str:
        said = " ".join(each.text for each in request.messages)
        return json.dumps({"summary": said, "topics": []}) if request.output_schema else "Hello."

    model = FunctionModel(answer)
    agent = Agent(
        "Tester",
        model,
        db=db,
        enable_session_summaries=True,
        add_session_summary_to_context=True,
    )
    for user in (None, "alice", None):
        await agent.arun(f"Of {user}", session_id="open", user_id=user)
    summary = await agent.aget_session_summary("open", user_id="bob")
    assert summary is not None
    assert "Of None" in summary.summary
    assert "alice" not in summary.summary
    await agent.arun("What was said?", session_id="open", user_id="bob")
    assert "alice" not in "".join(each.text for each in model.requests[-1].messages)


async def test_a_pending_cancel_is_for_the_run_of_its_user(
    agent: Agent, server: ResponsesServer
) -> None:
    assert not await agent.acancel_run("early", user_id="bob")
    hers = await ended(agent, "Hi", run_id="early", user_id="alice")
    his = await agent.arun("Hi", background=True, run_id="early", user_id="bob")
    assert (hers.status, his.status) == (RunStatus.completed, RunStatus.cancelled)

    assert not await agent.acancel_run("early", user_id="carl")  # Hers is there by now.
    third = await agent.arun("Hi", background=True, run_id="early", user_id="carl")
    assert third.status is RunStatus.cancelled
    assert len(server.requests) == 1


async def test_cancels_and_submits_of_several_users_at_the_same_moment_are_kept_apart(
    agent: Agent, server: ResponsesServer
) -> None:
    for number in range(10):
        run_id = f"run {number}"
        hers, _, his = await asyncio.gather(
            agent.arun("Hi", background=True, run_id=run_id, user_id="alice"),
            agent.acancel_run(run_id, user_id="bob"),
            agent.arun("Hi", background=True, run_id=run_id, user_id="carl"),
        )
        for run in (hers, his):
            found = await agent.await_run(run.run_id, 20)
            assert found is not None
            assert found.status is RunStatus.completed
        third = await agent.arun("Hi", background=True, run_id=run_id, user_id="bob")
        assert third.status is RunStatus.cancelled


async def test_a_users_pending_cancel_holds_for_a_run_without_a_user(
    agent: Agent, server: ResponsesServer
) -> None:
    await agent.acancel_run("early", user_id="bob")
    assert (await agent.arun("Hi", background=True, run_id="early")).status is RunStatus.cancelled


@pytest.mark.parametrize("has_db", [True, False])
async def test_a_cancel_by_the_id_alone_can_name_its_user(
    db: Database, model: OpenAIResponses, server: ResponsesServer, has_db: bool
) -> None:
    agent = Agent("Tester", model, db=db if has_db else None)
    server.script += [Reply.hang(), Reply.hang()]
    hers = asyncio.create_task(agent.arun("Hi", run_id="x", user_id="alice"))
    await server.wait_for_requests(1)
    his = asyncio.create_task(agent.arun("Hi", run_id="x", user_id="bob"))
    await server.wait_for_requests(2)

    assert not await acancel_run("x", user_id="carl")
    assert await acancel_run("x", user_id="bob")
    assert (await his).status is RunStatus.cancelled
    assert not hers.done()
    assert await agent.acancel_run("x", user_id="alice")
    assert (await hers).status is RunStatus.cancelled
    assert (await agent.arun("Hi", run_id="x", user_id="carl")).status is RunStatus.cancelled
    assert (await agent.arun("Hi", run_id="y", user_id="carl")).status is RunStatus.completed


async def test_the_same_id_is_the_same_run_after_the_first_users_is_erased(
    agent: Agent, server: ResponsesServer
) -> None:
    await ended(agent, "Hi", run_id="x", session_id="chat", user_id="alice")
    his = await ended(agent, "Hi", run_id="x", session_id="chat", user_id="bob")
    assert agent.db is not None
    await agent.db.adelete_user("alice")

    again = await agent.arun("Hi", background=True, run_id="x", user_id="bob")
    assert again.run_id == his.run_id
    more = await ended(agent, "More", session_id="chat", user_id="bob")
    assert more.session_id == his.session_id
    assert len(server.requests) == 3


async def test_nobody_can_take_the_id_that_another_user_would_get(
    agent: Agent, server: ResponsesServer
) -> None:
    await ended(agent, "Hi", run_id="x", session_id="chat", user_id="alice")
    his = await ended(agent, "Hi", run_id="x", session_id="chat", user_id="bob")
    assert agent.db is not None
    await agent.db.adelete_user("bob")
    for options in ({"run_id": his.run_id}, {"session_id": his.session_id}):
        taken = await ended(agent, "Mine", user_id="mallory", **options)
        assert taken.run_id != his.run_id
        assert taken.session_id != his.session_id
    again = await ended(agent, "Hi", run_id="x", session_id="chat", user_id="bob")
    assert (again.run_id, again.session_id) == (his.run_id, his.session_id)


async def test_a_fork_is_its_users(agent: Agent, server: ResponsesServer) -> None:
    await ended(agent, "Hi", run_id="hers", user_id="alice")
    await ended(agent, "Hi", run_id="taken", session_id="taken", user_id="bob")
    fork = await agent.acontinue_run(
        "hers", from_seq=1, new_run_id="taken", session_id="taken", user_id="alice"
    )
    assert fork.user_id == "alice"
    found = await agent.await_run("taken", 20, user_id="alice")
    assert found is not None
    assert found.run_id == fork.run_id
    assert found.session_id == fork.session_id != "taken"


async def test_what_a_run_starts_is_its_users(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    inner = Agent("Inner", model, db=db)

    async def delegate() -> str:
        await inner.arun("Do it", run_id="child")
        run = await inner.arun("Do it", background=True)
        await inner.await_run(run.run_id, 20)
        return "done"

    outer = Agent("Outer", model, db=db, tools=[delegate])
    server.script.append(Reply.tool_calls(("delegate", {})))
    await ended(outer, "Go", user_id="alice")
    assert len(await inner.alist_runs(user_id="alice")) == 2
    assert await inner.aget_run_output("child", user_id="bob") is None


async def test_an_agent_is_shown_its_own_runs_unless_it_asks_for_all(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    other = Agent("Other", model, db=db)
    await other.arun("For other", session_id="shared", user_id="alice")
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    everything = Agent("All", model, db=db, add_history_to_context=True, history_agents="all")
    for asked, shown in ((agent, []), (agent, ["One"]), (everything, ["For other", "One", "Two"])):
        text = "One" if not shown else "Two" if len(shown) == 1 else "Three"
        await asked.arun(text, session_id="shared", user_id="alice")
        assert said(server.requests[-1])[:-1:2] == shown


async def test_a_session_begun_in_a_callers_transaction_is_its_users(
    postgres_db: PostgresDb, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=postgres_db, add_history_to_context=True)
    await ended(agent, "A secret", run_id="x", session_id="chat", user_id="alice")
    connection = await asyncpg.connect(postgres_db._dsn)
    try:
        async with connection.transaction():
            options: dict[str, Any] = {"background": True, "connection": connection}
            hers = await agent.arun("Hi", run_id="y", session_id="new", user_id="alice", **options)
            his = await agent.arun("Hi", run_id="y", session_id="new", user_id="bob", **options)
            other = await agent.arun("Hi", run_id="x", session_id="chat", user_id="bob", **options)
    finally:
        await connection.close()
    assert len({hers.run_id, his.run_id, other.run_id, "x"}) == 4
    assert len({hers.session_id, his.session_id, other.session_id, "chat"}) == 4
    for run_id, user in (("y", "alice"), ("y", "bob"), ("x", "bob")):
        found = await agent.await_run(run_id, 20, user_id=user)
        assert found is not None
        assert (found.user_id, found.status) == (user, RunStatus.completed)


async def test_schedules_are_their_users(agent: Agent) -> None:
    hers = await agent.aschedule("daily", "Hers", cron="0 6 * * *", user_id="alice")
    his = await agent.aschedule("daily", "His", cron="0 7 * * *", user_id="bob")
    assert hers.name == "daily" != his.name
    assert [each.user_id for each in await agent.alist_schedules(user_id="bob")] == ["bob"]
    assert len(await agent.alist_schedules()) == 2

    assert (await agent.apause_schedule("daily", user_id="bob")).input == his.input
    assert not await agent.adelete_schedule("daily", user_id="carl")
    for method in (agent.apause_schedule, agent.aresume_schedule):
        with pytest.raises(ScheduleNotFoundError, match="There is no schedule 'daily'"):
            await method("daily", user_id="carl")
    assert await agent.adelete_schedule("daily", user_id="bob")
    assert [(each.name, each.paused) for each in await agent.alist_schedules()] == [
        ("daily", False)
    ]


@pytest.mark.parametrize("user", ["", "\x00", "a\nb", "x" * 256, "\ud800", 42, b"alice"], ids=repr)
async def test_what_is_no_user_id_is_refused_everywhere(agent: Agent, user: Any) -> None:
    await ended(agent, "Hi", run_id="mine")
    for name, ask in ASKS.items():
        with pytest.raises(InvalidInputError, match="user_id"):
            await ask(agent, "mine", user)
        assert name
    with pytest.raises(InvalidInputError, match="user_id"):
        await acancel_run("mine", user_id=user)
    assert agent.db is not None
    with pytest.raises(InvalidInputError, match="user_id"):
        await agent.db.adelete_user(user)


HOSTILE = [
    "o'brien",
    '"; DROP TABLE runs; --',
    "%",
    "_",
    "ÅSA",
    "åsa",
    "A\u030asa",
    "用户",
    "😀" * 255,
]


async def test_users_of_any_script_are_told_apart(agent: Agent, server: ResponsesServer) -> None:
    for user in HOSTILE:
        await ended(agent, "Hi", run_id="x" * 255, session_id="ü" * 255, user_id=user)
    runs = [await agent.aget_run_output("x" * 255, user_id=user) for user in HOSTILE]
    assert [run and run.user_id for run in runs] == HOSTILE
    for user in HOSTILE:
        assert len(await agent.alist_runs(session_id="ü" * 255, user_id=user)) == 1


async def test_a_role_needs_no_more_than_the_rights_to_the_rows(
    postgres: EmbeddedPostgres,
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    table: str,
) -> None:
    await postgres_db.store()  # Its owner makes the tables.
    owner = await asyncpg.connect(postgres.superuser_url)
    url = urlsplit(postgres_db._dsn)
    role = f"{table}_app"
    [shown] = re.findall(r"^```sql\n(.*?)^```", SECURITY.read_text(), re.MULTILINE | re.DOTALL)
    try:
        await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'app'")
        await owner.execute(shown.replace("TO app;", f"TO {role};"))
        app = f"postgresql://{role}:app@{url.hostname}:{url.port}{url.path}"
        async with PostgresDb(app, session_table=postgres_db.session_table) as db:
            agent = Agent("Tester", model, db=db, max_concurrent_runs=1)
            assert (await ended(agent, "Hi", user_id="alice")).status is RunStatus.completed
            await agent.arun("Waits", background=True, user_id="alice", run_at=LATER)
            assert (await db.adelete_user("alice")).runs == 2
    finally:
        await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await owner.close()
