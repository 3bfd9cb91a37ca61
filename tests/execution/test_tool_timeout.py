"""Tools that take too long."""

import asyncio
import threading

import pytest
from locally import LOCALLY

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import FunctionTool, Tool, base, tool


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no second for each call that does not end."""
    monkeypatch.setattr(base, "_GRACE", 0.05)


async def test_a_tool_that_takes_too_long_is_stopped_and_the_model_is_told(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    stopped = asyncio.Event()

    @tool(timeout=0.05)
    async def sleep() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise
        return "never"

    server.script += [Reply.tool_calls(("sleep", {})), Reply.text("Done", ".")]
    output = await Agent("Tester", model, tools=[sleep]).arun("Go")

    assert output.content == "Done."
    assert stopped.is_set()
    assert output.tools[0].tool_call_error
    assert output.tools[0].result == "TimeoutError: it did not return within 0.05 s"


async def test_a_synchronous_tool_is_left_behind_and_can_see_it(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    seen = threading.Event()

    @tool(timeout=0.05)
    def work(context: RunContext) -> str:
        while not context.cancelled:
            threading.Event().wait(0.01)
        seen.set()
        return "late"

    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done", ".")]
    output = await Agent("Tester", model, tools=[work]).arun("Go")

    assert output.tools[0].result == "TimeoutError: it did not return within 0.05 s"
    assert await asyncio.to_thread(seen.wait, 20)


async def test_a_timeout_of_the_tools_own_is_an_error_like_any_other(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(timeout=60)
    async def fetch() -> str:
        raise TimeoutError("the page did not come")

    server.script += [Reply.tool_calls(("fetch", {})), Reply.text("Done", ".")]
    output = await Agent("Tester", model, tools=[fetch]).arun("Go")
    assert output.tools[0].result == "TimeoutError: the page did not come"


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_above_zero(timeout: float) -> None:
    def work() -> None: ...

    with pytest.raises(ConfigurationError, match="above 0"):
        FunctionTool(work, timeout=timeout)


def slow_to_clean_up(timeout: float | None, begun: asyncio.Event, released: asyncio.Event) -> Tool:
    async def work() -> str:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await released.wait()
        return "never"

    return FunctionTool(work, timeout=timeout)


@LOCALLY
async def test_the_model_is_told_at_the_limit_though_the_tool_cleans_up(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    begun, released = asyncio.Event(), asyncio.Event()
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    agent = Agent("Tester", model, db=db, tools=[slow_to_clean_up(0.1, begun, released)])
    run = await agent.arun("Go", background=True)
    ended = await agent.await_run(run.run_id, timeout=20)

    assert ended is not None
    assert ended.status is RunStatus.completed
    assert ended.tools[0].result == "TimeoutError: it did not return within 0.1 s"
    assert len(server.requests) == 2
    released.set()


@pytest.mark.parametrize("end", ["cancel", "timeout"])
async def test_a_run_ends_though_its_tool_cleans_up(
    db: Database, model: OpenAIResponses, server: ResponsesServer, end: str
) -> None:
    begun, released = asyncio.Event(), asyncio.Event()
    server.default = Reply.tool_calls(("work", {}))
    agent = Agent("Tester", model, db=db, tools=[slow_to_clean_up(None, begun, released)])
    run = await agent.arun("Go", background=True, timeout=0.2 if end == "timeout" else None)
    async with asyncio.timeout(20):
        if end == "cancel":
            await begun.wait()
            await agent.acancel_run(run.run_id)
        ended = await agent.await_run(run.run_id)
    assert ended is not None
    assert ended.status is (RunStatus.cancelled if end == "cancel" else RunStatus.error)
    released.set()
