"""A run whose process was killed goes on elsewhere within the heartbeat limit plus 2 seconds."""

import signal

import pytest
from elsewhere import Elsewhere

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

HEARTBEAT = 1.0

BODY = """
run = await agent.arun("Go on", {background} run_id="lost")
await asyncio.Event().wait()
"""


@pytest.mark.parametrize("background", ["background=True,", ""], ids=["background", "foreground"])
async def test_another_process_takes_a_killed_run_over_in_time(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
    background: str,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", str(HEARTBEAT))
    server.script.append(Reply.hang())
    process = elsewhere(BODY.format(background=background), KERN_HEARTBEAT=str(HEARTBEAT))
    await server.wait_for_requests(1, timeout=20)
    agent = Agent("Tester", model, db=shared_db)
    await agent.await_run((await agent.arun("Serve", background=True)).run_id)

    process.send(signal.SIGKILL)
    await process.ended()
    # The promise; and as much again for a machine that is busy with other things.
    await server.wait_for_requests(3, timeout=2 * (HEARTBEAT + 2))
    run = await agent.await_run("lost", timeout=10)
    assert run is not None
    assert run.status is RunStatus.completed
    events = [event.event async for event in agent.astream_run("lost")]
    assert RunEvent.run_resumed in events
