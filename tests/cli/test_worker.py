"""``kern worker``: real processes, real signals."""

import asyncio
import json
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from teams import task
from worker_command import APP, StartWorker, WorkerCommand

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.team import Team
from kern.testing import Reply, ResponsesServer

JSON = ("--log", "json")


@pytest.fixture(autouse=True)
def _submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


@pytest.fixture
def tester(postgres_db: PostgresDb, model: OpenAIResponses) -> Agent:
    """The agent that the workers serve, in PostgreSQL."""
    return Agent("Tester", model, db=postgres_db)


async def status_of(agent: Agent, run_id: str) -> RunStatus:
    run = await agent.aget_run_output(run_id)
    assert run is not None
    return run.status


async def look(worker: WorkerCommand, path: str) -> tuple[int, dict[str, str]]:
    """Return the status and the body of a health check."""

    def get() -> tuple[int, bytes]:
        try:
            with urlopen(worker.url + path, timeout=10) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    status, body = await asyncio.to_thread(get)
    return status, json.loads(body)


async def test_it_executes_runs_and_prints_nothing_but_json(
    agent: Agent, shared_db: Database, start: StartWorker
) -> None:
    worker = start(shared_db, *JSON)
    await worker.told("ready")
    accepted = await agent.arun("Go on", background=True)
    run = await agent.await_run(accepted.run_id, timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")

    [told] = await worker.told("completed", run_id=run.run_id, agent_id="tester", attempt=1)
    assert isinstance(told["seconds"], float)
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    events = [line.get("event") for line in worker.lines]
    assert events == ["starting", "ready", "started", "completed", "stopping", "stopped"]
    assert worker.others == []
    assert "imported" in worker.errors


TEAM = (
    APP.partition("agent = ")[0]
    + """
from kern.team import Team

model = OpenAIResponses("test-model", max_retries=0)
inner = Team([Agent("Writer", model)], "Inner", model, mode="route")
agent = Team([inner], "Desk", model, db=db)
"""
)


async def test_it_executes_teams_and_their_members(
    postgres_db: PostgresDb, server: ResponsesServer, model: OpenAIResponses, start: StartWorker
) -> None:
    server.script += [
        Reply.tool_calls(task("inner")),
        Reply.tool_calls(task("writer")),
        Reply.text("A poem."),
        Reply.text("Here it is."),
    ]
    inner = Team([Agent("Writer", model)], "Inner", model, mode="route")
    team = Team([inner], "Desk", model, db=postgres_db)
    worker = start(postgres_db, *JSON, app=TEAM)
    await worker.told("ready")
    accepted = await team.arun("Go on", background=True)
    run = await team.await_run(accepted.run_id, timeout=20)
    assert run is not None
    assert (run.status, run.content, run.team_id) == (RunStatus.completed, "Here it is.", "desk")
    [response] = await team.aget_member_responses(run)
    assert (response.content, response.team_id) == ("A poem.", "inner")
    for agent_id in ("writer", "inner", "desk"):
        await worker.told("completed", agent_id=agent_id, attempt=1)


async def test_what_outlasts_the_grace_is_handed_over(
    tester: Agent, postgres_db: PostgresDb, server: ResponsesServer, start: StartWorker
) -> None:
    server.script.append(Reply.hang())
    worker = start(postgres_db, *JSON, "--grace", "0.2")
    run = await tester.arun("Go on", background=True)
    await server.wait_for_requests(1, timeout=20)
    worker.send(signal.SIGINT)
    assert await worker.ended() == 0
    await worker.told("released", run_id=run.run_id)
    assert await status_of(tester, run.run_id) is RunStatus.pending


async def test_within_the_grace_runs_end_and_none_begins(
    tester: Agent, postgres_db: PostgresDb, server: ResponsesServer, start: StartWorker
) -> None:
    reply = Reply.text("Done.").held()
    server.script.append(reply)
    worker = start(postgres_db, *JSON, "--grace", "30")
    first = await tester.arun("Go on", background=True)
    await server.wait_for_requests(1, timeout=20)
    worker.send(signal.SIGTERM)
    await worker.told("stopping")
    second = await tester.arun("Go on", background=True)
    reply.release()
    assert await worker.ended() == 0
    assert await status_of(tester, first.run_id) is RunStatus.completed
    assert await status_of(tester, second.run_id) is RunStatus.pending
    assert len(server.requests) == 1


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_second_signal_ends_it_at_once(
    tester: Agent,
    postgres_db: PostgresDb,
    server: ResponsesServer,
    start: StartWorker,
    processes: str,
) -> None:
    server.script.append(Reply.hang())
    worker = start(postgres_db, *JSON, "--grace", "600", "--processes", processes)
    run = await tester.arun("Go on", background=True)
    await server.wait_for_requests(1, timeout=20)
    children = worker.children
    worker.send(signal.SIGTERM)
    await worker.told("stopping")
    worker.send(signal.SIGINT)
    assert await worker.ended() == 1
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert await status_of(tester, run.run_id) is RunStatus.running


async def test_the_processes_end_when_their_supervisor_is_killed(
    tester: Agent, postgres_db: PostgresDb, server: ResponsesServer, start: StartWorker
) -> None:
    server.script.append(Reply.hang())
    worker = start(postgres_db, *JSON, "--grace", "0.2", "--processes", "2")
    await worker.told("ready", times=2)
    run = await tester.arun("Go on", background=True)
    await server.wait_for_requests(1, timeout=20)
    children = worker.children
    assert len(children) == 2
    worker.send(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert await status_of(tester, run.run_id) is RunStatus.pending


async def test_a_process_that_is_lost_is_started_again(
    postgres_db: PostgresDb, start: StartWorker
) -> None:
    worker = start(postgres_db, *JSON, "--processes", "2", "--port", "0")
    await worker.told("ready", times=2)
    lost = worker.children[0]
    lost.kill()
    await worker.told("restarting", worker=lost.pid, code=-9)
    assert await look(worker, "/healthz") == (200, {"status": "ok"})
    lines = await worker.told("ready", times=3)
    assert {line["pid"] for line in lines} == {lost.pid, *(each.pid for each in worker.children)}
    assert await look(worker, "/readyz") == (200, {"status": "ok"})
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0


async def test_each_line_of_several_processes_is_whole(
    tester: Agent, postgres_db: PostgresDb, start: StartWorker
) -> None:
    worker = start(postgres_db, "--processes", "2")
    runs = [await tester.arun("Go on", background=True) for _ in range(20)]
    for run in runs:
        await tester.await_run(run.run_id, timeout=20)
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0
    lines = [line for line in worker.others if line != "imported\n"]
    assert [line for line in lines if not re.match(r"\d\d:\d\d:\d\d \[\d+\] [a-z]+", line)] == []
    completed = [line for line in lines if "completed" in line]
    assert len(completed) == len(runs)
    pattern = r".* run \S+ agent tester attempt 1 in \d\.\d\d s\n"
    assert all(re.fullmatch(pattern, line) for line in completed)


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_blocked_event_loop_is_not_healthy(
    tester: Agent,
    postgres_db: PostgresDb,
    server: ResponsesServer,
    start: StartWorker,
    processes: str,
) -> None:
    worker = start(postgres_db, *JSON, "--port", "0", "--processes", processes, "--grace", "0")
    await worker.told("ready", times=int(processes))
    assert await look(worker, "/healthz") == (200, {"status": "ok"})
    server.script.append(Reply.tool_calls(("block", {})))
    await tester.arun("Go on", background=True)
    await worker.told(level="warning", logger="app", message="blocking")
    status, body = await look(worker, "/healthz")
    assert status == 503
    assert "event loop" in body["reason"]
    # The signals are heard all the same.
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGINT)
    assert await worker.ended() == 1


@pytest.fixture
def own_postgres(unused_tcp_port: int) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that the test may stop."""
    with tempfile.TemporaryDirectory(prefix="kern-test-") as data:
        server = EmbeddedPostgres(Path(data), port=unused_tcp_port, options={"fsync": "off"})
        server.start()
        yield server
        server.stop()


async def test_a_worker_says_that_the_database_is_away(
    own_postgres: EmbeddedPostgres, model: OpenAIResponses, start: StartWorker
) -> None:
    db = PostgresDb(own_postgres.url)
    worker = start(db, *JSON, "--port", "0")
    await worker.told("ready")
    assert await look(worker, "/readyz") == (200, {"status": "ok"})

    own_postgres.stop()
    await worker.told("database lost")
    assert await look(worker, "/readyz") == (
        503,
        {"status": "unavailable", "reason": "the database is away"},
    )
    assert await look(worker, "/healthz") == (200, {"status": "ok"})

    own_postgres.start()
    await worker.told("database back")
    assert await look(worker, "/readyz") == (200, {"status": "ok"})
    run = await Agent("Tester", model, db=db).arun("Go on", background=True)
    await worker.told("completed", run_id=run.run_id)
