"""A run can begin with what another one has said: forks, answers made anew, travels in time."""

import asyncio
from typing import Any

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import (
    InputCheckError,
    InvalidInputError,
    ModelError,
    RunConflictError,
    RunNotFoundError,
    RunStateError,
)
from kern.guardrails import PIIDetectionGuardrail
from kern.media import Image
from kern.models.base import ModelRequest
from kern.run.agent import RunInput, RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.lineage import ContinueFrom
from kern.testing import Reply, ScriptedModel

CALLS = (Reply.tool_calls(("work", {"step": "a"}), ("work", {"step": "b"})), "Done.")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


@pytest.fixture
def keys() -> list[str]:
    """The keys of the calls that were made."""
    return []


@pytest.fixture
def agent(db: Database, keys: list[str]) -> Agent:
    """An agent whose tool notes its calls."""
    return agent_of(db, keys, *CALLS)


def agent_of(db: Database | None, keys: list[str], *script: Any, **keywords: Any) -> Agent:
    async def work(step: str, context: RunContext) -> str:
        keys.append(context.idempotency_key)
        return f"{step} is done"

    keywords = {"tools": [work], **keywords}
    return Agent("Tester", ScriptedModel(script), db=db, **keywords)


def told(agent: Agent, number: int = -1) -> list[tuple[str, str]]:
    """Return what a model was told, the last time by default."""
    assert isinstance(agent.model, ScriptedModel)
    return said(agent.model.requests[number].messages)


def said(messages: Any) -> list[tuple[str, str]]:
    return [(each.role, each.text) for each in messages]


def given(run: RunOutput) -> object:
    """Return what a run was given, as its user sees it."""
    assert run.input is not None
    return run.input.input_content


WORKED = [
    ("user", "Work."),
    ("assistant", ""),
    ("tool", "a is done"),
    ("tool", "b is done"),
    ("assistant", "Done."),
]


async def test_a_completed_run_goes_on_in_a_new_one(agent: Agent, keys: list[str]) -> None:
    origin = await agent.arun("Work.", metadata={"a": 1})
    fork = await agent.acontinue_run(origin.run_id, input="Thanks.", session_id=origin.session_id)

    assert (fork.status, fork.content) == (RunStatus.completed, "Hello.")
    assert told(agent) == [*WORKED, ("user", "Thanks.")]
    assert len(keys) == 2, "its calls are not made again"
    assert fork.run_id != origin.run_id
    assert (fork.session_id, fork.metadata) == (origin.session_id, {"a": 1})
    assert (fork.forked_from_run_id, fork.forked_from_message_index) == (origin.run_id, 5)
    assert fork.forked_from_session_id is None
    assert fork.metrics.model_calls == 1, "it has metrics of its own"
    assert fork.created_at > origin.created_at
    assert given(fork) == "Thanks."
    stored = await agent.aget_run_output(fork.run_id)
    assert stored is not None
    assert stored.forked_from_run_id == origin.run_id
    assert given(stored) == "Thanks."
    assert said(stored.messages) == [*WORKED, ("user", "Thanks."), ("assistant", "Hello.")]
    left = await agent.aget_run_output(origin.run_id)
    assert left is not None
    assert (left.status, said(left.messages)) == (RunStatus.completed, WORKED)
    session = await agent.aget_session(origin.session_id, runs_limit=9)
    assert session is not None
    assert [run.run_id for run in session.runs] == [origin.run_id, fork.run_id]
    chat = [each.text for each in session.get_chat_history()]
    assert chat == ["Work.", "Done.", "Thanks.", "Hello."], "nothing is shown twice"


async def test_a_completed_run_is_returned_as_it_is_where_nothing_is_asked(agent: Agent) -> None:
    origin = await agent.arun("Work.")
    assert (await agent.acontinue_run(origin.run_id)).run_id == origin.run_id
    assert (await agent.acontinue_run(origin)).content == "Done."
    assert len(await agent.alist_runs()) == 1


async def test_a_run_can_be_cut_off_at_any_message(agent: Agent) -> None:
    origin = await agent.arun("Work.")
    places: dict[ContinueFrom, int] = {0: 0, 1: 1, 2: 1, 3: 1, 4: 4, 5: 5, 99: 5}
    for place, kept in (places | {"last_user": 1, "end": 5}).items():
        fork = await agent.acontinue_run(origin, continue_from=place, input="And?")
        assert told(agent) == [*WORKED[:kept], ("user", "And?")]
        assert fork.forked_from_message_index == kept
        assert given(fork) == "And?"


