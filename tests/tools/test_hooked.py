"""Functions before, around and after the calls of tools, in the loop and in threads."""

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from typing_extensions import override

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, RetryAgentRun, StopAgentRun
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.tool import ToolSchema
from kern.testing import Reply, ResponsesServer
from kern.tools import Function, FunctionCall, Tool, ToolResult, tool

noted: list[object] = []


@pytest.fixture(autouse=True)
def _noted() -> None:
    noted.clear()


async def run(
    model: OpenAIResponses, server: ResponsesServer, used: Any, *hooks: Any, **arguments: Any
) -> tuple[str, RunOutput]:
    """Return what the model was told of a call with hooks of the agent, and the run."""
    server.script += [Reply.tool_calls((used.name, arguments)), Reply.text("Done.")]
    agent = Agent("Tester", model, tools=[used], tool_hooks=hooks, db=InMemoryDb())
    ended = await agent.arun("Go", user_id="me")
    assert ended.tools[0].result is not None
    return ended.tools[0].result, ended


def add(a: int, b: int = 1) -> int:
    """Add."""
    noted.append(("add", a, b, threading.current_thread() is threading.main_thread()))
    return a + b


async def add_later(a: int, b: int = 1) -> int:
    """Add."""
    await asyncio.sleep(0)
    return add(a, b)


def outer(name: str, func: Callable[..., int], args: dict[str, Any]) -> int:
    noted.append(("outer", name, dict(args)))
    return func(**args) * 10


async def inner(
    function_name: str, function_call: Callable[..., Any], arguments: dict[str, Any]
) -> int:
    noted.append(("inner", function_name, dict(arguments)))
    result: int = await function_call(**{**arguments, "b": 5})
    return result + 1


ADDED = [Function(add), Function(add_later, name="add")]


@pytest.mark.parametrize("used", ADDED, ids=["thread", "loop"])
async def test_hooks_nest_the_first_outermost(
    model: OpenAIResponses, server: ResponsesServer, used: Any
) -> None:
    told, _ = await run(model, server, used, outer, inner, a=2)
    assert told == "80"
    is_main = used is ADDED[1]
    assert noted == [
        ("outer", "add", {"a": 2, "b": 1}),
        ("inner", "add", {"a": 2, "b": 1}),
        ("add", 2, 5, is_main),
    ]


@pytest.mark.parametrize("used", ADDED, ids=["thread", "loop"])
@pytest.mark.parametrize("hooks", [(inner, outer), (outer, outer), (inner, inner)])
async def test_hooks_of_both_kinds_nest_in_any_order(
    model: OpenAIResponses, server: ResponsesServer, used: Any, hooks: Any
) -> None:
    told, _ = await run(model, server, used, *hooks, a=2)
    expected = {(inner, outer): 71, (outer, outer): 300, (inner, inner): 9}[hooks]
    assert int(told) == expected


