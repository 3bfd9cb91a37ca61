"""Promise 1: what is submitted with a caller's own connection is part of its transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from load import all_ended, ended, most_at_once, submit
from sqlalchemy.ext.asyncio import create_async_engine
from workers import NewWorker

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.dispatch.opening import open_runtime
from kern.errors import ConfigurationError, KernError, RunConflictError
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer

Transaction = Callable[[str], AbstractAsyncContextManager[Any]]
"""Takes a URL; yields a connection in a transaction, which commits at the end."""


class RolledBackError(Exception):
    """The caller has changed its mind."""


@asynccontextmanager
async def by_asyncpg(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def by_asyncpg_pool(url: str) -> AsyncIterator[Any]:
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        yield connection


@asynccontextmanager
async def by_sqlalchemy(url: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


@pytest.fixture(params=[by_asyncpg, by_asyncpg_pool, by_sqlalchemy])
def transaction(request: pytest.FixtureRequest) -> Transaction:
    chosen: Transaction = request.param
    return chosen


@pytest.fixture
def agent(postgres_db: PostgresDb, model: OpenAIResponses) -> Agent:
    return Agent("Tester", model, db=postgres_db)


async def test_a_run_begins_when_the_callers_transaction_commits(
    agent: Agent, postgres: EmbeddedPostgres, server: ResponsesServer, transaction: Transaction
) -> None:
    await submit(agent, ["warm"])
    await ended(agent, "warm")
    async with transaction(postgres.url) as connection:
        run = await agent.arun("Hi", background=True, run_id="run", connection=connection)
        assert run.status is RunStatus.pending
        with pytest.raises(TimeoutError):
            await server.wait_for_requests(2, timeout=0.5)
        assert await agent.aget_run_output("run") is None
    run = await ended(agent, "run")
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")


async def test_a_run_whose_transaction_is_rolled_back_has_never_been(
    agent: Agent, postgres: EmbeddedPostgres, server: ResponsesServer, transaction: Transaction
) -> None:
    with pytest.raises(RolledBackError):  # noqa: PT012
        async with transaction(postgres.url) as connection:
            await agent.arun("Hi", background=True, run_id="run", connection=connection)
            raise RolledBackError
    assert await agent.aget_run_output("run") is None
    assert await agent.await_run("run", timeout=1) is None
    with pytest.raises(TimeoutError):
        await server.wait_for_requests(1, timeout=0.5)
    run = await agent.arun("Something else", background=True, run_id="run")
    assert (await ended(agent, run.run_id)).status is RunStatus.completed


async def test_a_rollback_leaves_nothing_pinned_and_an_open_transaction_keeps_its_definition(
    postgres_db: PostgresDb,
    postgres: EmbeddedPostgres,
    model: OpenAIResponses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    agent = Agent("Tester", model, db=postgres_db, dependencies={"user": "ada"})
    runtime = await open_runtime(postgres_db)
    async with by_asyncpg(postgres.url) as connection:
        await agent.arun("Hi", background=True, run_id="open", connection=connection)
        with pytest.raises(RolledBackError):  # noqa: PT012
            async with by_asyncpg(postgres.url) as other:
                await agent.arun("Hi", background=True, run_id="rolled back", connection=other)
                raise RolledBackError
        savepoint = connection.transaction()
        await savepoint.start()
        await agent.arun("Hi", background=True, run_id="undone", connection=connection)
        await savepoint.rollback()
        async with asyncio.timeout(20):
            while runtime._definitions.is_pinned("rolled back"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert runtime._definitions.is_pinned("open")
        assert runtime._definitions.is_pinned("undone"), "its transaction has not ended"
    assert (await ended(agent, "open")).status is RunStatus.completed
    async with asyncio.timeout(20):
        while runtime._definitions.pinned:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_it_is_executed_in_another_process_too(
    agent: Agent,
    postgres_db: PostgresDb,
    postgres: EmbeddedPostgres,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    await new_worker(postgres_db).ready()
    async with by_asyncpg(postgres.url) as connection:
        await agent.arun("Hi", background=True, run_id="run", connection=connection)
    assert (await ended(agent, "run")).status is RunStatus.completed


async def test_it_executes_with_the_definition_that_submitted_it(
    postgres_db: PostgresDb,
    postgres: EmbeddedPostgres,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def who(context: RunContext) -> str:
        """Tell on whose behalf this is."""
        return str(context.dependencies["user"])

    monkeypatch.setenv("KERN_CONCURRENCY", "1")  # One after the other, so the script holds.
    call = Reply.tool_calls(("who", {}))
    server.script += [call, Reply.text("Done."), call]
    agents = [
        Agent("Tester", model, db=postgres_db, tools=[who], dependencies={"user": user})
        for user in ("ada", "bob")
    ]
    async with by_asyncpg(postgres.url) as connection:
        for agent, name in zip(agents, ("hers", "his"), strict=True):
            await agent.arun("Hi", background=True, run_id=name, connection=connection)
    runs = await all_ended(agents[0], ["hers", "his"])
    assert [run.tools[0].result for run in runs] == ["ada", "bob"]


async def test_runs_of_one_session_that_one_transaction_submits_execute_one_at_a_time(
    agent: Agent, postgres: EmbeddedPostgres, server: ResponsesServer
) -> None:
    server.default = Reply.text("Hello.").slow(0.05)
    names = [f"run-{number}" for number in range(5)]
    async with by_asyncpg(postgres.url) as connection:
        for name in names:
            await agent.arun(
                name, background=True, run_id=name, session_id="talk", connection=connection
            )
    runs = await all_ended(agent, names)
    assert {run.status for run in runs} == {RunStatus.completed}
    assert most_at_once(server.requests) == 1


async def test_a_cancel_meets_a_run_that_is_not_committed_yet(
    agent: Agent,
    postgres: EmbeddedPostgres,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The only slot is taken as it commits, so it cannot begin before its cancel is stored.
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    held = Reply.text("Hello.").held()
    server.script += [Reply.text("Hello."), held]
    async with by_asyncpg(postgres.url) as connection:
        await agent.arun("Hi", background=True, run_id="run", connection=connection)
        cancelling = asyncio.create_task(agent.acancel_run("run"))
        await submit(agent, ["other"])
        assert (await ended(agent, "other", 20)).status is RunStatus.completed
        await submit(agent, ["held"])
        await server.wait_for_requests(2)
    assert await asyncio.wait_for(cancelling, 20) is True
    held.release()
    assert (await ended(agent, "run", 20)).status is RunStatus.cancelled
    assert (await ended(agent, "held", 20)).status is RunStatus.completed
    assert len(server.requests) == 2


async def test_an_id_that_another_open_transaction_holds_is_refused_in_time(
    agent: Agent, postgres: EmbeddedPostgres
) -> None:
    async with by_asyncpg(postgres.url) as first:
        await agent.arun("Hi", background=True, run_id="run", connection=first)
        with pytest.raises(KernError, match="run"):
            async with asyncio.timeout(20), by_asyncpg(postgres.url) as second:
                await agent.arun("Hi", background=True, run_id="run", connection=second)
    assert (await ended(agent, "run")).status is RunStatus.completed


async def test_an_id_that_is_in_use_leaves_the_callers_transaction_usable(
    agent: Agent, postgres: EmbeddedPostgres, transaction: Transaction
) -> None:
    await submit(agent, ["run"])
    await ended(agent, "run")
    async with transaction(postgres.url) as connection:
        with pytest.raises(RunConflictError):
            await agent.arun("Other", background=True, run_id="run", connection=connection)
        await agent.arun("Hi", background=True, run_id="next", connection=connection)
    assert (await ended(agent, "next")).status is RunStatus.completed


async def test_a_connection_to_another_database_is_refused(
    agent: Agent, postgres: EmbeddedPostgres, server: ResponsesServer, transaction: Transaction
) -> None:
    elsewhere = postgres.url.removesuffix(f"/{postgres.database}") + "/postgres"
    async with transaction(elsewhere) as connection:
        with pytest.raises(ConfigurationError, match="database"):
            await agent.arun("Hi", background=True, run_id="run", connection=connection)
    assert await agent.aget_run_output("run") is None


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
async def test_databases_without_connections_of_callers_say_so(
    request: pytest.FixtureRequest, model: OpenAIResponses, postgres: EmbeddedPostgres, kind: str
) -> None:
    db: Database = InMemoryDb() if kind == "memory" else request.getfixturevalue("sqlite_db")
    async with by_asyncpg(postgres.url) as connection:
        with pytest.raises(ConfigurationError, match="PostgresDb"):
            await Agent("Tester", model, db=db).arun("Hi", background=True, connection=connection)


async def test_what_is_no_connection_is_refused(agent: Agent) -> None:
    with pytest.raises(ConfigurationError, match="connection"):
        await agent.arun("Hi", background=True, connection=object())