async def test_the_system_message_counts_as_users_see_it(db: Database, keys: list[str]) -> None:
    agent = agent_of(db, keys, *CALLS, instructions="Be brief.")
    origin = await agent.arun("Work.")
    assert [each.role for each in origin.messages[:2]] == ["system", "user"]
    for run in (origin, origin.run_id):
        fork = await agent.acontinue_run(run, continue_from=2, input="And?")
        assert told(agent) == [("system", "Be brief."), WORKED[0], ("user", "And?")]
        assert fork.forked_from_message_index == 2
    stored = await agent.aget_run_output(origin.run_id)
    assert stored is not None
    await agent.acontinue_run(stored, continue_from=1, input="And?")
    assert told(agent) == [("system", "Be brief."), WORKED[0], ("user", "And?")]


async def test_a_new_run_asks_the_model_with_what_is_left(agent: Agent, keys: list[str]) -> None:
    origin = await agent.arun("Work.")
    fork = await agent.acontinue_run(origin, continue_from=4)
    assert (told(agent), len(keys)) == (WORKED[:4], 2)
    assert (fork.content, fork.tools) == ("Hello.", [])
    again = await agent.acontinue_run(origin, continue_from="last_user")
    assert told(agent) == WORKED[:1]
    assert given(again) == "Work."
    whole = await agent.acontinue_run(origin, fork=True)
    assert told(agent) == WORKED
    assert whole.run_id != origin.run_id
    with pytest.raises(InvalidInputError, match="Nothing is left of the run"):
        await agent.acontinue_run(origin, continue_from=0)


async def test_an_answer_is_made_anew_in_the_place_of_the_first(
    db: Database, keys: list[str]
) -> None:
    agent = agent_of(db, keys, "Hi.", *CALLS, "Better.", "Bye.", add_history_to_context=True)
    await agent.arun("Hi?", session_id="session")
    origin = await agent.arun("Work.", session_id="session")
    run = await agent.acontinue_run(origin.run_id, regenerate=True)
    earlier = [("user", "Hi?"), ("assistant", "Hi.")]
    assert told(agent) == [*earlier, *WORKED[:4]], "neither the answer nor the run is shown"
    assert (run.content, run.regenerated_from, len(keys)) == ("Better.", origin.run_id, 2)
    assert run.forked_from_run_id is None

    replaced = await agent.aget_run_output(origin.run_id)
    assert replaced is not None
    assert (replaced.status, replaced.content) == (RunStatus.regenerated, "Done.")
    assert replaced.is_terminal
    await agent.arun("Bye?", session_id="session")
    assert told(agent) == [*earlier, *WORKED[:4], ("assistant", "Better."), ("user", "Bye?")]
    listed = await agent.alist_runs(status=RunStatus.regenerated)
    assert [each.run_id for each in listed] == [origin.run_id]
    listed = await agent.alist_runs(status=RunStatus.completed)
    assert origin.run_id not in [each.run_id for each in listed]
    chat = [each.text for each in await agent.aget_chat_history("session")]
    assert chat == ["Hi?", "Hi.", "Work.", "Better.", "Bye?", "Bye."]
    session = await agent.aget_session("session", runs_limit=9)
    assert session is not None
    assert len(session.runs) == 4, "a session lists all"
    assert [each.text for each in session.get_chat_history()] == chat


async def test_instructions_are_what_the_new_answer_is_asked_for(agent: Agent) -> None:
    origin = await agent.arun("Work.")
    run = await agent.acontinue_run(
        origin, regenerate=True, replace_original=False, additional_instructions="In one word."
    )
    assert told(agent) == [*WORKED[:4], ("user", "In one word.")]
    assert given(run) == "In one word."
    left = await agent.aget_run_output(origin.run_id)
    assert left is not None
    assert left.status is RunStatus.completed
    chat = [each.text for each in await agent.aget_chat_history(origin.session_id)]
    assert chat == ["Work.", "Done.", "In one word.", "Hello."]


async def test_of_many_that_replace_a_run_at_once_one_does(agent: Agent) -> None:
    origin = await agent.arun("Work.")
    answers = await asyncio.gather(
        *(agent.acontinue_run(origin.run_id, regenerate=True) for _ in range(8)),
        return_exceptions=True,
    )
    [winner] = [each for each in answers if isinstance(each, RunOutput)]
    lost = [each for each in answers if not isinstance(each, RunOutput)]
    assert {str(each) for each in lost} == {
        f"Run {origin.run_id} has been replaced by run {winner.run_id}. Have that one answered "
        "anew, or pass replace_original=False."
    }
    assert all(isinstance(each, RunStateError) for each in lost)
    assert len(await agent.alist_runs()) == 2, "nothing is left of the others"
    again = await agent.acontinue_run(winner.run_id, regenerate=True)
    assert told(agent) == WORKED[:4]
    chat = [each.text for each in await agent.aget_chat_history(origin.session_id)]
    assert chat == ["Work.", "Hello."]
    assert again.regenerated_from == winner.run_id


