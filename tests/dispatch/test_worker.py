"""From the queue to the executor: an entry is given up last, whatever happens to its worker."""

import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from freezing import freeze
from load import all_asked, all_ended, ended, status_of, submit
from stores import execute
from workers import NewWorker

from kern.agent import Agent
from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.values import Claim
from kern.dispatch import definitions
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer


@pytest.fixture
def submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


async def entries(db: PostgresDb) -> int:
    """Return how many entries the runs of this database have in the queue."""
    connection = await asyncpg.connect(db._dsn)
    try:
        count: int = await connection.fetchval(
            f"SELECT count(*) FROM {db._names.queue} WHERE starts_with(entrypoint, $1)",
            f"{db.session_table}/",
        )
    finally:
        await connection.close()
    return count


@pytest.mark.usefixtures("submit_only")
async def test_a_worker_that_was_frozen_leaves_the_newer_attempt_its_entry(
    shared_db: Database, agent: Agent, server: ResponsesServer, new_worker: NewWorker
) -> None:
    server.script += [Reply.hang(), Reply.hang()]
    frozen = await new_worker(shared_db, KERN_HEARTBEAT="0.5").ready()
    await submit(agent, ["run"])
    await server.wait_for_requests(1)
    await freeze(frozen, shared_db)
    heir = await new_worker(shared_db, KERN_HEARTBEAT="1").ready()
    await server.wait_for_requests(2, timeout=20)

    frozen.send(signal.SIGCONT)
    await server.wait_for_disconnects(1, timeout=20)
    # By then it has looked into the queue again.
    later = datetime.now(UTC) + timedelta(seconds=0.8)
    await all_ended(agent, await submit(agent, ["later"], run_at=later))
    frozen.send(signal.SIGKILL)
    heir.send(signal.SIGKILL)
    await new_worker(shared_db, KERN_HEARTBEAT="1").ready()
    run = await ended(agent, "run")
    assert run.status is RunStatus.completed
    assert all_asked(server.requests).count("run") == 3


@pytest.mark.usefixtures("submit_only")
async def test_a_run_whose_executor_is_lost_before_it_acknowledged_goes_on(
    db: Database, model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")
    agent = Agent("Tester", model, db=db)
    await submit(agent, ["Hi"])
    # One that will be lost has claimed it, and not acknowledged its entry.
    store = await db.store()
    assert await store.claim("Hi", Claim("lost", 1.0)) is not None
    (await open_runtime(db)).serve(agent)
    assert (await ended(agent, "Hi")).status is RunStatus.completed
    assert len(server.requests) == 1


@pytest.mark.usefixtures("submit_only")
async def test_a_worker_that_ends_gives_what_runs_its_grace_and_hands_over_the_rest(
    shared_db: Database, agent: Agent, server: ResponsesServer, new_worker: NewWorker
) -> None:
    quick, endless = Reply.text("In time.").held(), Reply.hang()
    server.script += [quick, endless]
    leaving = await new_worker(shared_db, grace=5.0).ready()
    await submit(agent, ["quick"])
    await server.wait_for_requests(1)
    await submit(agent, ["endless"])
    await server.wait_for_requests(2)
    leaving.stop()
    assert await leaving.said() is False
    await submit(agent, ["late"])
    quick.release()
    run = await ended(agent, "quick")
    assert (run.status, run.content) == (RunStatus.completed, "In time.")
    assert await leaving.ended() == 0
    assert [await status_of(agent, name) for name in ("endless", "late")] == [RunStatus.pending] * 2

    # At once: nobody waits for a heartbeat of the one that has left.
    await new_worker(shared_db, KERN_HEARTBEAT="3600").ready()
    ends = await all_ended(agent, ("endless", "late"))
    assert {run.status for run in ends} == {RunStatus.completed}
    assert server.disconnects == 1


@pytest.mark.usefixtures("submit_only")
async def test_what_has_ended_leaves_no_entry(
    postgres_db: PostgresDb, model: OpenAIResponses, server: ResponsesServer, new_worker: NewWorker
) -> None:
    agent = Agent("Tester", model, db=postgres_db)
    server.script += [Reply.http_error(400), Reply.http_error(500), Reply.hang()]
    worker = await new_worker(postgres_db).ready()
    await all_ended(agent, await submit(agent, ["refused"]))
    await submit(agent, ["failed"], max_attempts=2)
    await server.wait_for_requests(2)
    await submit(agent, ["stopped"])
    await server.wait_for_requests(3)
    await agent.acancel_run("stopped")
    await submit(agent, ["one", "two", "gone"], "talk")
    await submit(agent, ["never"])
    await agent.acancel_run("gone")
    await all_ended(agent, ("failed", "stopped", "one", "two", "gone", "never"))
    worker.stop()
    assert await worker.ended() == 0
    assert await entries(postgres_db) == 0


class BrokenError(Exception):
    """Something that nobody has foreseen."""


async def test_an_entry_whose_delivery_failed_is_delivered_again(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")
    agent = Agent("Tester", model, db=db)
    store: Store = await db.store()
    claim, failures = store.claim, [BrokenError(), BrokenError()]

    async def fail(*arguments: Any) -> object:
        if failures:
            raise failures.pop()
        return await claim(*arguments)

    monkeypatch.setattr(store, "claim", fail)
    await submit(agent, ["Hi"])
    assert (await ended(agent, "Hi")).status is RunStatus.completed
    assert len(server.requests) == 1


@pytest.mark.usefixtures("submit_only")
async def test_a_session_lock_that_a_lost_process_has_not_handed_off_is_handed_off(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")
    agent = Agent("Tester", model, db=postgres_db)
    await submit(agent, ["first", "second"], "talk")
    names = postgres_db._names
    connection = await asyncpg.connect(postgres_db._dsn)
    try:
        # As if the first had ended, and its process been lost right after that.
        await connection.execute(f"UPDATE {names.runs} SET status = 'ERROR' WHERE NOT waiting")
    finally:
        await connection.close()
    (await open_runtime(postgres_db)).serve(agent)
    assert (await ended(agent, "second")).status is RunStatus.completed
    assert all_asked(server.requests) == ["second"]


@pytest.mark.usefixtures("submit_only")
async def test_an_older_worker_leaves_an_agents_runs_to_newer_ones_for_a_while(
    db: Database, model: OpenAIResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "600")
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    monkeypatch.setattr(definitions, "_FIRST_PAUSE", 600.0)
    agent, other = Agent("Tester", model, db=db), Agent("Other", model, db=db)
    await submit(agent, ["newer", "readable"])
    await submit(other, ["other"])
    await execute(
        await db.store(), "UPDATE {runs} SET journal_version = 99 WHERE run_id = {1}", "newer"
    )
    runtime = await open_runtime(db)
    runtime.serve(agent)
    runtime.serve(other)
    assert (await ended(other, "other")).status is RunStatus.completed
    # It is older and there is one slot, so it would have come first.
    assert await status_of(agent, "readable") is RunStatus.pending
