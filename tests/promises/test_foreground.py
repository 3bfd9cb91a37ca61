"""Promise 8: a foreground run ends with its caller, also in the middle of its submit."""

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from leases import expire
from load import ended, status_of, submit

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.dispatch.opening import open_runtime, runtimes_here
from kern.errors import ServerShutdownError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer

CALLERS = 150
LONGEST = 0.008
"""How long the most patient caller waits, in seconds: about as long as a submit takes."""


async def run_or_stream(agent: Agent, run_id: str, stream: bool) -> None:
    """Run the agent in the foreground, in one of the two ways."""
    if stream:
        async for _ in agent.arun("Hi", stream=True, run_id=run_id):
            pass
    else:
        await agent.arun("Hi", run_id=run_id)


async def stands(agent: Agent, run_id: str, timeout: float) -> RunStatus | None:
    """Return as what a run has ended; None where there is none after a time."""
    status: RunStatus | None = None
    until = time.monotonic() + timeout
    async with asyncio.timeout(20 + timeout):
        while status is None or not status.is_terminal:  # it is not notified
            await asyncio.sleep(0.02)
            run = await agent.aget_run_output(run_id)
            status = None if run is None else run.status
            if run is None and time.monotonic() > until:
                break
    return status


async def test_what_a_caller_does_not_wait_for_is_neither_executed_nor_paid(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")
    agent = Agent("Tester", model, db=db)
    await submit(agent, ["warm"])
    await agent.await_run("warm")
    server.default = lambda body: (
        Reply.text("Hello.") if body["input"][0]["content"] == "later" else Reply.hang()
    )
    patience = random.Random(1)

    async def caller(run_id: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.uniform(0, LONGEST)):
                await run_or_stream(agent, run_id, stream=patience.random() < 0.3)

    names = [f"run-{number}" for number in range(CALLERS)]
    for first in range(0, CALLERS, 10):
        await asyncio.gather(*(caller(name) for name in names[first : first + 10]))
    # Whatever was left behind is executed once its lease has expired.
    await submit(agent, ["later"])
    assert (await ended(agent, "later")).status is RunStatus.completed
    await asyncio.sleep(1.5)
    stood = await asyncio.gather(*(stands(agent, name, 0) for name in names))
    assert {*stood} <= {None, RunStatus.cancelled}
    await server.wait_until(lambda seen: seen.in_flight == 0)


@asynccontextmanager
async def no_writes(db: Database) -> AsyncIterator[None]:
    """Let no write into the database go on, meanwhile."""
    if isinstance(db, PostgresDb):
        admin = await asyncpg.connect(db._dsn)
        try:
            async with admin.transaction():
                await admin.execute(f"LOCK TABLE {db._names.runs} IN SHARE MODE")
                yield
        finally:
            await admin.close()
    else:
        assert isinstance(db, SqliteDb)
        file = sqlite3.connect(db._file.path, isolation_level=None)
        file.execute("BEGIN IMMEDIATE")
        yield
        file.execute("COMMIT")
        file.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_caller_who_leaves_in_the_middle_of_the_submit_leaves_nothing_that_executes(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, stream: bool
) -> None:
    agent = Agent("Tester", model, db=shared_db)
    await agent.arun("Warm")
    async with no_writes(shared_db):
        caller = asyncio.create_task(run_or_stream(agent, "left", stream))
        with pytest.raises(TimeoutError):  # It hangs in its submit.
            await asyncio.wait_for(asyncio.shield(caller), 0.3)
        caller.cancel()
        await asyncio.wait({caller}, timeout=0.3)
    await asyncio.wait({caller}, timeout=20)
    assert caller.cancelled()
    assert await stands(agent, "left", 2) in (None, RunStatus.cancelled)
    assert len(server.requests) == 1


async def test_a_foreground_run_is_cancelled_when_its_caller_has_left(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=db)
    callers = [
        asyncio.create_task(run_or_stream(agent, f"run-{number}", stream=number % 2 == 0))
        for number in range(20)
    ]
    await server.wait_for_requests(20)
    for caller in callers:
        caller.cancel()
    done, late = await asyncio.wait(callers, timeout=20)
    assert (len(done), len(late)) == (20, 0)
    assert {await status_of(agent, f"run-{number}") for number in range(20)} == {
        RunStatus.cancelled
    }
    await server.wait_for_disconnects(20)


async def test_a_stream_ends_as_the_run_does_that_others_carried_on(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]

    async def work(context: RunContext) -> str:
        if context.attempt == 1:  # Its lease expires, and a worker claims the run.
            await expire(shared_db, context.run_id)
        return "worked"

    agent = Agent("Tester", model, db=shared_db, tools=[work])
    (await open_runtime(shared_db)).serve(agent)
    async with asyncio.timeout(20):
        events = [event async for event in agent.arun("Work", stream=True, run_id="run")]
    run = await agent.aget_run_output("run")
    assert run is not None
    assert (run.status, run.attempt) == (RunStatus.completed, 2)
    assert events[-1].event is RunEvent.run_completed


async def test_the_stream_of_a_run_that_was_begun_before_has_its_events(
    shared_db: Database, model: OpenAIResponses
) -> None:
    agent = Agent("Tester", model, db=shared_db)
    first, again = [
        [(event.seq, event.event) async for event in agent.arun("Hi", stream=True, run_id="run")]
        for _ in range(2)
    ]
    assert first[-1][1] is RunEvent.run_completed
    assert again == first


@pytest.mark.parametrize("stream", [False, True])
async def test_one_that_its_server_cannot_wait_for_fails_as_that_and_can_be_retried(
    agent: Agent, server: ResponsesServer, stream: bool
) -> None:
    soon = Reply.text("Soon").held()
    server.script += [soon, Reply.hang(), Reply.text("Later")]
    running = []
    for run_id in ("soon", "never"):
        running.append(asyncio.create_task(run_or_stream(agent, run_id, stream)))
        await server.wait_for_requests(len(running))
    [runtime] = runtimes_here()
    ending = asyncio.create_task(runtime.end_foreground(20))
    await asyncio.sleep(0)
    soon.release()
    await running[0]
    assert not ending.done()
    ending.cancel()  # Another one has less time.
    await asyncio.wait({ending})
    ending = asyncio.create_task(runtime.end_foreground(0.1))
    with pytest.raises(ServerShutdownError) as failed:
        await running[1]
    assert failed.value.run_output.status is RunStatus.error
    await ending
    assert await status_of(agent, "soon") is RunStatus.completed
    stored = await agent.aget_run_output("never")
    assert stored is not None
    assert (stored.status, stored.error_kind) == (RunStatus.error, "ServerShutdownError")
    await agent.aretry_run("never")
    retried = await agent.await_run("never")
    assert retried is not None
    assert (retried.status, retried.content) == (RunStatus.completed, "Later")
