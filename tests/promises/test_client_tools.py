"""A run ends, COMPLETED, with the calls that are its client's; a later one begins with results."""

from collections.abc import Sequence
from typing import Any

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import InvalidInputError
from kern.models.base import ModelRequest
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.run.overrides import ClientTool, Overrides
from kern.run.steps import OVERRIDES_VERSION
from kern.testing import Reply, ScriptedModel
from kern.tools import tool

DOOR = ClientTool("open_door", "Opens a door.", {"type": "object", "properties": {"no": {}}})
OWN_TOO = Overrides(tools=(DOOR,))


@pytest.fixture
def memory() -> InMemoryDb:
    """A database, where it is no matter which."""
    return InMemoryDb()


def opening(*numbers: int) -> Reply:
    return Reply.tool_calls(*[("open_door", {"no": number}) for number in numbers])


def agent_of(db: Database | None, *script: Any, **keywords: Any) -> Agent:
    async def work(step: str) -> str:
        return f"{step} is done"

    keywords = {"tools": [work], **keywords}
    return Agent("Tester", ScriptedModel(script), db=db, **keywords)


def told(agent: Agent, number: int = -1) -> list[tuple[str, str]]:
    """Return what a model was told, the last time by default."""
    return [(each.role, each.text) for each in asked(agent, number).messages]


def asked(agent: Agent, number: int = -1) -> ModelRequest:
    assert isinstance(agent.model, ScriptedModel)
    return agent.model.requests[number]


def results(run: RunOutput[Any], *texts: str) -> list[Message]:
    calls = [each.tool_call_id for each in run.client_calls]
    return [
        Message("tool", text, tool_call_id=call) for call, text in zip(calls, texts, strict=True)
    ]


async def ended(agent: Agent, run: RunOutput[Any]) -> RunOutput[Any]:
    found = await agent.await_run(run.run_id, timeout=20)
    assert found is not None
    return found


async def test_own_calls_are_made_first_and_the_run_ends_with_the_clients(db: Database) -> None:
    calls: list[tuple[str, dict[str, object]]] = [
        ("open_door", {"no": 1}),
        ("work", {"step": "a"}),
        ("open_door", {"no": 2}),
    ]
    agent = agent_of(db, Reply.text("One moment.").calling(*calls))
    run = await agent.arun("Go.", overrides=OWN_TOO)
    assert (run.status, run.content) == (RunStatus.completed, "One moment.")
    assert [(each.tool_name, each.result) for each in run.tools] == [
        ("work", "a is done"),
        ("open_door", None),
        ("open_door", None),
    ]
    assert [each.tool_args for each in run.client_calls] == [{"no": 1}, {"no": 2}]
    assert [each.name for each in asked(agent).tools] == ["work", "open_door"]
    stored = await agent.aget_run_output(run.run_id, run.session_id)
    assert stored is not None
    assert (stored.client_calls, stored.requirements) == (run.client_calls, [])


async def test_the_next_run_of_the_session_begins_with_the_results(db: Database) -> None:
    agent = agent_of(db, opening(1), "It is open.", "Bye.", add_history_to_context=True)
    run = await agent.arun("Open.", overrides=OWN_TOO, background=True)
    run = await ended(agent, run)
    given = results(run, "Open now.")
    then = await agent.arun(given, session_id=run.session_id, overrides=OWN_TOO)
    assert then.content == "It is open."
    pair = [("user", "Open."), ("assistant", ""), ("tool", "Open now.")]
    assert told(agent) == pair
    await agent.arun("Bye.", session_id=run.session_id)
    assert told(agent) == [*pair, ("assistant", "It is open."), ("user", "Bye.")]


