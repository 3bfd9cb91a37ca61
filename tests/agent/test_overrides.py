"""One run may have something otherwise than its agent says, in all of its attempts."""

from typing import Any, cast

import msgspec
import pytest
from locally import LOCALLY

from kern.agent import Agent
from kern.agent.request import Request
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import InvalidInputError
from kern.models.base import CallOptions, ModelRequest
from kern.run.base import RunStatus
from kern.run.overrides import ClientTool, Overrides
from kern.testing import Reply, ScriptedModel


@pytest.fixture
def memory() -> InMemoryDb:
    """A database, where it is no matter which."""
    return InMemoryDb()


def agent_of(db: Database | None, *script: Any, **keywords: Any) -> Agent:
    async def work(step: str) -> str:
        return f"{step} is done"

    keywords = {"tools": [work], "instructions": "Be kind.", **keywords}
    return Agent("Tester", ScriptedModel(script), db=db, **keywords)


def asked(agent: Agent, number: int = -1) -> ModelRequest:
    assert isinstance(agent.model, ScriptedModel)
    return agent.model.requests[number]


def told(agent: Agent, number: int = -1) -> list[tuple[str, str]]:
    return [(each.role, each.text) for each in asked(agent, number).messages]


@LOCALLY
async def test_instructions_are_added_for_this_run_only(db: Database) -> None:
    agent = agent_of(db, add_history_to_context=True)
    brief = Overrides(instructions="Be brief, {user_id}.")
    run = await agent.arun("Hi.", overrides=brief, user_id="ada")
    assert told(agent) == [("system", "Be kind.\n\nBe brief, {user_id}."), ("user", "Hi.")]
    stored = await agent.aget_run_output(run.run_id)
    assert stored is not None
    assert "brief" not in str([each.text for each in stored.messages])
    await agent.arun("And?", session_id=run.session_id, user_id="ada")
    assert told(agent)[0] == ("system", "Be kind.")
    await agent.acontinue_run(run.run_id, input="And?")
    assert told(agent)[0] == ("system", "Be kind.")


async def test_an_answer_made_anew_is_made_as_before(memory: InMemoryDb) -> None:
    agent = agent_of(memory)
    run = await agent.arun("Hi.", overrides=Overrides(instructions="Be brief.", temperature=0.5))
    anew = await agent.acontinue_run(run.run_id, regenerate=True)
    assert told(agent, 0) == told(agent, 1)
    assert asked(agent).options == CallOptions(temperature=0.5)
    await agent.acontinue_run(
        anew.run_id, regenerate=True, overrides=Overrides(instructions="Be long.")
    )
    assert told(agent)[0] == ("system", "Be kind.\n\nBe long.")
    assert asked(agent).options is None


@pytest.mark.parametrize(
    "keywords",
    [
        {"instructions": None},
        {"instructions": lambda: "Be kind."},
        {"instructions": ["Be kind."], "markdown": True},
        {"system_message": "You are {user_id}."},
        {"build_context": False},
    ],
)
async def test_instructions_come_last_whatever_the_agent_says(
    keywords: dict[str, Any],
) -> None:
    agent = agent_of(None, **keywords)
    await agent.arun("Hi.", overrides=Overrides(instructions="Be brief."), user_id="ada")
    role, text = told(agent)[0]
    assert (role, text.split("\n\n")[-1]) == ("system", "Be brief.")


async def test_how_the_model_answers_is_said_of_each_call(memory: InMemoryDb) -> None:
    agent = agent_of(memory, Reply.tool_calls(("work", {"step": "a"})), "Done.", tool_call_limit=3)
    overrides = Overrides(
        tool_choice="required",
        tool_call_limit=7,
        max_output_tokens=100,
        reasoning_effort="low",
        temperature=0,
        top_p=0.5,
    )
    run = await agent.arun("Go.", overrides=overrides, background=True)
    await agent.await_run(run.run_id, timeout=20)
    assert [asked(agent, each).options for each in (0, 1)] == 2 * [CallOptions(100, "low", 0, 0.5)]
    assert [asked(agent, each).tool_choice for each in (0, 1)] == ["required", None]


async def test_a_fallback_is_asked_in_the_same_way() -> None:
    failing = ScriptedModel(default=Reply.http_error(400), id="failing")
    answering = ScriptedModel(["Hi."], id="answering")
    agent = Agent("Tester", failing, fallback_models=[answering])
    await agent.arun("Hi.", overrides=Overrides(max_output_tokens=100))
    assert answering.requests[0].options == CallOptions(max_output_tokens=100)


async def test_the_smaller_limit_of_tool_calls_holds(memory: InMemoryDb) -> None:
    calls = Reply.tool_calls(*[("work", {"step": each}) for each in "abc"])
    for own, limit, made in ((2, 1, 1), (1, 2, 1), (None, 2, 2)):
        agent = agent_of(memory, calls, "Done.", tool_call_limit=own)
        run = await agent.arun("Go.", overrides=Overrides(tool_call_limit=limit))
        assert sum("is done" in (each.result or "") for each in run.tools) == made


