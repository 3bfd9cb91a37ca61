"""A webhook is notified of its run's end, whatever happens, at least once, until it is given up."""

import asyncio
import base64
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from elsewhere import Elsewhere
from receiver import Receiver, hang, status
from standardwebhooks.webhooks import Webhook

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import InvalidInputError
from kern.models.openai import OpenAIResponses
from kern.run.requirement import RunRequirement
from kern.testing import Reply, ResponsesServer
from kern.tools import tool
from kern.webhooks import sender

SECRET = "whsec_" + base64.b64encode(b"kern" * 8).decode()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("KERN_WEBHOOK_ALLOW_PRIVATE", "1")
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")
    monkeypatch.setattr(sender, "_PAUSES", (0,) + (0.01,) * 9)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


async def received(receiver: Receiver, number: int = 1) -> tuple[str, str, str]:
    """Return the type, the run id and the webhook id of what came, once it has."""
    await receiver.wait_for_requests(number, 20)
    request = receiver.requests[number - 1]
    event = Webhook(SECRET).verify(request.body, dict(request.headers))
    return event["type"], event["data"]["run_id"], request.headers["webhook-id"]


async def test_every_end_is_notified(
    db: Database, model: OpenAIResponses, server: ResponsesServer, receiver: Receiver
) -> None:
    agent = Agent("Tester", model, db=db)
    server.script.extend([Reply.text("42"), Reply.http_error(400), Reply.hang()])
    for number, kind in enumerate(["run.completed", "run.error", "run.cancelled"], 1):
        run = await agent.arun("Hi", background=True, webhook=receiver.url)
        if kind == "run.cancelled":
            await server.wait_for_requests(3)
            assert await agent.acancel_run(run.run_id)
        assert (await received(receiver, number))[:2] == (kind, run.run_id)


async def test_a_pause_is_notified_with_what_a_person_has_to_decide(
    db: Database, model: OpenAIResponses, server: ResponsesServer, receiver: Receiver
) -> None:
    @tool(requires_confirmation=True)
    def refund(amount: int) -> str:
        return "refunded"

    agent = Agent("Tester", model, db=db, tools=[refund])
    server.script += [Reply.tool_calls(("refund", {"amount": 5})), Reply.text("Well.")]
    run = await agent.arun("Refund", background=True, webhook=receiver.url)
    kind, run_id, paused = await received(receiver)
    assert (kind, run_id) == ("run.paused", run.run_id)
    event = Webhook(SECRET).verify(receiver.requests[0].body, dict(receiver.requests[0].headers))
    [requirement] = event["data"]["requirements"]
    assert requirement["tool_execution"]["tool_args"] == {"amount": 5}
    answer = RunRequirement.from_dict(requirement)
    answer.confirm()
    await agent.acontinue_run(run.run_id, requirements=[answer])
    kind, run_id, ended = await received(receiver, 2)
    assert (kind, run_id) == ("run.completed", run.run_id)
    assert paused != ended


async def test_a_run_without_a_webhook_notifies_nobody(
    db: Database, model: OpenAIResponses, receiver: Receiver
) -> None:
    agent = Agent("Tester", model, db=db)
    silent = await agent.arun("Hi", background=True)
    await agent.await_run(silent.run_id, timeout=10)
    run = await agent.arun("Hi", background=True, webhook=receiver.url)
    assert (await received(receiver))[1] == run.run_id
    assert len(receiver.requests) == 1


async def test_what_failed_is_sent_again_under_the_same_id(
    db: Database, model: OpenAIResponses, receiver: Receiver
) -> None:
    receiver.answers.extend([status(500), status(503)])
    agent = Agent("Tester", model, db=db)
    await agent.arun("Hi", background=True, webhook=receiver.url)
    assert len({await received(receiver, number) for number in (1, 2, 3)}) == 1