async def test_a_branch_is_shown_what_its_origin_was(db: Database, keys: list[str]) -> None:
    agent = agent_of(db, keys, "1.", "2.", "3.", add_history_to_context=True)
    await agent.arun("One", session_id="session")
    second = await agent.arun("Two", session_id="session")
    await agent.arun("Three", session_id="session")
    before = [("user", "One"), ("assistant", "1.")]
    fork = await agent.acontinue_run(second.run_id, input="Or")
    assert told(agent) == [*before, ("user", "Two"), ("assistant", "2."), ("user", "Or")]
    await agent.acontinue_run(fork.run_id, continue_from="last_user")
    assert told(agent) == [*before, ("user", "Two"), ("assistant", "2."), ("user", "Or")]
    await agent.acontinue_run(fork.run_id, continue_from=0, input="Anew")
    assert told(agent) == [*before, ("user", "Anew")]


async def test_a_branch_in_another_session_has_what_it_began_with(
    db: Database, keys: list[str]
) -> None:
    def note(run_context: RunContext) -> str:
        """Note it."""
        assert run_context.session_state is not None
        run_context.session_state["noted"] = run_context.session_state.get("noted", 0) + 1
        return "noted"

    calls = Reply.tool_calls(("note", {})), Reply.tool_calls(("note", {})), "Noted."
    agent = agent_of(db, keys, *calls, tools=[note])
    origin = await agent.arun("Note.", session_id="here")
    half = await agent.acontinue_run(
        origin.run_id, continue_from=3, input="And?", session_id="half"
    )
    assert await agent.aget_session_state("half") == {"noted": 1}
    assert half.forked_from_session_id == "here"
    whole = await agent.acontinue_run(origin.run_id, input="And?", session_id="there")
    assert await agent.aget_session_state("there") == {"noted": 2}
    assert whole.session_id == "there"
    chat = [each.text for each in await agent.aget_chat_history("there")]
    assert chat == ["Note.", "Noted.", "And?", "Hello."]
    same = await agent.acontinue_run(origin.run_id, input="And?", session_id="here")
    assert same.forked_from_session_id is None
    assert await agent.aget_session_state("here") == {"noted": 2}


async def test_a_failed_run_goes_on_in_place_and_can_branch(db: Database, keys: list[str]) -> None:
    agent = agent_of(db, keys, CALLS[0], Reply.http_error(400, "On strike."))
    with pytest.raises(ModelError) as failed:
        await agent.arun("Work.")
    origin: RunOutput = failed.value.run_output
    fork = await agent.acontinue_run(origin.run_id, fork=True, input="Never mind.")
    assert told(agent) == [*WORKED[:4], ("user", "Never mind.")]
    assert fork.forked_from_run_id == origin.run_id
    chat = [each.text for each in await agent.aget_chat_history(origin.session_id)]
    assert chat == ["Work.", "Never mind.", "Hello."], "the failed run is not shown, its words are"
    run = await agent.acontinue_run(origin.run_id)
    assert (run.run_id, run.status, len(keys)) == (origin.run_id, RunStatus.completed, 2)
    assert run.forked_from_run_id is None


async def test_a_cancelled_run_can_only_branch(agent: Agent) -> None:
    assert isinstance(agent.model, ScriptedModel)
    held = Reply.text("Held").held(0)
    asked = asyncio.Event()

    def answer(_: ModelRequest) -> Reply:
        asked.set()
        return held

    agent.model.script[1] = answer
    await agent.arun("Work.", background=True, run_id="run")
    await asyncio.wait_for(asked.wait(), 20)
    live = await agent.acontinue_run("run", fork=True, input="Meanwhile?", background=False)
    assert told(agent) == [*WORKED[:4], ("user", "Meanwhile?")]
    assert live.status is RunStatus.completed
    with pytest.raises(RunStateError, match="only once it has ended"):
        await agent.acontinue_run("run", regenerate=True)
    await agent.acancel_run("run")
    run = await agent.await_run("run", 20)
    assert run is not None
    with pytest.raises(RunStateError, match="cancelled"):
        await agent.acontinue_run("run")
    with pytest.raises(RunStateError, match="cancelled"):
        await agent.acontinue_run("run", input="Go on.")
    await agent.acontinue_run("run", fork=True, input="Go on.", background=False)
    assert told(agent) == [*WORKED[:4], ("user", "Go on.")]
    again = await agent.acontinue_run("run", regenerate=True, background=False)
    assert again.regenerated_from == "run"
    held.release()


