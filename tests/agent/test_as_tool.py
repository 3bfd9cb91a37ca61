"""An agent as a tool of another: what it is given, what comes of it, and what both share."""

import asyncio
import logging
from typing import Any

import pytest
from locally import LOCALLY
from pydantic import BaseModel

from kern.agent import Agent, RunEvent, RunOutputEvent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, UsageLimitError
from kern.models.base import ModelRequest
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.usage import UsageLimits
from kern.testing import FunctionModel, Reply, ScriptedModel
from kern.tools import tool


def calling(*calls: tuple[str, dict[str, Any]], then: str = "Done") -> FunctionModel:
    """Return a model that asks for these calls, and then says what they returned."""

    def reply(request: ModelRequest) -> Reply | str:
        results = [each.text for each in request.messages if each.role == "tool"]
        return f"{then}: {'; '.join(results)}" if results else Reply.tool_calls(*calls)

    return FunctionModel(reply)


def asking(name: str = "researcher", text: str = "How many?", **options: Any) -> FunctionModel:
    """Return a model that asks an agent something."""
    return calling((name, {"input": text}), **options)


async def carried_out(agent: Agent, background: bool, **options: Any) -> RunOutput:
    """Return a run as it ends."""
    if not background:
        ended: RunOutput = await agent.arun("Go", **options)
        return ended
    submitted = await agent.arun("Go", background=True, **options)
    run = await agent.await_run(submitted.run_id, 20)
    assert run is not None
    return run


@pytest.fixture
def memory() -> InMemoryDb:
    """A database, for what is the same in each kind of them."""
    return InMemoryDb()


BOTH = pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])


@BOTH
async def test_a_call_is_a_run_of_the_agent_with_a_row_of_its_own(
    db: Database, background: bool
) -> None:
    inner = Agent("Researcher", ScriptedModel(["42 million"]))
    outer = Agent("Boss", asking(), db=db, tools=[inner.as_tool()])
    run = await carried_out(outer, background, user_id="ada")
    assert (run.status, run.content) == (RunStatus.completed, "Done: 42 million")
    child_id = run.tools[0].child_run_id
    assert child_id is not None
    child = await outer.aget_run_output(child_id)
    assert child is not None
    assert (child.parent_run_id, child.agent_id) == (run.run_id, "researcher")
    assert (child.session_id, child.user_id) == (run.session_id, "ada")
    assert child.input is not None
    assert child.input.input_content == "How many?"


async def test_without_a_database_a_call_is_a_run_all_the_same() -> None:
    inner = Agent("Researcher", ScriptedModel(["42 million"]))
    run = await Agent("Boss", asking(), tools=[inner.as_tool()]).arun("Go")
    assert run.content == "Done: 42 million"
    assert run.metrics.model_calls == 3


async def test_an_agent_with_a_database_keeps_its_runs_where_the_one_that_calls_has_none() -> None:
    db = InMemoryDb()
    inner = Agent("Researcher", ScriptedModel(["42 million"]), db=db)
    run = await Agent("Boss", asking(), tools=[inner.as_tool()]).arun("Go")
    assert run.tools[0].child_run_id is not None
    child = await inner.aget_run_output(run.tools[0].child_run_id)
    assert child is not None
    assert child.content == "42 million"


class Question(BaseModel):
    """What there is to find out."""

    topic: str
    year: int = 2026


async def test_the_model_gives_what_the_input_schema_says() -> None:
    inner = Agent("Researcher", ScriptedModel(default=lambda r: r.messages[-1].text))
    typed = inner.deep_copy(update={"input_schema": Question})
    found = typed.as_tool("look_up", "Looks a figure up.")
    assert found.schema.parameters["required"] == ["topic"]
    assert (found.name, found.schema.description) == ("look_up", "Looks a figure up.")
    outer = Agent("Boss", calling(("look_up", {"topic": "heat"})), tools=[found])
    assert (await outer.arun("Go")).content == 'Done: {"topic":"heat","year":2026}'
    wrong = Agent("Boss", calling(("look_up", {"year": "x"})), tools=[found])
    said = (await wrong.arun("Go")).tools[0]
    assert said.tool_call_error
    assert "topic" in (said.result or "")


