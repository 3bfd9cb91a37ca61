"""Promise 6: once a cancel returned True, the run ends cancelled, and its model call is closed."""

import asyncio

import pytest
from elsewhere import Elsewhere

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.base import RunStatus
from kern.run.cancel import acancel_run, cancel_run
from kern.testing import Reply, ResponsesServer


@pytest.fixture(autouse=True)
def _looks_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have processes look by themselves so late that they have to be told."""
    monkeypatch.setenv("KERN_HEARTBEAT", "600")


async def test_a_cancel_closes_the_connection_to_the_model(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Write for ever.", background=True)
    await server.wait_for_requests(1)

    assert await agent.acancel_run(run.run_id)

    await server.wait_for_disconnects(1)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.status is RunStatus.cancelled
    assert [message.content for message in ended.messages] == ["Write for ever."]


async def test_a_cancel_from_another_process_closes_the_connection_to_the_model(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.default = Reply.hang()
    run = await agent.arun("Write for ever.", background=True)
    await server.wait_for_requests(1)

    other = elsewhere(f"say(await agent.acancel_run({run.run_id!r}))")

    assert await other.said() == "True"
    await server.wait_for_disconnects(1)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.status is RunStatus.cancelled


@pytest.mark.parametrize("cancel", ["cancel_run", "await acancel_run"])
async def test_a_cancel_by_the_id_alone_reaches_a_run_in_another_process(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere, cancel: str
) -> None:
    server.default = Reply.hang()
    run = await agent.arun("Write for ever.", background=True)
    await server.wait_for_requests(1)

    other = elsewhere(f"await agent.aget_run_output('any')\n{cancel}({run.run_id!r})\nawait hear()")

    await server.wait_for_disconnects(1, timeout=20)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.status is RunStatus.cancelled
    other.tell("done")
    assert await other.ended() == 0


async def test_a_run_that_nobody_executes_is_settled_by_its_canceller(
    agent: Agent, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    run = await agent.arun("Hello?", background=True)

    assert await agent.acancel_run(run.run_id)

    found = await agent.aget_run_output(run.run_id)
    assert found is not None
    assert found.status is RunStatus.cancelled
    assert server.requests == []


async def test_a_cancelled_pending_run_is_never_executed(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    other = elsewhere(
        """
        run = await agent.arun("Never", background=True)
        say(await agent.acancel_run(run.run_id), run.run_id)
        """,
        KERN_IN_PROCESS_WORKER="0",
    )
    answer, run_id = (await other.said()).split()
    assert answer == "True"

    after = await agent.arun("After", background=True)
    await agent.await_run(after.run_id, timeout=20)
    found = await agent.aget_run_output(run_id)
    assert found is not None
    assert found.status is RunStatus.cancelled
    assert [each.body["input"][0]["content"] for each in server.requests] == ["After"]


async def test_cancelling_a_finished_run_answers_false_and_changes_nothing(
    db: Database, model: OpenAIResponses
) -> None:
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Hello?", background=True)
    ended = await agent.await_run(run.run_id, timeout=20)

    assert not await agent.acancel_run(run.run_id)
    assert not await acancel_run(run.run_id)
    assert not cancel_run(run.run_id)
    assert await agent.aget_run_output(run.run_id) == ended


async def test_what_a_cancelled_run_had_streamed_is_kept(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.text("Once ", "upon ", "a time").held(after=2)
    agent = Agent("Tester", model, db=db)
    texts = []
    async for event in agent.arun("Tell me", stream=True, run_id=f"streamed-{id(db)}"):
        texts.append(event.content)
        if event.event is RunEvent.run_content and len(texts) == 2:
            assert await agent.acancel_run(event.run_id)

    found = await agent.aget_run_output(f"streamed-{id(db)}")
    assert found is not None
    assert found.status is RunStatus.cancelled
    assert found.content == "Once upon "


async def test_of_many_cancels_at_once_each_that_said_true_holds(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    runs = [await agent.arun(f"Question {n}", background=True) for n in range(30)]

    async def cancel_soon(number: int) -> bool:
        for _ in range(number % 7):
            await asyncio.sleep(0)
        return await agent.acancel_run(runs[number].run_id)

    answers = await asyncio.gather(*(cancel_soon(number) for number in range(30)))
    for run, cancelled in zip(runs, answers, strict=True):
        ended = await agent.await_run(run.run_id, timeout=20)
        assert ended is not None
        expected = RunStatus.cancelled if cancelled else RunStatus.completed
        assert ended.status is expected
