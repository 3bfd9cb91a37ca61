"""Session state as users have it: given, changed by tools and the model, stored, shown, merged."""

import asyncio
import logging
from typing import Any

import pytest
from locally import LOCALLY

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, InvalidInputError, SessionNotFoundError
from kern.run.agent import RunCompletedEvent, RunOutput
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ScriptedModel

STATE = {"visits": 0, "list": ["milk"]}


def add(run_context: RunContext, item: str) -> str:
    """Add an item to the list."""
    state = run_context.session_state
    assert state is not None
    state["list"].append(item)
    return f"The list is {state['list']}"


def visit(run_context: RunContext) -> str:
    """Count a visit."""
    assert run_context.session_state is not None
    run_context.session_state["visits"] += 1
    return "counted"


async def put(run_context: RunContext, key: str, value: Any) -> str:
    """Set a key."""
    assert run_context.session_state is not None
    run_context.session_state[key] = value
    return "set"


def calls(*names: str, **arguments: Any) -> Reply:
    """Return an answer that calls tools with the same arguments."""
    return Reply.tool_calls(*((name, arguments) for name in names))


def made(db: Database | None, *script: Reply | str, **options: Any) -> Agent:
    """Return an agent whose model says this."""
    given = {"session_state": STATE, "tools": [add, visit, put], **options}
    return Agent("Keeper", ScriptedModel(script), db=db, **given)


@LOCALLY
async def test_the_state_of_the_agent_is_that_of_a_new_session(db: Database) -> None:
    agent = made(db)
    assert await agent.aget_session_state("s") == {}
    run = await agent.arun("Hi", session_id="s")
    assert run.session_state == STATE
    assert await agent.aget_session_state("s") == STATE
    assert STATE == {"visits": 0, "list": ["milk"]}


async def test_what_tools_change_is_stored_and_is_there_in_the_next_run(db: Database) -> None:
    agent = made(db, calls("add", item="eggs"), calls("visit"), "Done.", calls("visit"))
    run = await agent.arun("Hi", session_id="s")
    assert run.session_state == {"visits": 1, "list": ["milk", "eggs"]}
    assert run.tools[0].result == "The list is ['milk', 'eggs']"
    assert await agent.aget_session_state("s") == run.session_state
    again = await agent.arun("Hi", session_id="s")
    assert again.session_state == {"visits": 2, "list": ["milk", "eggs"]}
    stored = await agent.aget_run_output(again.run_id)
    assert stored is not None
    assert stored.session_state == again.session_state
    assert RunOutput.from_dict(stored.to_dict()).session_state == again.session_state
    assert await agent.aget_session_state("other") == {}


@LOCALLY
async def test_what_is_set_on_the_agent_holds_for_the_next_new_session(db: Database) -> None:
    agent = made(db, session_state={"a": 1})
    agent.session_state = {"a": 2}
    assert (await agent.arun("Hi", session_id="s")).session_state == {"a": 2}
    agent.session_state["b"] = 3
    assert (await agent.arun("Hi", session_id="t")).session_state == {"a": 2, "b": 3}
    with pytest.raises(ConfigurationError, match=r"session_state\['c'\] has no JSON form"):
        agent.session_state = {"c": object()}
    assert agent.session_state == {"a": 2, "b": 3}


async def test_without_a_database_the_state_lives_with_the_run() -> None:
    agent = made(None, calls("visit"), "Done.")
    run = await agent.arun("Hi")
    assert run.session_state == STATE | {"visits": 1}
    assert (await agent.arun("Hi")).session_state == STATE


@LOCALLY
async def test_a_run_that_nobody_gives_a_state_has_none(db: Database) -> None:
    agent = Agent("Keeper", ScriptedModel(), db=db)
    run = await agent.arun("Hi", session_id="s")
    assert run.session_state is None
    store = await db.store()
    assert await store.states.of("s") == ({}, frozenset(), 0)


