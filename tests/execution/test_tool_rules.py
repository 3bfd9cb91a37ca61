"""The rules of tools in a run: what a result does beside going to the model, and in what order."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from locally import LOCALLY

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, ModelRetry, RetryAgentRun, StopAgentRun, ToolsetError
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run.agent import RunEvent, RunOutput, RunOutputEvent
from kern.run.base import RunContext, RunStatus
from kern.run.event import CustomEvent, RunContentEvent
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer
from kern.tools import Function, Toolkit, ToolResult, tool


def asked(server: ResponsesServer, request: int = -1) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = server.requests[request].body["input"]
    return items


def results(server: ResponsesServer, request: int = -1) -> list[str]:
    """Return the results that a request tells the model."""
    return [each["output"] for each in asked(server, request) if "output" in each]


def offered(server: ResponsesServer, request: int = -1) -> list[str]:
    tools = server.requests[request].body.get("tools", [])
    return [each.get("name", each["type"]) for each in tools]


async def run(model: OpenAIResponses, *tools: Any, **options: Any) -> RunOutput:
    return await Agent("Tester", model, tools=tools, **options).arun("Go")


async def events_of(agent: Agent) -> list[RunOutputEvent]:
    return [each async for each in agent.arun("Go", stream=True, stream_events=True)]


# What a result does.


async def test_a_tool_may_end_the_run_with_its_result(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(stop_after_tool_call=True)
    def look() -> str:
        return "sunny"

    server.script.append(Reply.tool_calls(("look", {})))
    ended = await run(model, look)
    assert (ended.status, ended.content) == (RunStatus.completed, "sunny")
    assert len(server.requests) == 1
    assert [each.role for each in ended.messages][-1] == "tool"
    assert ended.tools[0].stop_after_tool_call


async def test_a_failed_call_does_not_end_the_run(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(stop_after_tool_call=True)
    def look() -> str:
        raise LookupError("no window")

    server.script += [Reply.tool_calls(("look", {})), Reply.text("Sorry.")]
    assert (await run(model, look)).content == "Sorry."


async def test_a_result_that_is_shown_is_a_part_of_the_answer(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(show_result=True)
    def look(where: str) -> str:
        return f"It is sunny in {where}."

    server.script += [
        Reply.tool_calls(("look", {"where": "Rome"}), ("look", {"where": "Oslo"})),
        Reply.text("Take a hat."),
    ]
    agent = Agent("Tester", model, tools=[look])
    events = await events_of(agent)
    content = "It is sunny in Rome.\n\nIt is sunny in Oslo.\n\nTake a hat."
    assert events[-1].content == content
    pieces = [each.content for each in events if isinstance(each, RunContentEvent)]
    assert sorted("".join(pieces).split("\n\n")) == sorted(content.split("\n\n"))


async def test_a_tool_may_have_the_model_try_again(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    def look(where: str) -> str:
        if where == "there":
            raise RetryAgentRun(
                "Say where.", "I live in Rome.", messages=[{"role": "user", "content": "Really."}]
            )
        return "sunny"

    server.script += [
        Reply.tool_calls(("look", {"where": "there"})),
        Reply.tool_calls(("look", {"where": "Rome"})),
        Reply.text("Sunny."),
    ]
    ended = await run(model, look)
    assert ended.content == "Sunny."
    assert results(server, 1) == ["Say where."]
    assert [str(each["content"]) for each in asked(server, 1)[-2:]] == [
        "I live in Rome.",
        "Really.",
    ]
    assert ended.tools[0].tool_call_error
    assert not [each for each in caplog.records if each.levelno > logging.WARNING]


async def test_model_retry_is_the_same(model: OpenAIResponses, server: ResponsesServer) -> None:
    async def look() -> str:
        raise ModelRetry("Look elsewhere.")

    server.script += [Reply.tool_calls(("look", {})), Reply.text("No.")]
    await run(model, look)
    assert results(server) == ["Look elsewhere."]


@pytest.mark.parametrize(
    ("error", "content"),
    [
        (StopAgentRun("It is over."), "It is over."),
        (StopAgentRun("It is over.", agent_message="Goodbye."), "Goodbye."),
        (StopAgentRun(ValueError("bad"), agent_message=Message("assistant", "Bye.")), "Bye."),
    ],
)
async def test_a_tool_may_stop_the_run(
    model: OpenAIResponses, server: ResponsesServer, error: StopAgentRun, content: str
) -> None:
    def look() -> str:
        raise error

    server.script.append(Reply.tool_calls(("look", {})))
    ended = await run(model, look)
    assert (ended.status, ended.content) == (RunStatus.completed, content)


async def test_an_answer_of_a_tool_needs_no_form(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.tool_calls(("look", {})))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    ended = await run(
        model, tool(name="look", stop_after_tool_call=True)(lambda: "sunny"), output_schema=schema
    )
    assert (ended.content, ended.content_type) == ("sunny", "str")


# Limits and order.


async def test_a_tool_is_called_no_more_often_than_it_allows(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    calls = []

    @tool(call_limit=2)
    def look() -> str:
        calls.append("look")
        return "sunny"

    server.script += [
        Reply.tool_calls(("look", {}), ("other", {}), ("look", {}), ("look", {})),
        Reply.tool_calls(("look", {}), ("other", {})),
        Reply.text("Enough."),
    ]
    await run(model, look, tool(name="other")(lambda: "done"))
    refused = "Not called: the run may call look 2 times. Go on without it."
    assert results(server) == ["sunny", "done", "sunny", refused, refused, "done"]
    assert len(calls) == 2


class Spans:
    """Tools that note when they are at work."""

    def __init__(self) -> None:
        self.at_work: list[str] = []
        self.noted: list[str] = []

    async def work(self, name: str) -> str:
        self.at_work.append(name)
        self.noted.append("+".join(self.at_work))
        await asyncio.sleep(0.05)
        self.at_work.remove(name)
        return name


async def test_calls_of_one_answer_are_made_one_after_another_where_the_agent_says_so(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    spans = Spans()
    server.script += [
        Reply.tool_calls(*(("work", {"name": each}) for each in "abc")),
        Reply.text("Done."),
    ]
    agent = Agent("Tester", model, tools=[spans.work], parallel_tool_calls=False, db=InMemoryDb())
    events = await events_of(agent)
    assert spans.noted == ["a", "b", "c"]
    kinds = (RunEvent.tool_call_started, RunEvent.tool_call_completed)
    calls = [each for each in events if each.event in kinds]
    assert [each.event for each in calls] == [*kinds] * 3
    assert [each.seq for each in events] == [*range(1, len(events) + 1)]


async def test_a_sequential_tool_is_called_alone(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    spans = Spans()
    alone = Function(spans.work, name="alone", sequential=True)
    server.script += [
        Reply.tool_calls(
            ("work", {"name": "a"}),
            ("work", {"name": "b"}),
            ("alone", {"name": "c"}),
            ("work", {"name": "d"}),
            ("work", {"name": "e"}),
        ),
        Reply.text("Done."),
    ]
    await run(model, spans.work, alone)
    assert spans.noted == ["a", "a+b", "c", "d", "d+e"]
    assert results(server) == [*"abcde"]


# Tools as a function of the run.


@LOCALLY
async def test_the_tools_may_be_a_function_of_the_run(
    model: OpenAIResponses, server: ResponsesServer, db: Database
) -> None:
    given: list[object] = []

    def tools_for(
        agent: Agent, run_context: RunContext, session_state: dict[str, Any]
    ) -> list[Any]:
        given.append((agent, run_context.user_id, session_state["current_user_id"]))

        def greet() -> str:
            return f"Hello {run_context.user_id}"

        return [greet, {"type": "web_search"}]

    agent = Agent("Tester", model, tools=tools_for, db=db)
    assert agent.get_tools() == []
    server.script += [Reply.tool_calls(("greet", {})), Reply.text("Done.")] * 2
    for user in ("ann", "bob"):
        await agent.arun("Go", user_id=user)
        assert results(server) == [f"Hello {user}"]
        assert offered(server) == ["greet", "web_search"]
    assert given == [(agent, "ann", "ann"), (agent, "bob", "bob")]


async def test_kerns_own_tools_come_after_those_that_a_function_gives(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def tools_for() -> list[Any]:
        return [tool(name="look")(lambda: "a")]

    server.script.append(Reply.text("Hello."))
    agent = Agent(
        "Tester",
        model,
        tools=tools_for,
        db=InMemoryDb(),
        session_state={},
        enable_agentic_state=True,
    )
    await agent.arun("Go")
    assert offered(server) == ["look", "update_session_state"]


async def test_a_function_of_tools_may_be_asynchronous_and_return_nothing(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    async def tools_for() -> None:
        await asyncio.sleep(0)

    server.script.append(Reply.text("Hello."))
    assert (await Agent("Tester", model, tools=tools_for).arun("Go")).content == "Hello."


@pytest.mark.parametrize("made", [ZeroDivisionError("no tools"), [3], "text"])
async def test_a_function_of_tools_that_fails_fails_the_run_by_its_name(
    model: OpenAIResponses, made: object
) -> None:
    def tools_for() -> object:
        if isinstance(made, Exception):
            raise made
        return made

    agent = Agent("Tester", model, tools=tools_for, db=InMemoryDb())
    with pytest.raises(ToolsetError, match="The function of tools tools_for failed: ") as raised:
        await agent.arun("Go", run_id="failed")
    assert raised.value.__cause__ is not None
    found = await agent.aget_run_output("failed")
    assert found is not None
    assert found.status is RunStatus.error


def test_a_function_of_tools_that_asks_for_what_there_is_not_is_refused(
    model: OpenAIResponses,
) -> None:
    def tools_for(serssion_state: dict[str, Any]) -> list[Any]:
        return []

    with pytest.raises(ConfigurationError, match="The function of tools tools_for has a parameter"):
        Agent("Tester", model, tools=tools_for)


# Tools of the provider, toolkits, methods of the agent.


@pytest.mark.parametrize("make", [OpenAIResponses, OpenAIChat])
async def test_a_dict_is_a_tool_of_the_provider(server: ResponsesServer, make: Any) -> None:
    model = make("m", base_url=server.base_url, api_key="none")
    server.script.append(Reply.text("Found."))
    agent = Agent("Tester", model, tools=[tool(name="look")(lambda: "a"), {"type": "web_search"}])
    if make is OpenAIResponses:
        await agent.arun("Go")
        assert offered(server) == ["look", "web_search"]
    assert [each.name for each in agent.get_tools()] == ["look"]


async def test_what_toolkits_and_tools_say_of_their_use_is_told(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def look() -> str:
        return "sunny"

    toolkit = Toolkit("eyes", [look], instructions="Look twice.", add_instructions=True)
    quiet = Toolkit("ears", [tool(name="listen")(lambda: "no")], instructions="Not told.")
    ask = tool(name="ask", instructions="Ask once.")(lambda: "yes")
    server.script += [Reply.text("Done.")] * 2
    await run(model, toolkit, quiet, ask)
    assert server.requests[-1].body["instructions"] == "Look twice.\n\nAsk once."
    await run(model, toolkit, instructions="Be brief.")
    assert server.requests[-1].body["instructions"] == "Be brief.\n\nLook twice."


class Connection(Toolkit):
    """A toolkit that has to be connected."""

    def __init__(self, fails: bool = False) -> None:
        self.noted: list[str] = []
        self.fails = fails
        super().__init__("connection", tools=[self.ask])

    async def connect(self) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("nobody answers")
        self.noted.append("connect")

    def close(self) -> None:
        self.noted.append("close")

    def ask(self) -> str:
        """Ask."""
        self.noted.append("ask")
        return "answer"


async def test_a_toolkit_is_connected_while_runs_use_it(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    toolkit = Connection()
    agent = Agent("Tester", model, tools=[toolkit])
    server.script += [Reply.text("Done.").slow(pause=0.3), Reply.text("Done.").slow(pause=0.3)]
    await asyncio.gather(agent.arun("Go"), agent.arun("Go"))
    assert toolkit.noted == ["connect", "close"]
    server.script += [Reply.tool_calls(("ask", {})), Reply.text("Done.")]
    await agent.arun("Go")
    assert toolkit.noted == ["connect", "close", "connect", "ask", "close"]


async def test_a_toolkit_that_does_not_connect_fails_the_run(model: OpenAIResponses) -> None:
    agent = Agent("Tester", model, tools=[Connection(fails=True)])
    with pytest.raises(ToolsetError, match="The toolkit connection did not connect: OSError: nob"):
        await agent.arun("Go")


def test_an_agent_is_given_tools_later(model: OpenAIResponses) -> None:
    def look() -> None: ...

    def listen() -> None: ...

    agent = Agent("Tester", model, tools=[look])
    agent.add_tool(listen)
    agent.add_tool({"type": "web_search"})
    assert [*agent.tools] == ["look", "listen"]
    agent.tool_call_limit = 3  # What is set of another keyword leaves them as they are.
    assert agent.call_rules is not None
    assert agent.call_rules.provided == ({"type": "web_search"},)
    with pytest.raises(ConfigurationError, match="Two tools have the name 'look'"):
        agent.add_tool(look)
    assert [*agent.tools] == ["look", "listen"]
    agent.set_tools(lambda: [look])
    agent.clear_callable_cache()
    with pytest.raises(ConfigurationError, match="given by a function"):
        agent.add_tool(listen)
    agent.set_tools([])
    assert agent.get_tools() == []
    assert agent.call_rules is None


async def test_the_context_of_a_run_knows_its_agent_messages_and_tools(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def look(run_context, agent, item: str) -> str:  # type: ignore[no-untyped-def] # as scripts do
        assert [each.role for each in run_context.messages] == ["user", "assistant"]
        assert [each.name for each in run_context.tools] == ["look"]
        return f"{agent.name} {item}"

    server.script += [Reply.tool_calls(("look", {"item": "a"})), Reply.text("Done.")]
    await run(model, look)
    assert results(server) == ["Tester a"]


# What tools yield.


@dataclass
class Found(CustomEvent):
    """A page was found."""

    page: int = 0
    title: str | None = None


def pages() -> Iterator[object]:
    """Find pages."""
    for page in range(3):
        yield Found(page=page, title=f"Page {page}")
        yield f"page {page};"


async def pages_later() -> AsyncIterator[object]:
    """Find pages."""
    for each in pages():
        await asyncio.sleep(0.05)
        yield each


@LOCALLY
@pytest.mark.parametrize("find", [pages, pages_later])
@pytest.mark.parametrize("shown", [False, True])
async def test_what_a_generator_yields_is_streamed(
    model: OpenAIResponses, server: ResponsesServer, db: Database, find: Any, shown: bool
) -> None:
    server.script += [Reply.tool_calls(("find", {})), Reply.text("Done.")]
    agent = Agent("Tester", model, tools=[tool(name="find", show_result=shown)(find)], db=db)
    events = await events_of(agent)
    assert [each.seq for each in events] == [*range(1, len(events) + 1)]
    found = [each for each in events if isinstance(each, Found)]
    assert [(each.page, each.title) for each in found] == [(n, f"Page {n}") for n in range(3)]
    [call] = [each.tool for each in events if each.event is RunEvent.tool_call_completed]
    assert call is not None
    assert call.result == "page 0;page 1;page 2;"
    assert {each.tool_call_id for each in found} == {call.tool_call_id}
    kind = RunEvent.run_content if shown else RunEvent.run_intermediate_content
    told = "".join(str(each.content) for each in events if each.event is kind)
    assert told == call.result + ("\n\nDone." if shown else "")
    # Who reads it later is told the same, with the same numbers.
    later = [each async for each in agent.astream_run(events[0].run_id)]
    assert [(each.seq, each.event, each.content) for each in later] == [
        (each.seq, each.event, each.content) for each in events
    ]


async def test_pieces_come_while_the_tool_is_at_work(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    read = asyncio.Event()

    async def write() -> AsyncIterator[str]:
        yield "one, "
        await asyncio.wait_for(read.wait(), 20)
        yield "two"

    server.script += [Reply.tool_calls(("write", {})), Reply.text("Done.")]
    agent = Agent("Tester", model, tools=[write], db=InMemoryDb())
    async for event in agent.arun("Go", stream=True, stream_events=True):
        if event.event is RunEvent.run_intermediate_content:
            read.set()
    assert read.is_set()
    assert results(server) == ["one, two"]


async def test_custom_events_are_kept_though_nobody_reads(
    model: OpenAIResponses, server: ResponsesServer, db: Database
) -> None:
    server.script += [Reply.tool_calls(("pages", {})), Reply.text("Done.")]
    agent = Agent("Tester", model, tools=[pages], db=db)
    run = await agent.arun("Go", background=True)
    await agent.await_run(run.run_id)
    events = [each async for each in agent.astream_run(run.run_id)]
    assert [each.page for each in events if isinstance(each, Found)] == [0, 1, 2]
    assert not [each for each in events if each.event is RunEvent.run_intermediate_content]


async def test_an_event_without_a_json_form_is_the_error_of_the_call(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def look() -> Iterator[object]:
        yield Found(title=asyncio.Event())  # type: ignore[arg-type] # that is the point

    server.script += [Reply.tool_calls(("look", {})), Reply.text("Done.")]
    await run(model, look)
    assert "Unable to serialize unknown type" in results(server)[0]


async def test_pieces_of_a_call_that_fails_are_void(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(show_result=True)
    async def write() -> AsyncIterator[str]:
        yield "one, "
        await asyncio.sleep(0.2)
        raise OSError("the pen broke")

    server.script += [Reply.tool_calls(("write", {})), Reply.text("Done.")]
    agent = Agent("Tester", model, tools=[write], db=InMemoryDb())
    events = await events_of(agent)
    texts = [
        (each.event, each.content)
        for each in events
        if each.event in (RunEvent.run_content, RunEvent.run_content_voided)
    ]
    assert texts[:2] == [(RunEvent.run_content, "one, "), (RunEvent.run_content_voided, "one, ")]
    assert events[-1].content == "Done."


async def test_what_a_function_yields_after_its_time_is_told_nobody(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(timeout=0.1)
    def write() -> Iterator[str]:
        for _ in range(40):
            yield "more "
            time.sleep(0.02)

    server.script += [
        Reply.tool_calls(("write", {})),
        Reply.text("Do", "ne", ".").slow(pause=0.2),
    ]
    agent = Agent("Tester", model, tools=[write], db=InMemoryDb())
    events = await events_of(agent)
    at = [each.event for each in events].index(RunEvent.tool_call_error)
    assert RunEvent.run_intermediate_content not in [each.event for each in events[at:]]
    assert events[-1].content == "Done."


async def test_a_tool_result_may_end_the_run(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.tool_calls(("look", {})))
    ended = await run(model, tool(name="look")(lambda: ToolResult("sunny", ends=True)))
    assert ended.content == "sunny"
