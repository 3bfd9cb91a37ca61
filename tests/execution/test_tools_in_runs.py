"""Tools in a run: called side by side, their results told in the order of the calls."""

import asyncio
import json
import threading
from collections.abc import Callable
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import pytest
from asking import as_answer
from locally import LOCALLY
from media import png
from plain import plain

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import UsageLimitError
from kern.media import Image
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput, RunOutputEvent
from kern.run.base import RunContext, RunStatus, current_run
from kern.run.content import blob_of
from kern.run.event import ToolCallCompletedEvent
from kern.testing import Reply, ResponsesServer, Usage
from kern.testing.reply import ToolCall
from kern.tools import ToolResult, tool

WAIT = 20.0


class Runner:
    """Runs agents in one of the ways there are, on one of the databases, or on none."""

    def __init__(self, db: Database | None, model: OpenAIResponses, streamed: bool) -> None:
        self.db, self.model, self.streamed = db, model, streamed
        self.events: list[RunOutputEvent] = []

    async def __call__(
        self, *tools: Callable[..., Any], text: str = "Go", run_id: str = "run", **options: Any
    ) -> RunOutput:
        agent = Agent("Tester", self.model, db=self.db, tools=tools, **options)
        if not self.streamed:
            return await agent.arun(text, run_id=run_id, session_id="session", user_id="me")
        self.events = [
            event
            async for event in agent.arun(
                text, stream=True, stream_events=True, run_id=run_id, session_id="session"
            )
        ]
        if self.db is None:
            return RunOutput(run_id, "session", agent.id, content=self.events[-1].content)
        found = await agent.aget_run_output(run_id)
        assert found is not None
        return found


@pytest.fixture(params=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "streamed")


WAYS = [("postgres", True), ("sqlite", False), ("memory", True), ("none", False), ("none", True)]


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-{'streamed' if way[1] else 'whole'}")
def run(request: pytest.FixtureRequest, model: OpenAIResponses) -> Runner:
    """Run an agent with these tools: streamed and whole, with each kind of database and without."""
    where, streamed = request.param
    if where == "none":
        return Runner(None, model, streamed)
    db = InMemoryDb() if where == "memory" else request.getfixturevalue(f"{where}_db")
    return Runner(db, model, streamed)


@pytest.fixture
def run_whole(model: OpenAIResponses) -> Runner:
    """Run an agent with these tools, in the plainest way."""
    return Runner(None, model, False)


def results(server: ResponsesServer, request: int = -1) -> list[str]:
    """Return the results that a request tells the model."""
    items = server.requests[request].body["input"]
    return [item["output"] for item in items if item.get("type") == "function_call_output"]


async def test_a_sync_and_an_async_tool_are_called_and_their_results_told(
    run: Runner, server: ResponsesServer
) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    async def greet(name: str) -> str:
        await asyncio.sleep(0)
        return f"Hello {name}"

    calls = (("add", {"a": 1, "b": 2}), ("greet", {"name": "Ada"}))
    server.script += [Reply.tool_calls(*calls), Reply.text("Done", ".")]
    output = await run(add, greet)

    assert output.content == "Done."
    first, second = (each.body["input"] for each in server.requests)
    assert json.dumps(second).startswith(json.dumps(first)[:-1])
    asked = [item for item in second if item.get("type") == "function_call"]
    told = [item for item in second if item.get("type") == "function_call_output"]
    assert [item["name"] for item in asked] == ["add", "greet"]
    assert [(item["call_id"], item["output"]) for item in told] == [
        (asked[0]["call_id"], "3"),
        (asked[1]["call_id"], "Hello Ada"),
    ]
    if run.db is not None or not run.streamed:
        assert output.status is RunStatus.completed
        assert [(each.tool_name, each.result) for each in output.tools] == [
            ("add", "3"),
            ("greet", "Hello Ada"),
        ]
        roles = [each.role for each in output.messages]
        assert roles == ["user", "assistant", "tool", "tool", "assistant"]
    if run.streamed:
        assert [each.seq for each in run.events] == list(range(1, len(run.events) + 1))
        kinds = [each.event for each in run.events]
        assert kinds[0] is RunEvent.run_started
        assert kinds[-1] is RunEvent.run_completed
        assert kinds.count(RunEvent.tool_call_started) == 2
        done = [each for each in run.events if each.event is RunEvent.tool_call_completed]
        assert {each.tool.result for each in done if each.tool} == {"3", "Hello Ada"}


async def test_calls_run_side_by_side_and_their_order_is_kept(
    run: Runner, server: ResponsesServer
) -> None:
    both = asyncio.Barrier(2)
    last_has_ended = asyncio.Event()

    async def work(number: int) -> str:
        async with asyncio.timeout(WAIT):
            await both.wait()
            if number == 1:
                await last_has_ended.wait()
        last_has_ended.set()
        return f"result {number}"

    server.script.append(Reply.tool_calls(("work", {"number": 1}), ("work", {"number": 2})))
    await run(work)
    assert results(server) == ["result 1", "result 2"]


