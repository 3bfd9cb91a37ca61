"""A run that failed goes on from its journal, and a new run can branch off at any step."""

import asyncio
from collections.abc import Callable

import pytest
from elsewhere import Elsewhere

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.errors import (
    InvalidInputError,
    ModelError,
    RunConflictError,
    RunNotFoundError,
    RunStateError,
)
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput, RunOutputEvent
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools.rules import Interrupt

SCRIPT = (
    Reply.tool_calls(("work", {"step": "a"}), ("work", {"step": "b"})),
    Reply.tool_calls(("work", {"step": "c"})).thinking("Hm.", "sealed"),
)

Make = Callable[[Database], Agent]


@pytest.fixture
def keys() -> list[str]:
    """The keys of the calls that were made."""
    return []


@pytest.fixture
def make(model: OpenAIResponses, keys: list[str]) -> Make:
    """Make an agent that notes the calls of its tool."""

    async def work(step: str, context: RunContext) -> str:
        keys.append(context.idempotency_key)
        return f"{step} is done"

    return lambda db: Agent("Tester", model, db=db, tools=[work])


async def ended(agent: Agent, run_id: str) -> RunOutput:
    """Return the run once it has ended."""
    run = await agent.await_run(run_id, timeout=15)
    assert run is not None
    return run


async def fail(agent: Agent, server: ResponsesServer, run_id: str) -> RunOutput:
    """Have a run fail at its third model call."""
    server.script += [*SCRIPT, Reply.http_error(500, "On strike.")]
    await agent.arun("Work", background=True, run_id=run_id)
    run = await ended(agent, run_id)
    assert run.status is RunStatus.error
    assert "On strike" in str(run.error)
    return run


async def test_a_retried_run_makes_only_the_call_that_failed(
    db: Database, make: Make, server: ResponsesServer, keys: list[str]
) -> None:
    agent = make(db)
    await fail(agent, server, "run")
    made = sorted(keys)
    assert made == ["run/1/0", "run/1/1", "run/2/0"]

    taken_up = await agent.aretry_run("run")
    assert taken_up.status in (RunStatus.pending, RunStatus.running, RunStatus.completed)
    run = await ended(agent, "run")

    assert (run.status, run.content, run.error) == (RunStatus.completed, "Hello.", None)
    assert len(server.requests) == 4
    assert server.requests[2].body == server.requests[3].body
    assert sorted(keys) == made
    assert [tool.result for tool in run.tools] == ["a is done", "b is done", "c is done"]
    assert run.metrics.model_calls == 3


async def test_a_run_that_fails_again_can_be_retried_again(
    db: Database, make: Make, server: ResponsesServer, keys: list[str]
) -> None:
    agent = make(db)
    await fail(agent, server, "run")
    for _ in range(3):
        server.script.append(Reply.http_error(500, "On strike."))
        await agent.aretry_run("run")
        assert (await ended(agent, "run")).status is RunStatus.error
    await agent.aretry_run("run")
    assert (await ended(agent, "run")).status is RunStatus.completed
    assert (len(server.requests), len(keys)) == (7, 3)


async def test_what_failed_in_the_foreground_can_be_retried(
    db: Database, make: Make, server: ResponsesServer, keys: list[str]
) -> None:
    agent = make(db)
    server.script += [*SCRIPT, Reply.http_error(500, "On strike.")]
    with pytest.raises(Exception, match="On strike"):
        await agent.arun("Work", run_id="run")
    await agent.aretry_run("run")
    assert (await ended(agent, "run")).status is RunStatus.completed
    assert (len(server.requests), len(keys)) == (4, 3)


async def test_only_a_run_in_error_can_be_retried(
    db: Database, make: Make, server: ResponsesServer
) -> None:
    agent = make(db)
    await agent.arun("Hello?", run_id="run")
    with pytest.raises(RunStateError) as refused:
        await agent.aretry_run("run")
    assert str(refused.value) == "Run run is COMPLETED, not ERROR."
    assert (await agent.acontinue_run("run")).status is RunStatus.completed, "as it is"
    with pytest.raises(RunNotFoundError, match="There is no run 'nowhere' in "):
        await agent.aretry_run("nowhere")
    with pytest.raises(RunNotFoundError, match="There is no run 'nowhere' in "):
        await agent.acontinue_run("nowhere")
    assert len(server.requests) == 1


