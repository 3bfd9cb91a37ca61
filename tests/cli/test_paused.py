"""What the command line says of runs that wait for a person."""

import asyncio
import json

import pytest
from command import options_of, printed

from kern.agent import Agent
from kern.db.database import Database
from kern.exceptions import ApprovalRequired
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext
from kern.testing import Reply, ResponsesServer
from kern.tools import tool

WAITS = 'waits for a person: confirmation of Clerk\'s refund({"amount": 5})'


def said(db: Database, *command: str) -> str:
    return printed(options_of(db), *command)


@tool(requires_confirmation=True, expires_in=3600)
def refund(amount: int) -> str:
    return f"refunded {amount}"


def atlas(page: int, run_context: RunContext) -> str:
    if not run_context.is_approved:
        raise ApprovalRequired(f"Page {page} is secret.")
    return "mountains"


@pytest.fixture
def manager(shared_db: Database, model: OpenAIResponses, server: ResponsesServer) -> Agent:
    clerk = Agent("Clerk", model, tools=[refund])
    server.script += [
        Reply.tool_calls(("clerk", {"input": "Refund 5."})),
        Reply.tool_calls(("refund", {"amount": 5})),
        Reply.text("Not refunded."),
        Reply.text("Well."),
    ]
    return Agent("Manager", model, tools=[clerk.as_tool()], db=shared_db)


async def paused(agent: Agent) -> RunOutput:
    await agent.arun("Refund", background=True, run_id="run")
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert run.is_paused
    return run


async def test_a_paused_run_says_for_which_child_and_until_when_it_waits(
    manager: Agent, shared_db: Database
) -> None:
    run = await paused(manager)
    shown = await asyncio.to_thread(said, shared_db, "runs", "list")
    line = next(each for each in shown.splitlines() if each.startswith("run "))
    assert f"{WAITS}; in 59m " in line
    assert line.rstrip().endswith("Refund"), "what it was asked, and no error"
    shown = await asyncio.to_thread(said, shared_db, "runs", "show", "run")
    assert "RunPaused" in shown
    assert shown.count("confirmation of Clerk's refund") == 2, "why, and in what has happened"
    assert "Error" not in shown
    [one, _] = json.loads(await asyncio.to_thread(said, shared_db, "runs", "list", "--json"))[::-1]
    assert one["why"]["run_id"] == run.requirements[0].member_run_id
    assert one["why"]["until"] is not None


async def test_what_has_happened_says_who_answered_before_what_follows(
    manager: Agent, shared_db: Database
) -> None:
    run = await paused(manager)
    child = run.requirements[0].member_run_id
    assert child is not None
    run.requirements[0].reject("Not today.")
    await manager.acontinue_run("run", requirements=run.requirements, by="ada")
    ended = await manager.await_run("run", timeout=20, until="end")
    assert ended is not None
    at = [event.created_at async for event in manager.astream_run("run")]
    assert at[0] == min(at), "the second attempt starts after what the first one has done"
    for run_id in ("run", child):
        command = ("runs", "show", run_id, "--json")
        events = json.loads(await asyncio.to_thread(said, shared_db, *command))["events"]
        times = [each["created_at"] for each in events]
        assert times == sorted(times)
    kinds = [each["event"] for each in events]
    assert kinds[kinds.index("RunPaused") + 1] == "RunContinued"
    assert "by ada" in await asyncio.to_thread(said, shared_db, "runs", "show", "run")


async def test_what_a_tool_says_when_it_asks_is_shown(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.tool_calls(("atlas", {"page": 4}))]
    await paused(Agent("Reader", model, tools=[atlas], db=shared_db))
    shown = await asyncio.to_thread(said, shared_db, "runs", "list")
    assert 'confirmation of atlas({"page": 4}) (Page 4 is secret.)' in shown