async def test_a_branch_begins_with_all_results_and_no_others(db: Database) -> None:
    agent = agent_of(db, opening(1, 2), "Both are open.")
    run = await agent.arun("Open.", overrides=OWN_TOO)
    first, second = results(run, "one", "two")
    nobodys = Message("tool", "three", tool_call_id="call_nobodys")
    wrong: Sequence[tuple[list[Message], str]] = (
        ([first], f"missing: '{second.tool_call_id}'"),
        ([first, second, nobodys], "unknown: 'call_nobodys'"),
        ([first, first, second], f"given twice: '{first.tool_call_id}'"),
        ([Message("user", "Never mind."), first, second], "missing"),
    )
    for given, reason in wrong:
        with pytest.raises(InvalidInputError, match=reason):
            await agent.acontinue_run(run.run_id, input=given, continue_from="end")
    then = await agent.acontinue_run(
        run.run_id, input=[second, first, Message("user", "Well?")], continue_from="end"
    )
    assert (then.content, then.forked_from_run_id) == ("Both are open.", run.run_id)
    assert told(agent) == [
        ("user", "Open."),
        ("assistant", ""),
        ("tool", "two"),
        ("tool", "one"),
        ("user", "Well?"),
    ]
    # What was said to the other run is not said to this one.
    assert [each.name for each in asked(agent).tools] == ["work"]


async def test_results_that_nobody_waits_for_begin_no_branch(memory: InMemoryDb) -> None:
    agent = agent_of(memory, "Hello.")
    run = await agent.arun("Hi.")
    with pytest.raises(InvalidInputError, match="unknown: 'call_1'"):
        await agent.acontinue_run(run.run_id, input=[Message("tool", "x", tool_call_id="call_1")])


async def test_without_results_a_branch_begins_before_the_calls(memory: InMemoryDb) -> None:
    agent = agent_of(memory, opening(1), "Then not.")
    run = await agent.arun("Open.", overrides=OWN_TOO)
    with pytest.raises(InvalidInputError, match="missing"):
        await agent.acontinue_run(run.run_id, input="Never mind.")
    await agent.acontinue_run(run.run_id, input="Never mind.", continue_from="last_user")
    assert told(agent) == [("user", "Open."), ("user", "Never mind.")]


async def test_in_a_session_wrong_results_end_the_run_and_missing_ones_are_told(
    db: Database,
) -> None:
    agent = agent_of(db, opening(1, 2), "Fine.", add_history_to_context=True)
    run = await agent.arun("Open.", overrides=OWN_TOO)
    first, _ = results(run, "one", "two")
    for given, reason in (
        ([first], "missing: "),
        ([Message("tool", "x", tool_call_id="nobodys")], "unknown: 'nobodys'"),
    ):
        failed = await agent.arun(given, session_id=run.session_id, raise_on_error=False)
        assert (failed.status, failed.error_kind) == (RunStatus.error, "InvalidInputError")
        assert reason in (failed.error or "")
    then = await agent.arun("Never mind.", session_id=run.session_id)
    assert then.content == "Fine."
    not_known = ("tool", "The result of this call is not known.")
    assert told(agent)[2:] == [not_known, not_known, ("user", "Never mind.")]


async def test_results_without_their_calls_end_the_run(memory: InMemoryDb) -> None:
    agent = agent_of(memory, "Never asked.")
    given = [Message("tool", "x", tool_call_id="call_1")]
    with pytest.raises(InvalidInputError, match="unknown: 'call_1'"):
        await agent.arun(given)
    assert isinstance(agent.model, ScriptedModel)
    assert agent.model.requests == []


async def test_two_branches_of_one_answer_are_a_valid_history(db: Database) -> None:
    agent = agent_of(db, opening(1), "Left.", "Right.", "Both.", add_history_to_context=True)
    run = await agent.arun("Open.", overrides=OWN_TOO)
    for text in ("to the left", "to the right"):
        await agent.acontinue_run(run.run_id, input=results(run, text))
        assert told(agent)[-1] == ("tool", text)
        assert len(told(agent)) == 3
    await agent.arun("And now?", session_id=run.session_id)
    assert told(agent) == [
        ("user", "Open."),
        ("assistant", ""),
        ("tool", "to the left"),
        ("assistant", "Left."),
        ("assistant", "Right."),
        ("user", "And now?"),
    ]