async def test_the_state_that_a_run_is_given_is_merged_over_the_stored_one(db: Database) -> None:
    agent = made(db, session_state={"user": {"name": "?", "age": 1}, "a": 1})
    await agent.arun("Hi", session_id="s", session_state={"user": {"name": "Ada"}, "b": 2})
    expected = {"user": {"name": "Ada", "age": 1}, "a": 1, "b": 2}
    assert await agent.aget_session_state("s") == expected
    run = await agent.arun("Hi", session_id="s", session_state={"a": 3})
    assert run.session_state == expected | {"a": 3}
    assert await agent.aget_session_state("s") == run.session_state


async def test_the_state_that_a_run_is_given_may_take_the_place_of_the_stored_one(
    db: Database,
) -> None:
    agent = made(db, overwrite_db_session_state=True, session_state={"a": 1, "c": 1})
    await agent.arun("Hi", session_id="s", session_state={"b": 2})
    run = await agent.arun("Hi", session_id="s", session_state={"c": 3})
    assert run.session_state == {"a": 1, "c": 3}
    assert await agent.aget_session_state("s") == {"a": 1, "c": 3}


@LOCALLY
async def test_the_state_can_be_assigned_and_keys_deleted(db: Database) -> None:
    def reset(run_context: RunContext) -> None:
        """Begin anew."""
        run_context.session_state = {"fresh": True}

    def forget(run_context: RunContext, key: str) -> None:
        """Forget a key."""
        assert run_context.session_state is not None
        del run_context.session_state[key]

    agent = made(
        db,
        *(calls("forget", key="visits"), calls("add", item="eggs"), "Done."),
        *(calls("reset"), "Done."),
        tools=[add, forget, reset],
    )
    run = await agent.arun("Hi", session_id="s")
    assert run.session_state == {"list": ["milk", "eggs"]}
    # What was deleted stays so, also where new sessions begin with it.
    assert (await agent.arun("Hi", session_id="s")).session_state == {"fresh": True}
    assert await agent.aget_session_state("s") == {"fresh": True}
    assert (await agent.arun("Hi", session_id="s")).session_state == {"fresh": True}


@LOCALLY
async def test_what_a_run_knows_of_itself_is_in_the_state_and_not_stored(db: Database) -> None:
    seen: dict[str, Any] = {}

    def look(run_context: RunContext) -> str:
        """Look at the state."""
        assert run_context.session_state is not None
        seen.update(run_context.session_state)
        run_context.session_state["current_run_id"] = "forged"
        return "seen"

    agent = made(db, calls("look"), "Done.", tools=[look])
    given = {"current_user_id": "mallory"}
    run = await agent.arun("Hi", session_id="s", user_id="alice", session_state=given)
    assert seen == STATE | {
        "current_user_id": "alice",
        "current_session_id": "s",
        "current_run_id": run.run_id,
    }
    assert run.session_state == STATE
    assert await agent.aget_session_state("s", user_id="alice") == STATE


@LOCALLY
async def test_calls_of_a_turn_each_have_their_copy_and_are_merged_in_their_order(
    db: Database,
) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    seen: list[object] = []

    async def mark(run_context: RunContext, number: int) -> str:
        """Mark the state."""
        state = run_context.session_state
        assert state is not None
        seen.append(dict(state))
        state["last"] = number
        state["list"].append(str(number))
        state[f"key {number}"] = number
        if number < 2:
            await asyncio.wait_for(gates[number + 1].wait(), 30)
        return str(number)

    async def released(run_context: RunContext, number: int) -> str:
        result = await mark(run_context, number)
        gates[number].set()  # It ends before those that come before it.
        return result

    released.__doc__ = mark.__doc__
    reply = Reply.tool_calls(*(("released", {"number": number}) for number in range(3)))
    agent = made(db, reply, "Done.", tools=[released])
    run = await agent.arun("Hi", session_id="s")
    assert seen == [{**STATE, "list": ["milk"]} | _current(run)] * 3 or len(seen) == 3
    assert run.session_state == {
        "visits": 0,
        "list": ["milk", "0", "1", "2"],
        "last": 2,
        "key 0": 0,
        "key 1": 1,
        "key 2": 2,
    }
    assert await agent.aget_session_state("s") == run.session_state