async def test_two_retries_at_once_are_one(
    db: Database, make: Make, server: ResponsesServer
) -> None:
    agent = make(db)
    await fail(agent, server, "run")
    answers = await asyncio.gather(
        *(agent.aretry_run("run") for _ in range(5)), return_exceptions=True
    )
    refused = [each for each in answers if isinstance(each, BaseException)]
    assert len(refused) == 4
    assert all(isinstance(each, RunStateError) for each in refused)
    assert (await ended(agent, "run")).status is RunStatus.completed
    assert len(server.requests) == 4


async def test_a_reader_goes_on_through_the_error_without_a_gap(
    db: Database, make: Make, server: ResponsesServer
) -> None:
    agent = make(db)
    server.script += [*SCRIPT, Reply.http_error(500, "On strike.")]
    first: list[RunOutputEvent] = []

    async def read() -> None:
        stream = agent.arun("Work", background=True, stream=True, stream_events=True, run_id="run")
        async for event in stream:
            first.append(event)

    with pytest.raises(ModelError, match="On strike"):
        await read()
    assert first[-1].event is RunEvent.run_error
    assert "On strike" in str(first[-1].content)
    await agent.aretry_run("run")
    rest = [event async for event in agent.astream_run("run", after=first[-1].seq)]

    assert rest[0].event is RunEvent.run_continued
    assert rest[-1].event is RunEvent.run_completed
    assert "RunResumed" in [event.event for event in rest]
    seqs = [event.seq for event in first + rest]
    assert seqs == list(range(1, len(seqs) + 1))
    again = [event async for event in agent.astream_run("run")]
    assert [(event.seq, event.event, event.content) for event in again] == [
        (event.seq, event.event, event.content) for event in first + rest
    ]


async def test_another_process_can_retry_a_run(
    shared_db: Database, make: Make, server: ResponsesServer, elsewhere: Elsewhere, keys: list[str]
) -> None:
    agent = make(shared_db)
    await fail(agent, server, "run")
    process = elsewhere("say((await agent.aretry_run('run')).run_id)", KERN_IN_PROCESS_WORKER="0")
    assert await process.said() == "run"
    # Its tool holds something of this process, so it has to be served for the runs of others.
    (await open_runtime(shared_db)).serve(agent)
    assert (await ended(agent, "run")).status is RunStatus.completed
    assert (len(server.requests), len(keys)) == (4, 3)


def done_by(events: list[RunEvent]) -> tuple[int, int]:
    """Return how many answers and tool results there are among events."""
    answers = events.count(RunEvent.model_request_completed)
    return answers, events.count(RunEvent.tool_call_completed)


async def test_a_new_run_branches_off_at_any_step(
    db: Database, make: Make, server: ResponsesServer, keys: list[str]
) -> None:
    agent = make(db)
    server.script += SCRIPT
    async for _ in agent.arun("Work", background=True, stream=True, run_id="origin"):
        pass
    origin = await ended(agent, "origin")
    journal = [event async for event in agent.astream_run("origin")]
    made = list(keys)

    for seq in range(journal[-1].seq + 2):
        answers, results = done_by([each.event for each in journal if each.seq <= seq])
        requests, calls = len(server.requests), len(keys)
        server.script += SCRIPT[answers:]
        run_id = f"branch-{seq}"
        branch = await agent.acontinue_run("origin", from_seq=seq, new_run_id=run_id)
        assert branch.run_id == run_id
        run = await ended(agent, run_id)

        assert (run.status, run.content) == (RunStatus.completed, "Hello."), seq
        assert run.session_id == origin.session_id
        assert [tool.result for tool in run.tools] == [tool.result for tool in origin.tools]
        assert len(server.requests) - requests == 3 - answers, seq
        new = keys[calls:]
        assert len(new) == 3 - results, seq
        assert all(key.startswith(f"{run_id}/") for key in new)

    assert await agent.aget_run_output("origin") == origin
    assert [event async for event in agent.astream_run("origin")] == journal
    assert keys[: len(made)] == made


