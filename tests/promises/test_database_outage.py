"""A database that goes away and comes back costs time, and nothing else; nobody has to help.

``TEST_OUTAGE`` sets for how many seconds it is away; by default few.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from load import all_asked, all_ended, ended, submit
from ports import free_port
from stores import CLAIM, execute, new_run
from workers import NewWorker

from kern.agent import Agent
from kern.agent.serving import serve
from kern.db.postgres import PostgresDb
from kern.errors import DatabaseUnavailableError
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

OUTAGE = float(os.environ.get("TEST_OUTAGE", "3"))
HEARTBEAT = "2"
"""Shorter than the outage, so that every lease runs out meanwhile, and long enough to renew it."""


@pytest.fixture(autouse=True)
def _submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server that nobody else uses."""
    with tempfile.TemporaryDirectory(prefix="kern-test-") as data:
        server = EmbeddedPostgres(Path(data), free_port(), options={"fsync": "off"})
        server.start()
        yield server
        server.stop()


@pytest.fixture
def agent(own_postgres: EmbeddedPostgres, table: str, model: OpenAIResponses) -> Agent:
    own_postgres.start()
    return Agent("Tester", model, db=PostgresDb(own_postgres.url, session_table=table))


def two_turns(body: dict[str, list[dict[str, object]]]) -> Reply:
    """Have a tool called, then answer."""
    if len(body["input"]) > 1:
        return Reply.text("Done.").slow(0.1)
    return Reply.tool_calls(("work", {"step": "a"})).slow(0.1)


@pytest.mark.timeout(90 + 2 * OUTAGE)
async def test_no_run_is_lost_and_no_step_repeated(
    own_postgres: EmbeddedPostgres,
    agent: Agent,
    server: ResponsesServer,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    assert agent.db is not None
    server.default = two_turns
    settings = {"KERN_HEARTBEAT": HEARTBEAT, "KERN_CONCURRENCY": "5"}
    ledger = tmp_path / "ledger"
    for worker in [
        new_worker(agent.db, tools=("work",), TEST_LEDGER=str(ledger), **settings) for _ in range(2)
    ]:
        await worker.ready()
    names = [f"run-{number}" for number in range(24)]
    # Some wait for another one of their session.
    for number, name in enumerate(names):
        await submit(agent, [name], f"s{number % 15}")
    waiting = asyncio.create_task(all_ended(agent, names, 60 + 2 * OUTAGE))
    await server.wait_for_requests(18, timeout=20)

    await asyncio.to_thread(own_postgres.stop, "immediate")
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        await submit(agent, ["refused"])
    await asyncio.sleep(OUTAGE - (time.monotonic() - began))
    await asyncio.to_thread(own_postgres.start)

    assert {run.status for run in await waiting} == {RunStatus.completed}
    assert set(Counter(all_asked(server.requests)).values()) == {2}
    assert Counter(ledger.read_text().splitlines()) == Counter(f"{name} a" for name in names)
    again = "SELECT run_id FROM {runs} WHERE attempt <> 1"
    assert await execute(await agent.db.store(), again) == []


async def milliseconds(agent: Agent) -> list[float]:
    """Return how long some runs took, one after the other, from their submission to their end."""
    took = []
    for _ in range(7):
        begun = time.monotonic()
        await ended(agent, (await agent.arun("Hi", background=True)).run_id)
        took.append(1000 * (time.monotonic() - begun))
    return took


async def test_connections_that_are_cut_one_by_one_come_back(
    own_postgres: EmbeddedPostgres, agent: Agent, new_worker: NewWorker
) -> None:
    assert agent.db is not None
    await new_worker(agent.db).ready()
    usual = statistics.median(await milliseconds(agent))
    admin = await asyncpg.connect(own_postgres.url)
    try:
        pids = await admin.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'kern'")
        assert len(pids) >= 5, "two processes, with their pools and what listens"
        for row in pids:
            await admin.execute("SELECT pg_terminate_backend($1)", row["pid"])
            run_id = str(uuid4())
            while True:
                try:
                    await submit(agent, [run_id])
                    break
                except DatabaseUnavailableError:
                    continue
            assert (await ended(agent, run_id)).status is RunStatus.completed
    finally:
        await admin.close()
    # Without notifications it would take half a second, the queue being looked at every second.
    async with asyncio.timeout(40):
        while statistics.median(await milliseconds(agent)) > max(100, 3 * usual):
            pass


async def test_what_was_being_written_when_its_connection_was_cut_is_written_again(
    own_postgres: EmbeddedPostgres, agent: Agent, server: ResponsesServer, new_worker: NewWorker
) -> None:
    assert isinstance(agent.db, PostgresDb)
    server.default = held = Reply.text("Kept.").held()
    await new_worker(agent.db).ready()
    await submit(agent, ["cut"])
    await server.wait_for_requests(1)
    admin = await asyncpg.connect(own_postgres.url)
    try:
        async with admin.transaction():
            await admin.execute(f"SELECT FROM {agent.db._names.runs} FOR UPDATE")
            held.release()
            async with asyncio.timeout(20):
                while not await admin.fetchval(  # noqa: ASYNC110
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE wait_event_type = 'Lock'"
                ):
                    await asyncio.sleep(0.01)
    finally:
        await admin.close()
    run = await ended(agent, "cut")
    assert (run.status, run.content) == (RunStatus.completed, "Kept.")


async def test_a_lease_that_expired_while_the_database_was_away_can_be_extended(
    own_postgres: EmbeddedPostgres, agent: Agent
) -> None:
    assert isinstance(agent.db, PostgresDb)
    store = await agent.db.store()
    await store.submit(new_run("Hi", agent_id=agent.id))
    assert await store.claim("Hi", CLAIM) is not None
    await execute(store, "UPDATE {runs} SET lease_until = now() RETURNING run_id")
    await store.sweep(0.5)
    await asyncio.to_thread(own_postgres.stop)
    await asyncio.to_thread(own_postgres.start)

    heir = await PostgresDb(own_postgres.url, agent.db.session_table).store()
    swept = await heir.sweep(0.5)
    assert swept is not None
    assert swept.expired == [], "its owner has had no time to extend it"
    async with asyncio.timeout(20):
        while swept is None or not swept.expired:
            await asyncio.sleep(0.1)
            swept = await heir.sweep(0.5)
    assert swept.expired == ["Hi"]


async def test_workers_come_and_go_while_the_database_is_away(
    own_postgres: EmbeddedPostgres,
    agent: Agent,
    server: ResponsesServer,
    new_worker: NewWorker,
) -> None:
    assert agent.db is not None
    server.script.append(Reply.hang())
    leaving = await new_worker(agent.db, grace=0.5, KERN_HEARTBEAT="1").ready()
    await submit(agent, ["left"])
    await server.wait_for_requests(1)
    await asyncio.to_thread(own_postgres.stop)

    assert await leaving.said() is False
    leaving.stop()
    assert await leaving.ended(40) == 0
    await server.wait_for_disconnects(1)
    early = new_worker(agent.db)
    with pytest.raises(DatabaseUnavailableError, match="cannot be reached"):
        await serve([Agent("Tester", agent.model, db=PostgresDb(own_postgres.url))])
    assert await early.ended() == 1

    await asyncio.to_thread(own_postgres.start)
    await new_worker(agent.db, KERN_HEARTBEAT="1").ready()
    assert (await ended(agent, "left")).status is RunStatus.completed
    assert len(server.requests) == 2
