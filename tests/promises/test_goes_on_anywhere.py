"""A paused run goes on in any process at any time, and hears exactly one answer to a question."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from elsewhere import Elsewhere
from in_background import children_of
from leases import expire
from plain import plain

from kern.agent import Agent
from kern.agent.definition import runtime_of
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.sqlite import SqliteDb
from kern.errors import (
    ConfigurationError,
    InvalidInputError,
    ModelError,
    RequirementExpiredError,
    RunNotFoundError,
    RunStateError,
)
from kern.execution.attempt import Attempt
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.record import RunRecord
from kern.testing import Reply, ResponsesServer
from kern.tools import Tool, tool

PAUSE, ONE_MORE = Reply.tool_calls(("refund", {"amount": 5})), Reply.text("Well.")

# An agent with the same tool, in another process.
ELSEWHERE = """
from kern.tools import tool

@tool(requires_confirmation=True)
def refund(amount: int) -> str:
    say(f"refund {amount}")
    return "refunded"

agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), db=db, tools=[refund])
"""


class Refunds:
    """An agent with a tool that asks for a person, and what that was called with."""

    def __init__(self, db: Database | None, model: OpenAIResponses) -> None:
        self.made: list[int] = []

        @tool(requires_confirmation=True)
        def refund(amount: int) -> str:
            self.made.append(amount)
            return "refunded"

        self.agent = Agent("Tester", model, db=db, tools=[refund])

    async def paused(self, *, background: bool = False) -> RunOutput:
        """Return a run that waits for a person."""
        run: RunOutput = await self.agent.arun("Refund", background=background, run_id="run")
        if background:
            found = await self.agent.await_run("run", timeout=20)
            assert found is not None
            run = found
        assert run.is_paused
        return run


@pytest.fixture
def script(server: ResponsesServer) -> ResponsesServer:
    """A model that asks for a refund, and then says so."""
    server.script += [PAUSE, ONE_MORE]
    return server


@pytest.fixture
def refunds(db: Database, model: OpenAIResponses, script: ResponsesServer) -> Refunds:
    return Refunds(db, model)


@pytest.fixture
def shared(shared_db: Database, model: OpenAIResponses, script: ResponsesServer) -> Refunds:
    return Refunds(shared_db, model)


def allowed(run: RunOutput) -> RunOutput:
    """Return a paused run with all it waits for allowed."""
    for requirement in run.active_requirements:
        requirement.confirm()
    return run


# --- in the foreground


@pytest.mark.parametrize("how", ["output", "id", "run_id"])
async def test_a_foreground_run_goes_on_here_and_is_returned_as_it_ends(
    refunds: Refunds, how: str
) -> None:
    paused = allowed(await refunds.paused())
    if how == "output":
        run = await refunds.agent.acontinue_run(paused)
    elif how == "id":
        run = await refunds.agent.acontinue_run("run", requirements=paused.requirements)
    else:
        run = await refunds.agent.acontinue_run(
            run_id="run", requirements=paused.requirements, session_id=paused.session_id
        )
    assert (run.status, run.content, refunds.made) == (RunStatus.completed, "Well.", [5])
    assert await refunds.agent.aget_run_output("run") is not None


async def test_a_run_pauses_as_often_as_it_has_to_and_keeps_each_answer(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    refunds = Refunds(db, model)
    server.script += [Reply.tool_calls(("refund", {"amount": each})) for each in (1, 2, 3)]
    run = await refunds.paused()
    for made in ([1], [1, 2], [1, 2, 3]):
        assert run.is_paused
        run = await refunds.agent.acontinue_run(allowed(run))
        assert refunds.made == made
    assert run.status is RunStatus.completed
    assert [call.result for call in run.tools] == ["refunded"] * 3


async def test_two_calls_may_be_answered_one_after_the_other(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    refunds = Refunds(db, model)
    server.script += [Reply.tool_calls(("refund", {"amount": 1}), ("refund", {"amount": 2}))]
    run = await refunds.paused()
    first, _ = run.requirements
    first.confirm()
    run = await refunds.agent.acontinue_run("run", requirements=[first])
    assert (run.is_paused, refunds.made) == (True, [1])
    [second] = run.active_requirements
    second.reject("No more.")
    run = await refunds.agent.acontinue_run("run", requirements=[second])
    assert (run.status, refunds.made) == (RunStatus.completed, [1])
    assert "No more." in str(run.tools[1].result)


async def test_a_stream_goes_on_after_the_pause_and_ends_at_the_next(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    refunds = Refunds(db, model)
    server.script += [PAUSE, PAUSE, Reply.text("Well.")]
    agent, seen = refunds.agent, 0
    stream = agent.arun("Refund", run_id="run", stream=True, stream_events=True)
    for end in (RunEvent.run_paused, RunEvent.run_paused, RunEvent.run_completed):
        events = [event async for event in stream]
        assert events[-1].event is end
        assert [event.seq for event in events] == list(range(seen + 1, seen + 1 + len(events)))
        seen = events[-1].seq
        if end is RunEvent.run_completed:
            assert events[0].event is RunEvent.run_continued
            assert "Well." in [event.content for event in events]
            break
        requirements = events[-1].requirements
        requirements[0].confirm()
        stream = agent.acontinue_run(
            "run", requirements=requirements, stream=True, stream_events=True
        )
    assert refunds.made == [5, 5]
    assert [each.seq async for each in agent.astream_run("run")] == list(range(1, seen + 1))


async def test_a_stream_ends_with_the_run_where_that_is_asked_for(refunds: Refunds) -> None:
    paused = allowed(await refunds.paused())
    stream = refunds.agent.acontinue_run(paused, stream=True, yield_run_output=True)
    *events, run = [each async for each in stream]
    assert isinstance(run, RunOutput)
    assert (run.status, run.content) == (RunStatus.completed, "Well.")
    assert [each.content for each in events if each.content] == ["Well."]


@pytest.mark.parametrize("background", [True, False], ids=["background", "foreground"])
async def test_who_is_told_of_a_pause_may_answer_it_at_once(
    sqlite_db: SqliteDb,
    model: OpenAIResponses,
    script: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
    background: bool,
) -> None:
    refunds = Refunds(sqlite_db, model)
    store, restore = (await runtime_of(refunds.agent)).store, Attempt.restore

    async def restore_late(attempt: Attempt) -> None:
        await asyncio.sleep(0.1)  # In which what was journaled is written, and read.
        await restore(attempt)

    monkeypatch.setattr(Attempt, "restore", restore_late)
    async for event in refunds.agent.arun(
        "Refund", run_id="run", stream=True, stream_events=True, background=background
    ):
        reading = asyncio.create_task(store.read("run"))
        if event.event is RunEvent.run_paused:
            event.requirements[0].confirm()
            await refunds.agent.acontinue_run("run", requirements=event.requirements)
        await reading
    run = await refunds.agent.await_run("run", timeout=20, until="end")
    assert run is not None
    assert (run.status, refunds.made) == (RunStatus.completed, [5])


async def test_it_fails_as_a_run_does(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    refunds = Refunds(db, model)
    server.script += [PAUSE, Reply.http_error(500, "On strike."), Reply.text("Well.")]
    paused = allowed(await refunds.paused())
    with pytest.raises(ModelError, match="On strike") as failed:
        await refunds.agent.acontinue_run(paused)
    assert failed.value.run_output.status is RunStatus.error
    with pytest.raises(RunStateError, match=r"ERROR, not PAUSED.*answered by process"):
        await refunds.agent.acontinue_run("run", requirements=paused.requirements)
    run = await refunds.agent.acontinue_run("run")
    assert (run.status, run.content, refunds.made) == (RunStatus.completed, "Well.", [5])


async def test_who_leaves_a_run_that_goes_on_ends_it(
    shared: Refunds, script: ResponsesServer
) -> None:
    script.script.insert(1, Reply.hang())
    paused = allowed(await shared.paused())
    going = asyncio.create_task(shared.agent.acontinue_run(paused))
    await script.wait_for_requests(2)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    found = await shared.agent.await_run("run", timeout=20)
    assert found is not None
    assert found.status is RunStatus.cancelled


async def test_who_leaves_before_the_run_has_gone_on_ends_it_too(
    refunds: Refunds, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = allowed(await refunds.paused())
    store, asked = (await runtime_of(refunds.agent)).store, asyncio.Event()
    resume = store.resume

    async def resume_late(*args: Any, **options: Any) -> RunRecord | None:
        asked.set()
        await asyncio.sleep(0.05)
        return await resume(*args, **options)

    monkeypatch.setattr(store, "resume", resume_late)
    going = asyncio.ensure_future(refunds.agent.acontinue_run(paused))
    await asked.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    run = await refunds.agent.await_run("run", timeout=20, until="end")
    assert run is not None
    assert (run.status, refunds.made) == (RunStatus.cancelled, [])


async def test_what_is_said_beside_the_answer_comes_after_the_results(
    refunds: Refunds, script: ResponsesServer
) -> None:
    paused = allowed(await refunds.paused())
    await refunds.agent.acontinue_run(paused, input="And be quick.")
    *_, result, said = script.requests[-1].body["input"]
    assert (result["output"], said["role"]) == ("refunded", "user")
    assert said["content"] in ("And be quick.", [{"type": "input_text", "text": "And be quick."}])


async def test_metadata_is_added_to_what_the_run_has(refunds: Refunds) -> None:
    await refunds.agent.arun("Refund", run_id="run", metadata={"a": 1, "b": 1})
    paused = await refunds.agent.aget_run_output("run")
    assert paused is not None
    run = await refunds.agent.acontinue_run(allowed(paused), metadata={"b": 2})
    assert run.metadata == {"a": 1, "b": 2}
    found = await refunds.agent.aget_run_output("run")
    assert found is not None
    assert found.metadata == {"a": 1, "b": 2}


async def test_dependencies_are_those_of_its_caller_and_only_here(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    told: list[object] = []

    @tool(requires_confirmation=True)
    def look(context: RunContext) -> str:
        told.append(dict(context.dependencies or {}))
        return "seen"

    server.script += [Reply.tool_calls(("look", {})), Reply.text("Well.")]
    agent = Agent("Tester", model, db=db, tools=[look], dependencies={"a": 1, "b": 1})
    paused = allowed(await agent.arun("Look", run_id="run"))
    with pytest.raises(InvalidInputError, match="dependencies: only with background=False"):
        await agent.acontinue_run(paused, dependencies={"b": 2}, background=True)
    await agent.acontinue_run(paused, dependencies={"b": 2})
    assert told == [{"a": 1, "b": 2}]


# --- by how it stands


async def test_a_completed_run_is_returned_as_it_is(
    refunds: Refunds, script: ResponsesServer
) -> None:
    ended = await refunds.agent.acontinue_run(allowed(await refunds.paused()))
    again = await refunds.agent.acontinue_run("run")
    assert (again.run_id, again.status, again.content) == ("run", ended.status, "Well.")
    events = [each.event async for each in refunds.agent.acontinue_run("run", stream=True)]
    assert events == [RunEvent.run_completed]
    assert len(script.requests) == 2


async def test_answers_to_a_run_that_does_not_wait_are_refused_and_never_fork(
    refunds: Refunds, script: ResponsesServer
) -> None:
    paused = allowed(await refunds.paused())
    await refunds.agent.acontinue_run("run", requirements=paused.requirements, by="Ada")
    told: list[dict[str, Any]] = [{}, {"input": "More"}]
    for more in told:
        with pytest.raises(RunStateError, match=r"COMPLETED, not PAUSED.* answered by Ada on 20"):
            await refunds.agent.acontinue_run("run", requirements=paused.requirements, **more)
    with pytest.raises(InvalidInputError, match="only without fork"):
        await refunds.agent.acontinue_run("run", requirements=paused.requirements, fork=True)
    assert [each.run_id for each in await refunds.agent.alist_runs()] == ["run"]


async def test_a_cancelled_run_does_not_go_on(refunds: Refunds) -> None:
    paused = allowed(await refunds.paused())
    assert await refunds.agent.acancel_run("run")
    answers: list[dict[str, Any]] = [{}, {"requirements": paused.requirements}]
    for given in answers:
        with pytest.raises(RunStateError, match=r"cancelled|CANCELLED"):
            await refunds.agent.acontinue_run("run", **given)
    assert refunds.made == []


async def test_an_answer_to_the_pause_before_is_refused_with_who_was_first(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    refunds = Refunds(db, model)
    server.script += [PAUSE, PAUSE]
    paused = allowed(await refunds.paused())
    again = await refunds.agent.acontinue_run(paused, by="Ada")
    assert again.is_paused
    with pytest.raises(RunStateError, match=r"run/1/0, but for run/2/0.*answered by Ada"):
        await refunds.agent.acontinue_run("run", requirements=paused.requirements)
    assert refunds.made == [5]


async def test_another_agents_run_and_another_session_are_refused(
    refunds: Refunds, model: OpenAIResponses
) -> None:
    await refunds.paused()
    other = Agent("Other", model, db=refunds.agent.db)
    with pytest.raises(InvalidInputError, match="one of the agent 'tester'"):
        await other.acontinue_run("run")
    with pytest.raises(RunNotFoundError, match="in the session 'elsewhere'"):
        await refunds.agent.acontinue_run("run", session_id="elsewhere")
    with pytest.raises(RunNotFoundError, match="no run 'nowhere'"):
        await refunds.agent.acontinue_run("nowhere")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "Which run is to go on"),
        ({"run_id": 5}, "run_id must be a string"),
        ({"run_id": "run", "requirements": "confirmed"}, "a list of RunRequirement"),
        ({"run_id": "run", "requirements": [{"id": "run/1/0"}]}, "a list of RunRequirement"),
        ({"run_id": "run", "updated_tools": [True]}, "a list of ToolExecution"),
        ({"run_id": "run", "results": {"call": 5}}, "The result of call must be a text"),
        ({"run_id": "run", "metadata": "x"}, "metadata must be a dict"),
        ({"run_id": "run", "by": "a\nb"}, "by 'a"),
        ({"run_id": "run", "input": " "}, "The input is empty"),
        ({"run_id": "run", "stream_events": True}, "only with stream=True"),
        ({"run_id": "run", "new_run_id": "new"}, "only where a new run begins"),
        ({"run_id": "run", "additional_instructions": "new"}, "only where a new run begins"),
    ],
    ids=plain,
)
async def test_what_makes_no_sense_is_refused(
    model: OpenAIResponses, script: ResponsesServer, given: dict[str, Any], error: str
) -> None:
    refunds = Refunds(InMemoryDb(), model)
    await refunds.paused()
    with pytest.raises(InvalidInputError, match=error):
        await refunds.agent.acontinue_run(**given)
    found = await refunds.agent.aget_run_output("run")
    assert found is not None
    assert found.is_paused


# --- without a database


async def test_without_a_database_the_run_itself_goes_on(
    model: OpenAIResponses, script: ResponsesServer
) -> None:
    refunds = Refunds(None, model)
    paused = allowed(await refunds.paused())
    with pytest.raises(ConfigurationError, match="pass the paused run itself"):
        await refunds.agent.acontinue_run("run")
    run = await refunds.agent.acontinue_run(paused)
    assert (run.status, run.content, refunds.made) == (RunStatus.completed, "Well.", [5])
    with pytest.raises(RunStateError):
        await refunds.agent.acontinue_run(paused)


async def test_without_a_database_it_streams(
    model: OpenAIResponses, script: ResponsesServer
) -> None:
    refunds = Refunds(None, model)
    paused = allowed(await refunds.paused())
    events = [each async for each in refunds.agent.acontinue_run(paused, stream=True)]
    assert events[-1].event is RunEvent.run_completed
    assert "Well." in [each.content for each in events]


# --- in other processes


async def test_a_foreground_run_of_a_process_that_is_gone_goes_on_in_another(
    shared: Refunds, elsewhere: Elsewhere, script: ResponsesServer
) -> None:
    process = elsewhere(
        ELSEWHERE + "say((await agent.arun('Refund', run_id='run')).status)\nawait hear()"
    )
    assert await process.said() == "PAUSED"
    process.send(signal.SIGKILL)
    await process.ended()
    paused = await shared.agent.aget_run_output("run")
    assert paused is not None
    run = await shared.agent.acontinue_run(allowed(paused))
    assert (run.status, run.content, shared.made) == (RunStatus.completed, "Well.", [5])
    assert len(script.requests) == 2


async def test_a_process_that_is_killed_as_a_run_goes_on_loses_nothing(
    shared: Refunds, elsewhere: Elsewhere, script: ResponsesServer, shared_db: Database
) -> None:
    script.script.insert(1, Reply.hang())
    paused = allowed(await shared.paused(background=True))
    process = elsewhere(
        ELSEWHERE
        + "run = await agent.aget_run_output('run')\n"
        + "run.requirements[0].confirm()\n"
        + "await agent.acontinue_run(run, background=False)"
    )
    assert await process.said() == "refund 5"
    await script.wait_for_requests(2)
    process.send(signal.SIGKILL)
    await process.ended()
    with pytest.raises(RunStateError, match=r"RUNNING, not PAUSED.*answered by process"):
        await shared.agent.acontinue_run("run", requirements=paused.requirements)
    await expire(shared_db, "run")
    (await runtime_of(shared.agent)).serve(shared.agent)
    run = await shared.agent.await_run("run", timeout=20, until="end")
    assert run is not None
    assert (run.status, run.content, shared.made) == (RunStatus.completed, "Well.", [])


# --- two at once


async def race(
    first: Agent, second: Agent, answer: Callable[[], RunOutput], *, background: bool
) -> list[object]:
    """Have two answer at once; return what became of each."""
    return [
        *await asyncio.gather(
            *(
                agent.acontinue_run(
                    "run", requirements=answer().requirements, background=background, by=by
                )
                for agent, by in ((first, "Ada"), (second, "Bob"))
            ),
            return_exceptions=True,
        )
    ]


@pytest.mark.parametrize("background", [True, False], ids=["background", "foreground"])
async def test_of_two_answers_at_once_one_counts_and_the_other_told_whose(
    shared: Refunds, script: ResponsesServer, background: bool
) -> None:
    paused = await shared.paused(background=background)
    text = paused.to_dict()

    def answer() -> RunOutput:
        return allowed(RunOutput.from_dict(text))

    outcomes = await race(shared.agent, shared.agent, answer, background=background)
    [refused] = [each for each in outcomes if isinstance(each, BaseException)]
    winner = ("Ada", "Bob")[1 - outcomes.index(refused)]
    assert isinstance(refused, RunStateError)
    assert f"It was answered by {winner} on 20" in str(refused)
    run = await shared.agent.await_run("run", timeout=20, until="end")
    assert run is not None
    assert (run.status, shared.made, len(script.requests)) == (RunStatus.completed, [5], 2)


@pytest.mark.nightly  # test_answers_at_once.py has two processes answer ten times.
async def test_of_two_processes_that_answer_at_once_one_counts(
    shared: Refunds, elsewhere: Elsewhere, script: ResponsesServer
) -> None:
    await shared.paused(background=True)
    answer = (
        ELSEWHERE
        + "from kern.errors import RunStateError\n"
        + "run = await agent.aget_run_output('run')\n"
        + "run.requirements[0].confirm()\n"
        + "say('ready')\n"
        + "await hear()\n"
        + "try:\n"
        + "    await agent.acontinue_run(run, by=os.environ['BY'])\n"
        + "    say('first')\n"
        + "except RunStateError as error:\n"
        + "    say(error)\n"
    )
    who = {by: elsewhere(answer, BY=by, KERN_IN_PROCESS_WORKER="0") for by in ("Ada", "Bob")}
    for process in who.values():
        assert await process.said() == "ready"
    for process in who.values():
        process.tell("now")
    said = {by: await process.said() for by, process in who.items()}
    [first] = [by for by, text in said.items() if text == "first"]
    [refused] = [text for text in said.values() if text != "first"]
    assert f"It was answered by {first} on 20" in refused
    (await runtime_of(shared.agent)).serve(shared.agent)
    run = await shared.agent.await_run("run", timeout=20, until="end")
    assert run is not None
    assert (run.status, shared.made) == (RunStatus.completed, [5])


async def test_a_run_that_goes_on_while_it_is_submitted_again_goes_on_once(
    refunds: Refunds, script: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = allowed(await refunds.paused())
    store = (await runtime_of(refunds.agent)).store
    held, get, resume = store.held, store.get, store.resume
    going: list[asyncio.Task[RunOutput]] = []
    stored, seen = asyncio.Event(), asyncio.Event()

    async def held_before(*args: Any) -> RunRecord | None:
        found = await held(*args)
        going.append(asyncio.create_task(refunds.agent.acontinue_run(paused)))
        await stored.wait()
        return found

    async def resume_slowly(*args: Any) -> RunRecord | None:
        resumed = await resume(*args)
        stored.set()
        await seen.wait()
        return resumed

    async def get_and_tell(*args: Any, **options: Any) -> RunRecord | None:
        found = await get(*args, **options)
        if stored.is_set():
            seen.set()
        return found

    monkeypatch.setattr(store, "held", held_before)
    monkeypatch.setattr(store, "resume", resume_slowly)
    monkeypatch.setattr(store, "get", get_and_tell)
    again = await refunds.agent.arun("Refund", run_id="run")
    run = await going[0]
    assert [each.status for each in (again, run)] == 2 * [RunStatus.completed]
    assert (len(script.requests), refunds.made) == (2, [5])


# --- expiry


async def expired(run: RunOutput, place: int) -> None:
    """Wait until what a run waits for has expired."""
    until = run.requirements[place].expires_at
    assert until is not None
    while time.time() <= until:  # noqa: ASYNC110 # a moment has no event
        await asyncio.sleep(0.01)


def refund_and_send(on_expiry: Any) -> tuple[list[Tool], list[str]]:
    """Return a tool whose question expires and one whose does not, and what they have done."""
    made: list[str] = []

    @tool(requires_confirmation=True, expires_in=0.05, on_expiry=on_expiry)
    def refund() -> str:
        raise AssertionError("nobody has allowed it")

    @tool(requires_confirmation=True)
    def send() -> str:
        made.append("sent")
        return "sent"

    return [refund, send], made


@pytest.mark.parametrize("kept", [False, True], ids=["without a db", "with one"])
@pytest.mark.parametrize("on_expiry", ["reject", "fail"])
async def test_what_has_expired_is_not_asked_again_with_the_answer_to_another(
    model: OpenAIResponses, server: ResponsesServer, kept: bool, on_expiry: Any
) -> None:
    tools, made = refund_and_send(on_expiry)
    server.script += [Reply.tool_calls(("refund", {}), ("send", {})), ONE_MORE]
    agent = Agent("Tester", model, db=InMemoryDb() if kept else None, tools=tools)
    paused: RunOutput = await agent.arun("Refund", run_id="run")
    await expired(paused, 0)
    paused.requirements[1].confirm()
    if on_expiry == "fail":
        with pytest.raises(RequirementExpiredError, match="in time"):
            await agent.acontinue_run(paused)
        assert made == []
        return
    run = await agent.acontinue_run(paused)
    assert (run.status, made) == (RunStatus.completed, ["sent"])
    assert "in time" in str(run.tools[0].result)


async def test_no_answer_is_lost_without_a_word_where_the_run_ends_with_what_has_expired(
    db: Database, model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    @tool(requires_confirmation=True, expires_in=0.05, on_expiry="fail")
    def refund() -> str:
        raise AssertionError("nobody has allowed it")

    @tool(requires_confirmation=True)
    def send() -> str:
        raise AssertionError("its answer is not taken")

    server.script += [Reply.tool_calls(("refund", {}), ("send", {}))]
    monkeypatch.setenv("KERN_HEARTBEAT", "600")  # Else a sweep could have it go on before.
    agent = Agent("Tester", model, db=db, tools=[refund, send])
    await agent.arun("Refund", background=True, run_id="run")
    paused = await agent.await_run("run")
    assert paused is not None
    await expired(paused, 0)
    paused.requirements[1].confirm()
    with pytest.raises(RequirementExpiredError, match="in time"):
        await agent.acontinue_run("run", requirements=paused.requirements)
    run = await agent.aget_run_output("run")
    assert run is not None
    assert run.is_paused


@pytest.mark.parametrize("on_expiry", ["reject", "fail"])
async def test_what_a_child_waited_for_in_vain_is_not_asked_again_by_its_parent(
    db: Database, model: OpenAIResponses, server: ResponsesServer, on_expiry: Any
) -> None:
    @tool(requires_confirmation=True, expires_in=0.05, on_expiry=on_expiry)
    def refund(amount: int) -> str:
        raise AssertionError("nobody has allowed it")

    child = Agent("Child", model, tools=[refund])
    parent = Agent("Parent", model, db=db, tools=[child.as_tool()])
    server.script += [Reply.tool_calls(("child", {"input": "Refund"})), PAUSE, ONE_MORE, ONE_MORE]
    paused = await parent.arun("Refund", run_id="run")
    await expired(paused, 0)
    run = await parent.acontinue_run("run")
    assert (run.status, run.content) == (RunStatus.completed, "Well.")
    assert run.tools[0].tool_call_error is (on_expiry == "fail")


@pytest.mark.parametrize("kept", [False, True], ids=["without a db", "with one"])
@pytest.mark.parametrize("on_expiry", ["reject", "fail"])
async def test_what_a_child_waited_for_in_vain_ends_it_whatever_else_is_answered(
    model: OpenAIResponses, server: ResponsesServer, kept: bool, on_expiry: Any
) -> None:
    tools, made = refund_and_send(on_expiry)
    db = InMemoryDb() if kept else None
    child = Agent("Child", model, tools=tools)
    parent = Agent("Parent", model, db=db, tools=[child.as_tool()])
    asks = Reply.tool_calls(("refund", {}), ("send", {}))
    server.script += [Reply.tool_calls(("child", {"input": "Refund"})), asks, ONE_MORE, ONE_MORE]
    paused: RunOutput = await parent.arun("Refund", run_id="run")
    await expired(paused, 0)
    paused.requirements[1].confirm()
    run = await parent.acontinue_run(paused)
    assert (run.status, run.content) == (RunStatus.completed, "Well.")
    assert run.tools[0].tool_call_error is (on_expiry == "fail")
    assert ("in time" in str(run.tools[0].result)) is (on_expiry == "fail")
    assert made == (["sent"] if on_expiry == "reject" else [])
    if db is not None:
        [ended] = await children_of(await db.store(), "run")
        assert ended.status == ("ERROR" if on_expiry == "fail" else "COMPLETED")


async def test_a_pause_that_expires_is_rejected_by_itself(
    db: Database, model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")

    @tool(requires_confirmation=True, expires_in=0.2)
    def refund(amount: int) -> str:
        raise AssertionError("nobody has allowed it")

    server.script += [PAUSE, Reply.text("Well.")]
    agent = Agent("Tester", model, db=db, tools=[refund])
    stream = agent.arun("Refund", background=True, run_id="run", stream=True, stream_events=True)
    [paused] = [each async for each in stream if each.event is RunEvent.run_paused]
    run = await agent.await_run("run", timeout=20, until="end")
    assert run is not None
    assert run.status is RunStatus.completed
    assert "in time" in str(run.tools[0].result)
    paused.requirements[0].confirm()
    with pytest.raises(RunStateError):
        await agent.acontinue_run("run", requirements=paused.requirements)


async def test_a_foreground_run_that_expires_waits_for_its_caller(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(requires_confirmation=True, expires_in=0.05)
    def refund(amount: int) -> str:
        raise AssertionError("nobody has allowed it")

    server.script += [PAUSE, Reply.text("Well.")]
    agent = Agent("Tester", model, db=db, tools=[refund])
    paused = await agent.arun("Refund", run_id="run")
    [requirement] = paused.requirements
    assert requirement.expires_at is not None
    await asyncio.sleep(max(0.0, requirement.expires_at - time.time()) + 0.01)
    store = (await runtime_of(agent)).store
    assert await store.expired_pauses(10) == []
    with pytest.raises(RunStateError, match="expired"):
        await agent.acontinue_run(allowed(paused))
    run = await agent.acontinue_run("run")
    assert (run.status, run.content) == (RunStatus.completed, "Well.")
    assert "in time" in str(run.tools[0].result)
