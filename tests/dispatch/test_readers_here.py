"""Readers in the process that executes the run: they see each piece, and cost no statement."""

import asyncio

import pytest
from journals import row
from stores import CLAIM, new_run

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.dispatch.streams import Reader
from kern.execution.attempt import Attempt
from kern.execution.journal import Journal
from kern.execution.settling import settle
from kern.execution.spec import Spec
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput, RunOutputEvent
from kern.run.base import RunStatus
from kern.run.steps import AttemptFailed, CallBroken
from kern.testing import Reply, ResponsesServer


async def test_a_reader_that_comes_after_the_submit_sees_the_first_answer_as_it_is_written(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db)
    server.script += [Reply.text("Warm."), reply := Reply.text("Par", "is.").held(after=1)]
    await agent.arun("Wake up.")
    await agent.arun("Where?", background=True, run_id="run")
    texts = []
    async with asyncio.timeout(20):
        async for event in agent.astream_run("run"):
            if event.event is RunEvent.run_content:
                texts.append(event.content)
                reply.release()
    assert texts == ["Par", "is."]


async def test_with_live_a_reader_in_the_middle_of_an_answer_has_its_text_so_far(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db, live=True)
    reply = Reply.text("Par", "is", " it is.").held(after=2)
    server.script.append(reply)
    await agent.arun("Where?", background=True, run_id="run")
    await server.wait_for_requests(1)
    texts = []
    async with asyncio.timeout(20):
        async for event in agent.astream_run("run"):
            if event.event is RunEvent.run_content:
                texts.append(event.content)
                reply.release()
    assert "".join(map(str, texts)) == "Paris it is."
    assert len(texts) > 1, "the text so far came before the rest was written"


async def test_many_readers_ask_the_database_for_nothing(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = Agent("Tester", model, db=shared_db)
    store = (await open_runtime(shared_db)).store
    await agent.arun("Wake up.", session_id="other")
    asked: list[str] = []
    for name in ("get", "events", "read", "watch"):
        monkeypatch.setattr(store, name, lambda *_, name=name, **__: asked.append(name))
    reply = Reply.text("Par", "is", " it", " is.").held(after=1)
    server.script.append(reply)
    await agent.arun("Where?", background=True, run_id="run")
    all_read = asyncio.Barrier(20)

    async def read() -> list[RunOutputEvent]:
        stream = agent.astream_run("run")
        events = [await anext(stream)]
        await all_read.wait()
        reply.release()
        return events + [event async for event in stream]

    async with asyncio.timeout(20):
        first, *others = await asyncio.gather(*(read() for _ in range(20)))
    assert all(events == first for events in others)
    assert first[-1].event is RunEvent.run_completed
    assert asked == []


async def test_a_stream_in_the_background_submits_at_once(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db)
    stream = agent.arun("Where?", background=True, stream=True, run_id="run")
    await server.wait_for_requests(1)
    assert [event async for event in stream][-1].event is RunEvent.run_completed


async def test_a_reader_has_what_an_attempt_did_not_replay_before_it_ended(
    shared_db: Database, model: OpenAIResponses
) -> None:
    store = await shared_db.store()
    await store.submit(new_run())
    await store.claim("run", CLAIM)
    broken = row("run", 1, CallBroken("Par"), 2)
    assert await store.postpone("run", 1, 0, [broken, row("run", 2, AttemptFailed("Cut."), 4)])
    record = await store.claim("run", CLAIM)
    assert record is not None
    output = RunOutput.from_record(record)
    output.status, output.error = RunStatus.error, "It took too long."
    journal = Journal(store, output, record.attempt, None, False)
    attempt = Attempt(
        Spec.of(Agent("Tester", model)),
        "",
        output,
        store,
        journal,
        record.attempt,
        last_seq=record.last_seq,
    )
    await settle(attempt)

    here = iter([attempt])
    reader = Reader(store, "run", 0, lambda: next(here, None), asyncio.Event())
    found = [(event.seq, str(event.event)) async for event in reader.events(lambda: 0.01)]
    assert found == [
        *((1, "RunStarted"), (2, "ModelRequestStarted"), (3, "RunContent")),
        *((4, "RunError"), (5, "RunError")),
    ]
