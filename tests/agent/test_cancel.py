"""A run that the caller awaits ends when it is cancelled, or when its caller is."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing

import pytest
from locally import LOCALLY_OR_NONE

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.models.base import ModelRequest, ModelResponse
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.cancel import acancel_run, cancel_run
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer

Cancel = Callable[[Agent, str], Awaitable[bool]]


async def by_the_agent(agent: Agent, run_id: str) -> bool:
    return await agent.acancel_run(run_id)


async def by_the_id(agent: Agent, run_id: str) -> bool:
    return await acancel_run(run_id)


async def from_another_thread(agent: Agent, run_id: str) -> bool:
    return await asyncio.to_thread(cancel_run, run_id)


CANCELS = [by_the_agent, by_the_id, from_another_thread]


@pytest.mark.parametrize("cancel", CANCELS)
async def test_a_cancel_ends_the_run_and_closes_its_connection(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer, cancel: Cancel
) -> None:
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=any_db)
    run_id = cancel.__name__
    running = asyncio.create_task(agent.arun("Write for ever.", run_id=run_id))
    await server.wait_for_requests(1)

    assert await cancel(agent, run_id)

    await server.wait_for_disconnects(1)
    run = await running
    assert (run.status, run.error) == (RunStatus.cancelled, None)
    assert run.messages == [Message("user", "Write for ever.")]
    if any_db is not None:
        assert await agent.aget_run_output(run_id) == run


async def awaits(agent: Agent) -> None:
    await agent.arun("Write for ever.", run_id="run-1")


async def reads(agent: Agent) -> None:
    async for _ in agent.arun("Write for ever.", run_id="run-1", stream=True):
        pass


@pytest.mark.parametrize("call", [awaits, reads])
async def test_a_caller_who_is_cancelled_takes_the_run_along(
    any_db: Database | None,
    model: OpenAIResponses,
    server: ResponsesServer,
    call: Callable[[Agent], Coroutine[object, object, None]],
) -> None:
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=any_db)
    running = asyncio.create_task(call(agent))
    await server.wait_for_requests(1)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await server.wait_for_disconnects(1)
    if any_db is not None:
        run = await agent.aget_run_output("run-1")
        assert run is not None
        assert run.status is RunStatus.cancelled


async def test_a_caller_who_runs_out_of_time_takes_the_run_along(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=db)

    async def ask() -> None:
        async with asyncio.timeout(0.2):
            await agent.arun("Write for ever.", run_id="run-1")

    with pytest.raises(TimeoutError):
        await ask()
    # Where the submit was under way, the run ends as soon as that is answered.
    run = await agent.await_run("run-1", timeout=20, until="end")
    assert run is None or run.status is RunStatus.cancelled


async def test_a_reader_who_leaves_takes_the_run_along(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.text("Once ", "upon").held(after=1)
    agent = Agent("Tester", model, db=any_db)
    async with aclosing(agent.arun("Tell me.", run_id="run-1", stream=True)) as events:
        async for event in events:
            assert event.content == "Once "
            break

    await server.wait_for_disconnects(1)
    if any_db is not None:
        run = await agent.aget_run_output("run-1")
        assert run is not None
        assert (run.status, run.content) == (RunStatus.cancelled, "Once ")


@LOCALLY_OR_NONE
async def test_the_other_runs_go_on(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("Hello").held()
    server.default = reply
    agent = Agent("Tester", model, db=any_db)
    running = [asyncio.create_task(agent.arun("Hi", run_id=f"run-{n}")) for n in range(3)]
    await server.wait_for_requests(3)
    assert await agent.acancel_run("run-1")
    await server.wait_for_disconnects(1)
    reply.release()
    statuses = [run.status for run in await asyncio.gather(*running)]
    assert statuses == [RunStatus.completed, RunStatus.cancelled, RunStatus.completed]


@LOCALLY_OR_NONE
async def test_a_run_that_has_ended_is_not_cancelled(
    any_db: Database | None, model: OpenAIResponses
) -> None:
    agent = Agent("Tester", model, db=any_db)
    run = await agent.arun("Hi")
    assert not await agent.acancel_run(run.run_id)
    assert run.status is RunStatus.completed


async def test_a_run_cancelled_before_it_begins_never_asks_the_model(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=any_db)
    assert not await agent.acancel_run("run-1")
    run = await agent.arun("Hi", run_id="run-1")
    assert run.status is RunStatus.cancelled
    assert server.requests == []
    if any_db is None:  # The cancel was for one run, not for the id.
        assert (await agent.arun("Hi", run_id="run-1")).status is RunStatus.completed


class CancelledAtTheLastMoment(OpenAIResponses):
    """Has its run cancelled between its answer and what the run makes of it."""

    async def respond(self, request: ModelRequest) -> ModelResponse:
        response = await super().respond(request)
        assert cancel_run("last-moment")
        return response


@pytest.mark.parametrize("background", [False, True])
async def test_a_cancel_at_the_last_moment_holds(
    db: Database, server: ResponsesServer, background: bool
) -> None:
    model = CancelledAtTheLastMoment("test-model", base_url=server.base_url, api_key="sk-test")
    agent = Agent("Tester", model, db=db)
    await agent.arun("Hi", run_id="last-moment", background=background)
    run = await agent.await_run("last-moment", timeout=20)
    assert run is not None
    assert run.status is RunStatus.cancelled


async def test_a_cancel_at_the_last_moment_holds_without_a_database(
    server: ResponsesServer,
) -> None:
    model = CancelledAtTheLastMoment("test-model", base_url=server.base_url, api_key="sk-test")
    run = await Agent("Tester", model).arun("Hi", run_id="last-moment")
    assert (run.status, run.content) == (RunStatus.cancelled, "Hello.")


@pytest.mark.parametrize("kept", [False, True])
async def test_of_many_cancels_from_a_thread_each_that_said_true_holds(
    model: OpenAIResponses, server: ResponsesServer, kept: bool
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb() if kept else None)
    run_ids = [f"run-{kept}-{number}" for number in range(100)]
    running = [asyncio.create_task(agent.arun("Hi", run_id=run_id)) for run_id in run_ids]
    said: dict[str, bool] = {}

    def cancel_all() -> None:
        server.wait_for_requests_sync(20)
        for run_id in run_ids:
            said[run_id] = cancel_run(run_id)

    thread = threading.Thread(target=cancel_all)
    thread.start()
    runs = await asyncio.gather(*running)
    await asyncio.to_thread(thread.join)
    broken = [
        run.run_id for run in runs if said[run.run_id] and run.status is not RunStatus.cancelled
    ]
    assert broken == []
