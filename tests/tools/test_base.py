"""The port: what holds for tools of every kind, whatever their code does."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import pytest
from typing_extensions import override

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, InvalidInputError, ToolsetError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunInfo, RunStatus
from kern.run.tool import ToolSchema
from kern.testing import Reply, ResponsesServer
from kern.tools import Tool, ToolResult, Toolset

WAIT = 20.0

Work: TypeAlias = Callable[[str, asyncio.Timeout], Awaitable[ToolResult]]


class Own(Tool):
    """A tool that is no function of a user's."""

    def __init__(self, work: Work, **rules: Any) -> None:
        super().__init__(ToolSchema("own", "Its own.", {"type": "object"}), **rules)
        self.work = work

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        return await self.work(arguments, limit)


async def echo(arguments: str, limit: asyncio.Timeout) -> ToolResult:
    return ToolResult(arguments)


async def sleep(arguments: str, limit: asyncio.Timeout) -> ToolResult:
    await asyncio.sleep(WAIT)
    return ToolResult("never")


@pytest.fixture
def context() -> RunContext:
    return RunContext("run", "session", "agent", None, None, 1, "call", "run/1/0", {})


async def test_an_agent_calls_a_tool_of_any_kind(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.tool_calls(("own", {"a": 1})))
    agent = Agent("Tester", model, db=InMemoryDb(), tools=[Own(echo)])
    run = await agent.arun("Go", background=True)
    ended = await agent.await_run(run.run_id, timeout=WAIT)

    assert ended is not None
    assert ended.status is RunStatus.completed
    assert [each.result for each in ended.tools] == ['{"a": 1}']
    [told] = server.requests[0].body["tools"]
    assert (told["name"], told["description"]) == ("own", "Its own.")


def test_a_tool_shows_its_kind_and_name_and_is_portable_unless_it_says_otherwise() -> None:
    own = Own(echo, requires_confirmation=True)
    assert repr(own) == "Own('own')"
    assert own.is_portable
    assert own.requires_confirmation


@pytest.mark.parametrize(
    "rules", [{"timeout": 0}, {"timeout": float("nan")}, {"on_interrupt": "stop"}]
)
def test_a_rule_that_cannot_be_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Own(echo, **rules)


