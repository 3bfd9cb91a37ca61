"""What may succeed later is tried again; what brings its workers down is not, without end."""

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from leases import expire
from load import all_asked, all_ended, ended, submit
from ports import free_port
from workers import NewWorker, Worker

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.execution import retrying
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import Tool, tool

FAILURES = {
    "500": Reply.http_error(500, "On strike."),
    "429": Reply.http_error(429, "Too fast."),
    "no answer": Reply.dropped(),
}
WORK = Reply.tool_calls(("work", {"step": "a"}))


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_FIRST", 0.1)


class Retries(logging.Handler):
    """Hears of the attempts that are to be made again."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", None) == "retry":
            self.heard.set()


@pytest.fixture
def retries(caplog: pytest.LogCaptureFixture) -> Iterator[Retries]:
    handler, logger = Retries(), logging.getLogger("kern.runs")
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_may_succeed_later_is_tried_again_with_growing_pauses(
    db: Database, model: OpenAIResponses, server: ResponsesServer, failure: str
) -> None:
    server.script += [FAILURES[failure]] * 2
    agent = Agent("Tester", model, db=db, max_attempts=3)
    [accepted] = await submit(agent, ["Hi"])
    run = await ended(agent, accepted.run_id)
    assert (run.status, run.content, run.error) == (RunStatus.completed, "Hello.", None)
    first, second = (b.arrived - a.arrived for a, b in pairwise(server.requests))
    assert first >= 0.05
    assert second >= 0.1
    async with asyncio.timeout(20):
        events = [event.event async for event in agent.astream_run("Hi")]
    assert events.count(RunEvent.run_resumed) == 2


@pytest.mark.parametrize(
    "when", ["Fri, 31 Dec 9999 23:59:59 GMT", "9" * 300], ids=["a date", "seconds"]
)
async def test_a_run_waits_no_longer_than_a_day_whatever_the_provider_says(
    db: Database, model: OpenAIResponses, server: ResponsesServer, retries: Retries, when: str
) -> None:
    server.script.append(Reply.http_error(429, "Too fast.", headers={"retry-after": when}))
    agent = Agent("Tester", model, db=db, max_attempts=2)
    run = await agent.arun("Hi", background=True)
    await asyncio.wait_for(retries.heard.wait(), 20)
    waiting = await agent.aget_run_output(run.run_id)
    assert waiting is not None
    assert waiting.status is RunStatus.pending
    assert await agent.acancel_run(run.run_id)
    assert (await ended(agent, run.run_id)).status is RunStatus.cancelled


async def test_the_next_attempt_begins_when_the_provider_said(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.http_error(429, "Too fast.", headers={"retry-after": "1"}))
    agent = Agent("Tester", model, db=db, max_attempts=2)
    [accepted] = await submit(agent, ["Hi"])
    assert (await ended(agent, accepted.run_id)).status is RunStatus.completed
    first, second = server.requests
    assert second.arrived - first.arrived >= 1


async def test_after_the_last_attempt_the_run_ends_in_its_error(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = FAILURES["500"]
    agent = Agent("Tester", model, db=db, max_attempts=5)
    [accepted] = await submit(agent, ["Hi"], max_attempts=3)
    run = await ended(agent, accepted.run_id)
    assert run.status is RunStatus.error
    assert "On strike" in str(run.error)
    assert len(server.requests) == 3

    await agent.aretry_run("Hi")
    assert (await ended(agent, "Hi")).status is RunStatus.error
    assert len(server.requests) == 6


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_what_will_fail_again_is_not_tried_again(
    db: Database, model: OpenAIResponses, server: ResponsesServer, status: int
) -> None:
    server.script.append(Reply.http_error(status, "No."))
    agent = Agent("Tester", model, db=db)
    [accepted] = await submit(agent, ["Hi"], max_attempts=3)
    assert (await ended(agent, accepted.run_id)).status is RunStatus.error
    assert len(server.requests) == 1


async def test_by_default_a_failed_model_call_ends_the_run(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(FAILURES["500"])
    agent = Agent("Tester", model, db=db)
    [accepted] = await submit(agent, ["Hi"])
    assert (await ended(agent, accepted.run_id)).status is RunStatus.error
    assert len(server.requests) == 1


async def test_a_model_that_cannot_be_reached_may_come_back(db: Database, retries: Retries) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    model = OpenAIResponses("m", base_url=url, api_key="sk-test", max_retries=0)
    agent = Agent("Tester", model, db=db, max_attempts=50)
    [accepted] = await submit(agent, ["Hi"])
    async with asyncio.timeout(20):
        await retries.heard.wait()
    async with ResponsesServer(port=port):
        assert (await ended(agent, accepted.run_id)).status is RunStatus.completed


async def test_what_is_done_is_not_done_again_by_a_retry(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    keys = []

    async def work(step: str, context: RunContext) -> str:
        keys.append((step, context.attempt))
        return f"{step} is done"

    agent = Agent("Tester", model, db=db, tools=[work])
    server.script += [WORK, FAILURES["500"], FAILURES["429"]]
    [accepted] = await submit(agent, ["Hi"], max_attempts=3)
    run = await ended(agent, accepted.run_id)
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    assert keys == [("a", 1)]
    asked_for = [len(each.body["input"]) for each in server.requests]
    assert asked_for == [1, 3, 3, 3]


async def test_who_waits_where_a_run_failed_is_told_of_its_end_elsewhere(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    monkeypatch.setattr(retrying, "_FIRST", 1.0)
    failing = Reply.http_error(500).held()
    server.script += [failing, Reply.hang()]
    agent = Agent("Tester", model, db=shared_db, max_attempts=2)
    await submit(agent, ["retried", "blocking"])
    await server.wait_for_requests(1)
    waiting = asyncio.create_task(ended(agent, "retried"))
    failing.release()
    await server.wait_for_requests(2)
    await new_worker(shared_db).ready()
    assert (await waiting).status is RunStatus.completed
    assert all_asked(server.requests) == ["retried", "blocking", "retried"]


async def test_a_run_that_waits_for_its_retry_is_cancelled_at_once(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    retries: Retries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retrying, "_FIRST", 100.0)
    server.script.append(FAILURES["500"])
    agent = Agent("Tester", model, db=db, max_attempts=3)
    await submit(agent, ["Hi", "next"], "talk")
    async with asyncio.timeout(20):
        await retries.heard.wait()
    assert await agent.acancel_run("Hi")
    assert (await ended(agent, "Hi", 20)).status is RunStatus.cancelled
    # Meanwhile it kept the turn of its session.
    assert (await ended(agent, "next")).status is RunStatus.completed
    assert all_asked(server.requests) == ["Hi", "next"]


async def test_a_run_that_kills_its_workers_ends_and_the_others_go_on(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    ledger = tmp_path / "ledger"
    seen: Counter[str] = Counter()
    poison, slow = Reply.tool_calls(("die", {})).held(), Reply.hang()

    def reply(body: dict[str, list[dict[str, str]]]) -> Reply:
        name = body["input"][0]["content"]
        seen[name] += 1
        if name != "poison":
            return slow if seen[name] == 1 else Reply.text("Hello.")
        return WORK if seen[name] == 1 else poison

    server.default = reply

    def start() -> Worker:
        return new_worker(shared_db, tools=("work", "die"), TEST_LEDGER=str(ledger))

    async def lose(worker: Worker) -> None:
        assert await worker.ended() == -signal.SIGKILL
        for name in ("poison", *others):
            await expire(shared_db, name)

    agent = Agent("Tester", model, db=shared_db)
    worker = start()
    others = [f"other-{number}" for number in range(3)]
    await submit(agent, ["poison"], max_attempts=2)
    await submit(agent, others)
    await server.wait_for_requests(5, timeout=20)
    poison.release()
    await lose(worker)
    await lose(start())
    last = await start().ready()

    run = await ended(agent, "poison")
    assert run.status is RunStatus.error
    assert "The workers of 2 attempts were lost while they executed this run" in str(run.error)
    assert {each.status for each in await all_ended(agent, others)} == {RunStatus.completed}
    async with asyncio.timeout(20):
        done = [
            event.tool.result
            async for event in agent.astream_run("poison")
            if event.event is RunEvent.tool_call_completed and event.tool is not None
        ]
    assert done == ["a is done"]

    # Once the tool is repaired, the run goes on where it stood.
    last.stop()
    assert await last.ended() == 0
    tools: list[Tool] = [
        tool(name="work")(lambda step: "again"),
        tool(name="die")(lambda: "alive"),
    ]
    repaired = Agent("Tester", model, db=shared_db, tools=tools)
    (await open_runtime(shared_db)).serve(repaired)
    server.default = Reply.text("At last.")
    await repaired.aretry_run("poison")
    run = await ended(agent, "poison")
    assert (run.status, run.content) == (RunStatus.completed, "At last.")
    assert [each.result for each in run.tools] == ["a is done", "alive"]
    assert ledger.read_text() == "poison a\n"