async def test_sync_tools_run_side_by_side_too_and_leave_the_loop_free(
    run: Runner, server: ResponsesServer
) -> None:
    both = threading.Barrier(2)
    loop = asyncio.get_running_loop()

    def work(number: int) -> str:
        both.wait(WAIT)
        answered = threading.Event()
        loop.call_soon_threadsafe(answered.set)
        return f"{number} {answered.wait(WAIT)}"

    server.script.append(Reply.tool_calls(("work", {"number": 1}), ("work", {"number": 2})))
    await run(work)
    assert results(server) == ["1 True", "2 True"]


async def test_what_goes_wrong_is_told_and_the_run_goes_on(
    run: Runner, server: ResponsesServer
) -> None:
    def fail(number: int) -> None:
        raise LookupError("nowhere")

    calls: tuple[ToolCall, ...] = (
        ("fail", {"number": 1}),
        ("invented", {}),
        ("fail", {"number": "x"}),
        ("fail", "{"),
    )
    server.script.append(Reply.tool_calls(*calls))
    output = await run(fail)

    told = results(server)
    assert told[0] == "LookupError: nowhere"
    assert told[1] == "There is no tool 'invented'. The tools are: fail."
    assert told[2].startswith("The arguments do not fit fail: number: Input should be a valid int")
    assert told[3].startswith("The arguments do not fit fail: arguments: Invalid JSON")
    assert output.content == "Hello."
    if run.db is not None:
        assert [each.tool_call_error for each in output.tools] == [True] * 4
        assert [each.is_error for each in output.messages if each.role == "tool"] == [True] * 4
    if run.streamed:
        errors = [each for each in run.events if each.event is RunEvent.tool_call_error]
        assert len(errors) == 4


@pytest.mark.parametrize("error", [asyncio.CancelledError, StopIteration, TimeoutError])
async def test_a_tool_cannot_end_its_run_with_an_exception(
    run_whole: Runner, server: ResponsesServer, error: type[BaseException]
) -> None:
    async def fail() -> None:
        raise error

    def fail_in_thread() -> None:
        raise error

    server.script.append(Reply.tool_calls(("fail", {}), ("fail_in_thread", {})))
    async with asyncio.timeout(WAIT):
        output = await run_whole(fail, fail_in_thread)
    assert output.status is RunStatus.completed
    assert [each.tool_call_error for each in output.tools] == [True, True]


async def test_an_agent_without_tools_tells_so(run_whole: Runner, server: ResponsesServer) -> None:
    server.script.append(Reply.tool_calls(("invented", {})))
    await run_whole()
    assert results(server) == ["There is no tool 'invented'. The tools are: none."]
    assert "tools" not in server.requests[0].body


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9])
async def test_no_more_calls_are_made_than_the_limit_allows(
    run_whole: Runner, server: ResponsesServer, limit: int
) -> None:
    called: list[int] = []

    async def work(number: int) -> int:
        called.append(number)
        return number

    server.script += [
        Reply.tool_calls(("work", {"number": 1}), ("work", {"number": 2})),
        Reply.tool_calls(("work", {"number": 3}), ("work", {"number": 4})),
    ]
    if limit < 2:  # The model was told in the first turn, and has gone on.
        with pytest.raises(UsageLimitError, match=f"tool_call_limit={limit} tool calls"):
            await run_whole(work, tool_call_limit=limit)
        assert called == [1][:limit]
        assert len(server.requests) == 2
        return
    output = await run_whole(work, tool_call_limit=limit)

    assert sorted(called) == [1, 2, 3, 4][:limit]
    refused = f"Not called: the run may make {limit} tool calls. Answer without it."
    assert results(server) == [str(n) if n <= limit else refused for n in range(1, 5)]
    assert [each.tool_call_error for each in output.tools] == [n > limit for n in range(1, 5)]


async def test_many_turns_add_up(run: Runner, server: ResponsesServer) -> None:
    def work(number: int) -> int:
        return number

    usage = Usage(input_tokens=7, output_tokens=3, cached_tokens=2, reasoning_tokens=1)
    for number in range(20):
        server.script.append(Reply.tool_calls(("work", {"number": number})).counting(usage))
    output = await run(work)

    assert results(server) == [str(number) for number in range(20)]
    bodies = [json.dumps(each.body["input"])[:-1] for each in server.requests]
    assert all(later.startswith(body) for body, later in pairwise(bodies))
    if run.db is not None:
        metrics = output.metrics
        assert (metrics.model_calls, metrics.input_tokens) == (21, 20 * 7 + 10)
        assert (metrics.output_tokens, metrics.total_tokens) == (20 * 3 + 5, 20 * 10 + 15)
        assert (metrics.cached_tokens, metrics.reasoning_tokens) == (40, 20)


async def test_a_tool_is_told_of_its_run(run_whole: Runner, server: ResponsesServer) -> None:
    contexts: list[RunContext] = []

    def look(context: RunContext) -> None:
        assert current_run.get() == context.run_id
        assert not context.cancelled
        contexts.append(context)

    shelf = object()
    server.script.append(Reply.tool_calls(("look", {})))
    await run_whole(look, dependencies={"shelf": shelf})

    [context] = contexts
    assert (context.run_id, context.session_id, context.agent_id) == ("run", "session", "tester")
    assert (context.user_id, context.metadata, context.attempt) == ("me", None, 1)
    [asked] = [
        item for item in server.requests[1].body["input"] if item.get("type") == "function_call"
    ]
    assert context.tool_call_id == asked["call_id"]
    assert context.dependencies["shelf"] is shelf


