"""How many runs execute at once: of a process, of an agent, of a user; and how many may wait."""

import asyncio
import signal

import pytest
from leases import expire
from load import all_asked, all_ended, asked, ended, most_at_once, status_of, submit, waiting
from stores import execute
from workers import NewWorker

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.errors import ConfigurationError, QueueFullError
from kern.execution import retrying
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

_WAITING = "SELECT run_id FROM {runs} WHERE status = 'PENDING' AND concurrency_key IS NOT NULL"


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


async def test_a_process_executes_no_more_than_it_is_allowed(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "3")
    server.default = held = Reply.text("Hello.").slow(0.02).held()
    agent, other = Agent("Tester", model, db=db), Agent("Other", model, db=db)
    runs = await submit(agent, names("run", 8)) + await submit(other, names("other", 8))
    await server.wait_for_requests(3)
    held.release()
    assert {run.status for run in await all_ended(agent, runs)} == {RunStatus.completed}
    assert most_at_once(server.requests) == 3


async def test_an_agent_executes_no_more_in_all_processes_than_it_is_allowed(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.default = held = Reply.text("Hello.").slow(0.02).held()
    agent = Agent("Tester", model, db=postgres_db)
    for worker in [new_worker(postgres_db, options={"max_concurrent_runs": 3}) for _ in range(2)]:
        await worker.ready()
    runs = await submit(agent, names("run", 20))
    await server.wait_for_requests(3, timeout=20)
    held.release()
    assert {run.status for run in await all_ended(agent, runs)} == {RunStatus.completed}
    assert most_at_once(server.requests) == 3


async def test_a_user_at_the_limit_keeps_no_other_back(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    held = Reply.text("Hello.").held()
    server.default = lambda body: (
        held if body["input"][0]["content"].startswith("ada") else Reply.text("Hello.").slow(0.02)
    )
    agent = Agent("Tester", model, db=shared_db)
    for worker in [
        new_worker(shared_db, options={"max_concurrent_runs_per_user": 2}, KERN_CONCURRENCY="4")
        for _ in range(2)
    ]:
        await worker.ready()
    hers = await submit(agent, names("ada", 12), user_id="ada")
    await server.wait_for_requests(2)
    others = await submit(agent, names("bob", 8), user_id="bob")
    others += await submit(agent, names("nobody", 8))
    assert {run.status for run in await all_ended(agent, others)} == {RunStatus.completed}
    assert len([each for each in server.requests if asked(each).startswith("ada")]) == 2
    held.release()
    assert {run.status for run in await all_ended(agent, hers)} == {RunStatus.completed}
    for user in ("ada", "bob"):
        mine = [each for each in server.requests if asked(each).startswith(user)]
        assert most_at_once(mine) <= 2


async def test_of_a_users_waiting_runs_the_highest_priority_goes_first_and_a_cancelled_one_never(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, max_concurrent_runs_per_user=1)
    held = Reply.text("Hello.").held()
    server.script.append(held)
    await submit(agent, ["first"], user_id="ada")
    await server.wait_for_requests(1)
    for name, priority in (("low", -1), ("mid", 0), ("high", 7), ("gone", 9)):
        await submit(agent, [name], user_id="ada", priority=priority)
    await waiting(db, "low", "mid", "high", "gone")
    assert await agent.acancel_run("gone")
    assert await status_of(agent, "gone") is RunStatus.cancelled
    held.release()
    await all_ended(agent, ("first", "low", "mid", "high"))
    assert all_asked(server.requests) == ["first", "high", "mid", "low"]


async def test_the_place_of_a_user_is_freed_by_a_cancel_an_error_and_a_failure_to_be_retried(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "3600")
    monkeypatch.setattr(retrying, "_FIRST", 100.0)
    agent = Agent("Tester", model, db=db, max_concurrent_runs_per_user=1)
    server.script += [Reply.hang(), Reply.http_error(400), Reply.http_error(500)]
    await submit(agent, ["cancelled"], user_id="ada")
    await server.wait_for_requests(1)
    await submit(agent, ["failed"], user_id="ada")
    await submit(agent, ["retried"], user_id="ada", max_attempts=2)
    await submit(agent, ["last"], user_id="ada")
    await waiting(db, "failed", "retried", "last")
    assert await agent.acancel_run("cancelled")
    ends = await all_ended(agent, ("failed", "last"))
    assert [run.status for run in ends] == [RunStatus.error, RunStatus.completed]
    assert await status_of(agent, "retried") is RunStatus.pending
    assert all_asked(server.requests) == ["cancelled", "failed", "retried", "last"]


async def test_a_lost_process_gives_its_users_places_back(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.script += [Reply.hang(), Reply.hang()]
    agent = Agent("Tester", model, db=shared_db)
    options = {"max_concurrent_runs_per_user": 2}
    worker = await new_worker(shared_db, options=options).ready()
    runs = await submit(agent, names("run", 5), user_id="ada")
    await server.wait_for_requests(2)
    # It has seen that the others have to wait.
    store = await shared_db.store()
    async with asyncio.timeout(20):
        while len(await execute(store, _WAITING)) < 3:  # noqa: ASYNC110 # another process
            await asyncio.sleep(0.05)
    worker.send(signal.SIGKILL)
    await worker.ended()
    for run in runs:  # Also what it may not have acknowledged of those that wait.
        await expire(shared_db, run.run_id)
    await new_worker(shared_db, options=options).ready()
    assert {run.status for run in await all_ended(agent, runs)} == {RunStatus.completed}
    assert most_at_once(server.requests[2:]) <= 2


async def test_more_than_the_queue_holds_is_refused_and_accepted_later(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    server.default = held = Reply.text("Hello.").held()
    agent = Agent("Tester", model, db=db, max_queued_runs=3)
    other = Agent("Other", model, db=db)
    await submit(agent, ["first"], "talk")
    await server.wait_for_requests(1)
    # Those that wait for their session count as well.
    await submit(agent, ["second"], "talk")
    await submit(agent, ["third", "fourth"])
    for name in ("fifth", "sixth"):
        with pytest.raises(QueueFullError, match="3 runs of the agent 'tester' wait already"):
            await submit(agent, [name])
    assert await agent.aget_run_output("fifth") is None
    rows = await execute(await db.store(), "SELECT run_id FROM {runs} WHERE session_id IS NOT NULL")
    assert len(rows) == 4
    await submit(other, ["other"])

    held.release()
    await all_ended(agent, ("first", "second", "third", "fourth"))
    await submit(agent, ["fifth"])
    assert (await ended(agent, "fifth")).status is RunStatus.completed


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
async def test_a_cap_that_is_no_number_is_explained(
    model: OpenAIResponses, sqlite_db: Database, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", value)
    with pytest.raises(
        ConfigurationError, match="KERN_CONCURRENCY must be a whole number from 1 on"
    ):
        await Agent("Tester", model, db=sqlite_db).arun("Hi", background=True)


async def test_a_run_in_the_foreground_counts_towards_no_limit(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    agent = Agent("Tester", model, db=db, max_concurrent_runs=1, max_concurrent_runs_per_user=1)
    server.script.append(Reply.hang())
    caller = asyncio.create_task(agent.arun("mine", run_id="mine", user_id="ada"))
    await server.wait_for_requests(1)
    await submit(agent, ["queued"], user_id="ada")
    assert (await ended(agent, "queued", 10)).status is RunStatus.completed
    assert await status_of(agent, "mine") is RunStatus.running
    caller.cancel()
    await asyncio.wait({caller})
