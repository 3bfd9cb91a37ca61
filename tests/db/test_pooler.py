"""kern behind PgBouncer in transaction mode, which hands each transaction another session."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from pgbouncer import PROGRAM, PgBouncer
from stores import LEASE, Recorder, ending, new_run, settled_as

from kern.db.postgres import PostgresDb
from kern.db.postgres.address import parse_address
from kern.db.postgres.connections import Connections
from kern.db.postgres.connector import Connector
from kern.db.values import Kind, Signal
from kern.errors import DatabaseUnavailableError
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed")

IGNORED = (
    "default_transaction_isolation, statement_timeout, lock_timeout, idle_session_timeout, "
    "idle_in_transaction_session_timeout, tcp_keepalives_idle, tcp_keepalives_interval, "
    "tcp_keepalives_count, tcp_user_timeout"
)


@pytest.fixture(params=["refused", "ignored"])
def pooler(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> Iterator[PgBouncer]:
    """A pooler that refuses the settings that kern asks for, and one that drops them."""
    ignored = {"ignore_startup_parameters": IGNORED} if request.param == "ignored" else {}
    with PgBouncer(postgres, **ignored) as running:
        yield running


@pytest.fixture
async def db(pooler: PgBouncer, table: str) -> AsyncIterator[PostgresDb]:
    database = PostgresDb(pooler.url, table, heartbeat=3)
    yield database
    await database.aclose()


async def test_every_step_of_a_run_works_side_by_side(db: PostgresDb) -> None:
    store = await db.store()

    async def execute(number: int) -> None:
        run_id = f"run-{number}"
        await store.submit(new_run(run_id, session_id=run_id, lease=LEASE))
        assert await store.append(run_id, 1, [], streamed=False)
        assert settled_as(await store.settle(ending(run_id))) is RunStatus.completed
        record = await store.get(run_id, with_input=True)
        assert record is not None
        assert record.status is RunStatus.completed

    await asyncio.gather(*(execute(number) for number in range(100)))


async def test_a_listener_that_nothing_reaches_says_so_once(
    db: PostgresDb, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    await (await db.store()).listen(recorder)
    await recorder.gets(Signal(Kind.away))
    await asyncio.sleep(1.5)  # Another connection was tried meanwhile.
    [said] = [each for each in caplog.records if "listen_url" in each.getMessage()]
    assert said.levelno >= logging.WARNING


async def test_a_direct_address_to_listen_is_heard(
    pooler: PgBouncer, postgres: EmbeddedPostgres, table: str
) -> None:
    async with PostgresDb(pooler.url, table, listen_url=postgres.url, heartbeat=3) as db:
        store = await db.store()
        recorder = Recorder()
        await store.listen(recorder)
        await store.submit(new_run(lease=LEASE))
        await store.watch("run")
        await store.settle(ending())
        assert await recorder.gets(Signal(Kind.changed, "run")) == [Signal(Kind.changed, "run")]


async def test_a_pooler_in_session_mode_is_heard_through(
    postgres: EmbeddedPostgres, table: str
) -> None:
    with PgBouncer(postgres, "session", default_pool_size="20") as pooler:
        async with PostgresDb(pooler.url, table, heartbeat=3) as db:
            store = await db.store()
            recorder = Recorder()
            await store.listen(recorder)
            await store.submit(new_run(lease=LEASE))
            await store.watch("run")
            await store.settle(ending())
            await recorder.gets(Signal(Kind.changed, "run"))


async def test_prepared_statements_that_are_mixed_up_are_given_up(pooler: PgBouncer) -> None:
    """As where a pooler stands in the way only later, or hides well."""
    connector = Connector(parse_address(pooler.url), 3, True)
    assert not connector.is_pooled
    connections = Connections(connector, 8)
    await connections.open()
    for number in range(5):
        await asyncio.gather(
            *(connections.fetch(f"SELECT {number}, pg_sleep(0.01), $1::int", n) for n in range(30))
        )
    assert connector.is_pooled
    connections.terminate()
    await asyncio.sleep(0.05)


async def test_transactions_are_isolated_as_kern_needs_it(
    pooler: PgBouncer, postgres: EmbeddedPostgres
) -> None:
    admin = await asyncpg.connect(postgres.superuser_url)
    await admin.execute("ALTER DATABASE ai SET default_transaction_isolation = serializable")
    try:
        connector = Connector(parse_address(pooler.url), 3, None)
        async with connector.session() as connection:
            await connector.learn(connection)
        connections = Connections(connector, 4)
        await connections.open()
        look = "SELECT current_setting('transaction_isolation')"
        assert (await connections.fetch(look))[0][0] == "read committed"
        async with connections.transaction() as connection:
            assert await connection.fetchval(look) == "read committed"
        connections.terminate()
    finally:
        await admin.execute("ALTER DATABASE ai RESET default_transaction_isolation")
        await admin.close()
    await asyncio.sleep(0.05)


async def test_a_pooler_whose_server_is_away_is_an_outage(
    unused_tcp_port: int, postgres: EmbeddedPostgres
) -> None:
    away = EmbeddedPostgres(postgres.data, port=unused_tcp_port)
    with (
        PgBouncer(away, query_wait_timeout="2") as pooler,
        pytest.raises(DatabaseUnavailableError, match=f"127.0.0.1:{pooler.port}"),
    ):
        await PostgresDb(pooler.url, heartbeat=3).store()


async def test_providers_parameter_is_known(pooler: PgBouncer, table: str) -> None:
    async with PostgresDb(f"{pooler.url}?pgbouncer=true", table) as db:
        assert await (await db.store()).get("run") is None