@pytest.mark.parametrize("rule", ["fail", "pause"])
async def test_a_branch_calls_what_had_only_begun_by_then(
    db: Database, model: OpenAIResponses, server: ResponsesServer, rule: Interrupt
) -> None:
    from kern.tools import tool

    keys: list[str] = []

    @tool(on_interrupt=rule)
    def work(step: str, context: RunContext) -> str:
        keys.append(context.idempotency_key)
        return f"{step} is done"

    agent = Agent("Tester", model, db=db, tools=[work])
    server.script += SCRIPT
    await agent.arun("Work", background=True, run_id="origin")
    await ended(agent, "origin")
    journal = [event async for event in agent.astream_run("origin")]
    [*_, begun] = [event.seq for event in journal if event.event is RunEvent.tool_call_started]
    await agent.acontinue_run("origin", from_seq=begun, new_run_id="branch")
    run = await ended(agent, "branch")
    assert run.status is RunStatus.completed
    assert keys[-1] == "branch/2/0"
    assert len(keys) == 4


async def test_a_branch_can_go_to_another_session_and_gets_an_id(
    db: Database, make: Make, server: ResponsesServer
) -> None:
    agent = make(db)
    await agent.arun("Hello?", run_id="origin", session_id="here", user_id="me")
    branch = await agent.acontinue_run("origin", from_seq=0, session_id="there")
    run = await ended(agent, branch.run_id)
    assert run.run_id != "origin"
    assert (run.session_id, run.user_id, run.status) == ("there", "me", RunStatus.completed)
    assert len(server.requests) == 2


async def test_a_branch_needs_an_id_that_is_free_and_an_origin_that_is_known(
    db: Database, make: Make, server: ResponsesServer
) -> None:
    agent = make(db)
    origin = await agent.arun("Hello?", run_id="origin")
    with pytest.raises(RunConflictError) as refused:
        await agent.acontinue_run("origin", from_seq=1, new_run_id="origin")
    assert str(refused.value) == (
        "run_id 'origin' is in use for another input or agent. Choose a new one."
    )
    with pytest.raises(RunNotFoundError):
        await agent.acontinue_run("nowhere", from_seq=1)
    with pytest.raises(InvalidInputError, match="new_run_id"):
        await agent.acontinue_run("origin", from_seq=1, new_run_id="")
    with pytest.raises(
        InvalidInputError, match="from_seq must be a whole number from 0 on, not -1"
    ):
        await agent.acontinue_run("origin", from_seq=-1)
    found = await agent.aget_run_output("origin")
    assert found is not None
    assert found.content == origin.content
    assert len(server.requests) == 1


def test_the_synchronous_twins_do_the_same(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    """The server of the fixture lives on this test's loop, so this one has a server of its own."""
    with ResponsesServer() as own:
        own.script.append(Reply.http_error(500, "On strike."))
        at_own = OpenAIResponses(
            "test-model", base_url=own.base_url, api_key="sk-test", max_retries=0
        )
        agent = Agent("Twin", at_own, db=shared_db)
        agent.run("Hello?", background=True, run_id="run")
        failed = agent.wait_run("run", timeout=15)
        assert failed is not None
        assert failed.status is RunStatus.error
        assert agent.retry_run("run").run_id == "run"
        run = agent.wait_run("run", timeout=15)
        assert run is not None
        assert run.status is RunStatus.completed
        assert agent.continue_run("run").content == run.content
        branch = agent.continue_run("run", from_seq=0, new_run_id="branch")
        assert branch.run_id == "branch"
        run = agent.wait_run("branch", timeout=15)
        assert run is not None
        assert run.status is RunStatus.completed
        assert len(own.requests) == 3