@pytest.mark.parametrize("arguments", [{}, {"input": ""}, {"input": 7}, {"prompt": "x"}])
async def test_arguments_that_are_no_task_are_told_to_the_model(arguments: dict[str, Any]) -> None:
    model = ScriptedModel(["never"])
    inner = Agent("Researcher", model)
    outer = Agent("Boss", calling(("researcher", arguments)), tools=[inner.as_tool()])
    said = (await outer.arun("Go")).tools[0]
    assert said.tool_call_error
    assert "input must be a text" in (said.result or "")
    assert model.requests == []


def test_an_agent_without_a_name_needs_one_for_its_tool() -> None:
    for nameless in (Agent(model=ScriptedModel()), Agent("素敵", ScriptedModel())):
        with pytest.raises(ConfigurationError, match="as_tool"):
            nameless.as_tool()
    assert Agent(model=ScriptedModel()).as_tool("ask").name == "ask"


def test_the_tool_says_what_the_agent_is_for() -> None:
    agent = Agent("Market Researcher", ScriptedModel(), role="Finds figures.")
    assert agent.as_tool().schema.description == "Finds figures."
    assert "Market Researcher" in Agent("Market Researcher").as_tool().schema.description


@BOTH
async def test_the_failure_of_a_child_is_told_to_the_model_of_its_parent(
    memory: InMemoryDb, background: bool, caplog: pytest.LogCaptureFixture
) -> None:
    inner = Agent("Researcher", ScriptedModel([Reply.failed("server_error", "No figures.")]))
    outer = Agent("Boss", asking(), db=memory, tools=[inner.as_tool()])
    with caplog.at_level(logging.CRITICAL):
        run = await carried_out(outer, background)
    assert run.status is RunStatus.completed
    assert run.tools[0].tool_call_error
    assert "Researcher failed" in (run.tools[0].result or "")
    assert "No figures." in (run.tools[0].result or "")


# What both share.


@LOCALLY
@BOTH
async def test_a_child_has_the_state_of_its_parent_which_sees_what_it_has_changed(
    db: Database, background: bool
) -> None:
    seen: list[object] = []

    def note(session_state: dict[str, Any]) -> str:
        """Note something."""
        seen.append(dict(session_state))
        session_state["found"] = [*session_state.get("found", []), "figure"]
        session_state.pop("draft", None)
        return "noted"

    def look(session_state: dict[str, Any]) -> str:
        """Look at it."""
        seen.append(dict(session_state))
        session_state["found"] = [*session_state["found"], "own"]
        return str(session_state["found"])

    inner = Agent("Researcher", calling(("note", {})), tools=[note])
    script: list[Reply | str] = [
        Reply.tool_calls(("researcher", {"input": "Go"})),
        Reply.tool_calls(("look", {})),
        "Done",
    ]
    outer = Agent(
        "Boss",
        ScriptedModel(script),
        db=db,
        tools=[inner.as_tool(), look],
        session_state={"topic": "heat", "draft": 1},
    )
    run = await carried_out(outer, background, session_id="talk")
    assert run.status is RunStatus.completed
    assert seen[0]["topic"], seen[0]["draft"] == ("heat", 1)  # type: ignore[index]
    assert seen[1]["found"] == ["figure"]  # type: ignore[index]
    after = {"topic": "heat", "found": ["figure", "own"]}
    assert run.session_state == after
    assert await outer.aget_session_state("talk") == after


@BOTH
async def test_children_side_by_side_each_change_what_is_theirs(
    memory: InMemoryDb, background: bool
) -> None:
    def note(word: str, session_state: dict[str, Any]) -> str:
        """Note something."""
        session_state[word] = True
        session_state["all"] = [*session_state.get("all", []), word]
        return "noted"

    def agent(word: str) -> Agent:
        return Agent(word, calling(("note", {"word": word})), tools=[note])

    calls = [(word, {"input": "Go"}) for word in ("one", "two", "three")]
    tools = [agent(word).as_tool() for word, _ in calls]
    outer = Agent("Boss", calling(*calls), db=memory, tools=tools, session_state={"all": ["zero"]})
    run = await carried_out(outer, background)
    assert run.session_state == {
        **dict.fromkeys(("one", "two", "three"), True),
        "all": ["zero", "one", "two", "three"],
    }