async def test_a_name_of_the_agents_own_is_refused(memory: InMemoryDb) -> None:
    agent = agent_of(memory)
    clash = Overrides(tools=(ClientTool("work"),))
    with pytest.raises(InvalidInputError, match="has a tool 'work' itself"):
        await agent.arun("Go.", overrides=clash)

    def later() -> list[Any]:
        return [tool(_open_door)]

    late = agent_of(memory, tools=later)
    run = await late.arun("Go.", overrides=OWN_TOO, raise_on_error=False)
    assert (run.status, run.error_kind) == (RunStatus.error, "InvalidInputError")
    assert "has a tool 'open_door' itself" in (run.error or "")


def _open_door() -> str:
    """Open it here."""
    return "open"


_open_door.__name__ = "open_door"


async def test_a_person_decides_before_the_run_ends_with_its_clients_calls(db: Database) -> None:
    @tool(requires_confirmation=True)
    async def sign() -> str:
        return "signed"

    agent = agent_of(db, Reply.tool_calls(("open_door", {"no": 1}), ("sign", {})), tools=[sign])
    run = await agent.arun("Go.", overrides=OWN_TOO, background=True)
    run = await ended(agent, run)
    assert (run.status, run.client_calls) == (RunStatus.paused, [])
    [requirement] = run.requirements
    requirement.confirm()
    await agent.acontinue_run(run.run_id, requirements=[requirement])
    run = await ended(agent, run)
    assert run.status is RunStatus.completed
    assert [(each.tool_name, each.result) for each in run.tools] == [
        ("sign", "signed"),
        ("open_door", None),
    ]


async def test_no_limit_counts_the_clients_calls(memory: InMemoryDb) -> None:
    doors, works = [("open_door", {"no": each}) for each in range(3)], ("work", {"step": "a"})
    limited = Overrides(tools=(DOOR,), tool_call_limit=1)
    agent = agent_of(memory, Reply.tool_calls(*doors, works, works), tool_call_limit=5)
    run = await agent.arun("Go.", overrides=limited)
    assert len(run.client_calls) == 3
    assert [each.result for each in run.tools if each.result] == [
        "a is done",
        "Not called: the run may make 1 tool calls. Answer without it.",
    ]
    # Who is told to answer without more calls may still have its client do something.
    agent = agent_of(memory, Reply.tool_calls(works, works), opening(1))
    run = await agent.arun("Go.", overrides=limited)
    assert len(run.client_calls) == 1


async def test_what_the_agent_shows_of_its_history_keeps_open_calls(memory: InMemoryDb) -> None:
    keywords = {"max_tool_calls_from_history": 0, "num_history_messages": 1}
    asked_for = Reply.tool_calls(("work", {"step": "a"}), ("open_door", {"no": 1}))
    agent = agent_of(memory, asked_for, "Open.", add_history_to_context=True, **keywords)
    run = await agent.arun("Open.", overrides=OWN_TOO)
    await agent.arun(results(run, "Open now."), session_id=run.session_id)
    assert told(agent) == [
        ("user", "Open."),
        ("assistant", ""),
        ("tool", "a is done"),
        ("tool", "Open now."),
    ]


async def test_no_form_is_asked_of_an_answer_with_calls(memory: InMemoryDb) -> None:
    agent = agent_of(memory, opening(1), '{"open": true}')
    form = {"type": "object", "properties": {"open": {"type": "boolean"}}, "required": ["open"]}
    run = await agent.arun("Open.", overrides=OWN_TOO, output_schema=form)
    assert (run.status, run.content, run.content_type) == (RunStatus.completed, None, "str")
    then: RunOutput[Any] = await agent.acontinue_run(run.run_id, input=results(run, "Open now."))
    assert then.content == {"open": True}


