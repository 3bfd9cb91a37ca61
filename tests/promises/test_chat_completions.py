"""Runs over Chat Completions keep the promises, and conversations move between the protocols."""

import signal
from typing import Any

import pytest
from elsewhere import Elsewhere

from kern import tool
from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

HEARTBEAT = 1.0

BODY = """
from kern import tool
from kern.models.openai import OpenAIChat

@tool
def add(a: int) -> int:
    return a + 1

chat = Agent("Chat", OpenAIChat("test-model", max_retries=0), tools=[add], db=db)
await chat.arun("Add", background=True, run_id="lost")
await asyncio.Event().wait()
"""

calls: list[int] = []


@tool
def add(a: int) -> int:
    """Add one."""
    calls.append(a)
    return a + 1


@pytest.fixture
def chat(server: ResponsesServer) -> OpenAIChat:
    """A model at the server that is asked by Chat Completions."""
    return OpenAIChat("test-model", base_url=server.base_url, api_key="sk-test", max_retries=0)


async def test_a_killed_run_goes_on_and_repeats_no_tool(
    shared_db: Database,
    chat: OpenAIChat,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", str(HEARTBEAT))
    server.script += [Reply.tool_calls(("add", {"a": 1})).thinking("Hm.", "sealed"), Reply.hang()]
    process = elsewhere(BODY, KERN_HEARTBEAT=str(HEARTBEAT))
    await server.wait_for_requests(2, timeout=20)
    agent = Agent("Chat", chat, tools=[add], db=shared_db)
    await agent.await_run((await agent.arun("Serve", background=True)).run_id)

    process.send(signal.SIGKILL)
    await process.ended()
    run = await agent.await_run("lost", timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    assert calls == []
    asked = [each.body for each in server.requests]
    _, before, after = [each for each in asked if each["messages"][0]["content"] == "Add"]
    assert before["messages"] == after["messages"]
    assert before["messages"][1]["reasoning_details"][0]["data"] == "sealed"
    assert before["messages"][2]["content"] == "2"


async def test_a_cancel_closes_the_connection(
    db: Database, chat: OpenAIChat, server: ResponsesServer
) -> None:
    server.script.append(Reply.hang())
    agent = Agent("Chat", chat, db=db)
    run = await agent.arun("Go", background=True)
    await server.wait_for_requests(1)
    await agent.acancel_run(run.run_id)
    await server.wait_for_disconnects(1)
    ended = await agent.await_run(run.run_id)
    assert ended is not None
    assert ended.status is RunStatus.cancelled


async def test_a_background_run_is_streamed_with_its_reasoning(
    db: Database, chat: OpenAIChat, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Hel", "lo.").thinking("Hm hm"))
    agent = Agent("Chat", chat, db=db, live=True)
    run = await agent.arun("Go", background=True)
    events = [event async for event in agent.astream_run(run.run_id)]
    texts = [event.content for event in events if event.event == RunEvent.run_content]
    assert "".join(str(each) for each in texts if each) == "Hello."


@pytest.mark.parametrize("order", ["from Responses", "to Responses"])
async def test_a_conversation_moves_between_the_protocols(
    db: Database, chat: OpenAIChat, server: ResponsesServer, order: str
) -> None:
    responses = OpenAIResponses(
        "test-model", base_url=server.base_url, api_key="sk-test", max_retries=0
    )
    models: list[Any] = [responses, chat] if order == "from Responses" else [chat, responses]
    server.script += [Reply.tool_calls(("add", {"a": 1})).thinking("Hm.", "sealed")]
    agents = [
        Agent("Tester", each, id="t", tools=[add], db=db, add_history_to_context=True)
        for each in models
    ]
    for agent in agents:
        await agent.arun("Go", session_id="s")
    sent = server.requests[-1]
    assert "sealed" in str(server.requests[1].body)
    assert "sealed" not in str(sent.body)
    said = sent.body.get("messages") or sent.body["input"]
    roles = [each.get("role") or each["type"] for each in said]
    assert roles in (
        ["user", "assistant", "tool", "assistant", "user"],
        ["user", "function_call", "function_call_output", "assistant", "user"],
    )
