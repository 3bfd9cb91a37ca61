"""A run that is due again while its attempt here is coming to its end begins at once after that."""

import asyncio
from functools import partial
from typing import Any

import pytest
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.db.queue import Entry
from kern.db.values import Settled
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.record import Settlement
from kern.testing import Reply, ResponsesServer, ScriptedModel
from kern.tools import tool


@tool(requires_confirmation=True)
def pay() -> str:
    """Pay."""
    return "paid"


async def test_what_is_answered_before_its_attempt_has_ended_here_goes_on_at_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("Payer", ScriptedModel([Reply.tool_calls(("pay", {})), "Done"]), db=db)
    agent.add_tool(pay)
    store = await db.store()
    settle = store.settle

    async def settle_and_answer(settlement: Settlement) -> Settled | None:
        """The answer comes between the commit of the pause and the end of its attempt."""
        settled = await settle(settlement)
        monkeypatch.setattr(store, "settle", settle)
        run = await agent.aget_run_output(settlement.run_id)
        assert run is not None
        run.active_requirements[0].confirm()
        await agent.acontinue_run(run)
        await asyncio.sleep(0.2)  # The queue hands it over meanwhile.
        return settled

    monkeypatch.setattr(store, "settle", partial(settle_and_answer))
    submitted = await agent.arun("Go", background=True)
    run = await agent.await_run(submitted.run_id, 20, until="end")
    assert run is not None
    assert run.content == "Done"


async def test_what_follows_a_stale_attempt_in_the_foreground_begins_as_soon_as_that_has_ended(
    db: Database, model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "600")  # Nobody is to wait for it.
    half = Reply.text("Half").held()
    server.script += [half, Reply.text("The whole.")]
    agent = Agent("Tester", model, db=db)
    running = asyncio.create_task(agent.arun("Go", run_id="run"))
    await server.wait_for_requests(1)
    runtime, delivered = await open_runtime(db), asyncio.Event()
    dequeue = runtime.store.queue.dequeue

    async def dequeue_and_say(*given: Any, **options: Any) -> list[Entry]:
        found = await dequeue(*given, **options)
        if found:
            delivered.set()
        return found

    monkeypatch.setattr(runtime.store.queue, "dequeue", dequeue_and_say)
    await expire(db, "run")
    runtime.serve(agent)
    async with asyncio.timeout(20):
        await delivered.wait()
        half.release()
        assert (await running).content == "The whole."
