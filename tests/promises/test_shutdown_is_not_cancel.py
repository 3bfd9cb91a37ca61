"""Promise 8: a process that ends releases its runs for others; only a cancel cancels."""

import asyncio
import signal

import pytest
from elsewhere import Elsewhere
from freezing import freeze

from kern.agent import Agent
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

EXECUTE = """
run = await agent.arun("Go on", background=True)
say(run.run_id)
await hear()
"""


async def _completed_here(agent: Agent, run_id: str) -> None:
    await agent.arun("Serve", background=True)
    run = await agent.await_run(run_id, timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")


async def test_the_end_of_asyncio_run_releases_at_once(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.hang())
    process = elsewhere(EXECUTE)
    run_id = await process.said()
    await server.wait_for_requests(1)
    process.tell("end")
    assert await process.ended() == 0

    found = await agent.aget_run_output(run_id)
    assert found is not None
    assert found.status is RunStatus.pending
    await server.wait_for_disconnects(1)
    await _completed_here(agent, run_id)


async def test_a_process_whose_loop_ends_is_not_seen_alive_any_more(
    agent: Agent, elsewhere: Elsewhere
) -> None:
    assert agent.db is not None
    store = await agent.db.store()
    process = elsewhere(EXECUTE)
    await process.said()
    async with asyncio.timeout(10):
        while not await store.processes.find(60):  # noqa: ASYNC110 # another's beat
            await asyncio.sleep(0.02)
    process.tell("end")
    assert await process.ended() == 0
    assert await store.processes.find(60) == []


async def test_another_process_goes_on_at_once(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.hang())
    process = elsewhere(EXECUTE)
    run_id = await process.said()
    await server.wait_for_requests(1)
    await agent.arun("Serve", background=True)
    process.tell("end")

    run = await agent.await_run(run_id, timeout=10)
    assert run is not None
    assert run.status is RunStatus.completed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_releases_at_once(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere, number: signal.Signals
) -> None:
    server.script.append(Reply.hang())
    process = elsewhere(EXECUTE.replace("await hear()", "await asyncio.Event().wait()"))
    run_id = await process.said()
    await server.wait_for_requests(1)
    process.send(number)
    assert await process.ended() == -number

    found = await agent.aget_run_output(run_id)
    assert found is not None
    assert found.status is RunStatus.pending
    await _completed_here(agent, run_id)


async def test_a_server_that_ends_itself_at_a_signal_is_left_to_it(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.hang())
    process = elsewhere(
        """
        import signal
        ending = asyncio.Event()
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(ending.set))
        loop = asyncio.get_running_loop()
        say((await agent.arun("Go on", background=True)).run_id)
        await ending.wait()
        """
    )
    run_id = await process.said()
    await server.wait_for_requests(1)
    process.send(signal.SIGTERM)
    assert await process.ended() == 0

    found = await agent.aget_run_output(run_id)
    assert found is not None
    assert found.status is RunStatus.pending


async def test_a_cancel_asked_for_during_the_shutdown_is_honoured(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.default = Reply.hang()
    process = elsewhere(EXECUTE)
    run_id = await process.said()
    await server.wait_for_requests(1)
    await freeze(process, agent.db)
    assert await agent.acancel_run(run_id)
    process.tell("end")
    process.send(signal.SIGCONT)

    run = await agent.await_run(run_id, timeout=20)
    assert run is not None
    assert run.status is RunStatus.cancelled
    assert await process.ended() == 0


async def test_runs_in_flight_by_the_hundred_are_all_released(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.default = Reply.hang()
    process = elsewhere(
        """
        runs = await asyncio.gather(*(agent.arun("Go on", background=True) for _ in range(100)))
        say(*(run.run_id for run in runs))
        await hear()
        """
    )
    run_ids = (await process.said()).split()
    await server.wait_for_requests(100, timeout=20)
    process.tell("end")
    assert await process.ended() == 0

    for run_id in run_ids:
        found = await agent.aget_run_output(run_id)
        assert found is not None
        assert found.status is RunStatus.pending