@LOCALLY
async def test_the_history_of_a_conversation_does_not_show_what_its_agents_asked_each_other(
    db: Database,
) -> None:
    inner = Agent("Researcher", ScriptedModel(default="42 million"))
    options: dict[str, Any] = {"add_history_to_context": True, "history_agents": "all"}
    outer = Agent("Boss", asking(), db=db, tools=[inner.as_tool()], **options)
    await outer.arun("Go", session_id="talk")
    session = await outer.aget_session("talk")
    assert session is not None
    assert [each.text for each in session.get_chat_history()] == ["Go", "Done: 42 million"]
    model = ScriptedModel(["Bye"])
    with outer.override(model=model):
        await outer.arun("And now?", session_id="talk")
    told = [each.text for each in model.requests[0].messages if each.role == "user"]
    assert told == ["Go", "And now?"]


@BOTH
async def test_what_children_use_counts_as_their_parents(db: Database, background: bool) -> None:
    leaf = Agent("Leaf", ScriptedModel(default="found"))
    inner = Agent("Researcher", asking("leaf"), tools=[leaf.as_tool()])
    outer = Agent("Boss", asking(), db=db, tools=[inner.as_tool()])
    run = await carried_out(outer, background, session_id="talk")
    assert (run.metrics.model_calls, run.metrics.tool_calls) == (5, 2)
    stored = await outer.aget_run_output(run.run_id)
    assert stored is not None
    assert stored.metrics.total_tokens == run.metrics.total_tokens > 0
    details = stored.metrics.details
    assert details is not None
    assert sum(each.total_tokens for each in details["model"]) == stored.metrics.total_tokens
    session = await outer.aget_session_metrics("talk")  # Each run counts once.
    assert session is not None
    assert session.total_tokens == run.metrics.total_tokens


@pytest.mark.parametrize("with_db", [False, True], ids=["without", "with a database"])
async def test_children_may_use_what_their_parent_has_left(with_db: bool) -> None:
    @tool
    def look() -> str:
        """Look again."""
        return "nothing yet"

    restless = Agent("Researcher", ScriptedModel(default=Reply.tool_calls(("look", {}))))
    restless.add_tool(look)
    outer = Agent(
        "Boss", asking(), db=InMemoryDb() if with_db else None, tools=[restless.as_tool()]
    )
    with pytest.raises(UsageLimitError) as raised:
        await outer.arun("Go", usage_limits=UsageLimits(requests=5))
    assert raised.value.run_output.metrics.model_calls == 5


# Streams.


def nested(events: list[RunOutputEvent], run_id: str) -> list[str]:
    return [f"{'' if each.run_id == run_id else '- '}{each.event}" for each in events]


NESTED = [
    *("RunStarted", "ModelRequestStarted", "ModelRequestCompleted", "ToolCallStarted"),
    *("- RunStarted", "- ModelRequestStarted", "- RunContent", "- ModelRequestCompleted"),
    *("- RunContentCompleted", "- RunCompleted", "ToolCallCompleted", "ModelRequestStarted"),
    *("RunContent", "ModelRequestCompleted", "RunContentCompleted", "RunCompleted"),
]


@BOTH
async def test_the_events_of_a_child_are_among_those_of_its_parent(
    db: Database, background: bool
) -> None:
    inner = Agent("Researcher", ScriptedModel(default="42 million"))
    outer = Agent("Boss", asking(), db=db, tools=[inner.as_tool()])
    stream = outer.arun("Go", stream=True, stream_events=True, background=background)
    live = [each async for each in stream]
    run_id = live[0].run_id
    assert nested(live, run_id) == NESTED
    own = [each for each in live if each.run_id == run_id]
    child = [each for each in live if each.run_id != run_id]
    assert [each.seq for each in own] == [*range(1, len(own) + 1)]
    assert [each.seq for each in child] == [*range(1, len(child) + 1)]
    assert {each.parent_run_id for each in child} == {run_id}
    assert {each.agent_id for each in child} == {"researcher"}
    later = [each async for each in outer.astream_run(run_id)]
    assert nested(later, run_id) == NESTED
    assert [each.seq for each in later] == [each.seq for each in live]
    # A reader that goes on after the call has had all of it.
    rest = [each async for each in outer.astream_run(run_id, after=5)]
    assert nested(rest, run_id) == NESTED[-5:]