async def test_hooks_after_the_answer_keep_its_calls(memory: InMemoryDb) -> None:
    def mask(run_output: RunOutput[Any]) -> None:
        if run_output.client_calls:
            run_output.content = "Masked."

    reply = Reply.text("Secret.").calling(("work", {"step": "a"}), ("open_door", {"no": 1}))
    agent = agent_of(memory, reply, "Open.", post_hooks=[mask])
    run = await agent.arun("Open.", overrides=OWN_TOO)
    assert run.content == "Masked."
    await agent.acontinue_run(run.run_id, input=results(run, "Open now."))
    assert told(agent) == [
        ("user", "Open."),
        ("assistant", "Masked."),
        ("tool", "a is done"),
        ("tool", "Open now."),
    ]


async def test_calls_are_kept_where_messages_of_tools_are_not(db: Database) -> None:
    script = (Reply.tool_calls(("work", {"step": "a"})), opening(1), "Open.")
    agent = agent_of(db, *script, store_tool_messages=False)
    run = await agent.arun("Open.", overrides=OWN_TOO)
    await agent.acontinue_run(run.run_id, input=results(run, "Open now."))
    assert told(agent) == [("user", "Open."), ("assistant", ""), ("tool", "Open now.")]


async def test_readers_see_the_same_end(db: Database) -> None:
    agent = agent_of(db, Reply.text("One", " moment.").calling(("open_door", {"no": 1})))
    run = await agent.arun("Open.", overrides=OWN_TOO, background=True)
    events = [each async for each in agent.astream_run(run.run_id)]
    assert [each.seq for each in events] == list(range(1, len(events) + 1))
    assert events[-1].event is RunEvent.run_completed
    assert events[-1].content == "One moment."
    # Nobody has called it yet.
    assert RunEvent.tool_call_started not in {each.event for each in events}


async def test_a_cancelled_run_leaves_no_calls(memory: InMemoryDb) -> None:
    held = opening(1).held()
    agent = agent_of(memory, held)
    run = await agent.arun("Open.", overrides=OWN_TOO, background=True)
    await agent.acancel_run(run.run_id)
    run = await ended(agent, run)
    assert (run.status, run.client_calls) == (RunStatus.cancelled, [])


async def test_steps_done_anew_end_with_the_same_calls(db: Database) -> None:
    agent = agent_of(db, Reply.tool_calls(("open_door", {"no": 1}), ("work", {"step": "a"})))
    run = await agent.arun("Open.", overrides=OWN_TOO, background=True)
    run = await ended(agent, run)
    events = [each async for each in agent.astream_run(run.run_id)]
    last = next(each for each in events if each.event is RunEvent.tool_call_completed)
    anew = await agent.acontinue_run(run.run_id, from_seq=last.seq, background=False)
    assert (anew.status, anew.run_id != run.run_id) == (RunStatus.completed, True)
    assert anew.client_calls == run.client_calls
    assert isinstance(agent.model, ScriptedModel)
    assert len(agent.model.requests) == 1


async def test_a_run_that_is_kept_nowhere_goes_on_too() -> None:
    agent = agent_of(None, opening(1), "Open.")
    run = await agent.arun("Open.", overrides=OWN_TOO)
    then = await agent.acontinue_run(run, input=results(run, "Open now."))
    assert then.content == "Open."
    assert told(agent) == [("user", "Open."), ("assistant", ""), ("tool", "Open now.")]


async def test_an_older_kern_leaves_such_runs_to_others(
    postgres_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    agent = agent_of(postgres_db)
    store = await postgres_db.store()
    run = await agent.arun("Open.", overrides=OWN_TOO, background=True)
    plain = await agent.arun("Hi.", background=True)
    record, other = await store.get(run.run_id), await store.get(plain.run_id)
    assert record is not None
    assert other is not None
    assert record.journal_version == OVERRIDES_VERSION > other.journal_version
