"""Promise 6: a cancelled run keeps what it has, starts nothing more, and takes its children along.

Its siblings, and runs that have nothing to do with it, go on.
"""

import asyncio
import threading

import pytest
from elsewhere import Elsewhere

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer

WITHIN = 20.0


async def _ended(agent: Agent, run_id: str) -> RunOutput:
    run = await agent.await_run(run_id, timeout=WITHIN)
    assert run is not None
    return run


async def _cancelled(agent: Agent, run_id: str) -> RunOutput:
    run = await _ended(agent, run_id)
    assert run.status is RunStatus.cancelled
    return run


async def _happens(event: asyncio.Event) -> None:
    async with asyncio.timeout(WITHIN):
        await event.wait()


class Hanging:
    """A tool that never ends, unless it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.cancelled = asyncio.Event(), asyncio.Event()

    async def hang(self) -> str:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "never"


async def test_results_are_kept_when_the_cancel_comes_while_a_parallel_tool_hangs(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    hanging = Hanging()

    async def quick() -> str:
        return "quickly done"

    agent = Agent("Tester", model, db=shared_db, tools=[quick, hanging.hang])
    server.script.append(Reply.text("Both.").calling(("hang", {}), ("quick", {})))
    stream = agent.arun("Go", stream=True, stream_events=True, background=True, run_id="parallel")
    async with asyncio.timeout(WITHIN):
        async for event in stream:
            if event.event is RunEvent.tool_call_completed:
                break
    await stream.aclose()
    await _happens(hanging.begun)

    assert await agent.acancel_run("parallel")

    run = await _cancelled(agent, "parallel")
    await _happens(hanging.cancelled)
    assert run.content == "Both."
    assert [(tool.tool_name, tool.result) for tool in run.tools] == [("quick", "quickly done")]
    assert [message.role for message in run.messages] == ["user", "assistant", "tool"]
    assert run.messages[-1].content == "quickly done"
    assert run.metrics.model_calls == 1
    assert len(server.requests) == 1


async def test_results_are_kept_when_the_cancel_comes_while_the_next_model_call_hangs(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    async def quick() -> str:
        return "quickly done"

    agent = Agent("Tester", model, db=shared_db, tools=[quick])
    server.script += [Reply.text("One thing.").calling(("quick", {})), Reply.hang()]
    await agent.arun("Go", background=True, run_id="next-call")
    await server.wait_for_requests(2)

    other = elsewhere('say(await agent.acancel_run("next-call"))')
    assert await other.said() == "True"

    run = await _cancelled(agent, "next-call")
    await server.wait_for_disconnects(1)
    assert run.content == "One thing."
    assert [tool.result for tool in run.tools] == ["quickly done"]
    assert [message.role for message in run.messages] == ["user", "assistant", "tool"]


async def test_half_a_text_is_kept_where_it_was_streamed(
    agent: Agent, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Half ", "of it.").held(after=1))
    stream = agent.arun("Go", stream=True, background=True, run_id="half")
    async with asyncio.timeout(WITHIN):
        assert (await anext(stream)).content == "Half "
    assert await agent.acancel_run("half")
    run = await _cancelled(agent, "half")
    assert run.content == "Half "
    assert [message.content for message in run.messages] == ["Go"]
    await stream.aclose()


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_text_beside_tool_calls_is_kept_while_the_next_model_call_hangs(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, streamed: bool
) -> None:
    async def quick() -> str:
        return "quickly done"

    agent = Agent("Tester", model, db=shared_db, tools=[quick])
    server.script += [Reply.text("First.").calling(("quick", {})), Reply.hang()]
    if streamed:
        stream = agent.arun("Go", stream=True, background=True, run_id="beside")
        async with asyncio.timeout(WITHIN):
            await anext(stream)
        await stream.aclose()
    else:
        await agent.arun("Go", background=True, run_id="beside")
    await server.wait_for_requests(2)
    assert await agent.acancel_run("beside")
    assert (await _cancelled(agent, "beside")).content == "First."


async def test_no_tool_starts_after_a_cancel(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    started: list[str] = []

    async def note(name: str) -> str:
        started.append(name)
        return name

    agent = Agent("Tester", model, db=shared_db, tools=[note])
    reply = Reply.tool_calls(("note", {"name": "late"})).held()
    server.script.append(reply)
    await agent.arun("Go", background=True, run_id="no-tool")
    await server.wait_for_requests(1)
    assert await agent.acancel_run("no-tool")
    reply.release()
    run = await _cancelled(agent, "no-tool")
    # A run that comes after it has all its steps, so the cancelled one had time for its own.
    server.script += [Reply.tool_calls(("note", {"name": "other"})), Reply.text("Done.")]
    await agent.arun("Other", background=True, run_id="other")
    assert (await _ended(agent, "other")).status is RunStatus.completed
    assert started == ["other"]
    assert run.tools == []


async def test_a_tool_that_cancels_its_own_run_is_the_last(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    async def give_up(context: RunContext) -> str:
        assert await agent.acancel_run(context.run_id)
        return "given up"

    agent = Agent("Tester", model, db=shared_db, tools=[give_up])
    server.default = Reply.tool_calls(("give_up", {}))
    await agent.arun("Go", background=True, run_id="own")
    await _cancelled(agent, "own")
    assert len(server.requests) == 1


async def test_a_synchronous_tool_sees_the_cancel_and_its_late_result_is_thrown_away(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    begun, saw, go_on, returned = (threading.Event() for _ in range(4))

    def dig(context: RunContext) -> str:
        assert not context.cancelled
        begun.set()
        while not context.cancelled:
            threading.Event().wait(0.005)
        saw.set()
        go_on.wait(WITHIN)
        returned.set()
        return "too late"

    agent = Agent("Tester", model, db=shared_db, tools=[dig])
    server.script.append(Reply.tool_calls(("dig", {})))
    await agent.arun("Dig", background=True, run_id="dig")
    assert await asyncio.to_thread(begun.wait, WITHIN)

    assert await agent.acancel_run("dig")
    run = await _cancelled(agent, "dig")
    assert await asyncio.to_thread(saw.wait, WITHIN)
    assert not returned.is_set()
    go_on.set()
    assert await asyncio.to_thread(returned.wait, WITHIN)

    assert run.tools == []
    assert await agent.aget_run_output("dig") == run
    events = [event async for event in agent.astream_run("dig")]
    assert RunEvent.tool_call_completed not in [event.event for event in events]


@pytest.mark.parametrize("from_elsewhere", [False, True])
@pytest.mark.parametrize("background", [False, True])
async def test_the_runs_that_a_tool_started_are_cancelled_with_it_and_no_others(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    background: bool,
    from_elsewhere: bool,
) -> None:
    helper = Agent("Helper", model, db=shared_db)

    async def delegate(to: str) -> str:
        """Have another agent work."""
        if not background:
            return str((await helper.arun("Help", run_id=to)).content)
        await helper.arun("Help", background=True, run_id=to)
        return str((await _ended(helper, to)).content)

    agent = Agent("Tester", model, db=shared_db, tools=[delegate])
    held = Reply.text("Helped.").held()

    def reply(body: dict[str, object]) -> Reply:
        items = body["input"]
        assert isinstance(items, list)
        said = items[0]["content"]
        if said in ("parent", "sibling") and len(items) == 1:
            return Reply.tool_calls(("delegate", {"to": f"child of {said}"}))
        return held if said in ("Help", "unrelated") else Reply.text("Done.")

    server.default = reply
    for run_id in ("parent", "sibling", "unrelated"):
        await agent.arun(run_id, background=True, run_id=run_id, session_id=f"of {run_id}")
    await server.wait_for_requests(5, timeout=WITHIN)
    assert await _in_flight(server, 3)

    if from_elsewhere:
        other = elsewhere('say(await agent.acancel_run("parent"))')
        assert await other.said() == "True"
    else:
        assert await agent.acancel_run("parent")

    run = await _cancelled(agent, "parent")
    assert run.tools == []
    await _cancelled(helper, "child of parent")
    await server.wait_for_disconnects(1)
    assert server.disconnects == 1
    held.release()
    for run_id in ("sibling", "child of sibling", "unrelated"):
        assert (await _ended(agent, run_id)).status is RunStatus.completed
    assert len(server.requests) == 6


async def _in_flight(server: ResponsesServer, count: int) -> bool:
    await server.wait_until(lambda seen: seen.in_flight == count, WITHIN)
    return True


async def test_who_waits_for_a_cancelled_run_does_not_wait_for_its_children(
    shared_db: Database, agent: Agent, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "600")  # So late is looked again.
    store = await shared_db.store()
    looking, look = asyncio.Event(), asyncio.Event()
    children = store.children

    async def slowly(run_id: str) -> list[str]:
        looking.set()
        await look.wait()
        return await children(run_id)

    server.default = Reply.hang()
    run = await agent.arun("Go on", background=True)
    waiting = asyncio.create_task(agent.await_run(run.run_id, timeout=30))
    await server.wait_for_requests(1)
    monkeypatch.setattr(store, "children", slowly)
    cancelling = asyncio.create_task(agent.acancel_run(run.run_id))
    async with asyncio.timeout(20):
        await looking.wait()
        ended = await waiting
    assert ended is not None
    assert ended.status is RunStatus.cancelled
    look.set()
    assert await cancelling
