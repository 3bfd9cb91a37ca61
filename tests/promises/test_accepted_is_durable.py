"""Promise 1: when ``arun(background=True)`` returns, the run is committed."""

import signal

from elsewhere import Elsewhere

from kern.agent import Agent
from kern.run.base import RunStatus
from kern.testing import ResponsesServer


async def test_a_run_survives_the_kill_of_its_process_right_after_it_was_accepted(
    agent: Agent, elsewhere: Elsewhere, server: ResponsesServer
) -> None:
    process = elsewhere(
        """
        run = await agent.arun("Hello?", background=True)
        say(run.run_id)
        os.kill(os.getpid(), 9)
        """,
        KERN_IN_PROCESS_WORKER="0",
    )
    run_id = await process.said()
    assert await process.ended() == -signal.SIGKILL

    run = await agent.aget_run_output(run_id)
    assert run is not None
    assert run.status is RunStatus.pending
    assert server.requests == []


async def test_an_accepted_run_is_executed_by_the_next_process_that_serves_the_agent(
    agent: Agent, elsewhere: Elsewhere
) -> None:
    submitter = elsewhere(
        """
        for number in range(5):
            say((await agent.arun(f"Question {number}", background=True)).run_id)
        """,
        KERN_IN_PROCESS_WORKER="0",
    )
    run_ids = [await submitter.said() for _ in range(5)]
    assert await submitter.ended() == 0

    await agent.arun("One more", background=True)
    for run_id in run_ids:
        run = await agent.await_run(run_id, timeout=20)
        assert run is not None
        assert run.status is RunStatus.completed
