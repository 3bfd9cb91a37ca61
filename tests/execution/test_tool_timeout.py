"""Tools that take too long."""

import asyncio
import threading

import pytest

from kern.agent import Agent
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext
from kern.testing import ResponsesServer
from kern.testing.responses import Reply
from kern.tools import FunctionTool, tool


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
    assert await asyncio.to_thread(seen.wait, 10)


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
