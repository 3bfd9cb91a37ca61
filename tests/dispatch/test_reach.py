"""Whether the database answers, as a worker reports it to who asks for its readiness."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from database_proxy import Proxy, proxy_to
from pgbouncer import PROGRAM, PgBouncer

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.dispatch.opening import open_runtime
from kern.dispatch.settings import Settings
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses

HEARTBEAT = 3.0

SLACK = 5.0
"""Seconds for a machine that is under load; without a bound of kern's own it would be minutes."""


@pytest.fixture
def proxy(postgres: EmbeddedPostgres) -> Iterator[Proxy]:
    with proxy_to(postgres) as running:
        yield running


@pytest.fixture
async def db(proxy: Proxy, table: str) -> AsyncIterator[PostgresDb]:
    async with PostgresDb(proxy.url, table, heartbeat=HEARTBEAT) as database:
        yield database


async def reports(db: PostgresDb, model: OpenAIResponses) -> list[bool]:
    """Serve an agent, and return the list to which is added what is reported."""
    reported: list[bool] = []
    runtime = await open_runtime(db, Settings(heartbeat=HEARTBEAT))
    await runtime.reach(reported.append)
    agent = Agent("Tester", model, db=db)
    runtime.serve(agent)
    return reported


async def until(reported: list[bool], last: bool, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while reported[-1:] != [last]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_database_that_is_silent_is_reported_within_a_heartbeat(
    proxy: Proxy, db: PostgresDb, model: OpenAIResponses
) -> None:
    reported = await reports(db, model)
    await until(reported, True, HEARTBEAT + SLACK)
    proxy.freeze()
    await until(reported, False, HEARTBEAT + SLACK)
    proxy.thaw()
    await until(reported, True, HEARTBEAT + SLACK)


async def test_a_listener_that_is_silent_alone_makes_nobody_unready(
    proxy: Proxy, db: PostgresDb, model: OpenAIResponses
) -> None:
    reported = await reports(db, model)
    proxy.freeze_listeners()
    await asyncio.sleep(1.3 * HEARTBEAT)
    assert set(reported) == {True}


async def test_a_worker_behind_a_pooler_is_ready(
    postgres: EmbeddedPostgres, table: str, model: OpenAIResponses
) -> None:
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    with PgBouncer(postgres) as pooler:
        async with PostgresDb(pooler.url, table, heartbeat=HEARTBEAT) as db:
            reported = await reports(db, model)
            await asyncio.sleep(1.3 * HEARTBEAT)
            assert set(reported) == {True}