@LOCALLY
async def test_the_whole_history_is_shown_whatever_the_agent_says(db: Database) -> None:
    agent = agent_of(db, instructions=None, num_history_messages=1, add_history_to_context=True)
    other = Agent("Other", ScriptedModel(["I am other."]), db=db)
    session_id = "long"
    for number in range(5):
        await agent.arun(f"{number}?", session_id=session_id)
    await other.arun("Who?", session_id=session_id)
    await agent.arun("And?", session_id=session_id)
    assert len(told(agent)) == 2
    await agent.arun("And?", session_id=session_id, overrides=Overrides(whole_history=True))
    users = [text for role, text in told(agent) if role == "user"]
    assert users == ["0?", "1?", "2?", "3?", "4?", "Who?", "And?", "And?"]


def test_the_synchronous_twin_takes_them() -> None:
    agent = agent_of(None)
    agent.run("Hi.", overrides=Overrides(instructions="Be brief."))
    assert told(agent)[0] == ("system", "Be kind.\n\nBe brief.")


async def test_a_run_that_goes_on_keeps_its_own(memory: InMemoryDb) -> None:
    agent = agent_of(memory, Reply.http_error(400), "Hi.")
    run = await agent.arun(
        "Hi.", overrides=Overrides(instructions="Be brief."), raise_on_error=False
    )
    assert run.status is RunStatus.error
    with pytest.raises(InvalidInputError, match="overrides: only where a new run begins"):
        await agent.acontinue_run(run.run_id, overrides=Overrides(instructions="Be long."))
    await agent.acontinue_run(run.run_id)
    assert told(agent)[0] == ("system", "Be kind.\n\nBe brief.")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"instructions": 5}, "must be a text"),
        ({"tools": [{"name": "a"}]}, "ClientTool objects"),
        ({"tools": (ClientTool("a"), ClientTool("a"))}, "Two tools of the client"),
        ({"tool_choice": 5}, "tool_choice must be"),
        ({"tool_choice": {"a": {1}}}, "tool_choice has no JSON form"),
        ({"tool_call_limit": -1}, "from 0 on"),
        ({"max_output_tokens": 0}, "from 1 on"),
        ({"max_output_tokens": True}, "whole number"),
        ({"reasoning_effort": "much"}, "reasoning_effort must be one of"),
        ({"temperature": float("nan")}, "a number from 0 on"),
        ({"temperature": "hot"}, "a number from 0 on"),
        ({"top_p": 1.5}, "a number from 0 to 1"),
    ],
)
def test_what_cannot_be_used_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        Overrides(**values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"name": "a b"}, "cannot name a tool"),
        ({"name": "a", "description": None}, "description of a must be a text"),
        ({"name": "a", "parameters": []}, "JSON Schema of an object"),
        ({"name": "a", "parameters": {"a": {1}}}, "parameters of a has no JSON form"),
        ({"name": "a", "strict": "yes"}, "strict of a"),
    ],
)
def test_a_tool_of_a_client_that_cannot_be_told_is_refused(
    values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        ClientTool(**values)


async def test_what_the_agent_cannot_have_is_refused() -> None:
    agent = agent_of(None)
    with pytest.raises(InvalidInputError, match=r"overrides must be Overrides\(...\)"):
        await agent.arun("Hi.", overrides=cast(Overrides, {"temperature": 1}))
    with pytest.raises(InvalidInputError, match=r"tool_choice must be one of .* not 'none_such'"):
        await agent.arun("Hi.", overrides=Overrides(tool_choice="none_such"))
    named = {"type": "function", "function": {"name": "work"}}
    await agent.arun("Hi.", overrides=Overrides(tool_choice=named))
    assert asked(agent).tool_choice == "work"


async def test_a_choice_in_the_providers_own_form_is_kept(memory: InMemoryDb) -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "work"}]}
    agent = agent_of(memory)
    run = await agent.arun("Hi.", overrides=Overrides(tool_choice=choice), background=True)
    await agent.await_run(run.run_id, timeout=20)
    assert asked(agent).tool_choice == choice


async def test_damaged_overrides_end_the_run(memory: InMemoryDb) -> None:
    agent = agent_of(memory)
    request = Request.of(agent, "Hi.", overrides=Overrides(temperature=1))
    damaged = request.run.input.replace('"temperature":1', '"temperature":"hot"')
    run = msgspec.structs.replace(request.run, input=damaged)
    work = msgspec.structs.replace(request, run=run, raise_on_error=False)
    failed = await work.execute()
    assert failed.status is RunStatus.error
    assert "temperature" in (failed.error or "")