async def test_every_call_has_a_key_of_its_own(run: Runner, server: ResponsesServer) -> None:
    keys: list[str] = []

    async def work(context: RunContext) -> None:
        keys.append(context.idempotency_key)

    server.script += [Reply.tool_calls(("work", {}), ("work", {})), Reply.tool_calls(("work", {}))]
    await run(work)
    await run(work, run_id="other")
    assert keys == ["run/1/0", "run/1/1", "run/2/0"]
    server.script.append(Reply.tool_calls(("work", {})))
    await run(work, run_id="another")
    assert keys[3:] == ["another/1/0"]


async def test_the_callers_context_variables_are_seen_by_the_tools(
    run: Runner, server: ResponsesServer
) -> None:
    who: ContextVar[str] = ContextVar("who")

    def look() -> str:
        return who.get()

    async def alook() -> str:
        return who.get()

    server.script.append(Reply.tool_calls(("look", {}), ("alook", {})))
    who.set("Ada")
    await run(look, alook)
    assert results(server) == ["Ada", "Ada"]
    assert current_run.get() is None


async def test_the_tools_are_on_the_wire_with_every_request(
    run: Runner, server: ResponsesServer
) -> None:
    @tool(name="look", description="Look around.")
    def look(city: str) -> None: ...

    server.script.append(Reply.tool_calls(("look", {"city": "Bonn"})))
    await run(look)
    expected = {
        "type": "function",
        "name": "look",
        "description": "Look around.",
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "required": ["city"],
            "properties": {"city": {"type": "string"}},
        },
        "strict": False,
    }
    assert [each.body["tools"] for each in server.requests] == [[expected], [expected]]


async def test_reasoning_is_handed_back_as_it_came(run: Runner, server: ResponsesServer) -> None:
    server.script.append(Reply.tool_calls(("look", {})).thinking("Hm.", "sealed=="))

    def look() -> str:
        return "seen"

    await run(look)
    reasoning, call, told = server.requests[1].body["input"][1:]
    assert reasoning["type"] == "reasoning"
    assert reasoning["id"].startswith("rs_")
    assert reasoning["encrypted_content"] == "sealed=="
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert call["id"].startswith("fc_")
    assert told["output"] == "seen"


@pytest.mark.parametrize("result", ["\u0000", "half \ud83d", "", "x" * 1_000_000], ids=plain)
async def test_any_text_can_be_a_result(
    db: Database, model: OpenAIResponses, server: ResponsesServer, result: str
) -> None:
    def look() -> str:
        return result

    server.script.append(Reply.tool_calls(("look", {})))
    output = await Runner(db, model, False)(look)
    assert output.tools[0].result == result
    assert results(server) == [result.replace("\ud83d", "\ufffd")]
    found = await Agent("Tester", model, db=db).aget_run_output("run")
    assert found is not None
    assert found.tools == output.tools
    assert found.messages == output.messages


@LOCALLY
async def test_a_later_run_is_shown_what_the_tools_of_the_earlier_one_returned(
    db: Database, model: OpenAIResponses, server: ResponsesServer, streamed: bool
) -> None:
    def look() -> str:
        return "seen"

    server.script += [Reply.tool_calls(("look", {})).thinking("Hm."), Reply.text("First.")]
    run = Runner(db, model, streamed)
    await run(look, run_id="first")
    await run(look, run_id="second", text="And now?", add_history_to_context=True)
    earlier, later = (each.body["input"] for each in server.requests[1:])
    assert later == [
        *earlier,
        as_answer("First."),
        {"role": "user", "content": "And now?"},
    ]


@LOCALLY
async def test_a_run_that_a_tool_starts_is_a_run_of_its_own(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    inner = Agent("Inner", model, db=db)

    async def ask(question: str) -> str | None:
        return (await inner.arun(question)).content

    server.script += [Reply.tool_calls(("ask", {"question": "Why?"})), Reply.text("Because.")]
    output = await Runner(db, model, False)(ask)
    assert [each.result for each in output.tools] == ["Because."]
    assert output.content == "Hello."


@LOCALLY
async def test_the_event_of_a_call_has_the_media_that_it_made(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    def draw() -> ToolResult:
        return ToolResult("Here.", images=[Image(content=png(1)), Image(content=png(2))])

    server.script += [Reply.tool_calls(("draw", {})), Reply.text("Done.")]
    agent = Agent("Tester", model, db=db, tools=[draw])
    events = [each async for each in agent.arun("Draw.", stream=True, stream_events=True)]
    (told,) = [each for each in events if isinstance(each, ToolCallCompletedEvent)]
    assert [each.hash for each in told.images] == [blob_of(png(n)).hash for n in (1, 2)]
    assert (told.videos, told.audio, told.files) == (None, None, None)
