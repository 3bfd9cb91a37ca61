"""What ``serve`` refuses, and what a worker makes of runs that it cannot execute."""

import asyncio
import signal
from typing import Any

import asyncpg
import pytest
from elsewhere import Elsewhere
from leases import expire
from load import ended, submit
from workers import NewWorker

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.agent.serving import lifespan, serve, serve_in_thread
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.dispatch.opening import open_runtime
from kern.errors import (
    ConfigurationError,
    InvalidInputError,
    SchemaVersionError,
    SyncInLoopError,
)
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.team import Team
from kern.testing import Reply, ResponsesServer
from kern.tools import tool


async def test_an_agent_that_cannot_be_served_is_refused(model: OpenAIResponses) -> None:
    db = InMemoryDb()
    refused: list[tuple[list[Agent[Any, Any]], str]] = [
        ([], "There is no agent to serve."),
        ([Agent(model=model, db=db)], "has neither a name nor an id, by which its runs are found"),
        ([Agent("Tester", model)], "has no database, from which its runs come"),
        (
            [Agent("Tester", model, db=db), Agent(id="tester", model=model, db=InMemoryDb())],
            "Two agents have the id 'tester'",
        ),
        (
            [Team([Agent("Tester", model)], name, model, db=db) for name in ("One", "Other")],
            "Two agents have the id 'tester'",
        ),
        ([Team([Agent("Desk", model)], "Desk", model, db=db)], "Two agents have the id 'desk'"),
        (
            [Agent("Boss", model, db=db, tools=[BackgroundAgents([Agent("Boss", model)])])],
            "Two agents have the id 'boss'",
        ),
    ]
    for agents, error in refused:
        with pytest.raises(ConfigurationError) as raised:
            await serve(agents)
        assert error in str(raised.value)
        with pytest.raises(ConfigurationError) as raised:
            await asyncio.to_thread(serve_in_thread, agents)
        assert error in str(raised.value)


