"""Promise 3 from the other side: no run of an executor that lives is given to another one."""

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from database_proxy import Proxy, proxy_to, through
from journals import PIECE, row
from load import all_ended, ended, submit
from stores import new_run
from workers import NewWorker

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

HEARTBEAT = 1.5


@pytest.fixture
def submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


@pytest.fixture
def ways(postgres: EmbeddedPostgres) -> Iterator[list[Proxy]]:
    """Two ways to the database."""
    with proxy_to(postgres) as first, proxy_to(postgres) as second:
        yield [first, second]


async def attempts(db: Database, *run_ids: str) -> list[int]:
    """Return how many attempts there were at each of some runs."""
    store = await db.store()
    runs = [await store.get(run_id) for run_id in run_ids]
    return [0 if run is None else run.attempt for run in runs]


@pytest.mark.usefixtures("submit_only")
async def test_a_tool_that_blocks_its_loop_for_longer_than_the_heartbeat_loses_no_run(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    server.script.append(Reply.tool_calls(("block", {"seconds": 4})))
    held = Reply.text("Held.").held()
    server.script.append(held)
    options: dict[str, Any] = {
        "tools": ("block",),
        "KERN_HEARTBEAT": "3",
        "TEST_LEDGER": str(tmp_path / "ledger"),
    }
    agent = Agent("Tester", model, db=shared_db)
    blocked = await new_worker(shared_db, **options).ready()
    await submit(agent, ["blocks"])
    await server.wait_for_requests(1)
    await submit(agent, ["beside"])
    await new_worker(shared_db, **options).ready()
    await server.wait_for_requests(2, timeout=20)
    held.release()
    for run in await all_ended(agent, ["blocks", "beside"]):
        assert run.status is RunStatus.completed
    assert await attempts(shared_db, "blocks") == [1]
    assert (tmp_path / "ledger").read_text() == "blocks block\n"
    blocked.stop()
    assert await blocked.ended() == 0


@pytest.mark.usefixtures("submit_only")
async def test_the_runs_of_a_loop_that_is_blocked_for_too_long_go_on_elsewhere(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    server.script += [Reply.tool_calls(("block", {"seconds": 60}))]
    options: dict[str, Any] = {
        "tools": ("block",),
        "KERN_HEARTBEAT": "0.5",
        "KERN_MAX_LOOP_BLOCK": "1",
        "TEST_LEDGER": str(tmp_path / "ledger"),
    }
    agent = Agent("Tester", model, db=shared_db)
    await new_worker(shared_db, **options).ready()
    await submit(agent, ["blocks"])
    await server.wait_for_requests(1)
    await new_worker(shared_db, **options).ready()
    assert (await ended(agent, "blocks", 30)).status is RunStatus.completed
    # With so short a heartbeat a busy machine may lose another one.
    [attempt] = await attempts(shared_db, "blocks")
    assert attempt >= 2


@pytest.mark.usefixtures("submit_only")
@pytest.mark.parametrize("how", ["frozen", pytest.param("cut", marks=pytest.mark.nightly)])
async def test_a_database_out_of_reach_for_longer_than_a_lease_costs_nobody_a_run(
    ways: list[Proxy],
    table: str,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    how: str,
) -> None:
    gates = [Reply.text("Hello.").held() for _ in ways]
    server.default = lambda body: gates[int(body["input"][0]["content"][0])]
    agent = Agent("Tester", model, db=through(ways[0], table))
    settings = {"KERN_HEARTBEAT": str(HEARTBEAT), "KERN_CONCURRENCY": "10"}
    names = [f"{number // 10}: {number % 10}" for number in range(20)]
    for number, way in enumerate(ways):
        await new_worker(through(way, table), **settings).ready()
        await submit(agent, names[10 * number : 10 * (number + 1)])
        await server.wait_for_requests(10 * (number + 1))
    for way in ways:
        (way.freeze if how == "frozen" else way.cut)()
    await asyncio.sleep(2 * HEARTBEAT)
    # One comes back after the other, and has room for the runs of that one.
    gates[0].release()
    for way in ways:
        (way.thaw if how == "frozen" else way.mend)()
        await asyncio.sleep(HEARTBEAT / 4)
    with pytest.raises(TimeoutError):
        await server.wait_for_requests(21, timeout=2 * HEARTBEAT)
    gates[1].release()
    runs = await all_ended(agent, names)
    assert [run.status for run in runs] == [RunStatus.completed] * 20
    assert agent.db is not None
    assert await attempts(agent.db, *names) == [1] * 20


@pytest.mark.usefixtures("submit_only")
async def test_a_worker_whose_clock_is_wrong_fails_no_run_by_its_time_limit(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
) -> None:
    names = [f"run-{number}" for number in range(10)]
    failed: list[str] = []

    def fail_once(body: dict[str, Any]) -> Reply:
        name = body["input"][0]["content"]
        failed.append(name)
        return Reply.http_error(500) if failed.count(name) == 1 else Reply.text("Hello.")

    server.default = fail_once
    agent = Agent("Tester", model, db=postgres_db, max_attempts=3, timeout=60)
    for ahead in ("600", "-600"):
        await new_worker(postgres_db, KERN_HEARTBEAT="1", TEST_CLOCK=ahead).ready()
    await submit(agent, names)
    runs = await all_ended(agent, names)
    assert [(run.status, run.error) for run in runs] == [(RunStatus.completed, None)] * 10


@pytest.mark.usefixtures("submit_only")
async def test_a_wrong_clock_neither_takes_over_what_lives_nor_leaves_what_is_lost(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
) -> None:
    server.script.append(held := Reply.text("Hello.").held())
    agent = Agent("Tester", model, db=postgres_db)
    await new_worker(postgres_db, KERN_HEARTBEAT="3").ready()
    await submit(agent, ["run"])
    await server.wait_for_requests(1)
    await new_worker(postgres_db, KERN_HEARTBEAT="3", TEST_CLOCK="600").ready()
    with pytest.raises(TimeoutError):
        await server.wait_for_requests(2, timeout=2)
    held.release()
    assert (await ended(agent, "run", 20)).status is RunStatus.completed


async def test_appends_and_heartbeats_under_load_do_not_deadlock(
    postgres: EmbeddedPostgres, postgres_db: PostgresDb
) -> None:
    def deadlocks() -> int:
        return postgres._log.read_text(errors="replace").count("deadlock detected")

    before = deadlocks()
    store = await postgres_db.store()
    names = [f"run-{number:03}" for number in range(100)]
    random.Random(1).shuffle(names)
    for name in names:
        await store.submit(new_run(name, session_id=name, lease=60.0, executor="me"))
    ending = time.monotonic() + 3

    async def append(name: str) -> None:
        seq = 0
        while time.monotonic() < ending:
            seq += 1
            assert await store.append(name, 1, [row(name, seq, PIECE)], False)
            await asyncio.sleep(random.uniform(0, 0.01))

    async def extend() -> None:
        while time.monotonic() < ending:
            mine = sorted(names, key=lambda _: random.random())
            assert len(await store.extend([(name, 1) for name in mine], 60.0)) == len(names)

    await asyncio.gather(extend(), extend(), *(append(name) for name in names))
    assert deadlocks() == before
