"""A process that only submits, and others that only execute: every verb works from the first."""

import asyncio
from contextlib import suppress

import pytest
from load import all_ended, ended, status_of, submit
from workers import NewWorker

from kern.agent import Agent
from kern.agent.serving import serve
from kern.db.database import Database
from kern.errors import RunNotFoundError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.base import RunStatus
from kern.run.record import RunRecord
from kern.testing import Reply, ResponsesServer


@pytest.fixture(autouse=True)
def _submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


async def test_what_one_process_submits_another_executes(
    shared_db: Database, agent: Agent, server: ResponsesServer, new_worker: NewWorker
) -> None:
    runs = await submit(agent, [f"run-{number}" for number in range(10)])
    with pytest.raises(TimeoutError):
        await agent.await_run("run-0", timeout=0.2)
    assert {run.status for run in runs} == {await status_of(agent, "run-9")} == {RunStatus.pending}
    assert server.requests == []

    await new_worker(shared_db).ready()
    assert {run.status for run in await all_ended(agent, runs)} == {RunStatus.completed}
    assert len(server.requests) == 10


async def test_the_submitter_streams_and_cancels_what_another_executes(
    shared_db: Database, agent: Agent, server: ResponsesServer, new_worker: NewWorker
) -> None:
    held = Reply.text("Half", " a word", " more.").held(after=2)
    server.script += [held, Reply.hang()]
    await new_worker(shared_db, KERN_HEARTBEAT="600").ready()  # So late it looks by itself.
    events = agent.arun("Hi", background=True, run_id="read", stream=True)
    async with asyncio.timeout(40):
        text = ""
        while text != "Half a word":
            text += (await anext(events)).content or ""
        await submit(agent, ["stopped"])
        await server.wait_for_requests(2)
        assert await agent.acancel_run("stopped")
        await server.wait_for_disconnects(1)
        held.release()
        assert text + "".join([event.content or "" async for event in events]) == (
            "Half a word more."
        )
    assert (await ended(agent, "stopped")).status is RunStatus.cancelled
    assert (await ended(agent, "read")).content == "Half a word more."
    kinds = [event.event async for event in agent.astream_run("read")]
    assert kinds[-1] is RunEvent.run_completed


async def test_who_asks_for_a_run_while_it_is_accepted_is_told_of_its_end_or_that_it_is_not_known(
    shared_db: Database,
    agent: Agent,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await new_worker(shared_db).ready()
    store = await shared_db.store()
    watch, read = store.watch, store.read

    async def watch_too_early(run_id: str) -> RunRecord | None:
        known = await watch(run_id)
        await submit(agent, [run_id])
        return known

    async def read_too_early(run_id: str) -> bool:
        known = await read(run_id)
        await submit(agent, [run_id])
        return known

    monkeypatch.setattr(store, "watch", watch_too_early)
    monkeypatch.setattr(store, "read", read_too_early)
    run = await agent.await_run("awaited", timeout=20)
    assert run is None or run.status is RunStatus.completed
    async with asyncio.timeout(20):
        with suppress(RunNotFoundError):
            kinds = [event.event async for event in agent.astream_run("streamed")]
            assert kinds[-1] is RunEvent.run_completed


async def test_a_cancel_before_any_worker_needs_none(agent: Agent, server: ResponsesServer) -> None:
    await submit(agent, ["waits"])
    assert await agent.acancel_run("waits")
    assert (await ended(agent, "waits")).status is RunStatus.cancelled
    assert server.requests == []


async def test_to_serve_explicitly_is_to_execute(db: Database, model: OpenAIResponses) -> None:
    agent = Agent("Tester", model, db=db)
    stopping, told = asyncio.Event(), list[bool]()
    await submit(agent, ["first"])
    serving = asyncio.create_task(serve([agent], stopping=stopping, ready=told.append))
    assert (await ended(agent, "first")).status is RunStatus.completed
    stopping.set()
    await serving
    assert told == [True, False]
    await submit(agent, ["second"])
    with pytest.raises(TimeoutError):
        await agent.await_run("second", timeout=0.2)