async def test_a_paused_run_can_branch_without_its_open_calls(
    db: Database, keys: list[str]
) -> None:
    from kern.tools import tool

    @tool(requires_confirmation=True)
    def drop() -> str:
        """Drop it."""
        raise AssertionError("nobody has allowed it")

    agent = agent_of(db, keys, Reply.tool_calls(("drop", {})), tools=[drop])
    origin = await agent.arun("Drop it.")
    assert origin.is_paused
    fork = await agent.acontinue_run(origin.run_id, fork=True, input="Better not.")
    assert told(agent) == [("user", "Drop it."), ("user", "Better not.")]
    assert fork.status is RunStatus.completed
    left = await agent.aget_run_output(origin.run_id)
    assert left is not None
    assert left.is_paused
    with pytest.raises(RunStateError, match="only once it has ended"):
        await agent.acontinue_run(origin.run_id, regenerate=True)


async def test_a_branch_of_a_background_run_is_one(agent: Agent) -> None:
    await agent.arun("Work.", background=True, run_id="run")
    await agent.await_run("run", 20)
    fork = await agent.acontinue_run("run", input="Thanks.", new_run_id="fork")
    assert (fork.run_id, fork.status) == ("fork", RunStatus.pending)
    assert fork.forked_from_run_id == "run"
    ended = await agent.await_run("fork", 20)
    assert ended is not None
    assert (ended.content, ended.forked_from_run_id) == ("Hello.", "run")
    same = await agent.acontinue_run("run", input="Thanks.", new_run_id="fork")
    assert same.content == "Hello.", "the same id is the same run"
    others: list[dict[str, Any]] = [
        {"input": "Other."},
        {"input": "Thanks.", "continue_from": "last_user"},
    ]
    for other in others:
        with pytest.raises(RunConflictError, match="run_id 'fork' is in use"):
            await agent.acontinue_run("run", new_run_id="fork", **other)
    here = await agent.acontinue_run("run", input="Thanks.", background=False)
    assert here.content == "Hello."


async def test_a_branch_is_streamed(agent: Agent) -> None:
    origin = await agent.arun("Work.")
    events = [
        each
        async for each in agent.acontinue_run(
            origin, input="Thanks.", stream=True, yield_run_output=True
        )
    ]
    run = events.pop()
    assert isinstance(run, RunOutput)
    assert run.forked_from_run_id == origin.run_id
    assert {each.run_id for each in events} == {run.run_id}
    assert "".join(each.content or "" for each in events) == "Hello."


async def test_checks_see_what_they_have_not_seen(db: Database, keys: list[str]) -> None:
    seen: list[object] = []

    def check(run_input: RunInput) -> None:
        seen.append(run_input.input_content)
        if "bad" in run_input.input_content_string():
            raise InputCheckError("Not that.")
        if run_input.input_content == "Thanks.":
            run_input.input_content = "Thank you."

    def sign(run_output: RunOutput) -> None:
        run_output.content = f"{run_output.content} Yours, kern."

    agent = agent_of(db, keys, *CALLS, pre_hooks=[check], post_hooks=[sign])
    origin = await agent.arun("Work.")
    fork = await agent.acontinue_run(origin.run_id, input="Thanks.")
    assert seen == ["Work.", "Thanks."], "what came before was checked before"
    signed = ("assistant", "Done. Yours, kern.")
    assert told(agent) == [*WORKED[:4], signed, ("user", "Thank you.")]
    assert fork.content == "Hello. Yours, kern.", "its own answer is signed, too"
    with pytest.raises(InputCheckError):
        await agent.acontinue_run(origin.run_id, input="Something bad.")

    with pytest.raises(InputCheckError) as refused:
        await agent.arun("Do bad.")
    failed: RunOutput = refused.value.run_output
    ways: list[dict[str, Any]] = [{"fork": True, "input": "Go on."}, {"regenerate": True}]
    for options in ways:
        with pytest.raises(InputCheckError):
            await agent.acontinue_run(failed.run_id, **options)


