"""Promises 1, 8 and 9: a run that begins where it is accepted is as safe as one from the queue."""

import asyncio
import signal
from collections.abc import Sequence

import pytest
from elsewhere import Elsewhere
from leases import expire
from load import all_asked, ended, submit

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres.store import PostgresStore
from kern.errors import DatabaseUnavailableError
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.record import NewRun
from kern.testing import Reply, ResponsesServer


@pytest.fixture
def agent(db: Database, model: OpenAIResponses) -> Agent:
    """An agent on each kind of database."""
    return Agent("Tester", model, db=db)


async def test_it_has_no_entry_in_the_queue(
    postgres_db: PostgresDb, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent, store = Agent("Tester", model, db=postgres_db), await postgres_db.store()
    assert isinstance(store, PostgresStore)
    held = Reply.text("Hello.").held()
    server.script.append(held)
    run = await agent.arun("Go", background=True)
    assert run.status is RunStatus.pending
    await server.wait_for_requests(1)
    entries = f"SELECT count(*) FROM {store.names.queue} WHERE payload = convert_to($1, 'UTF8')"
    assert await store.pool.fetchval(entries, run.run_id) == 0
    held.release()
    assert (await ended(agent, run.run_id)).status is RunStatus.completed
    assert await store.pool.fetchval(entries, run.run_id) == 0


async def test_it_is_due_once_its_process_is_lost_and_its_lease_has_expired(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.hang())
    process = elsewhere("""
await agent.arun("Go", background=True, run_id="lost")
await asyncio.Event().wait()
""")
    await server.wait_for_requests(1, timeout=20)
    process.send(signal.SIGKILL)
    await process.ended()
    agent, store = Agent("Tester", model, db=shared_db), await shared_db.store()
    assert await store.queue.dequeue([agent.id], 10) == []
    await expire(shared_db, "lost")
    [entry] = await store.queue.dequeue([agent.id], 10)
    assert entry.run_id == "lost"
    await store.queue.put_back(entry, 0.0)
    await submit(agent, ["other"])  # From now on runs begin here.
    assert (await ended(agent, "lost")).status is RunStatus.completed


async def test_a_submitter_may_leave_at_any_moment(agent: Agent) -> None:
    await submit(agent, ["first"])
    await ended(agent, "first")
    left = [f"left after {steps}" for steps in range(30)]
    for steps, run_id in enumerate(left):
        submitting = asyncio.create_task(agent.arun("Go", background=True, run_id=run_id))
        for _ in range(steps):
            await asyncio.sleep(0)
        submitting.cancel()
        await asyncio.wait({submitting})
    # Long before the lease has run out of a run that nobody executes.
    async with asyncio.timeout(20):
        for run_id in left:
            run = await agent.await_run(run_id)
            assert run is None or run.status is RunStatus.completed


async def test_a_run_in_the_queue_begins_before_those_that_come_later(
    agent: Agent, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    held = Reply.text("Hello.").held()
    server.script.append(held)
    names = ["first", "second", "third", "fourth"]
    await submit(agent, names[:3])
    await server.wait_for_requests(1)
    held.release()
    await ended(agent, "first")
    await submit(agent, names[3:])
    for name in names:
        await ended(agent, name)
    assert all_asked(server.requests) == names


async def test_a_run_whose_acceptance_was_lost_on_the_way_begins_all_the_same(
    postgres_db: PostgresDb, model: OpenAIResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("Tester", model, db=postgres_db, max_attempts=1)
    await submit(agent, ["first"])
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    submits, losses = store._accepting._submits, 2
    write = submits._write

    async def lose_the_answer(runs: Sequence[NewRun]) -> Sequence[object]:
        nonlocal losses
        accepted = await write(runs)
        if losses:
            losses -= 1
            raise DatabaseUnavailableError("the connection was lost")
        return accepted

    monkeypatch.setattr(submits, "_write", lose_the_answer)
    await submit(agent, ["alone"])
    await asyncio.gather(*(submit(agent, [name]) for name in ("one", "of", "many")))
    for name in ("alone", "one", "of", "many"):
        run = await ended(agent, name)
        assert (run.status, run.error) == (RunStatus.completed, None)
    assert losses == 0


async def test_who_submits_what_another_executes_may_leave_without_harm(
    postgres_db: PostgresDb,
    postgres: EmbeddedPostgres,
    model: OpenAIResponses,
    server: ResponsesServer,
) -> None:
    agent = Agent("Tester", model, db=postgres_db)
    other = Agent("Tester", model, db=PostgresDb(postgres.url, postgres_db.session_table))
    for each, name in ((agent, "first"), (other, "second")):
        await submit(each, [name])
        await ended(each, name)
    held = Reply.text("Hello.").held()
    server.script.append(held)
    await submit(agent, ["run"])
    await server.wait_for_requests(3)
    for steps in range(20):
        submitting = asyncio.create_task(submit(other, ["run"]))
        for _ in range(steps):
            await asyncio.sleep(0)
        submitting.cancel()
        await asyncio.wait({submitting})
    held.release()
    assert (await ended(agent, "run")).status is RunStatus.completed
    assert all_asked(server.requests) == ["first", "second", "run"]
