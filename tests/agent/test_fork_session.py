"""A session can be copied, to go on from there in two ways."""

from typing import Any

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import InvalidInputError, ModelError, SessionNotFoundError
from kern.media import Image
from kern.run.base import RunContext, RunStatus
from kern.run.record import RunRecord
from kern.testing import Reply, ScriptedModel

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


def agent_of(db: Database, *script: Any, **keywords: Any) -> Agent:
    return Agent("Tester", ScriptedModel(script), db=db, **keywords)


def note(run_context: RunContext) -> str:
    """Note it."""
    assert run_context.session_state is not None
    run_context.session_state["noted"] = run_context.session_state.get("noted", 0) + 1
    return "noted"


async def test_a_copy_goes_on_by_itself(db: Database) -> None:
    calls = Reply.tool_calls(("note", {}))
    agent = agent_of(db, calls, "Noted.", "Fine.", tools=[note], add_history_to_context=True)
    first = await agent.arun("Note.", session_id="here", images=[Image(content=PNG)])
    await agent.arun("Well?", session_id="here")
    await agent.aset_session_name("here", session_name="Notes")
    there = await agent.afork_session(source_session_id="here")

    assert there != "here"
    copy = await agent.aget_session(there, runs_limit=9)
    session = await agent.aget_session("here", runs_limit=9)
    assert copy is not None
    assert session is not None
    assert copy.session_data["forked_from_session_id"] == "here"
    assert copy.session_data["session_state"] == {"noted": 1}
    assert (copy.session_name, copy.agent_id) == ("Notes", "tester")
    assert [each.content for each in copy.runs] == ["Noted.", "Fine."]
    assert not {each.run_id for each in copy.runs} & {each.run_id for each in session.runs}
    assert {each.session_id for each in copy.runs} == {there}
    assert [each.created_at for each in copy.runs] == [each.created_at for each in session.runs]
    assert copy.runs[0].tools[0].result == "noted"

    agent.model = ScriptedModel([calls, "Noted."])
    await agent.arun("Note.", session_id=there)
    told = agent.model.requests[0].messages
    assert [each.text for each in told][-1] == "Note."
    assert [each.role for each in told].count("user") == 3, "it is shown the copies"
    assert told[0].images[0].content == PNG
    assert await agent.aget_session_state(there) == {"noted": 2}
    assert await agent.aget_session_state("here") == {"noted": 1}
    assert len((await agent.aget_session("here", runs_limit=9) or copy).runs) == 2
    events = [each.event async for each in agent.astream_run(copy.runs[0].run_id)]
    assert events == [each.event async for each in agent.astream_run(first.run_id)]

    await agent.adelete_session("here")
    forked = await agent.acontinue_run(copy.runs[0].run_id, input="And?")
    assert (forked.session_id, forked.status) == (there, RunStatus.completed)


async def test_what_runs_say_of_each_other_their_copies_do(db: Database) -> None:
    async def delegate(run_context: RunContext) -> str:
        """Have another do it."""
        run = await inner.arun("Do it.", session_id=run_context.session_id)
        return str(run.content)

    inner = Agent("Inner", ScriptedModel(["Done."]), db=db)
    agent = agent_of(db, Reply.tool_calls(("delegate", {})), "First.", "Second.", tools=[delegate])
    origin = await agent.arun("Work.", session_id="here")
    await agent.acontinue_run(origin.run_id, regenerate=True)
    there = await agent.afork_session(source_session_id="here")
    store = await db.store()

    async def runs(session_id: str) -> dict[str, RunRecord]:
        found = await store.sessions.runs(session_id, 9, user_id=None)
        return {str(each.output): each for each in found}

    before, after = await runs("here"), await runs(there)
    assert before.keys() == after.keys()
    pairs = {None: None} | {each.run_id: after[key].run_id for key, each in before.items()}
    for key, each in before.items():
        assert after[key].parent_run_id == pairs[each.parent_run_id]
        assert after[key].replaced_by == pairs[each.replaced_by]
    assert [each for each in before.values() if each.parent_run_id]
    chat = [each.text for each in await agent.aget_chat_history(there)]
    assert "First." not in chat
    assert "Second." in chat


async def test_only_what_has_ended_is_copied(db: Database) -> None:
    from kern.tools import tool

    @tool(requires_confirmation=True)
    def drop() -> str:
        """Drop it."""
        return "dropped"

    agent = agent_of(
        db, Reply.http_error(400, "On strike."), Reply.tool_calls(("drop", {})), tools=[drop]
    )
    with pytest.raises(ModelError):
        await agent.arun("One", session_id="here")
    paused = await agent.arun("Two", session_id="here")
    assert paused.is_paused
    there = await agent.afork_session(source_session_id="here")
    copy = await agent.aget_session(there, runs_limit=9)
    assert copy is not None
    assert [each.status for each in copy.runs] == [RunStatus.error]


async def test_a_session_without_runs_or_of_another_user_cannot_be_copied(db: Database) -> None:
    agent = agent_of(db)
    await agent.arun("Hi", session_id="ann's", user_id="ann")
    for source, user_id in (("nowhere", None), ("ann's", "bob")):
        with pytest.raises(SessionNotFoundError):
            await agent.afork_session(source_session_id=source, user_id=user_id)
    with pytest.raises(InvalidInputError):
        await agent.afork_session(source_session_id="")
    there = await agent.afork_session(source_session_id="ann's", user_id="ann")
    copy = await agent.aget_session(there, "ann")
    assert copy is not None
    assert copy.user_id == "ann"
    assert await agent.aget_session(there, "bob") is None
    again = await agent.afork_session(source_session_id=there, user_id="ann")
    nested = await agent.aget_session(again)
    assert nested is not None
    assert nested.session_data["forked_from_session_id"] == there