def _current(run: RunOutput) -> dict[str, object]:
    return {"current_session_id": run.session_id, "current_run_id": run.run_id}


@LOCALLY
async def test_a_state_that_is_no_json_fails_the_call_and_nothing_else(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def spoil(run_context: RunContext) -> str:
        """Spoil the state."""
        assert run_context.session_state is not None
        run_context.session_state["bad"] = {1, 2}
        run_context.session_state["visits"] = 99
        return "spoiled"

    agent = made(db, calls("visit", "spoil"), calls("visit"), "Done.", tools=[visit, spoil])
    run = await agent.arun("Hi", session_id="s")
    assert (run.status, run.content) == (RunStatus.completed, "Done.")
    assert [each.tool_call_error for each in run.tools] == [False, True, False]
    assert "session_state['bad'] has no JSON form" in str(run.tools[1].result)
    assert run.session_state == STATE | {"visits": 2}
    assert await agent.aget_session_state("s") == run.session_state
    assert all(record.levelno < logging.ERROR for record in caplog.records)


@LOCALLY
async def test_what_a_call_has_changed_before_it_failed_is_kept(db: Database) -> None:
    def fail(run_context: RunContext) -> str:
        """Fail."""
        assert run_context.session_state is not None
        run_context.session_state["tried"] = True
        raise ValueError("no")

    agent = made(db, calls("fail"), "Done.", tools=[fail])
    run = await agent.arun("Hi", session_id="s")
    assert run.tools[0].tool_call_error
    assert run.session_state == STATE | {"tried": True}


@LOCALLY
async def test_the_model_may_change_the_state_where_it_is_asked_to(db: Database) -> None:
    model = ScriptedModel(
        [calls("update_session_state", session_state_updates={"visits": 7, "new": [1]}), "Done."]
    )
    agent = made(db, tools=[visit], enable_agentic_state=True)
    agent.model = model
    run = await agent.arun("Hi", session_id="s")
    assert [tool.name for tool in model.requests[0].tools] == ["visit", "update_session_state"]
    assert run.session_state == STATE | {"visits": 7, "new": [1]}
    assert await agent.aget_session_state("s") == run.session_state


async def test_a_run_in_the_background_has_a_state_too(db: Database) -> None:
    agent = made(db, calls("visit"), "Done.")
    run = await agent.arun("Hi", session_id="s", background=True, session_state={"new": 1})
    ended = await agent.await_run(run.run_id, timeout=30)
    assert ended is not None
    assert ended.session_state == STATE | {"visits": 1, "new": 1}
    assert await agent.aget_session_state("s") == ended.session_state
    events = [event async for event in agent.astream_run(run.run_id)]
    assert isinstance(events[-1], RunCompletedEvent)
    assert events[-1].session_state == ended.session_state


async def test_the_end_of_a_stream_has_the_state() -> None:
    agent = made(None, calls("visit"), "Done.")
    events = [event async for event in agent.arun("Hi", stream=True, stream_events=True)]
    assert isinstance(events[-1], RunCompletedEvent)
    assert events[-1].session_state == STATE | {"visits": 1}


async def test_the_state_is_updated_from_outside(db: Database) -> None:
    agent = made(db)
    with pytest.raises(SessionNotFoundError, match="There is no session 's' in"):
        await agent.aupdate_session_state({"a": 1}, "s")
    await agent.arun("Hi", session_id="s")
    said = await agent.aupdate_session_state({"visits": 5, "a": None}, session_id="s")
    assert said == 'Updated session state: {"a":null,"list":["milk"],"visits":5}'
    assert await agent.aget_session_state("s") == STATE | {"visits": 5, "a": None}
    run = await agent.arun("Hi", session_id="s")
    assert run.session_state == STATE | {"visits": 5, "a": None}
    with pytest.raises(InvalidInputError, match=r"session_state\['b'\] has no JSON form"):
        await agent.aupdate_session_state({"b": object()}, "s")
    with pytest.raises(InvalidInputError, match="Which session"):
        await agent.aget_session_state()


@LOCALLY
async def test_an_agent_with_a_session_of_its_own_means_that(db: Database) -> None:
    agent = made(db, calls("visit"), "Done.", session_id="own", user_id="alice")
    await agent.arun("Hi")
    await agent.aupdate_session_state({"a": 1})
    assert await agent.aget_session_state() == STATE | {"visits": 1, "a": 1}


async def test_a_session_of_the_same_name_is_each_users_own(db: Database) -> None:
    agent = made(db)
    for user in ("alice", "bob"):
        await agent.arun("Hi", session_id="s", user_id=user, session_state={"user": user})
    for user in ("alice", "bob"):
        state = await agent.aget_session_state("s", user_id=user)
        assert state == STATE | {"user": user}
    await agent.aupdate_session_state({"user": "Bob"}, "s", user_id="bob")
    assert (await agent.aget_session_state("s", user_id="alice"))["user"] == "alice"
    assert await agent.aget_session_state("s", user_id="eve") == {}


async def test_the_later_accepted_run_wins_a_key_and_the_log_of_the_other_says_so(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    both, begun, first_may_end = asyncio.Barrier(2), asyncio.Event(), asyncio.Event()

    async def race(run_context: RunContext, name: str) -> str:
        """Set keys."""
        assert run_context.session_state is not None
        begun.set()
        await asyncio.wait_for(both.wait(), 30)
        run_context.session_state["winner"] = name
        run_context.session_state[name] = True
        if name == "first":
            await asyncio.wait_for(first_may_end.wait(), 30)
        return name

    first = made(db, calls("race", name="first"), "Done.", tools=[race])
    second = made(db, calls("race", name="second"), "Done.", tools=[race])
    running = asyncio.create_task(first.arun("Hi", session_id="s"))
    await asyncio.wait_for(begun.wait(), 30)
    later = await second.arun("Hi", session_id="s")
    first_may_end.set()
    earlier = await running
    assert await first.aget_session_state("s") == STATE | {
        "winner": "second",
        "first": True,
        "second": True,
    }
    assert earlier.session_state == STATE | {"winner": "first", "first": True}
    assert later.session_state == STATE | {"winner": "second", "second": True}
    [said] = [each.getMessage() for each in caplog.records if "was not stored" in each.getMessage()]
    assert earlier.run_id in said
    assert "'winner'" in said


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"a": {1}}, r"session_state\['a'\] has no JSON form"),
        ([1], "session_state must be a dict, not list"),
        ({1: 2}, "the key 1, which is no text"),
    ],
)
def test_an_agent_with_a_state_that_is_no_json_is_refused(state: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Agent("Keeper", ScriptedModel(), session_state=state)


@LOCALLY
async def test_a_run_with_a_state_that_is_no_json_is_refused(db: Database) -> None:
    agent = made(db)
    given: Any
    for given, said in (
        ({"a": {1}}, r"session_state\['a'\] has no JSON form"),
        ({"a" * 2000: 1}, "which has 2000 characters"),
        ({1: 1}, "the key 1, which is no text"),
        ([1], "session_state must be a dict, not list"),
    ):
        for background in (False, True):
            with pytest.raises(InvalidInputError, match=said):
                await agent.arun("Hi", session_state=given, background=background)


def test_a_script_without_a_loop_has_the_same_methods() -> None:
    agent = made(InMemoryDb(), calls("visit"), "Done.")
    run = agent.run("Hi", session_id="s")
    assert run.session_state == STATE | {"visits": 1}
    assert agent.update_session_state({"a": 1}, "s").startswith("Updated session state: {")
    assert agent.get_session_state("s") == STATE | {"visits": 1, "a": 1}


def system(agent: Agent) -> str:
    """Return the system message of the last model call."""
    model = agent.model
    assert isinstance(model, ScriptedModel)
    return model.requests[-1].messages[0].text


@LOCALLY
async def test_hooks_change_the_state_with_their_steps(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def greet(run_context: RunContext) -> None:
        assert run_context.session_state is not None
        run_context.session_state["greeted"] = run_context.user_id

    def reset(run_context: RunContext, session_state: dict[str, Any]) -> None:
        assert session_state["greeted"] == "alice"
        run_context.session_state = {**session_state, "visits": 10}

    def spoil(session_state: dict[str, Any]) -> None:
        session_state["bad"] = object()

    def close(session_state: dict[str, Any]) -> None:
        session_state["closed"] = session_state["visits"]

    hooks = {"pre_hooks": [greet, reset, spoil], "post_hooks": [close]}
    agent = made(db, calls("visit"), "Done.", **hooks)
    run = await agent.arun("Hi", session_id="s", user_id="alice")
    assert run.session_state == STATE | {"greeted": "alice", "visits": 11, "closed": 11}
    assert await agent.aget_session_state("s", user_id="alice") == run.session_state
    assert [each for each in caplog.messages if "the pre-hook spoil failed" in each]


@LOCALLY
async def test_hooks_have_the_state_also_where_nobody_gives_one(db: Database) -> None:
    def count(run_context: RunContext) -> None:
        assert run_context.session_state is not None
        run_context.session_state.setdefault("runs", []).append(run_context.run_id)

    agent = made(db, session_state=None, tools=[], pre_hooks=[count])
    runs = [await agent.arun("Hi", session_id="s") for _ in range(3)]
    assert await agent.aget_session_state("s") == {"runs": [each.run_id for each in runs]}


@LOCALLY
async def test_the_state_fills_names_in_what_the_model_is_told(db: Database) -> None:
    agent = made(
        db,
        *(calls("visit"), "Done."),
        instructions="Visits: {visits}, user: {current_user_id}, {unknown}.",
        user_id="alice",
    )
    await agent.arun("Hi", session_id="s")
    assert "Visits: 0, user: alice, {unknown}." in system(agent)
    await agent.arun("Hi", session_id="s")
    assert "Visits: 1, user: alice, {unknown}." in system(agent)


@LOCALLY
async def test_instructions_are_made_of_the_state(db: Database) -> None:
    def instruct(run_context: RunContext, session_state: dict[str, Any]) -> str:
        assert run_context.session_state is session_state
        return f"The list is {session_state['list']}, {{visits}}."

    agent = made(db, calls("add", item="eggs"), "Done.", instructions=instruct)
    for expected in ("The list is ['milk'], 0.", "The list is ['milk', 'eggs'], 0."):
        await agent.arun("Hi", session_id="s")
        assert expected in system(agent)


@LOCALLY
async def test_the_state_is_told_where_that_is_asked_for(db: Database) -> None:
    agent = made(db, session_state={"secret name": "Ada"}, add_session_state_to_context=True)
    await agent.arun("Hi", session_id="s", user_id="alice")
    assert '"secret name"' in system(agent)
    assert "current_" not in system(agent)
    await agent.arun("Hi", session_id="s", user_id="alice", add_session_state_to_context=False)
    assert agent.model.requests[-1].messages[0].role == "user"  # type: ignore[attr-defined]
    plain = made(db, session_state=None, tools=[])
    await plain.arun("Hi", session_id="s", user_id="alice", add_session_state_to_context=True)
    assert '"secret name"' in system(plain)
