"""Claude in runs in the background: tools, a session, a cancel, a process that is killed."""

import json
from typing import Any

from claude_says import message, replying

from kern import Agent, RunStatus
from kern.db.database import Database
from kern.db.sqlite import SqliteDb
from kern.models.anthropic import Claude
from kern.models.openai import OpenAIResponses
from kern.testing import ProtocolServer, Reply

THINKING: dict[str, object] = {"type": "thinking", "thinking": "Hm.", "signature": "sealed=="}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def _call(number: int, b: int) -> dict[str, object]:
    arguments = {"a": 1, "b": b}
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "add", "input": arguments}


async def test_a_run_with_thinking_and_two_calls(
    db: Database, claude: Claude, server: ProtocolServer
) -> None:
    said = message(THINKING, _call(1, 2), _call(2, 4), stop_reason="tool_use")
    server.script += [replying(said), Reply.text("3 and 5.")]
    agent = Agent("Adder", claude, instructions="Add.", tools=[add], db=db)
    run = await agent.arun("What is 1 + 2, and 1 + 4?", background=True)
    ended = await agent.await_run(run.run_id)
    assert ended is not None
    assert (ended.status, ended.content) == (RunStatus.completed, "3 and 5.")
    assert ended.model_provider == "Anthropic"
    [_, second] = server.requests
    assert second.body["system"] == "Add."
    assert second.body["messages"][1:] == [
        {"role": "assistant", "content": said["content"]},
        {"role": "user", "content": [_result(1, "3"), _result(2, "5")]},
    ]


def _result(number: int, text: str) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": f"toolu_{number}",
        "content": [{"type": "text", "text": text}],
    }


async def test_a_session_moves_to_claude_and_back(
    sqlite_db: SqliteDb, claude: Claude, model: OpenAIResponses, server: ProtocolServer
) -> None:
    server.script += [
        Reply.tool_calls(("add", {"a": 1, "b": 2})).thinking("Hm.", "sealed"),
        Reply.text("Three."),
        replying(message(THINKING, _call(1, 4), stop_reason="tool_use")),
        Reply.text("Five."),
        Reply.text("You are welcome."),
    ]
    agent = Agent("Adder", model, tools=[add], add_history_to_context=True, db=sqlite_db)
    await agent.arun("1 + 2?", session_id="s")
    agent.model = claude
    await agent.arun("1 + 4?", session_id="s")
    agent.model = model
    await agent.arun("Thanks.", session_id="s")
    at_claude = server.requests[2].body["messages"]
    assert [(turn["role"], [block["type"] for block in turn["content"]]) for turn in at_claude] == [
        ("user", ["text"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result"]),
        ("assistant", ["text"]),
        ("user", ["text"]),
    ]
    assert at_claude[1]["content"][0]["id"] == at_claude[2]["content"][0]["tool_use_id"]
    back = json.dumps(server.requests[4].body["input"])
    assert "sealed==" not in back
    assert "toolu_1" in back
    assert "Five." in back


async def test_a_cancel_closes_the_connection_to_claude(
    db: Database, claude: Claude, server: ProtocolServer
) -> None:
    server.script.append(Reply.text("Hel", "lo.").held(after=1))
    agent = Agent("Talker", claude, db=db)
    run = await agent.arun("Hi", background=True)
    await server.wait_for_requests(1)
    await agent.acancel_run(run.run_id)
    await server.wait_for_disconnects(1)
    ended = await agent.await_run(run.run_id)
    assert ended is not None
    assert ended.status is RunStatus.cancelled