async def test_what_is_masked_is_masked_in_branches(db: Database, keys: list[str]) -> None:
    guard = PIIDetectionGuardrail(mask_pii=True)
    agent = agent_of(db, keys, *CALLS, pre_hooks=[guard])
    origin = await agent.arun("Work.")
    await agent.acontinue_run(origin.run_id, input="I am ann@example.com.")
    assert "ann@" not in told(agent)[-1][1]
    await agent.acontinue_run(
        origin.run_id,
        regenerate=True,
        replace_original=False,
        additional_instructions="Write to ann@example.com.",
    )
    assert "ann@" not in told(agent)[-1][1]


async def test_media_goes_with_a_branch(db: Database, keys: list[str]) -> None:
    agent = agent_of(db, keys, "A picture.", tools=[])
    origin = await agent.arun("What is it?", images=[Image(content=PNG)])
    fork = await agent.acontinue_run(origin.run_id, input="Sure?", session_id="there")
    assert isinstance(agent.model, ScriptedModel)
    [image] = agent.model.requests[-1].messages[0].images
    assert image.content == PNG
    stored = await agent.aget_run_output(fork.run_id)
    assert stored is not None
    loaded = await agent.aload_media(stored)
    assert (loaded.messages[0].images[0].content or loaded.media) is not None


async def test_a_run_that_is_kept_nowhere_can_branch(keys: list[str]) -> None:
    agent = agent_of(None, keys, *CALLS, "Fine.", instructions="Be brief.")
    origin = await agent.arun("Work.", images=[Image(content=PNG)])
    fork = await agent.acontinue_run(origin, input="Thanks.")
    system = ("system", "Be brief.")
    assert told(agent) == [system, *WORKED, ("user", "Thanks.")]
    assert isinstance(agent.model, ScriptedModel)
    assert agent.model.requests[-1].messages[1].images[0].content == PNG
    assert (fork.forked_from_run_id, fork.content) == (origin.run_id, "Fine.")
    await agent.acontinue_run(fork, continue_from="last_user")
    assert told(agent) == [system, *WORKED, ("user", "Thanks.")]
    kept = RunOutput.from_dict(origin.to_dict())
    again = await agent.acontinue_run(kept, regenerate=True)
    assert told(agent) == [system, *WORKED[:4]]
    assert again.regenerated_from == origin.run_id
    with pytest.raises(Exception, match="pass the"):
        await agent.acontinue_run(origin.run_id, input="Thanks.")


async def test_an_event_can_be_gone_back_to_with_other_words(agent: Agent) -> None:
    origin = await agent.arun("Work.")
    journal = [each async for each in agent.astream_run(origin.run_id)]
    for event in journal:
        await agent.acontinue_run(origin.run_id, from_seq=event.seq, input="Or")
        assert told(agent)[-1] == ("user", "Or")
        assert told(agent)[:-1] in (WORKED[:1], WORKED[:4], WORKED)
    assert told(agent)[:-1] == WORKED


WRONG: list[dict[str, Any]] = [
    {"regenerate": True, "fork": True},
    {"regenerate": True, "continue_from": "end"},
    {"regenerate": True, "from_seq": 1},
    {"regenerate": True, "input": "And?"},
    {"fork": True, "additional_instructions": "Shorter."},
    {"fork": True, "replace_original": False},
    {"continue_from": 1, "from_seq": 1},
    {"continue_from": "start", "input": "And?"},
    {"continue_from": -1, "input": "And?"},
    {"continue_from": 1.5},
    {"input": ""},
    {"input": 5},
    {"regenerate": True, "additional_instructions": ""},
    {"fork": True, "new_run_id": "\x00"},
    {"fork": True, "session_id": ""},
]


async def test_what_does_not_go_together_is_refused(agent: Agent) -> None:
    origin = await agent.arun("Work.")
    for wrong in WRONG:
        with pytest.raises(InvalidInputError):
            await agent.acontinue_run(origin.run_id, **wrong)
    assert len(await agent.alist_runs()) == 1
    with pytest.raises(RunNotFoundError):
        await agent.acontinue_run("nowhere", fork=True)


async def test_users_branch_only_what_is_theirs(agent: Agent) -> None:
    origin = await agent.arun("Work.", user_id="ann", session_id="session")
    with pytest.raises(RunNotFoundError):
        await agent.acontinue_run(origin.run_id, input="Show me.", user_id="bob")
    fork = await agent.acontinue_run(
        origin.run_id, input="Thanks.", user_id="ann", session_id="session"
    )
    assert (fork.user_id, fork.session_id) == ("ann", origin.session_id)
