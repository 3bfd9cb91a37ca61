"""A run that begins with the steps of one that waits for a person asks for the same."""

from typing import Any

import pytest
from load import ended
from teams import calling, leading

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.team import Team
from kern.tools import tool
from kern.tools.user_feedback import UserFeedbackTools

BOTH = pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
QUESTION = {"question": "Which?", "header": "It", "options": [{"label": "This"}, {"label": "That"}]}


@tool(requires_confirmation=True)
def order() -> str:
    """Order something."""
    return "ordered"


async def branched(agent: Agent[Any, Any], background: bool) -> RunOutput:
    """Return a run that begins with all steps of one that has paused, as it rests."""
    paused = await agent.arun("Go", background=background)
    if background:
        paused = await ended(agent, paused.run_id, 15)
    last = [each async for each in agent.astream_run(paused.run_id)][-1]
    # In a session of its own: there it waits for no run that has paused.
    branch = await agent.acontinue_run(paused.run_id, from_seq=last.seq, session_id="other")
    return await rested(agent, branch)


async def rested(agent: Agent[Any, Any], run: RunOutput) -> RunOutput:
    return run if run.is_paused or run.is_terminal else await ended(agent, run.run_id, 15)


@BOTH
async def test_what_a_member_waits_for_is_asked_in_a_branch(background: bool) -> None:
    worker = Agent("Worker", calling([("order", {})]), tools=[order])
    team = Team([worker], "Team", leading("worker"), db=InMemoryDb())
    run = await branched(team, background)
    [asked] = run.active_requirements
    assert (asked.tool_execution.tool_name, asked.member_agent_id) == ("order", "worker")
    assert asked.member_run_id == run.tools[0].child_run_id
    asked.confirm()
    run = await rested(team, await team.acontinue_run(run))
    assert (run.status, run.content) == (RunStatus.completed, "[[ordered]]")


@BOTH
async def test_what_a_call_has_asked_itself_is_asked_in_a_branch(background: bool) -> None:
    model = calling([("ask_user", {"questions": [QUESTION]})])
    agent = Agent("Asker", model, db=InMemoryDb(), tools=[UserFeedbackTools()])
    run = await branched(agent, background)
    [asked] = run.active_requirements
    assert asked.needs_user_feedback
    assert [each.question for each in asked.user_feedback_schema or ()] == ["Which?"]
    asked.provide_user_feedback({"Which?": ["That"]})
    run = await rested(agent, await agent.acontinue_run(run))
    assert run.status is RunStatus.completed
    assert "That" in (run.content or "")
