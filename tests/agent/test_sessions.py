"""What an agent says of its sessions, keeps of its runs there, and lets its model look up."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from locally import LOCALLY
from pydantic import BaseModel

from kern.agent import Agent, AgentSession
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, InvalidInputError, ModelError, SessionNotFoundError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.event import RunEvent
from kern.run.message import Message
from kern.run.tool import ToolCall
from kern.session import SessionSummary
from kern.testing import Reply, ScriptedModel


class City(BaseModel):
    name: str


def look(place: str) -> str:
    """Look at a place."""
    return f"{place} is fine."


def agent_of(db: Database, *script: Any, **keywords: Any) -> Agent:
    return Agent("Tester", ScriptedModel(script), db=db, **keywords)


async def test_a_session_has_what_was_said_in_it(db: Database) -> None:
    agent = agent_of(db, Reply.tool_calls(("look", {"place": "Bonn"})), tools=[look])
    await agent.arun("Look.", session_id="session", metadata={"a": 1})
    await agent.arun("Thanks.", session_id="session")
    session = await agent.aget_session("session", runs_limit=10)
    assert session is not None
    assert (session.agent_id, session.user_id) == ("tester", None)
    assert [run.status for run in session.runs] == [RunStatus.completed] * 2
    assert [each.role for each in session.get_messages()] == [
        *("user", "assistant", "tool", "assistant"),
        *("user", "assistant"),
    ]
    assert [each.text for each in session.get_chat_history()] == [
        *("Look.", "Hello.", "Thanks.", "Hello."),
    ]
    [call] = session.get_tool_calls()
    assert call["function"] == {"name": "look", "arguments": '{"place": "Bonn"}'}
    assert call["content"] == "Bonn is fine."
    assert session.metadata == {"a": 1}, "of its first run"
    assert session.get_run(session.runs[1].run_id) is session.runs[1]
    last = await agent.aget_last_run_output("session")
    assert last is not None
    assert last.run_id == session.runs[1].run_id


def test_calls_of_one_id_have_their_own_results() -> None:
    calls = [ToolCall("0", "look", place) for place in ("Bonn", "Mainz")]
    results = [Message("tool", each.arguments, tool_call_id="0") for each in calls]
    messages = [Message("assistant", tool_calls=calls), *results]
    run = RunOutput("run", "session", "tester", messages=[*messages, *messages[:1]])
    found = AgentSession("session", runs=[run]).get_tool_calls()
    assert [each["function"]["arguments"] for each in found] == ["Mainz", "Bonn"] * 2
    assert [each["content"] for each in found] == [None, None, "Mainz", "Bonn"]


async def test_messages_are_chosen_by_run_number_role_and_status(db: Database) -> None:
    agent = agent_of(
        db, "One.", Reply.tool_calls(("look", {"place": "Bonn"})), "Two.", tools=[look]
    )
    await agent.arun("First", session_id="session")
    await agent.arun("Second", session_id="session")
    agent.model = ScriptedModel([Reply.http_error(400)])
    with pytest.raises(ModelError):
        await agent.arun("Third", session_id="session")

    async def texts(**wanted: Any) -> list[str]:
        return [each.text for each in await agent.aget_session_messages("session", **wanted)]

    assert await texts(last_n_runs=1, skip_roles=["tool"]) == ["Second", "", "Two."]
    assert await texts(limit=2) == ["Two."], "a result without its call is left out"
    assert (await texts(skip_statuses=[]))[-1] == "Third"
    session = await agent.aget_session("session")
    assert session is not None
    assert session.get_messages(last_n_runs=1)[0].text == "Second"
    assert [each.text for each in session.get_messages(limit=2)] == ["Two."]


async def test_the_session_of_another_user_is_not_found(db: Database) -> None:
    agent = agent_of(db)
    await agent.arun("Ada's", session_id="session", user_id="ada")
    assert await agent.aget_session("session", "eve") is None
    assert await agent.aget_chat_history("session", user_id="eve") == []
    assert await agent.aget_last_run_output("session", user_id="eve") is None
    assert await agent.aget_session_name("session", user_id="eve") is None
    with pytest.raises(SessionNotFoundError):
        await agent.aset_session_name("session", session_name="Eve's", user_id="eve")
    assert await agent.adelete_session("session", "eve") is False
    assert len(await agent.aget_chat_history("session", user_id="ada")) == 2
    mine = agent_of(db, user_id="eve")
    assert await mine.aget_session("session") is None


async def test_a_session_is_named_by_hand_and_by_the_model(db: Database) -> None:
    agent = agent_of(db, "Bonn lies on the Rhine.", '"A City on the\nRhine."')
    await agent.arun("Where does Bonn lie?", session_id="session")
    assert await agent.aget_session_name("session") is None
    await agent.aset_session_name("session", session_name="Rivers")
    assert await agent.aget_session_name("session") == "Rivers"
    session = await agent.aset_session_name("session", autogenerate=True)
    assert session.session_name == "A City on the Rhine."
    model = agent.model
    assert isinstance(model, ScriptedModel)
    asked = model.requests[-1].messages[-1].text
    assert "Where does Bonn lie?" in asked
    assert "Bonn lies on the Rhine." in asked
    with pytest.raises(InvalidInputError, match="Give session_name, or autogenerate"):
        await agent.aset_session_name("session")
    await agent.arename("Reporter", "session")
    assert agent.name == "Reporter"
    found = await agent.aget_session("session")
    assert found is not None
    assert found.agent_data == {"name": "Reporter"}


async def test_a_session_is_saved_with_runs_of_elsewhere_and_deleted(db: Database) -> None:
    agent = agent_of(db, add_history_to_context=True)
    session = AgentSession("session", summary=SessionSummary("Old."))
    first = await agent.arun("Elsewhere", session_id="other")
    copied = RunOutput("copy", "session", agent.id, status=first.status, messages=first.messages)
    session.upsert_run(copied)
    assert (await agent.asave_session(session)).agent_id == "tester"
    await agent.arun("Here", session_id="session")
    model = agent.model
    assert isinstance(model, ScriptedModel)
    assert [each.text for each in model.requests[-1].messages] == ["Elsewhere", "Hello.", "Here"]
    assert await agent.adelete_session("session") is True
    assert await agent.aget_session("session") is None
    assert await agent.aget_run_output("copy") is None
    assert await agent.aget_session("other") is not None


@LOCALLY
async def test_the_runs_of_a_session_hold_instances_of_their_type(db: Database) -> None:
    agent = Agent("Tester", ScriptedModel(['{"name": "Bonn"}']), db=db, output_schema=City)
    await agent.arun("Which?", session_id="session")
    for session in (
        await agent.aget_session("session"),
        await agent.aget_session("session", runs_limit=1),
    ):
        assert session is not None
        assert session.runs[0].content == City(name="Bonn")


@LOCALLY
async def test_the_introduction_is_the_first_message_of_a_session(db: Database) -> None:
    agent = agent_of(db, introduction="I am Ada.", add_history_to_context=True)
    for text in ("Hi", "And?"):
        await agent.arun(text, session_id="session")
    history = await agent.aget_chat_history("session")
    assert [each.text for each in history] == ["I am Ada.", "Hi", "Hello.", "And?", "Hello."]
    assert agent.introduction == "I am Ada."


@LOCALLY
async def test_messages_of_tools_are_left_out_where_that_is_said(db: Database) -> None:
    agent = agent_of(
        db,
        Reply.tool_calls(("look", {"place": "Bonn"})),
        "Fine.",
        tools=[look],
        store_tool_messages=False,
        add_history_to_context=True,
    )
    run = await agent.arun("Look.", session_id="session")
    assert "tool" in [each.role for each in run.messages], "its caller has them"
    messages = await agent.aget_session_messages("session")
    assert [each.text for each in messages] == ["Look.", "Fine."]
    await agent.arun("And?", session_id="session")
    model = agent.model
    assert isinstance(model, ScriptedModel)
    assert [each.role for each in model.requests[-1].messages] == ["user", "assistant", "user"]


@LOCALLY
async def test_the_answer_is_written_to_a_file_that_users_cannot_lead_elsewhere(
    tmp_path: Path, db: Database
) -> None:
    file = f"{tmp_path}/answers/{{name}}-{{user_id}}-{{message}}.md"
    agent = agent_of(db, "Łódź", save_response_to_file=file)
    await agent.arun("../../etc/passwd", user_id="../ada")
    [written] = await asyncio.to_thread(lambda: [*tmp_path.rglob("*.md")])
    assert written.parent == tmp_path / "answers"
    assert written.name == "Tester-ada-etc_passwd.md"
    assert written.read_text() == "Łódź"


async def test_a_file_that_cannot_be_written_harms_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    agent = agent_of(InMemoryDb(), save_response_to_file=str(tmp_path / "file" / "{run_id}.md"))
    assert (await agent.arun("Hi")).content == "Hello."
    assert [each.levelname for each in caplog.records if each.name == "kern"] == ["WARNING"]


async def test_events_are_kept_where_that_is_said(db: Database) -> None:
    agent = agent_of(db, store_events=True, events_to_skip=[RunEvent.run_content, "RunStarted"])
    run = await agent.arun("Hi", session_id="session")
    found = await agent.aget_run_output(run.run_id)
    assert found is not None
    last = await agent.aget_last_run_output("session")
    assert last is not None
    for events in (run.events, found.events, last.events):
        kinds = [each.event for each in events]
        assert kinds[-1] is RunEvent.run_completed
        assert not {RunEvent.run_content, RunEvent.run_started} & {*kinds}
    silent = agent_of(db)
    assert (await silent.arun("Hi")).events == []


def answer_of(agent: Agent, run: RunOutput) -> Any:
    return json.loads(run.tools[-1].result or "")


async def test_past_sessions_are_those_of_the_same_user_the_newest_first(db: Database) -> None:
    plain = agent_of(db)
    for number in range(3):
        await plain.arun(f"Ask {number} " + "x" * 300, session_id=f"s{number}", user_id="ada")
    await plain.arun("Eve's", session_id="secret", user_id="eve")
    await plain.arun("Nobody's", session_id="nobodys")
    agent = agent_of(
        db,
        Reply.tool_calls(("search_past_sessions", {})),
        "Found.",
        search_past_sessions=True,
        num_past_sessions_to_search=2,
    )
    run = await agent.arun("What did I ask?", session_id="now", user_id="ada")
    found = answer_of(agent, run)["sessions"]
    assert [each["session_id"] for each in found] == ["s2", "s1"]
    [preview] = found[0]["runs"]
    assert preview["question"].startswith("Ask 2 xx")
    assert len(preview["question"]) == 200
    assert preview["answer"] == "Hello."
    assert "secret" not in str(run.tools)


@pytest.mark.parametrize("session_id", ["secret", "nobodys", "none"])
async def test_only_a_session_of_the_same_user_is_read(db: Database, session_id: str) -> None:
    plain = agent_of(db)
    await plain.arun("Eve's secret", session_id="secret", user_id="eve")
    await plain.arun("Nobody's secret", session_id="nobodys")
    arguments = {"session_id": session_id, "num_runs": 1}
    agent = agent_of(
        db, Reply.tool_calls(("read_past_session", arguments)), search_past_sessions=True
    )
    run = await agent.arun("Read it.", user_id="ada")
    assert run.tools[0].tool_call_error
    assert "There is no past session" in str(run.tools[0].result)


async def test_a_past_session_is_read_by_its_last_runs(db: Database) -> None:
    stored = {"add_history_to_context": True, "store_history_messages": True}
    plain = agent_of(db, "One.", "Two.", "Three.", **stored)
    for number in range(3):
        await plain.arun(f"Ask {number}", session_id="past", user_id="ada")
    arguments = {"session_id": "past", "num_runs": 2}
    agent = agent_of(
        db, Reply.tool_calls(("read_past_session", arguments)), search_past_sessions=True
    )
    run = await agent.arun("Read it.", user_id="ada")
    assert answer_of(agent, run)["runs"] == [
        {"question": "Ask 1", "answer": "Two."},
        {"question": "Ask 2", "answer": "Three."},
    ]


async def test_without_a_user_there_are_no_past_sessions(db: Database) -> None:
    await agent_of(db).arun("Somebody's", session_id="past")
    agent = agent_of(db, Reply.tool_calls(("search_past_sessions", {})), search_past_sessions=True)
    run = await agent.arun("What did I ask?")
    assert answer_of(agent, run)["sessions"] == []


@LOCALLY
async def test_the_model_looks_at_the_chat_and_the_tool_calls_before(db: Database) -> None:
    stored = {"add_history_to_context": True, "store_history_messages": True}
    look_at = Reply.tool_calls(("look", {"place": "Bonn"}))
    first = agent_of(db, look_at, "Fine.", "Yes.", tools=[look], **stored)
    await first.arun("Look.", session_id="session")
    await first.arun("Really?", session_id="session")
    agent = agent_of(
        db,
        Reply.tool_calls(("get_chat_history", {}), ("get_tool_call_history", {"num_calls": 1})),
        tools=[look],
        read_chat_history=True,
        read_tool_call_history=True,
    )
    run = await agent.arun("What was it?", session_id="session")
    chat, calls = (json.loads(each.result or "") for each in run.tools)
    assert chat == [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "Fine."},
        {"role": "user", "content": "Really?"},
        {"role": "assistant", "content": "Yes."},
    ]
    assert calls == [
        {"tool_name": "look", "tool_args": {"place": "Bonn"}, "result": "Bonn is fine."}
    ]
    model = agent.model
    assert isinstance(model, ScriptedModel)
    offered = [each.name for each in model.requests[0].tools]
    assert offered == ["look", "get_chat_history", "get_tool_call_history"]


def test_what_cannot_be_kept_is_refused() -> None:
    db, model = InMemoryDb(), ScriptedModel()
    with pytest.raises(ConfigurationError, match=r"has \{user\}\. Did you mean 'user_id'"):
        Agent("Tester", model, save_response_to_file="{user}.md")
    with pytest.raises(ConfigurationError, match="events_to_skip has 'RunStart'"):
        Agent("Tester", model, events_to_skip=["RunStart"])
    with pytest.raises(ConfigurationError, match=r"Without a database .* search_past_sessions"):
        Agent("Tester", model, search_past_sessions=True)
    with pytest.raises(ConfigurationError, match="num_past_sessions_to_search must be"):
        Agent("Tester", model, db=db, num_past_sessions_to_search=0)
    with pytest.raises(ConfigurationError, match="Sessions need a database"):
        Agent("Tester", model).get_session("session")


@LOCALLY
async def test_a_hook_and_instructions_are_given_the_session(db: Database) -> None:
    seen: list[Any] = []

    def look(session: AgentSession) -> None:
        seen.append([run.status for run in session.runs])

    def instructions(session: AgentSession) -> str:
        return f"It has {len(session.runs)} runs."

    agent = agent_of(db, pre_hooks=[look], instructions=instructions)
    await agent.arun("One", session_id="session")
    await agent.arun("Two", session_id="session")
    assert seen == [[RunStatus.running], [RunStatus.completed, RunStatus.running]]
    model = agent.model
    assert isinstance(model, ScriptedModel)
    assert model.requests[-1].messages[0].text == "It has 2 runs."


async def test_a_run_that_is_kept_nowhere_holds_its_events_too() -> None:
    agent = Agent(
        "Tester",
        ScriptedModel([Reply.text("Hel", "lo")] * 2),
        store_events=True,
        events_to_skip=[RunEvent.run_content],
    )
    run = await agent.arun("Hi")
    assert [each.event for each in run.events] == [
        RunEvent.run_started,
        RunEvent.model_request_started,
        RunEvent.model_request_completed,
        RunEvent.run_content_completed,
        RunEvent.run_completed,
    ]
    told = [each async for each in agent.arun("Hi", stream=True, yield_run_output=True)]
    assert [each.content for each in told[:2]] == ["Hel", "lo"]
    assert isinstance(told[-1], RunOutput)
    assert len(told[-1].events) == 5
