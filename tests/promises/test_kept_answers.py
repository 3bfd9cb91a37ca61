"""Promise 5: where the provider keeps an answer, a crash does not make it paid for again."""

import asyncio
import signal

import pytest
from elsewhere import Elsewhere, Process
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

BODY = """
model = OpenAIResponses("test-model", background=True, max_retries=0)
agent = Agent("Tester", model, db=db)
await agent.arun("Tell me.", background=True, run_id="run")
await hear()
"""


@pytest.fixture
def kept(shared_db: Database, server: ResponsesServer) -> Agent:
    """An agent whose provider keeps the answers that it works at."""
    model = OpenAIResponses(
        "test-model", base_url=server.base_url, api_key="sk-test", background=True, max_retries=2
    )
    return Agent("Tester", model, db=shared_db)


async def _journaled(db: Database) -> None:
    """Wait until the provider's id of the answer is in the journal."""
    store = await db.store()
    async with asyncio.timeout(20):
        # Nothing tells of what another process journals unless it is streamed.
        while not any("handle" in row.payload for row in await store.events("run", 0)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _asked_elsewhere(db: Database, elsewhere: Elsewhere) -> Process:
    process = elsewhere(BODY, KERN_IN_PROCESS_WORKER="1")
    await _journaled(db)
    return process


async def _taken_over(agent: Agent, db: Database) -> None:
    await expire(db, "run")
    (await open_runtime(db)).serve(agent)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Once upon a time.")


async def test_an_answer_is_picked_up_after_a_crash_and_paid_once(
    kept: Agent, shared_db: Database, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    reply = Reply.text("Once ", "upon ", "a time.").held(after=1)
    server.script.append(reply)
    process = await _asked_elsewhere(shared_db, elsewhere)
    process.send(signal.SIGKILL)
    await process.ended()
    reply.release()

    await _taken_over(kept, shared_db)
    assert len(server.requests) == 1
    assert [each.method for each in server.lookups] == ["GET"]


async def test_an_answer_that_the_provider_has_lost_is_asked_for_again(
    kept: Agent, shared_db: Database, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.text("Never told").held(after=0))
    server.default = Reply.text("Once upon a time.")
    process = await _asked_elsewhere(shared_db, elsewhere)
    process.send(signal.SIGKILL)
    await process.ended()
    await asyncio.gather(*(each.close() for each in server._background.values()))
    server._background.clear()

    await _taken_over(kept, shared_db)
    assert len(server.requests) == 2


async def test_a_shutdown_leaves_the_answer_at_the_provider(
    kept: Agent, shared_db: Database, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    reply = Reply.text("Once ", "upon ", "a time.").held(after=1)
    server.script.append(reply)
    process = await _asked_elsewhere(shared_db, elsewhere)
    process.tell("end")
    assert await process.ended() == 0
    assert server.cancelled == []
    reply.release()

    await _taken_over(kept, shared_db)
    assert len(server.requests) == 1


async def test_a_cancel_cancels_at_the_provider_what_nobody_executes_any_more(
    kept: Agent,
    shared_db: Database,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.script.append(Reply.text("Once ", "upon ", "a time.").held(after=1))
    process = await _asked_elsewhere(shared_db, elsewhere)
    process.tell("end")
    assert await process.ended() == 0

    assert await kept.acancel_run("run")
    assert server.cancelled == [server.requests[0].response_id]


async def test_a_cancel_of_an_executing_run_cancels_at_the_provider(
    kept: Agent, shared_db: Database, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon ", "a time.").held(after=1))
    await kept.arun("Tell me.", background=True, run_id="run")
    await _journaled(shared_db)
    assert await kept.acancel_run("run")
    await server.wait_until(lambda seen: len(seen.cancelled) == 1)
    run = await kept.await_run("run", timeout=20)
    assert run is not None
    assert run.status is RunStatus.cancelled


async def test_a_lost_connection_is_taken_up_where_it_broke_off(
    kept: Agent, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon ", "a time.").dropping(after=1))
    pieces = []
    async for event in kept.arun("Tell me.", stream=True, background=True, run_id="run"):
        if event.event is RunEvent.run_content:
            pieces.append(event.content or "")
    assert "".join(pieces) == "Once upon a time."
    assert len(server.requests) == 1
    assert server.lookups[0].query["starting_after"]


async def test_an_attempt_that_lost_the_answer_leaves_it_to_the_next_one(
    shared_db: Database, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kern.execution.retrying._FIRST", 0.1)
    # It stands still for longer than the model waits, as it does for five minutes at OpenAI.
    reply = Reply.text("Once ", "upon ", "a time.").held(after=1)
    server.script.append(reply)
    model = OpenAIResponses(
        "test-model",
        base_url=server.base_url,
        api_key="sk-test",
        background=True,
        timeout=1.5,  # Within which the answer is begun, on a slow machine too.
        max_retries=0,
    )
    agent = Agent("Tester", model, db=shared_db, max_attempts=5)
    await agent.arun("Tell me.", background=True, run_id="run")
    await server.wait_until(lambda seen: len(seen.lookups) >= 1, timeout=20)
    reply.release()
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Once upon a time.")
    assert len(server.requests) == 1
