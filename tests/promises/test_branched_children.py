"""A run that begins with the steps of a child, or of one that nobody has asked for, is its own."""

from typing import Any

import pytest
from in_background import children_of
from msgspec.structs import replace
from teams import calling, leading

from kern.agent import Agent
from kern.agent.background import UNASKED_LIMIT, BackgroundAgents
from kern.db.in_memory import InMemoryDb
from kern.dispatch.opening import open_runtime
from kern.execution.child import UNASKED
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.input import RunInput
from kern.run.message import Message
from kern.team import Team
from kern.testing import ScriptedModel


def note(session_state: dict[str, Any]) -> str:
    """Note something."""
    session_state["notes"] = [*session_state.get("notes", []), "noted"]
    return f"{len(session_state['notes'])} notes"


@pytest.mark.parametrize("how", ["input", "event"])
async def test_a_branch_of_a_members_run_shares_the_state_of_its_session(how: str) -> None:
    db = InMemoryDb()
    writer = Agent("Writer", calling([("note", {})], [("note", {})]), db=db, tools=[note])
    team = Team([writer], "Desk", leading("writer"), db=db)
    run = await team.arun("Go", session_id="talk")
    [child] = run.tools
    assert child.child_run_id is not None
    wanted: dict[str, Any] = {"input": "And?", "continue_from": 0} if how == "input" else {}
    if how == "event":
        wanted["from_seq"] = 1
    branch = await writer.acontinue_run(child.child_run_id, background=False, **wanted)
    assert branch.content == "[3 notes, 4 notes]"
    assert await team.aget_session_state("talk") == {"notes": ["noted"] * 4}


async def test_who_goes_on_with_a_run_that_nobody_has_asked_for_has_asked() -> None:
    db = InMemoryDb()
    researcher = Agent("Researcher", ScriptedModel(default="Found."))
    model = calling(
        [("start_researcher", {"input": "Go"})], [("start_researcher", {"input": "Go"})]
    )
    boss = Agent("Boss", model, db=db, tools=[BackgroundAgents([researcher])])
    store = await db.store()
    said = RunInput((Message("user", "It ended."),), {UNASKED: UNASKED_LIMIT})
    run = await unasked(boss, said)
    assert "nobody has asked" in (run.content or "")
    branch = await boss.acontinue_run(run.run_id, input="Do it.", continue_from=0)
    assert branch.status is RunStatus.completed
    assert len(await children_of(store, branch.run_id)) == 2


async def unasked(agent: Agent, said: RunInput) -> RunOutput:
    """Return a run that was begun by the end of another, with this input."""
    assert agent.db is not None
    run = replace(await agent.child_run("Go"), input=said.to_json())
    return await (await open_runtime(agent.db)).execute(agent, run, None)
