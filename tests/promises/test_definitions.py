"""Promise 13: a run executes with the definition that submitted it, or with one that was served."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import Any

import pytest
from elsewhere import Elsewhere
from load import all_asked, all_ended, ended, status_of, submit

from kern.agent import Agent
from kern.agent.serving import serve
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import InvalidInputError, ModelError, QueueFullError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import tool

PINNED = 1000
"""How many runs may wait that no definition but their own may execute."""


def calls_then_answers(body: dict[str, Any]) -> Reply:
    """Have the tool called, then answer."""
    done = any(each.get("type") == "function_call_output" for each in body["input"])
    return Reply.text("Done.") if done else Reply.tool_calls(("who", {}))


def who(context: RunContext) -> str:
    """Tell on whose behalf this is."""
    return str(context.dependencies["user"])


def told(run: RunOutput) -> list[str | None]:
    return [each.result for each in run.tools]


def told_the_model(server: ResponsesServer) -> list[str]:
    """Return what the models were told to be, in the order of the requests."""
    return [str(each.body.get("instructions")) for each in server.requests]


Make = Callable[..., Agent]


@pytest.fixture
def make(db: Database, model: OpenAIResponses, server: ResponsesServer) -> Make:
    """Make an agent as a web application does for each of its requests."""
    server.default = calls_then_answers

    def of_request(user: str, **options: Any) -> Agent:
        return Agent("Tester", model, db=db, tools=[who], dependencies={"user": user}, **options)

    return of_request


@pytest.mark.parametrize("concurrency", [None, "1"])
async def test_agents_of_one_id_that_run_side_by_side_keep_their_own_dependencies(
    make: Make, monkeypatch: pytest.MonkeyPatch, concurrency: str | None
) -> None:
    if concurrency is not None:
        monkeypatch.setenv("KERN_CONCURRENCY", concurrency)
    users = ["ada", "bob", "eve"]
    agents = [make(user) for user in users]
    for agent, user in zip(agents, users, strict=True):
        await submit(agent, [user])
    assert [told(run) for run in await all_ended(agents[0], users)] == [[user] for user in users]


async def test_a_run_that_waits_for_its_session_keeps_its_own_dependencies(
    make: Make, server: ResponsesServer
) -> None:
    held = Reply.text("Hello.").held()
    server.script.append(held)
    ada, bob = make("ada"), make("bob")
    await submit(bob, ["first"], "talk")
    await server.wait_for_requests(1)
    await submit(ada, ["hers"], "talk")
    await submit(bob, ["his"], "talk")
    held.release()
    await ended(bob, "first")
    assert [told(run) for run in await all_ended(bob, ["hers", "his"])] == [["ada"], ["bob"]]


async def test_a_second_attempt_keeps_its_own_dependencies(
    make: Make, server: ResponsesServer
) -> None:
    server.script.append(Reply.http_error(500))
    ada, bob = make("ada", max_attempts=2), make("bob")
    await submit(ada, ["hers"])
    await server.wait_for_requests(1)
    await submit(bob, ["his"])
    assert [told(run) for run in await all_ended(bob, ["hers", "his"])] == [["ada"], ["bob"]]


async def test_a_later_change_of_the_agent_does_not_change_what_was_submitted(
    db: Database, model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    server.default = calls_then_answers
    held = Reply.text("Hello.").held()
    server.script.append(held)
    agent = Agent(
        "Tester", model, db=db, tools=[who], dependencies={"user": "ada"}, instructions="Old."
    )
    await submit(agent, ["first"])
    await server.wait_for_requests(1)
    await submit(agent, ["second"])
    agent.tools = {}
    agent.dependencies = {"user": "eve"}
    agent.instructions = "New."
    held.release()
    run = await ended(agent, "second")
    assert (run.status, told(run)) == (RunStatus.completed, ["ada"])
    assert told_the_model(server) == ["Old."] * 3
    await agent.arun("third")
    assert set(told_the_model(server)[3:]) == {"New."}


async def test_a_run_that_only_its_submitter_may_execute_begins_soon_beside_other_processes(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "15")
    server.default = calls_then_answers
    # Another one waits for its own run, and so takes what there is of the agent.
    other = elsewhere(
        """
        from datetime import UTC, datetime
        other = Agent("Tester", agent.model, db=db, dependencies={"user": "bob"})
        await other.arun("Later", background=True, run_at=datetime(2100, 1, 1, tzinfo=UTC))
        say("waits")
        await hear()
        """
    )
    assert await other.said() == "waits"
    ada = Agent("Tester", model, db=shared_db, tools=[who], dependencies={"user": "ada"})
    took = []
    for number in range(5):
        due = datetime.now(UTC) + timedelta(seconds=0.2)
        await submit(ada, [f"hers {number}"], run_at=due)
        run = await ended(ada, f"hers {number}")
        took.append((datetime.now(UTC) - due).total_seconds())
        assert told(run) == ["ada"]
    print(f"from due to ended: {mean(took):.3f} s on average, {max(took):.3f} s at most")
    assert mean(took) < 3, "it was found by a sweep"


@asynccontextmanager
async def serving(agent: Agent) -> AsyncIterator[None]:
    """Serve an agent explicitly, meanwhile."""
    ready, stopping = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(serve([agent], stopping=stopping, ready=lambda _: ready.set()))
    await ready.wait()
    try:
        yield
    finally:
        stopping.set()
        await task


async def submit_elsewhere(elsewhere: Elsewhere, run_id: str) -> None:
    """Have another process submit a run that it does not execute."""
    body = f'await agent.arun("theirs", background=True, run_id={run_id!r})\nsay("done")'
    process = elsewhere(body, KERN_IN_PROCESS_WORKER="0")
    assert await process.said() == "done"
    assert await process.ended() == 0


async def test_a_second_object_of_a_served_id_does_not_replace_the_first(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    first = Agent("Tester", model, db=shared_db, instructions="First.")
    second = Agent("Tester", model, db=shared_db, instructions="Second.")
    async with serving(first):
        assert (await submit(second, ["own"]))[0].status is RunStatus.pending
        await ended(second, "own")
        assert told_the_model(server) == ["Second."]
        await submit_elsewhere(elsewhere, "theirs")
        assert (await ended(second, "theirs")).status is RunStatus.completed
    assert told_the_model(server) == ["Second.", "First."]


@pytest.mark.parametrize("kind", ["postgres", "memory"])
async def test_so_many_runs_may_wait_that_only_their_own_definition_may_execute(
    kind: str,
    request: pytest.FixtureRequest,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    monkeypatch.setenv("KERN_HEARTBEAT", "60")
    db = InMemoryDb() if kind == "memory" else request.getfixturevalue("postgres_db")
    server.default = Reply.hang()
    agents = [
        Agent("Tester", model, db=db, tools=[who], dependencies={"user": user}) for user in "ab"
    ]
    await submit(agents[0], ["first"])
    await server.wait_for_requests(1)

    async def one(number: int) -> Exception | RunOutput:
        try:
            return await agents[number % 2].arun("Hi", background=True)
        except QueueFullError as error:
            return error

    answers = await asyncio.gather(*(one(number) for number in range(PINNED + 50)))
    refused = [each for each in answers if isinstance(each, QueueFullError)]
    assert len(refused) == 50
    assert str(PINNED) in str(refused[0])


async def test_what_waits_no_more_makes_room_for_others(
    model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=InMemoryDb(), tools=[who], dependencies={"user": "ada"})
    await submit(agent, ["first"])
    await server.wait_for_requests(1)

    async def in_time(name: str, session_id: str) -> None:
        while True:
            try:
                await agent.arun("Hi", background=True, run_id=name, session_id=session_id)
                break
            except QueueFullError:  # It may take a heartbeat.
                await asyncio.sleep(0.1)

    for turn in range(2):
        names = [f"run-{turn}-{number}" for number in range(PINNED * 3 // 4)]
        async with asyncio.timeout(40):
            await asyncio.gather(
                *(in_time(name, f"talk-{number % 100}") for number, name in enumerate(names))
            )
        assert all(await asyncio.gather(*(agent.acancel_run(name) for name in names)))


async def test_what_may_be_executed_by_others_is_not_bounded(
    model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=InMemoryDb())
    await asyncio.gather(*(agent.arun("Hi", background=True) for _ in range(PINNED + 50)))


def by_dependencies(agent: Agent, model: OpenAIResponses, db: Database) -> list[Agent]:
    return [Agent("Tester", model, db=db, dependencies={"user": "ada"})]


def by_closure(agent: Agent, model: OpenAIResponses, db: Database) -> list[Agent]:
    def mine() -> str:
        """Tell whose this is."""
        return agent.id

    return [Agent("Tester", model, db=db, tools=[mine])]


def by_method(agent: Agent, model: OpenAIResponses, db: Database) -> list[Agent]:
    class Shop:
        def stock(self) -> int:
            """Count what is there."""
            return 1

    return [Agent("Tester", model, db=db, tools=[Shop().stock])]


def by_another_object(agent: Agent, model: OpenAIResponses, db: Database) -> list[Agent]:
    return [agent, Agent("Tester", model, db=db, instructions="Another.")]


@pytest.mark.parametrize("agents_of", [by_dependencies, by_closure, by_method, by_another_object])
async def test_a_process_does_not_execute_others_runs_with_what_may_be_a_callers_own(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
    agents_of: Callable[[Agent, OpenAIResponses, Database], list[Agent]],
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")
    plain = Agent("Tester", model, db=shared_db)
    here = agents_of(plain, model, shared_db)
    for when in ("before", "after"):
        for number, each in enumerate(here):
            name = f"mine-{number} {when}"
            await submit(each, [name])
            assert (await ended(each, name)).status is RunStatus.completed
        if when == "before":
            await submit_elsewhere(elsewhere, "theirs")
    await asyncio.sleep(1)  # Two heartbeats; its own runs may be begun again on a busy machine.
    assert "theirs" not in all_asked(server.requests)
    assert await status_of(plain, "theirs") is RunStatus.pending
    async with serving(plain):
        assert (await ended(plain, "theirs")).status is RunStatus.completed


Use = Callable[[Agent], Coroutine[object, object, object]]


async def by_waiting(agent: Agent) -> object:
    return await agent.await_run("theirs", timeout=20)


async def by_streaming(agent: Agent) -> object:
    async with asyncio.timeout(20):
        return [event async for event in agent.astream_run("theirs")]


async def by_submitting(agent: Agent) -> object:
    await submit(agent, ["mine"])
    return await agent.await_run("mine", timeout=20)


@pytest.mark.parametrize("use", [by_waiting, by_streaming, by_submitting])
async def test_the_only_object_of_an_id_with_nothing_of_a_callers_own_serves_when_it_is_used(
    shared_db: Database, model: OpenAIResponses, elsewhere: Elsewhere, use: Use
) -> None:
    await submit_elsewhere(elsewhere, "theirs")
    agent = Agent("Tester", model, db=shared_db, tools=[who])
    await use(agent)
    assert (await ended(agent, "theirs", 20)).status is RunStatus.completed


async def test_a_run_goes_on_with_its_own_agent_only(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(requires_confirmation=True)
    def pay() -> str:
        """Pay."""
        return "paid"

    cashier, other = Agent("Cashier", model, db=db, tools=[pay]), Agent("Other", model, db=db)
    server.script += [Reply.tool_calls(("pay", "{}")), Reply.http_error(400, "No.")]
    paused = await cashier.arun("Pay", run_id="paused")
    with pytest.raises(ModelError):
        await cashier.arun("Fail", run_id="failed")
    paused.requirements[0].confirm()
    wrong = "is one of the agent 'cashier', and not of 'other'"
    with pytest.raises(InvalidInputError, match=f"Run paused {wrong}"):
        await other.acontinue_run("paused", requirements=paused.requirements)
    with pytest.raises(InvalidInputError, match=f"Run failed {wrong}"):
        await other.aretry_run("failed")
    await cashier.acontinue_run("paused", requirements=paused.requirements)
    await cashier.aretry_run("failed")
    for run_id in ("paused", "failed"):
        run = await cashier.await_run(run_id, timeout=20)
        assert run is not None
        assert (run.status, run.content) == (RunStatus.completed, "Hello.")