@BOTH
async def test_a_stream_of_the_answer_has_nothing_of_children(
    memory: InMemoryDb, background: bool
) -> None:
    inner = Agent("Researcher", ScriptedModel(default="42 million"))
    outer = Agent("Boss", asking(), db=memory, tools=[inner.as_tool()])
    texts = [each.content async for each in outer.arun("Go", stream=True, background=background)]
    assert texts == ["Done: 42 million", ""]


async def test_what_a_child_says_is_read_while_it_is_at_work(memory: InMemoryDb) -> None:
    reply = Reply.text("one ", "two").held(after=1)
    inner = Agent("Researcher", ScriptedModel([reply]), live=True)
    outer = Agent("Boss", asking(), db=memory, tools=[inner.as_tool()])
    events = outer.arun("Go", stream=True, stream_events=True, background=True)
    async with asyncio.timeout(20):
        async for event in events:
            if event.event is RunEvent.run_content and event.parent_run_id:
                break  # Its model has not ended its answer.
        reply.release()
        rest = [each async for each in events]
    assert rest[-1].event is RunEvent.run_completed


# Who stops, stops all of it.


@BOTH
async def test_a_cancelled_parent_takes_its_children_along(db: Database, background: bool) -> None:
    begun = asyncio.Event()

    async def wait() -> str:
        """Wait."""
        begun.set()
        await asyncio.Event().wait()
        return "never"

    leaf = Agent("Leaf", calling(("wait", {})), tools=[wait])
    inner = Agent("Researcher", asking("leaf"), tools=[leaf.as_tool()])
    outer = Agent("Boss", asking(), db=db, tools=[inner.as_tool()])
    going = asyncio.create_task(carried_out(outer, background, run_id="run"))
    async with asyncio.timeout(20):
        await begun.wait()
        assert await outer.acancel_run("run")
        run = await going
    assert run.status is RunStatus.cancelled
    store = await db.store()
    async with asyncio.timeout(20):
        while await store.children("run"):  # noqa: ASYNC110 # nobody tells of it
            await asyncio.sleep(0.01)


async def test_agents_may_be_tools_of_each_other() -> None:
    one, two = Agent("One", asking("two")), Agent("Two", ScriptedModel(["two"]))
    one.add_tool(two.as_tool())
    two.add_tool(one.as_tool())
    db = InMemoryDb()
    one.db = db
    assert (await carried_out(one, background=True)).content == "Done: two"


async def test_a_call_that_needs_a_person_begins_no_run_before(memory: InMemoryDb) -> None:
    model = ScriptedModel(["42 million"])
    inner = Agent("Researcher", model)
    outer = Agent("Boss", asking(), db=memory, tools=[inner.as_tool(requires_confirmation=True)])
    run = await outer.arun("Go")
    assert run.is_paused
    assert model.requests == []
    run.requirements[0].confirm()
    assert (await outer.acontinue_run(run)).content == "Done: 42 million"


async def test_hooks_around_calls_see_those_that_are_runs() -> None:
    seen: list[object] = []

    async def around(function_name: str, function: Any, arguments: dict[str, Any]) -> object:
        seen.append((function_name, arguments))
        return await function(**arguments)

    inner = Agent("Researcher", ScriptedModel(["42 million"]))
    outer = Agent("Boss", asking(), tools=[inner.as_tool()], tool_hooks=[around])
    assert (await outer.arun("Go")).content == "Done: 42 million"
    assert seen == [("researcher", {"input": "How many?"})]


async def test_a_tool_of_a_child_is_told_its_own_run(memory: InMemoryDb) -> None:
    seen: list[RunContext] = []

    def look(run_context: RunContext) -> str:
        """Look."""
        seen.append(run_context)
        return "seen"

    inner = Agent("Researcher", calling(("look", {})), tools=[look])
    run = await Agent("Boss", asking(), db=memory, tools=[inner.as_tool()]).arun("Go")
    assert seen[0].run_id == run.tools[0].child_run_id
    assert seen[0].session_id == run.session_id