async def test_a_cancel_that_came_first_is_notified(
    db: Database, model: OpenAIResponses, server: ResponsesServer, receiver: Receiver
) -> None:
    agent = Agent("Tester", model, db=db)
    assert not await agent.acancel_run("early")
    await agent.arun("Hi", background=True, run_id="early", webhook=receiver.url)
    assert (await received(receiver))[:2] == ("run.cancelled", "early")
    assert server.requests == []


async def test_the_cancel_of_a_run_that_has_not_begun_is_notified(
    db: Database, model: OpenAIResponses, server: ResponsesServer, receiver: Receiver
) -> None:
    agent = Agent("Tester", model, db=db)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    run = await agent.arun("Hi", background=True, run_at=tomorrow, webhook=receiver.url)
    assert await agent.acancel_run(run.run_id)
    assert (await received(receiver))[:2] == ("run.cancelled", run.run_id)
    assert server.requests == []


async def test_each_end_of_a_retried_run_is_notified(
    db: Database, model: OpenAIResponses, server: ResponsesServer, receiver: Receiver
) -> None:
    server.script.append(Reply.http_error(400))
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Hi", background=True, webhook=receiver.url)
    kind, _, first = await received(receiver)
    assert kind == "run.error"
    await agent.aretry_run(run.run_id)
    kind, _, second = await received(receiver, 2)
    assert kind == "run.completed"
    assert (first, second) == (f"{run.run_id}/1", f"{run.run_id}/2")


async def test_another_process_sends_what_a_killed_one_was_sending(
    shared_db: Database,
    model: OpenAIResponses,
    elsewhere: Elsewhere,
    receiver: Receiver,
) -> None:
    receiver.answers.append(hang)
    process = elsewhere(
        "from kern.webhooks import sender; sender._LEASE = 1\n"
        f'await agent.arun("Hi", background=True, webhook={receiver.url!r})\n'
        "await asyncio.Event().wait()"
    )
    first = await received(receiver)
    process.send(signal.SIGKILL)
    await process.ended()
    agent = Agent("Tester", model, db=shared_db)
    await agent.arun("Serve", background=True)
    assert await received(receiver, 2) == first


async def test_a_receiver_that_is_gone_is_asked_once_by_whichever_process(
    shared_db: Database, model: OpenAIResponses, elsewhere: Elsewhere, receiver: Receiver
) -> None:
    receiver.answers.append(status(410))
    agent = Agent("Tester", model, db=shared_db)
    first = await agent.arun("Hi", background=True, webhook=receiver.url)
    assert (await received(receiver))[1] == first.run_id
    elsewhere(
        f'await agent.arun("Hi", background=True, webhook={receiver.url!r})\n'
        "await asyncio.Event().wait()"
    )
    assert (await received(receiver, 2))[1] != first.run_id
    with pytest.raises(TimeoutError):
        await receiver.wait_for_requests(3, timeout=1.3)  # Both have looked again by then.


async def test_a_receiver_that_never_takes_it_is_given_up(
    db: Database, model: OpenAIResponses, receiver: Receiver
) -> None:
    receiver.answers.extend([status(500)] * 20)
    agent = Agent("Tester", model, db=db)
    await agent.arun("Hi", background=True, webhook=receiver.url)
    await receiver.wait_for_requests(10, 20)
    outbox = (await db.store()).outbox
    async with asyncio.timeout(20):
        while await outbox.next_at() is not None:  # noqa: ASYNC110 # it is given up
            await asyncio.sleep(0.05)
    assert len(receiver.requests) == 10


async def test_a_run_with_a_webhook_inside_the_network_is_not_accepted(
    agent: Agent, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERN_WEBHOOK_ALLOW_PRIVATE")
    with pytest.raises(InvalidInputError, match="leads to"):
        await agent.arun("Hi", background=True, run_id="x", webhook="https://169.254.169.254/")
    assert await agent.aget_run_output("x") is None
    assert server.requests == []
