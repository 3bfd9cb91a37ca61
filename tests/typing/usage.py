"""Uses kern as its users do. Mypy and Pyright read it; nothing executes it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict, assert_type

from typing_extensions import override

from kern import (
    Agent,
    FunctionTool,
    Middleware,
    RunContext,
    RunInfo,
    RunOutput,
    RunOutputEvent,
    RunRequirement,
    Tool,
    ToolResult,
    Toolset,
    UsageLimits,
    tool,
)
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunContentEvent, RunPausedEvent, ToolCallCompletedEvent
from kern.run.content import Part
from kern.run.tool import ToolExecution, ToolSchema
from kern.tools.rules import UserFunction


@tool
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@tool
async def fetch(url: str, context: RunContext) -> str:
    """Fetch a page."""
    return f"{url} for {context.user_id}"


@tool(name="wire", on_interrupt="pause", timeout=30, requires_confirmation=True)
def pay(amount: int, context: RunContext) -> ToolResult:
    """Pay an amount."""
    return ToolResult(f"paid {amount}", {"key": context.idempotency_key})


@tool(description="Wait a while.")
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


def plain(city: str) -> str:
    """Be no tool yet."""
    return city


class Shop:
    """Has methods as tools."""

    @tool
    def price(self, of: str) -> int:
        """Tell a price."""
        return len(of)

    @tool(timeout=5)
    async def order(self, what: str, count: int = 1) -> str:
        """Order something."""
        return f"{count} {what}"


class Shell(Tool):
    """A tool of one's own kind."""

    def __init__(self) -> None:
        super().__init__(ToolSchema("shell", "Runs a command.", {"type": "object"}), timeout=60)

    @property
    @override
    def is_portable(self) -> bool:
        return False

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        return ToolResult(f"{arguments} in {context.session_id}", is_error=True)


class Remote(Toolset):
    """Tools that are known later."""

    @override
    async def tools(self, run: RunInfo) -> Sequence[Tool]:
        return [Shell(), add, Shop().order]


async def decorated_functions_keep_their_signatures(context: RunContext) -> None:
    assert_type(add(1), int)
    assert_type(add(1, b=2), int)
    assert_type(await fetch("/", context), str)
    assert_type(pay(5, context), ToolResult)
    assert_type(await wait(seconds=0.5), float)
    add("1")  # type: ignore[arg-type] # no number
    add()  # type: ignore[call-arg] # one is missing
    await fetch("/")  # type: ignore[call-arg] # no context
    pay(5, context, 6)  # type: ignore[call-arg] # one too many


async def methods_keep_theirs_without_the_instance() -> None:
    shop = Shop()
    assert_type(shop.price("tea"), int)
    assert_type(await shop.order("tea", count=2), str)
    assert_type(Shop.price(shop, "tea"), int)
    shop.price(5)  # type: ignore[arg-type] # no text
    await shop.order()  # type: ignore[call-arg] # one is missing


async def tools_are_called_as_a_model_would(context: RunContext) -> None:
    made: Tool = FunctionTool(plain, name="other", requires_confirmation=True)
    result = await made.call("{}", context)
    assert_type(result.content, str | tuple[Part, ...])
    assert_type(result.is_error, bool)
    assert_type(made.schema, ToolSchema)
    assert_type(made.requires_confirmation, bool | UserFunction)
    assert_type(made.timeout, float | None)
    assert_type(FunctionTool(plain)("Bonn"), str)
    result.content = ""  # type: ignore[misc] # it is frozen


def an_agent_takes_them_all(some: Sequence[Tool], functions: list[Callable[..., str]]) -> None:
    shop = Shop()
    agent = Agent("Tester", OpenAIResponses(), tools=[add, fetch, pay, plain, shop.order, Shell()])
    named: list[Tool] = [add, fetch, shop.price]
    Agent("Tester", OpenAIResponses(), tools=[*some, *named])
    Agent("Tester", OpenAIResponses(), tools=functions)
    assert_type(agent.tools["add"], Tool)


class Shelf(TypedDict):
    """Dependencies of one's own type."""

    books: list[str]


class Weather(TypedDict):
    """An answer of one's own type."""

    degrees: int


class Timed(Middleware):
    """Middleware of one's own."""

    @override
    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        return await proceed()


def a_tool_knows_its_dependencies(context: RunContext[Shelf]) -> str:
    assert_type(context.dependencies, Shelf)
    return context.dependencies["books"][0]


def anything(agent: Agent) -> None:
    """Take any agent that answers with text."""


async def an_agent_needs_no_brackets() -> None:
    agent = Agent(
        "Tester",
        OpenAIResponses(),
        dependencies={"books": ["Emma"]},
        usage_limits=UsageLimits(requests=5),
        middleware=[Timed()],
        max_turns=None,
        live=True,
    )
    anything(agent)
    run = await agent.arun("Hello?", metadata={"a": 1}, background=True)
    assert_type(run.content, str | None)
    assert_type(run.requirements, list[RunRequirement])
    assert_type(run.started_at, float | None)
    found = await agent.await_run(run.run_id)
    assert_type(found, RunOutput | None)
    assert_type(agent.run("Hello?").content, str | None)
    await agent.acontinue_run(run.run_id, requirements=run.active_requirements)


async def an_agent_may_say_what_it_answers() -> None:
    agent: Agent[Shelf, Weather] = Agent("Tester", OpenAIResponses(), dependencies=Shelf(books=[]))
    run = await agent.arun("How warm is it?")
    assert_type(run, RunOutput[Weather])
    assert_type(run.content, Weather | None)
    assert_type(await agent.aget_run_output("run"), RunOutput[Weather] | None)


async def stream_is_a_bool_that_need_not_be_known(agent: Agent, stream: bool) -> None:
    async for event in agent.arun("Hello?", stream=True, background=True):
        assert_type(event, RunOutputEvent)
    for event in agent.run("Hello?", stream=True):
        assert_type(event, RunOutputEvent)
    answer = agent.arun("Hello?", stream=stream)
    print(answer)


async def events_narrow(agent: Agent) -> None:
    async for event in agent.astream_run("run", after=41):
        match event:
            case RunContentEvent(content=text):
                assert_type(text, str)
            case ToolCallCompletedEvent():
                assert_type(event.tool, ToolExecution)
                assert_type(event.content, str)
            case RunPausedEvent():
                assert_type(event.active_requirements, list[RunRequirement])
            case _:
                assert_type(event.content, str | None)
        print(RunOutputEvent.from_dict(event.to_dict()))