async def test_the_hooks_of_a_tool_are_within_those_of_the_agent(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    used = Function(add, tool_hooks=[inner])
    await run(model, server, used, outer, a=1)
    assert [each[0] for each in noted if isinstance(each, tuple)] == ["outer", "inner", "add"]


async def test_a_hook_that_never_calls_gives_the_result(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def refuse(function_name: str) -> str:
        return f"{function_name} is not for you"

    assert (await run(model, server, Function(add), refuse, a=1))[0] == "add is not for you"
    assert noted == []


async def test_a_hook_may_call_more_than_once(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    async def twice(func: Callable[..., Any], args: dict[str, Any]) -> int:
        first, second = await func(**args), await func(**args)
        return int(first + second)

    assert (await run(model, server, Function(add), twice, a=1))[0] == "4"
    assert len(noted) == 2


async def test_a_hook_is_told_of_the_run(model: OpenAIResponses, server: ResponsesServer) -> None:
    def look(
        run_context: RunContext, agent: Agent, team: object, user_id: str, func: Any, args: Any
    ) -> Any:
        noted.append((run_context.tool_call_id != "", agent.name, team, user_id))
        return func(**args)

    assert (await run(model, server, Function(add_later), look, a=1))[0] == "2"
    assert noted[0] == (True, "Tester", None, "me")


async def test_what_a_hook_raises_is_the_error_of_the_call(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(function_name: str) -> str:
        raise PermissionError("ask your manager")

    told, ended = await run(model, server, Function(add), refuse, a=1)
    assert told == "PermissionError: ask your manager"
    assert ended.status is RunStatus.completed
    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "the tool add failed: PermissionError: ask your manager" in record.message


async def test_a_hook_may_stop_the_run_or_have_the_model_try_again(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def stop() -> None:
        raise StopAgentRun("Enough.")

    def retry() -> None:
        raise RetryAgentRun("Not like this.")

    told, ended = await run(model, server, Function(add, pre_hook=retry), a=1)
    assert (told, ended.content) == ("Not like this.", "Done.")
    told, ended = await run(model, server, Function(add), stop, a=1)
    assert (told, ended.content) == ("Enough.", "Enough.")
    assert noted == []


async def test_a_pre_hook_may_change_the_arguments_and_a_post_hook_the_result(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def before(fc: FunctionCall) -> None:
        noted.append((fc.function.name, dict(fc.arguments), fc.result, bool(fc.call_id)))
        fc.arguments["a"] = 40

    async def after(fc: FunctionCall, run_context: RunContext) -> None:
        noted.append((fc.result, fc.error))
        fc.result = f"{fc.result} for {run_context.user_id}"

    used = tool(name="add", pre_hook=before, post_hook=after)(add_later)
    assert (await run(model, server, used, a=1))[0] == "41 for me"
    assert noted[0] == ("add", {"a": 1, "b": 1}, None, True)
    assert noted[-1] == (41, None)


async def test_a_pre_hook_that_raises_keeps_the_tool_from_being_called(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def before() -> None:
        raise PermissionError("no")

    assert (await run(model, server, Function(add, pre_hook=before), a=1))[0] == (
        "PermissionError: no"
    )
    assert noted == []


async def test_a_post_hook_that_raises_leaves_the_result(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def after() -> None:
        raise OSError("the log is full")

    assert (await run(model, server, Function(add, post_hook=after), a=1))[0] == "2"
    assert "the post_hook of the tool add: OSError: the log is full" in caplog.text
    assert not [each for each in caplog.records if each.levelno > logging.WARNING]


async def test_a_function_may_ask_for_its_own_call(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def look(fc: FunctionCall, item: str) -> str:
        return f"{fc.function.name} {fc.arguments} {item}"

    assert (await run(model, server, Function(look), item="a"))[0] == "look {'item': 'a'} a"


async def test_arguments_that_do_not_fit_reach_no_hook(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    told, _ = await run(model, server, Function(add), outer, a="many")
    assert told.startswith("The arguments do not fit add: a: ")
    assert noted == []


async def test_a_generator_passes_through_hooks(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def write() -> Iterator[str]:
        yield from ("one, ", "two")

    async def write_later() -> AsyncIterator[str]:
        for each in write():
            yield each

    def through(func: Any, args: Any) -> Any:
        return func(**args)

    async def through_later(func: Any, args: Any) -> Any:
        return await func(**args)

    for used in (Function(write), Function(write_later)):
        for hook in (through, through_later):
            assert (await run(model, server, used, hook))[0] == "one, two"


class Own(Tool):
    """A tool that is no function."""

    def __init__(self) -> None:
        super().__init__(ToolSchema("own", "Its own.", {"type": "object"}))

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        return ToolResult(arguments)


async def test_tools_of_every_kind_have_hooks(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def through(func: Any, args: dict[str, Any]) -> Any:
        return func(**args, more=True)

    assert (await run(model, server, Own(), through, a=1))[0] == '{"a":1,"more":true}'


async def test_nothing_more_is_called_once_the_call_was_stopped(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    let, called = threading.Event(), asyncio.Event()

    def late(func: Any, args: Any) -> Any:
        let.wait(10)
        try:
            return func(**args)
        except RuntimeError as error:
            noted.append(str(error))
            loop.call_soon_threadsafe(called.set)
            raise

    loop = asyncio.get_running_loop()
    used = Function(add, timeout=0.1)
    assert "TimeoutError" in (await run(model, server, used, late, a=1))[0]
    let.set()
    await asyncio.wait_for(called.wait(), 20)
    assert noted == ["the call was stopped, so nothing more of it is called"]


async def test_what_a_hook_has_begun_in_the_loop_ends_with_the_call(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    def hook(func: Any) -> Any:
        return func()

    used = Function(endless, timeout=0.2)
    while not begun.is_set():  # It may be stopped before that, on a slow machine.
        assert "TimeoutError" in (await run(model, server, used, hook))[0]
    await asyncio.wait_for(cancelled.wait(), 20)


async def test_hooks_share_the_time_limit_of_the_tool(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    async def slow(func: Any, args: Any) -> Any:
        await asyncio.sleep(60)

    used = Function(add, timeout=0.1)
    assert "TimeoutError" in (await run(model, server, used, slow, a=1))[0]


class Audit:
    """A hook that is an object."""

    async def __call__(self, func: Any, args: Any) -> Any:
        return await func(**args)

    def method(self, func: Any, args: Any) -> Any:
        return func(**args)


async def test_objects_methods_and_partials_are_hooks(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def twice(by: int, func: Any, args: Any) -> Any:
        return func(**args) * by

    hooks = (Audit(), Audit().method, functools.partial(twice, 2))
    assert (await run(model, server, Function(add), *hooks, a=1))[0] == "4"


@pytest.mark.parametrize("keyword", ["tool_hooks", "pre_hook", "post_hook"])
def test_a_hook_that_asks_for_what_there_is_not_is_refused(
    model: OpenAIResponses, keyword: str
) -> None:
    def hook(fucntion_name: str) -> None: ...

    given: Any = {keyword: [hook] if keyword == "tool_hooks" else hook}
    with pytest.raises(ConfigurationError, match="has a parameter 'fucntion_name' that kern has n"):
        Function(add, **given)
    if keyword == "tool_hooks":
        with pytest.raises(ConfigurationError, match="A tool_hook of the agent, hook, has a param"):
            Agent("Tester", model, tools=[add], **given)
