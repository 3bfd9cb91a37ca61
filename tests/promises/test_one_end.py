"""Promise 2: a run reaches one terminal status, and keeps it."""

import asyncio
from dataclasses import replace

import pytest
from elsewhere import Elsewhere
from journals import DONE, row
from stores import CLAIM

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import RunStateError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer


async def test_nothing_is_written_to_a_run_that_has_ended(
    db: Database, model: OpenAIResponses
) -> None:
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Hello?", background=True)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    store = await db.store()
    record = await store.get(run.run_id, with_input=True)
    rows = await store.events(run.run_id, 0)

    other = replace(ended, status=RunStatus.error, content="Something else.", error="No.")
    for attempt in (0, 1, 2):
        assert await store.settle(other.settlement(attempt)) is None
        assert not await store.append(run.run_id, attempt, [row(run.run_id, 9, DONE)], False)
        assert await store.extend([(run.run_id, attempt)], 15.0) == {}
        await store.release(run.run_id, attempt)
    assert await store.claim(run.run_id, CLAIM) is None
    assert not await store.cancel(run.run_id)
    with pytest.raises(RunStateError, match="is COMPLETED, not ERROR"):
        await agent.aretry_run(run.run_id)
    with pytest.raises(RunStateError, match="is COMPLETED, not PAUSED"):
        await agent.acontinue_run(run.run_id, results={"call": "Something else."})
    assert (await agent.acontinue_run(run.run_id)).content == ended.content

    assert await store.get(run.run_id, with_input=True) == record
    assert await store.events(run.run_id, 0) == rows
    assert await agent.aget_run_output(run.run_id) == ended


async def test_nobody_ever_sees_an_end_change(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    """Runs end by themselves while two processes cancel them; a third party looks on."""
    server.default = Reply.text("Done.").slow(delay=0.01)
    canceller = elsewhere(
        """
        say("ready")
        for run_id in (await hear()).split():
            await agent.acancel_run(run_id)
        say("done")
        """,
        KERN_IN_PROCESS_WORKER="0",
    )
    assert await canceller.said() == "ready"
    runs = await asyncio.gather(*(agent.arun(f"{n}", background=True) for n in range(40)))
    canceller.tell(" ".join(run.run_id for run in reversed(runs)))

    ends: dict[str, object] = {}
    over = asyncio.Event()

    async def look(run_id: str) -> None:
        last_look = False
        while not last_look:
            last_look = over.is_set()
            found = await agent.aget_run_output(run_id)
            assert found is not None
            if found.is_terminal:
                assert ends.setdefault(run_id, found) == found

    async with asyncio.TaskGroup() as group:
        for run in runs:
            group.create_task(look(run.run_id))
        for run in runs[::3]:
            await agent.acancel_run(run.run_id)
        assert await canceller.said() == "done"
        for run in runs:
            await agent.await_run(run.run_id, timeout=20)
        over.set()
    assert len(ends) == len(runs)
