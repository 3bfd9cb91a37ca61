"""Hooks: what they are given, what they may change, and what a run survives of them."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from locally import LOCALLY
from media import png
from pydantic import BaseModel

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import (
    CheckTrigger,
    ConfigurationError,
    InputCheckError,
    OutputCheckError,
    RunTimeoutError,
)
from kern.execution.hooks import Hooks
from kern.guardrails import BaseGuardrail, PIIDetectionGuardrail
from kern.hooks import hook
from kern.media import Image
from kern.operations.timeline import timeline
from kern.run.agent import RunEvent, RunInput, RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.content import blob_of
from kern.run.message import Message
from kern.testing import Reply, ScriptedModel
from kern.tools import tool


def asked(model: ScriptedModel, call: int = -1) -> list[str]:
    """Return what the model was told."""
    return [each.text for each in model.requests[call].messages]


class City(BaseModel):
    """A city."""

    name: str


class Shout:
    """A hook that is an object."""

    def __call__(self, run_output: RunOutput) -> None:
        run_output.content = str(run_output.content).upper()


class Polite(BaseGuardrail):
    """Implements check only, without annotations."""

    def check(self, run_input):  # type: ignore[no-untyped-def] # as users write it
        if "damn" in run_input.input_content_string():
            raise InputCheckError("Mind your words.", CheckTrigger.OFF_TOPIC, {"word": "damn"})


async def test_functions_objects_and_guardrails_are_mixed_and_called_in_their_order() -> None:
    model = ScriptedModel(["Hello."])
    order: list[tuple[object, ...]] = []

    def first(run_input: RunInput, agent: Agent, run_context: RunContext) -> None:
        order.append((agent.name, run_context.run_id, run_input.input_content))
        run_input.input_content += " One."

    async def second(given: RunInput, *, session_id: str, user_id: str, debug_mode: bool) -> None:
        await asyncio.sleep(0)
        order.append((session_id, user_id, debug_mode, given.input_content))
        given.input_content += " Two."

    agent = Agent(
        "Tester", model, pre_hooks=[first, Polite(), second], post_hooks=[Shout(), Polite()]
    )
    run = await agent.arun("Hi.", session_id="talk", user_id="ann")
    assert order == [
        ("Tester", run.run_id, "Hi."),
        ("talk", "ann", False, "Hi. One."),
    ]
    assert asked(model) == ["Hi. One. Two."]
    assert [each.text for each in run.messages] == ["Hi. One. Two.", "HELLO."]
    assert run.content == "HELLO."


@pytest.mark.parametrize(
    ("pre", "post", "said"),
    [
        ([lambda run_inptu: None], None, "Did you mean 'run_input'"),
        ([lambda run_output: None], None, "run_output"),
        (None, [lambda run_input: None], "run_input"),
        ([5], None, "pre_hooks takes functions and guardrails"),
        (None, [BaseGuardrail()], "checks nothing"),
        ([BaseGuardrail], None, "pre_hooks takes functions and guardrails"),
        (print, None, "must be a list"),
        ("no", None, "must be a list"),
    ],
)
def test_what_cannot_be_a_hook_is_refused_when_the_agent_is_made(
    pre: Any, post: Any, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Agent("Tester", ScriptedModel(), pre_hooks=pre, post_hooks=post)


def test_hooks_can_be_set_between_runs() -> None:
    agent = Agent("Tester", ScriptedModel(["a", "b"]))
    assert agent.run("Hi").content == "a"
    agent.post_hooks = [Shout()]
    assert agent.run("Hi").content == "B"
    with pytest.raises(ConfigurationError):
        agent.post_hooks = [5]
    assert agent.post_hooks is not None


def raises(error: BaseException) -> Callable[..., None]:
    """Return a hook that raises."""

    def failing() -> None:
        raise error

    return failing


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(60)


def forks() -> None:
    """Leave a child behind that ends at once."""
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


GARBAGE: dict[str, Callable[..., Any]] = {
    "an error": raises(ValueError("no")),
    "the end of the process": raises(SystemExit(3)),
    "an interrupt": raises(KeyboardInterrupt()),
    "a cancel": raises(asyncio.CancelledError()),
    "the end of a generator": raises(StopIteration()),
    "its own cancel": cancels_itself,
    "what it returns": lambda: object(),
    "an awaitable": lambda: asyncio.sleep(0, object()),
    "a fork": forks,
}


@pytest.mark.parametrize("what", GARBAGE)
@pytest.mark.parametrize("place", ["pre_hooks", "post_hooks"])
async def test_a_run_survives_whatever_a_hook_does(
    what: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent("Tester", ScriptedModel(["Hello."]), db=InMemoryDb())
    setattr(agent, place, [GARBAGE[what]])
    with caplog.at_level(logging.INFO, "kern"):
        run = await agent.arun("Hi")
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    warned = [each for each in caplog.records if each.levelno >= logging.WARNING]
    is_survived = what not in ("what it returns", "an awaitable", "a fork")
    assert [each.levelname for each in warned] == ["WARNING"] * is_survived
    assert not any(each.exc_info for each in caplog.records)


@pytest.mark.parametrize(
    "content", [5, None, "", "  ", object(), [5], {"no": "content"}, [Message("user", "")]]
)
async def test_an_input_that_is_none_leaves_it_as_it_was(
    content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(run_input: RunInput) -> None:
        run_input.input_content = content

    model = ScriptedModel(["Hello."])
    run = await Agent("Tester", model, pre_hooks=[spoil]).arun("Hi")
    assert run.status is RunStatus.completed
    if not isinstance(content, dict):  # A place may know what to do with one.
        assert asked(model) == ["Hi"]
        assert "the pre-hook spoil failed" in caplog.text


async def test_what_a_failing_hook_has_changed_is_not_kept() -> None:
    def half(run_input: RunInput) -> None:
        run_input.input_content = "Half"
        raise ValueError

    model = ScriptedModel(["Hello."])
    await Agent("Tester", model, pre_hooks=[half]).arun("Hi")
    assert asked(model) == ["Hi"]


async def test_messages_can_be_changed_in_place() -> None:
    def change(run_input: RunInput) -> None:
        run_input.input_content[0].content = "Bye"

    model = ScriptedModel(["Hello."])
    given = [Message("user", "Hi"), Message("user", "there")]
    await Agent("Tester", model, pre_hooks=[change]).arun(given)
    assert asked(model) == ["Bye", "there"]
    assert given[0].text == "Hi"


@pytest.mark.parametrize("is_stored", [False, True])
async def test_a_pre_hook_sees_the_media_beside_the_input(is_stored: bool) -> None:
    seen: list[object] = []

    def look(run_input: RunInput, images: list[Image]) -> None:
        seen.extend((run_input.input_content, [each.hash for each in run_input.images]))
        seen.append([each.hash for each in images])

    db = InMemoryDb() if is_stored else None
    agent = Agent("Tester", ScriptedModel(), db=db, pre_hooks=[look])
    await agent.arun("Hi", images=[Image(content=png(1))])
    hashes = [blob_of(png(1)).hash]
    assert seen == ["Hi", hashes, hashes]


async def test_a_synchronous_hook_may_run_an_agent() -> None:
    helper = Agent("Helper", ScriptedModel(["Help."]))

    def helped(run_output: RunOutput) -> None:
        run_output.content = helper.run("Hi").content

    run = await Agent("Tester", ScriptedModel(["Hello."]), post_hooks=[helped]).arun("Hi")
    assert run.content == "Help."


@LOCALLY
async def test_a_typed_answer_is_an_instance_that_can_be_replaced(db: Database) -> None:
    seen: list[object] = []

    def look(run_output: RunOutput[City]) -> None:
        seen.append(run_output.content)
        assert run_output.content is not None
        run_output.content.name = "Köln"

    model = ScriptedModel([Reply.text('{"name": "Bonn"}')])
    agent = Agent("Tester", model, db=db, output_schema=City, post_hooks=[look])
    run = await agent.arun("Which city?")
    assert seen == [City(name="Bonn")] or seen == [City(name="Köln")]
    assert run.content == City(name="Köln")
    stored = await agent.aget_run_output(run.run_id)
    assert stored is not None
    assert stored.content == City(name="Köln")


async def test_a_value_that_does_not_fit_leaves_the_answer_as_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def spoil(run_output: RunOutput[Any]) -> None:
        run_output.content = {"town": "Köln"}

    model = ScriptedModel([Reply.text('{"name": "Bonn"}')])
    run = await Agent("Tester", model, output_schema=City, post_hooks=[spoil]).arun("Which?")
    assert run.content == City(name="Bonn")
    assert "the content that it left is no City" in caplog.text.replace("The", "the")


async def test_hooks_see_the_answer_before_followups_are_made() -> None:
    def shorten(run_output: RunOutput) -> None:
        assert run_output.followups == []
        run_output.content = "Short."

    more = ScriptedModel([Reply.text('{"followups": ["a", "b", "c"]}')])
    agent = Agent(
        "Tester",
        ScriptedModel(["Long."]),
        post_hooks=[shorten],
        followups=True,
        followup_model=more,
    )
    run = await agent.arun("Hi")
    assert (run.content, run.followups) == ("Short.", ["a", "b", "c"])
    assert "Short." in asked(more)[-1]
    assert "Long." not in asked(more)[-1]


async def test_a_refused_input_asks_no_model_and_a_refused_answer_is_no_content(
    db: Database,
) -> None:
    model = ScriptedModel(["A damn answer.", "Fine."])
    agent = Agent("Tester", model, db=db, pre_hooks=[Polite()], post_hooks=[Polite()])
    with pytest.raises(InputCheckError) as refused:
        await agent.arun("damn")
    assert not model.requests
    assert refused.value.run_output.status is RunStatus.error
    with pytest.raises(OutputCheckError) as raised:
        await agent.arun("Hi")
    error = raised.value
    assert (error.check_trigger, error.additional_data) == (
        CheckTrigger.OFF_TOPIC,
        {"word": "damn"},
    )
    stored = await agent.aget_run_output(error.run_output.run_id)
    assert stored is not None
    assert (stored.content, stored.error, stored.error_kind) == (
        None,
        "Mind your words.",
        "OutputCheckError",
    )
    assert stored.error_details == {
        "check_trigger": "off_topic",
        "additional_data": {"word": "damn"},
    }
    await agent.aretry_run(stored.run_id)
    retried = await agent.await_run(stored.run_id, timeout=20)
    assert retried is not None
    assert (retried.status, retried.content, retried.error) == (RunStatus.completed, "Fine.", None)


@LOCALLY
async def test_what_a_check_adds_is_json_for_every_reader(db: Database) -> None:
    given: list[object] = [("a", "b"), object()]

    def refuse() -> None:
        raise InputCheckError("No.", additional_data={"words": given.pop(0)})

    agent = Agent("Tester", ScriptedModel([]), db=db, pre_hooks=[refuse])
    for kept in ({"additional_data": {"words": ["a", "b"]}}, {}):
        run = await agent.arun("Hi", raise_on_error=False)
        assert run.error_details == {"check_trigger": "input_not_allowed", **kept}
        stored = await agent.aget_run_output(run.run_id)
        assert stored is not None
        assert (stored.status, stored.error_details) == (RunStatus.error, run.error_details)


async def test_a_stream_tells_of_hooks_and_what_they_void() -> None:
    agent = Agent("Tester", ScriptedModel(["Hello."]), pre_hooks=[Polite()], post_hooks=[Shout()])
    told = [each async for each in agent.arun("Hi", stream=True, stream_events=True)]
    assert [each.event for each in told] == [
        RunEvent.run_started,
        RunEvent.pre_hook_started,
        RunEvent.pre_hook_completed,
        RunEvent.model_request_started,
        RunEvent.run_content,
        RunEvent.model_request_completed,
        RunEvent.post_hook_started,
        RunEvent.run_content_voided,
        RunEvent.run_content,
        RunEvent.post_hook_completed,
        RunEvent.run_content_completed,
        RunEvent.run_completed,
    ]
    assert told[1].pre_hook_name == "Polite"  # type: ignore[attr-defined]
    assert told[6].post_hook_name == "Shout"  # type: ignore[attr-defined]
    assert (told[7].content, told[8].content, told[-1].content) == ("Hello.", "HELLO.", "HELLO.")


@pytest.mark.parametrize("ends", ["replaces", "refuses"])
async def test_what_a_stream_voids_has_been_told(ends: str) -> None:
    """Of a value that a hook has put in the place of the answer, readers have no text."""

    def count(run_output: RunOutput[Any]) -> None:
        run_output.content = {"count": 2}

    def end(run_output: RunOutput) -> None:
        if ends == "refuses":
            raise OutputCheckError("No.")
        run_output.content = "Two."

    schema = {"type": "object", "properties": {"count": {"type": "integer"}}}
    model = ScriptedModel(['{"count": 1}'])
    agent = Agent("Tester", model, output_schema=schema, post_hooks=[count, end])
    text = ""
    with suppress(OutputCheckError):
        async for event in agent.arun("Hi", stream=True, stream_events=True):
            if event.event is RunEvent.run_content:
                text += event.content or ""
            elif event.event is RunEvent.run_content_voided:
                assert event.content
                assert text.endswith(event.content)
                text = text.removesuffix(event.content)
    assert text == ("Two." if ends == "replaces" else "")


async def test_a_cancel_in_the_middle_of_a_hook_ends_the_run(db: Database) -> None:
    began = asyncio.Event()

    async def hang() -> None:
        began.set()
        await asyncio.sleep(600)

    model = ScriptedModel(["Hello."])
    agent = Agent("Tester", model, db=db, pre_hooks=[hang])
    run = await agent.arun("Hi", background=True)
    await asyncio.wait_for(began.wait(), 20)
    assert await agent.acancel_run(run.run_id)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert (ended.status, model.requests) == (RunStatus.cancelled, [])


async def test_background_hooks_delay_nobody_and_change_nothing() -> None:
    noted: list[object] = []
    go, done = asyncio.Event(), asyncio.Event()

    @hook(run_in_background=True)
    async def before(run_input: RunInput) -> None:
        noted.append(run_input.input_content)
        run_input.input_content = "Bye"

    @hook(run_in_background=True)
    async def after(run_output: RunOutput) -> None:
        await go.wait()
        noted.append((run_output.status, run_output.content))
        run_output.content = "Bye"
        done.set()

    model = ScriptedModel(["Hello."])
    agent = Agent("Tester", model, pre_hooks=[before, Polite()], post_hooks=[after, Shout()])
    run = await agent.arun("Hi")
    assert (run.content, asked(model)) == ("HELLO.", ["Hi"])
    go.set()
    await asyncio.wait_for(done.wait(), 20)
    assert noted == ["Hi", (RunStatus.completed, "HELLO.")]


async def test_what_a_background_hook_raises_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()

    @hook(run_in_background=True)
    async def refuse(run_output: RunOutput) -> None:
        asyncio.get_running_loop().call_later(0.01, done.set)
        raise OutputCheckError("Too late.")

    run = await Agent("Tester", ScriptedModel(["Hello."]), post_hooks=[refuse]).arun("Hi")
    await asyncio.wait_for(done.wait(), 20)
    assert run.status is RunStatus.completed
    assert "the post-hook refuse failed, and the run goes on: OutputCheckError: Too late." in (
        caplog.text
    )


async def test_a_guardrail_masks_what_a_run_answers() -> None:
    guardrail = PIIDetectionGuardrail(mask_pii=True)
    agent = Agent("Tester", ScriptedModel(["Write to ann@example.com."]), post_hooks=[guardrail])
    run = await agent.arun("Hi")
    assert run.content == "Write to ***************."
    assert "ann@" not in str(run.messages)


async def test_the_state_changes_with_the_hooks_that_end(db: Database) -> None:
    seen: list[object] = []

    def count(session_state: dict[str, Any]) -> None:
        session_state["visits"] = session_state.get("visits", 0) + 1

    def fail(run_context: RunContext) -> None:
        assert run_context.session_state is not None
        run_context.session_state["visits"] = "spoiled"
        raise ValueError

    def assign(run_context: RunContext) -> None:
        seen.append(run_context.session_state)
        run_context.session_state = {"visits": 2, "name": "Ann"}

    @hook(run_in_background=True)
    def too_late(session_state: dict[str, Any]) -> None:
        session_state.clear()

    agent = Agent(
        "Tester",
        ScriptedModel(["Hello."]),
        db=db,
        pre_hooks=[count, fail],
        post_hooks=[assign, too_late],
    )
    run = await agent.arun("Hi", session_id="talk")
    assert run.status is RunStatus.completed
    [state] = seen
    assert isinstance(state, dict)
    assert state["visits"] == 1
    assert await agent.aget_session_state("talk") == {"visits": 2, "name": "Ann"}


@LOCALLY
async def test_a_state_that_is_no_json_is_not_kept(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(session_state: dict[str, Any]) -> None:
        session_state["lock"] = object()

    agent = Agent("Tester", ScriptedModel(["Hello."]), db=db, pre_hooks=[spoil])
    run = await agent.arun("Hi", session_id="talk")
    assert run.status is RunStatus.completed
    assert "lock" in caplog.text
    assert await agent.aget_session_state("talk") == {}


@LOCALLY
async def test_a_hook_is_given_the_session(db: Database) -> None:
    seen: list[Any] = []

    def look(session: Any) -> None:
        seen.append(session)

    agent = Agent("Tester", ScriptedModel(["One.", "Two."]), db=db, pre_hooks=[look])
    await agent.arun("Hi", session_id="talk")
    await agent.arun("Hi", session_id="talk")
    assert [each.session_id for each in seen] == ["talk", "talk"]
    assert "One." in [run.content for run in seen[1].runs]
    agent = Agent("Tester", ScriptedModel(["One."]), pre_hooks=[look])
    await agent.arun("Hi", session_id="chat", user_id="ada")
    assert (seen[2].session_id, seen[2].user_id, seen[2].runs) == ("chat", "ada", [])


def hang() -> None:
    """Block its thread for longer than a run may take."""
    time.sleep(3)


async def test_a_hook_that_blocks_is_held_to_the_time_limit_of_the_run() -> None:
    agent = Agent("Tester", ScriptedModel(), pre_hooks=[hang])
    with pytest.raises(RunTimeoutError):
        await agent.arun("Hi", timeout=0.2)


def test_only_hooks_that_hold_nothing_of_a_caller_are_the_same_everywhere() -> None:
    def inner() -> None:
        """Be defined in a function."""

    made = [Hooks.of([each], None) for each in (hang, Polite(), inner, partial(hang))]
    assert [each.is_portable for each in made if each] == [True, True, False, False]


async def test_what_a_run_shows_names_its_hooks() -> None:
    db = InMemoryDb()
    agent = Agent("Tester", ScriptedModel(["Hello."]), db=db, pre_hooks=[Polite()])
    run = await agent.arun("Hi")
    store = await db.store()
    record = await store.get(run.run_id)
    assert record is not None
    moments = list(timeline(record, await store.events(run.run_id, 0)))
    told = [(each.kind, each.detail) for each in moments if "Hook" in each.kind]
    assert told == [("PreHookStarted", "Polite"), ("PreHookCompleted", "Polite")]


async def test_a_child_of_a_hook_is_a_child_of_the_run(db: Database) -> None:
    helper = Agent("Helper", ScriptedModel(["Help."]), db=db)
    found: list[str | None] = []

    async def ask() -> None:
        helped = await helper.arun("Hi", background=True)
        ended = await helper.await_run(helped.run_id, timeout=20)
        assert ended is not None
        found.append(ended.parent_run_id)

    run = await Agent("Tester", ScriptedModel(["Hello."]), db=db, post_hooks=[ask]).arun("Hi")
    assert found == [run.run_id]


@LOCALLY
async def test_a_result_that_is_replaced_as_the_answer_keeps_its_call(db: Database) -> None:
    @tool(stop_after_tool_call=True)
    def look() -> str:
        return "secret"

    def mask(run_output: RunOutput) -> None:
        run_output.content = "masked"

    model = ScriptedModel([Reply.tool_calls(("look", {}))])
    agent = Agent("Masking", model, tools=[look], post_hooks=[mask], db=db)
    agent_of_next = Agent("Masking", model, db=db, add_history_to_context=True)
    run = await agent.arun("Look.")
    await agent_of_next.arun("And?", session_id=run.session_id)
    told = model.requests[-1].messages
    assert [each.role for each in told] == ["user", "assistant", "tool", "user"]
    assert told[1].text == "masked"
    assert told[1].tool_calls[0].id == told[2].tool_call_id