@pytest.mark.parametrize("content", [None, 3, {"a": 1}, ["a"], ("a",)])
def test_the_content_of_a_result_is_a_text_or_parts(content: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be a text or a tuple of parts"):
        ToolResult(content)


async def test_what_is_no_result_is_an_error(context: RunContext) -> None:
    async def work(arguments: str, limit: asyncio.Timeout) -> Any:
        return arguments

    assert await Own(work).call("{}", context) == ToolResult(
        "TypeError: it returned str in place of a ToolResult", is_error=True
    )


async def test_a_call_ends_at_its_time_limit_whatever_it_raises_then(context: RunContext) -> None:
    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        try:
            return await sleep(arguments, limit)
        finally:
            raise LookupError

    for each in (sleep, work):
        assert await Own(each, timeout=0.01).call("{}", context) == ToolResult(
            "TimeoutError: it did not return within 0.01 s", is_error=True
        )
    assert context.cancelled


async def test_a_tool_may_leave_time_uncounted(context: RunContext) -> None:
    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        assert limit.when() is not None
        limit.reschedule(None)
        await asyncio.sleep(0.05)
        return ToolResult("in time")

    assert await Own(work, timeout=0.01).call("{}", context) == ToolResult("in time")


async def test_a_time_out_of_the_tools_own_is_its_error(context: RunContext) -> None:
    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        async with asyncio.timeout(0):
            return await sleep(arguments, limit)

    told = ToolResult("TimeoutError", is_error=True)
    assert await Own(work, timeout=WAIT).call("{}", context) == told


async def begun(own: Own, context: RunContext, began: asyncio.Event) -> asyncio.Task[ToolResult]:
    task = asyncio.create_task(own.call("{}", context))
    async with asyncio.timeout(WAIT):
        await began.wait()
    return task


@pytest.mark.parametrize("error", [None, LookupError, KeyboardInterrupt, GeneratorExit])
async def test_a_cancel_of_the_call_passes_on_once_the_tool_has_ended(
    context: RunContext, error: type[BaseException] | None, caplog: pytest.LogCaptureFixture
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        began.set()
        try:
            return await sleep(arguments, limit)
        finally:
            await asyncio.sleep(0)
            ended.set()
            if error is not None:
                raise error

    task = await begun(Own(work), context, began)
    task.cancel()
    with caplog.at_level(logging.WARNING), pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert context.cancelled
    assert [each for each in caplog.messages if "the tool own" in each] == []


async def test_what_a_tool_returns_in_spite_of_a_cancel_is_its_result(context: RunContext) -> None:
    began = asyncio.Event()

    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        began.set()
        try:
            return await sleep(arguments, limit)
        except asyncio.CancelledError:
            return ToolResult("done")

    task = await begun(Own(work), context, began)
    task.cancel()
    assert await task == ToolResult("done")


# How long a tool of these tests cleans up: longer than a test may take.
LONG = 30.0


def cleaning(ended: asyncio.Event, release: asyncio.Event) -> Work:
    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        try:
            return await sleep(arguments, limit)
        finally:
            await release.wait()
            ended.set()

    return work


def swallowing(ended: asyncio.Event, release: asyncio.Event) -> Work:
    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        ended.set()
        return ToolResult("at last")

    return work


@pytest.mark.parametrize("kind", [cleaning, swallowing])
async def test_a_call_ends_at_its_time_limit_though_the_tool_cleans_up(
    context: RunContext, kind: Callable[[asyncio.Event, asyncio.Event], Work]
) -> None:
    ended, release = asyncio.Event(), asyncio.Event()
    began = time.monotonic()
    result = await Own(kind(ended, release), timeout=0.05).call("{}", context)
    assert time.monotonic() - began < WAIT
    assert result == ToolResult("TimeoutError: it did not return within 0.05 s", is_error=True)
    assert context.cancelled
    assert not ended.is_set()
    release.set()
    async with asyncio.timeout(WAIT):
        await ended.wait()


@pytest.mark.parametrize("kind", [cleaning, swallowing])
async def test_a_cancel_of_the_call_waits_a_moment_only_for_the_tool_to_clean_up(
    context: RunContext,
    kind: Callable[[asyncio.Event, asyncio.Event], Work],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kern.tools.base._GRACE", 0.1)
    ended, release, began = asyncio.Event(), asyncio.Event(), asyncio.Event()
    work = kind(ended, release)

    async def begin(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        began.set()
        return await work(arguments, limit)

    task = await begun(Own(begin), context, began)
    task.cancel()
    async with asyncio.timeout(WAIT):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not ended.is_set()
    release.set()
    async with asyncio.timeout(WAIT):
        await ended.wait()


async def test_what_a_tool_fails_of_while_it_cleans_up_is_logged(
    context: RunContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        try:
            return await sleep(arguments, limit)
        finally:
            await asyncio.sleep(0.01)
            raise LookupError("it is gone")

    with caplog.at_level(logging.WARNING):
        await Own(work, timeout=0.01).call("{}", context)
        async with asyncio.timeout(WAIT):
            while not (told := [each for each in caplog.messages if "the tool own" in each]):  # noqa: ASYNC110 # a log has no event
                await asyncio.sleep(0.01)
    assert told == ["run run: the tool own failed while it cleaned up: LookupError('it is gone')"]


async def test_a_result_that_comes_just_in_time_counts(context: RunContext) -> None:
    async def work(arguments: str, limit: asyncio.Timeout) -> ToolResult:
        limit.reschedule(0.0)
        return ToolResult("in time")

    assert await Own(work, timeout=WAIT).call("{}", context) == ToolResult("in time")


class Slow(Toolset):
    timeout = 0.05

    @override
    async def tools(self, run: RunInfo) -> Sequence[Tool]:
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(LONG)
        return []


async def test_a_toolset_has_to_say_in_time_which_tools_it_has() -> None:
    began = time.monotonic()
    with pytest.raises(ToolsetError, match=r"Slow did not say .* within 0\.05 s"):
        await Slow().listed(RunInfo("run", "session", "agent", None, 1, None))
    assert time.monotonic() - began < WAIT
