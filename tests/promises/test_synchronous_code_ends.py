"""Promise 14: every wait ends. No arrangement of nested runs, threads and loops deadlocks."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kern.agent import Agent
from kern.aio import threads
from kern.db.in_memory import InMemoryDb
from kern.errors import SyncInLoopError, ThreadLimitError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import ResponsesServer
from kern.testing.responses import Reply
from kern.tools import tool


@pytest.fixture
def server() -> Iterator[ResponsesServer]:
    """A server that answers while the test blocks its thread."""
    with ResponsesServer() as running:
        yield running


def call_once(body: dict[str, Any]) -> Reply:
    """Have the model call its tool, and be done with the result."""
    if any(item.get("type") == "function_call_output" for item in body["input"]):
        return Reply.text("Done.")
    return Reply.tool_calls((body["tools"][0]["name"], {}))


async def test_a_synchronous_run_within_an_asynchronous_tool_is_an_error_that_names_its_twin(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    inner = Agent("Inner", model)
    raised: list[BaseException] = []

    async def ask() -> str:
        try:
            return inner.run("Hi").content or ""
        except SyncInLoopError as error:
            raised.append(error)
            return (await inner.arun("Hi")).content or ""

    server.script += [Reply.tool_calls(("ask", {})), Reply.text("Hello."), Reply.text("Done.")]
    outer = Agent("Outer", model, tools=[ask])
    run = await asyncio.to_thread(outer.run, "Go")
    assert run.tools[0].result == "Hello."
    assert "await agent.arun(...)" in str(raised[0])


async def test_a_loop_that_executes_a_run_is_not_blocked_by_a_synchronous_method(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("Hello.").held()
    server.script.append(reply)
    agent = Agent("Tester", model, db=InMemoryDb())
    run = await agent.arun("Hi", background=True)
    with pytest.raises(SyncInLoopError, match=r"await agent\.await_run\(\.\.\.\)"):
        agent.wait_run(run.run_id)
    with pytest.raises(SyncInLoopError, match=r"async for \.\.\. in agent\.astream_run\(\.\.\.\)"):
        agent.stream_run(run.run_id)
    reply.release()
    assert await asyncio.to_thread(agent.wait_run, run.run_id, 10)


async def test_a_loop_that_serves_an_agent_is_not_blocked_while_its_runs_wait(
    model: OpenAIResponses,
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    first = await agent.arun("Hi", background=True)
    await agent.await_run(first.run_id, timeout=10)
    with pytest.raises(SyncInLoopError, match=r"await agent\.arun"):
        agent.run("Hi")


def test_sixty_synchronous_runs_whose_tools_run_another_agent_end(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    def look() -> str:
        return "seen"

    inner = Agent("Inner", model, tools=[look], instructions="look")

    def ask() -> str:
        return inner.run("Go").content or ""

    server.default = call_once
    outer = Agent("Outer", model, tools=[ask], instructions="ask")
    with ThreadPoolExecutor(60) as pool:
        runs = list(pool.map(outer.run, ["Go"] * 60))
    assert {run.status for run in runs} == {RunStatus.completed}
    assert {run.tools[0].result for run in runs} == {"Done."}


async def test_a_time_limit_counts_the_call_and_not_the_wait_for_a_thread(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(timeout=2)
    def work() -> str:
        time.sleep(1)
        return "done"

    server.script.append(Reply.tool_calls(*[("work", {})] * 120))
    run = await Agent("Tester", model, tools=[work]).arun("Go")
    assert [each.result for each in run.tools] == ["done"] * 120


async def test_where_no_more_threads_may_be_the_run_says_which_setting_to_raise(
    model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_threads", threads.Threads(1, patience=0.05))
    gate = threading.Event()

    def work() -> bool:
        return gate.wait(30)

    server.script.append(Reply.tool_calls(*[("work", {})] * 2))
    with pytest.raises(ThreadLimitError, match="raise KERN_MAX_THREADS"):
        await Agent("Tester", model, tools=[work]).arun("Go")
    gate.set()