async def test_synchronous_code_executes_what_others_have_submitted_from_its_start_on(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    process = elsewhere(
        """
    await agent.arun("Hi", background=True, run_id="Hi")
    say("submitted")
    """,
        KERN_IN_PROCESS_WORKER="0",
    )
    assert await process.said() == "submitted"
    agent = Agent("Tester", model, db=shared_db)
    await asyncio.to_thread(serve_in_thread, [agent])
    await server.wait_for_requests(1, timeout=20)


async def test_a_thread_is_no_place_to_serve_for_a_loop_that_executes_runs(
    model: OpenAIResponses,
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    run = await agent.arun("Hi", background=True)
    with pytest.raises(SyncInLoopError, match=r"Write `await serve\(\.\.\.\)` instead"):
        serve_in_thread([agent])
    await agent.await_run(run.run_id, timeout=20)


async def test_the_same_agent_twice_is_one(model: OpenAIResponses) -> None:
    agent, stopping = Agent("Tester", model, db=InMemoryDb()), asyncio.Event()
    serving = asyncio.create_task(serve([agent, agent], stopping=stopping))
    await submit(agent, ["Hi"])
    assert (await ended(agent, "Hi")).status is RunStatus.completed
    stopping.set()
    await serving


async def test_agents_in_several_databases_are_served_side_by_side(
    postgres_db: PostgresDb,
    sqlite_db: SqliteDb,
    model: OpenAIResponses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    agents = [Agent("One", model, db=postgres_db), Agent("Two", model, db=sqlite_db)]
    stopping, told = asyncio.Event(), list[bool]()
    serving = asyncio.create_task(serve(agents, stopping=stopping, ready=told.append))
    for agent in agents:
        await submit(agent, ["Hi"])
        assert (await ended(agent, "Hi")).status is RunStatus.completed
    stopping.set()
    await serving
    assert told == [True, False]


async def test_tables_that_are_newer_than_kern_are_refused(
    postgres: EmbeddedPostgres, postgres_db: PostgresDb, model: OpenAIResponses
) -> None:
    await postgres_db.store()
    newer = f"UPDATE {postgres_db._names.versions} SET version = 99 WHERE name = $1"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(newer, postgres_db.session_table)
    await connection.close()
    again = PostgresDb(postgres.url, postgres_db.session_table, pool_size=3)  # shares nothing
    with pytest.raises(SchemaVersionError, match=r"have version 99; .* Upgrade kern"):
        await serve([Agent("Tester", model, db=again)])


async def test_a_worker_whose_agent_lost_a_tool_says_which_one_a_run_needs(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    agent = Agent("Tester", model, db=postgres_db)
    server.script.append(Reply.tool_calls(("die", {})))
    await submit(agent, ["Hi"])
    await new_worker(postgres_db, tools=("die",)).ended()
    await expire(postgres_db, "Hi")
    newer = await new_worker(postgres_db, KERN_UNSERVED_TIMEOUT="1s", KERN_HEARTBEAT="0.5").ready()
    run = await ended(agent, "Hi")
    assert run.status is RunStatus.error
    assert "has to call the tool 'die', which the agent 'tester' does not have" in str(run.error)

    newer.stop()
    await newer.ended()
    back = Agent("Tester", model, db=postgres_db, tools=[tool(name="die")(lambda: "alive")])
    (await open_runtime(postgres_db)).serve(back)
    await back.aretry_run("Hi")
    run = await ended(agent, "Hi")
    assert (run.status, [each.result for each in run.tools]) == (RunStatus.completed, ["alive"])
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"session_policy": "wait"}, "session_policy must be one of 'queue', 'reject', "),
        ({"session_policy": 5}, "session_policy must be one of 'queue', 'reject', "),
        ({"webhook": "example.org/hook"}, "webhook"),
        ({"webhook": "ftp://example.org/hook"}, "webhook"),
        ({"webhook": 5}, "webhook"),
    ],
    ids=repr,
)
async def test_an_option_that_there_is_not_is_refused(
    model: OpenAIResponses, options: dict[str, Any], error: str
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    with pytest.raises(InvalidInputError) as raised:
        await agent.arun("Hi", background=True, run_id="refused", **options)
    assert error in str(raised.value)
    assert await agent.aget_run_output("refused") is None


def test_an_agent_needs_a_policy_that_there_is(model: OpenAIResponses) -> None:
    policy: Any = "wait"
    with pytest.raises(InvalidInputError, match="session_policy must be one of 'queue', "):
        Agent("Tester", model, session_policy=policy)


async def test_serve_ends_at_sigterm_once_its_runs_have_ended(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    reply = Reply.text("Hello.").held()
    server.script.append(reply)
    process = elsewhere(
        """
        from kern.agent.serving import serve
        await serve([agent], grace=30, ready=say)
        """
    )
    assert await process.said() == "True"
    await agent.arun("Hi", background=True, run_id="run-1")
    await server.wait_for_requests(1, timeout=20)
    process.send(signal.SIGTERM)
    assert await process.said() == "False"
    reply.release()
    assert await process.ended() == -signal.SIGTERM
    assert (await ended(agent, "run-1")).status is RunStatus.completed


async def test_a_lifespan_serves_agents_and_gives_their_runs_time_at_its_end(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    agent, reply = Agent("Tester", model, db=shared_db), Reply.text("Hello.").held()
    server.script.append(reply)
    async with lifespan([agent], grace=10, heartbeat=5)(object()):
        await submit(agent, ["Hi"])
        await server.wait_for_requests(1, timeout=20)
        asyncio.get_running_loop().call_later(0.1, reply.release)
    run = await agent.aget_run_output("Hi")
    assert run is not None
    assert run.status is RunStatus.completed


async def test_a_lifespan_releases_what_has_not_ended_in_time(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db)
    server.default = Reply.hang()
    async with lifespan()(object()):
        run = await agent.arun("Go on", background=True)
        other = await asyncio.to_thread(agent.run, "Go on", background=True)
        await server.wait_for_requests(2, timeout=20)
    for each in (run, other):
        found = await agent.aget_run_output(each.run_id)
        assert found is not None
        assert found.status is RunStatus.pending
