"""What happens while PostgreSQL is away, silent, full, read-only or in a collision."""

import asyncio
import gc
import logging
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest
from database_proxy import Proxy, proxy_to

from kern.aio.retry import until_available
from kern.db.postgres import PostgresDb
from kern.db.postgres.address import parse_address
from kern.db.postgres.connections import Connections
from kern.db.postgres.connector import Connector
from kern.errors import DatabaseError, DatabaseUnavailableError, OutcomeUnknownError
from kern.local.postgres import EmbeddedPostgres

# Of connections whose silence a test waits for, and of all others.
HEARTBEAT, PATIENT = 3.0, 60.0

SLACK = 17.0  # for a machine that does other things as well; without a bound it would be minutes


@pytest.fixture(autouse=True, scope="module")
def _earlier() -> None:
    """Have the garbage collector go through what these tests make, and not through all before."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
async def _silence(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test after which asyncio or the driver complain of errors that nobody has taken."""
    gc.collect()  # What earlier tests have left complains before this one.
    caplog.clear()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
    assert [each for each in caplog.records if each.name.startswith(("asyncio", "asyncpg"))] == []


@pytest.fixture
def proxy(postgres: EmbeddedPostgres) -> Iterator[Proxy]:
    with proxy_to(postgres) as running:
        yield running


@pytest.fixture
def url(proxy: Proxy) -> str:
    """Where the database is, through the proxy."""
    return proxy.url


@pytest.fixture
async def new(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Open connections to a URL."""
    opened: list[Connections] = []

    async def open_connections(
        url: str, pool_size: int = 4, heartbeat: float = PATIENT
    ) -> Connections:
        connector = Connector(parse_address(url), heartbeat, True)
        connections = Connections(connector, pool_size)
        await connections.open()
        opened.append(connections)
        return connections

    yield open_connections
    for each in opened:
        each.terminate()
    await asyncio.sleep(0.05)  # The driver's own clean-up.


@pytest.fixture
async def admin(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.superuser_url)
    yield connection
    await connection.close()


async def fill(connections: Connections, count: int) -> None:
    """Have the pool open so many connections."""
    await asyncio.gather(*(connections.fetch("SELECT pg_sleep(0.2)") for _ in range(count)))


async def within(seconds: float, condition: Callable[[], object]) -> float:
    """Wait until the condition holds, and return after how many seconds it did."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return time.monotonic() - began


def outages(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged of outages, and not what threads of earlier tests still log."""
    return [each for each in caplog.records if each.getMessage().startswith("the database is ")]


# --- silence


async def test_a_statement_that_is_not_answered_fails_within_a_heartbeat(
    new: Any, url: str, proxy: Proxy
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    await connections.fetch("SELECT 1")
    proxy.freeze()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError, match="not known: look, or ask again") as raised:
        await connections.fetch("SELECT 1")
    assert time.monotonic() - began < HEARTBEAT + SLACK
    assert f"127.0.0.1:{proxy.port}" in str(raised.value)
    assert "did not answer in time" in str(raised.value)
    proxy.thaw()
    assert await until_available(lambda: connections.fetch("SELECT 1"))


async def test_connections_that_a_router_has_forgotten_cost_one_time_out_together(
    new: Any, url: str, proxy: Proxy
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    await fill(connections, 4)
    proxy.freeze_open()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        await connections.fetch("SELECT 1")
    for _ in range(8):
        await until_available(lambda: connections.fetch("SELECT 1"))
    assert time.monotonic() - began < HEARTBEAT + SLACK


async def test_a_connection_that_cannot_be_opened_fails_within_a_heartbeat(
    new: Any, url: str, proxy: Proxy
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    proxy.freeze()
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match="did not answer in time"):
        await connections.fetch("SELECT 1")
    assert time.monotonic() - began < HEARTBEAT + SLACK
    with pytest.raises(DatabaseUnavailableError):
        await connections.ping()


async def test_many_who_ask_a_silent_database_all_hear_of_it_soon(
    new: Any, url: str, proxy: Proxy
) -> None:
    connections = await new(url, 2, HEARTBEAT)
    await fill(connections, 2)
    proxy.freeze()
    began = time.monotonic()
    answers = await asyncio.gather(
        *(connections.fetch("SELECT 1") for _ in range(20)), return_exceptions=True
    )
    assert {isinstance(each, DatabaseUnavailableError) for each in answers} == {True}
    assert time.monotonic() - began < HEARTBEAT + SLACK


async def test_the_operating_system_watches_every_connection(new: Any, url: str) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    connection = await connections.connect()
    look = connection._socket.getsockopt
    assert look(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert look(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == HEARTBEAT * 1000
        idle, interval, count = (
            look(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count <= HEARTBEAT + 1
    connection.terminate()


async def test_a_statement_that_takes_too_long_leaves_its_connection_usable(
    new: Any, url: str, proxy: Proxy
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match="statement timeout"):
        await connections.fetch("SELECT pg_sleep(60)")
    assert time.monotonic() - began < HEARTBEAT + SLACK
    await connections.fetch("SELECT 1")
    assert proxy.accepted == 1


async def test_a_statement_that_waits_for_a_lock_too_long_says_so(
    new: Any, url: str, admin: asyncpg.Connection
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    async with admin.transaction():
        await admin.execute("SELECT pg_advisory_xact_lock(4711)")
        with pytest.raises(DatabaseUnavailableError, match="lock timeout"):
            await connections.fetch("SELECT pg_advisory_xact_lock(4711)")


# --- absence


async def test_an_outage_is_logged_once_however_many_wait(
    new: Any, url: str, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kern")
    connections = await new(url)
    await fill(connections, 4)
    proxy.cut()
    waiting = [
        asyncio.create_task(until_available(lambda: connections.fetch("SELECT 1")))
        for _ in range(30)
    ]
    await asyncio.sleep(1.1)
    assert not any(each.done() for each in waiting)
    proxy.mend()
    async with asyncio.timeout(20):
        await asyncio.gather(*waiting)
    [away, back] = outages(caplog)
    assert f"127.0.0.1:{proxy.port}" in away.getMessage()
    assert away.levelname == "WARNING"
    assert re.search(r"is back after \d+\.\d s$", back.getMessage())
    assert away.exc_info is None
    assert back.exc_info is None


async def test_statements_go_on_after_their_connections_were_cut(
    new: Any, url: str, proxy: Proxy
) -> None:
    connections = await new(url)
    for _ in range(8):
        sleeping = [
            asyncio.create_task(until_available(lambda: connections.fetch("SELECT pg_sleep(0.05)")))
            for _ in range(6)
        ]
        await asyncio.sleep(0.02)
        proxy.cut(refuse=False)
        await asyncio.gather(*sleeping)


async def test_sessions_that_an_administrator_ends_are_replaced(
    new: Any, url: str, admin: asyncpg.Connection
) -> None:
    connections = await new(url)
    await fill(connections, 4)
    sleeping = asyncio.create_task(connections.fetch("SELECT pg_sleep(20), 'to be ended'"))
    end = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'kern' AND pid <> pg_backend_pid()"
    )
    begun = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1 AND state = 'active'"
    async with asyncio.timeout(20):
        while not await admin.fetchval(begun, "SELECT pg_sleep(20), 'to be ended'%"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await admin.fetchval(end) >= 4
    with pytest.raises(DatabaseUnavailableError):
        await sleeping
    assert await until_available(lambda: connections.fetch("SELECT 1"))


async def test_a_cancelled_statement_does_not_hold_its_caller(
    new: Any, url: str, proxy: Proxy
) -> None:
    connections = await new(url)
    await connections.fetch("SELECT 1")
    proxy.freeze()
    sending = asyncio.create_task(connections.fetch("SELECT 1"))
    await asyncio.sleep(0.1)
    sending.cancel()
    await asyncio.wait({sending}, timeout=PATIENT / 3)
    assert sending.cancelled()
    proxy.thaw()
    await connections.fetch("SELECT 1")


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.nightly)])
async def test_connecting_can_be_cancelled_at_any_moment_without_complaints(
    new: Any, url: str, step: int
) -> None:
    connections = await new(url)
    for moment in range(0, 150, step):
        connecting = asyncio.create_task(connections.connect())
        for _ in range(moment):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait({connecting})
        if not connecting.cancelled():
            connecting.result().terminate()


async def test_a_transaction_is_unknown_only_where_its_commit_was_not_answered(
    new: Any, url: str, proxy: Proxy
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)

    async def break_off() -> None:
        async with connections.transaction() as connection:
            await connection.fetch("SELECT 1")
            proxy.cut(refuse=False)
            await connection.fetch("SELECT 1")

    async def break_at_the_end() -> None:
        async with connections.transaction() as connection:
            await connection.fetch("SELECT 1")
            proxy.freeze_open()

    with pytest.raises(DatabaseUnavailableError, match="cannot be reached") as raised:
        await break_off()
    assert not isinstance(raised.value, OutcomeUnknownError)
    with pytest.raises(OutcomeUnknownError):
        await break_at_the_end()
    await until_available(lambda: connections.fetch("SELECT 1"))


async def test_a_transaction_is_rolled_back_by_what_its_user_raises(
    new: Any, url: str, proxy: Proxy, admin: asyncpg.Connection, table: str
) -> None:
    connections = await new(url)

    async def create(then: Callable[[Any], Awaitable[object]]) -> None:
        async with connections.transaction() as connection:
            await connection.execute(f"CREATE TABLE kern.{table} ()")
            await then(connection)

    async def divide(_: Any) -> float:
        return 1 / 0

    await admin.execute("CREATE SCHEMA IF NOT EXISTS kern AUTHORIZATION ai")
    with pytest.raises(ZeroDivisionError):
        await create(divide)
    with pytest.raises(DatabaseError, match="does not exist"):
        await create(lambda connection: connection.execute("SELECT * FROM nowhere"))
    assert await admin.fetchval("SELECT to_regclass($1)", f"kern.{table}") is None
    assert proxy.accepted == 1


# --- what passes, and what does not


RAISE = "SELECT test_raise($1)"


@pytest.fixture
async def raising(admin: asyncpg.Connection) -> AsyncIterator[None]:
    await admin.execute("""
CREATE OR REPLACE FUNCTION test_raise(code text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = code; END $$""")
    yield
    await admin.execute("DROP FUNCTION test_raise(text)")


@pytest.mark.usefixtures("raising")
@pytest.mark.parametrize(
    ("sqlstate", "passes"),
    [
        *((code, True) for code in ("08006", "53000", "53100", "53200", "53300", "57P01")),
        *((code, True) for code in ("57P02", "57P03", "57P05", "40001", "40P01", "25006")),
        *((code, True) for code in ("55P03", "57014", "58030", "25P03", "25P04")),
        *((code, False) for code in ("23505", "22P05", "42P01", "42501", "XX001", "P0001")),
    ],
)
async def test_an_error_code_tells_what_passes_by_itself(
    new: Any, url: str, sqlstate: str, passes: bool
) -> None:
    connections = await new(url)
    with pytest.raises(DatabaseError, match="raised") as raised:
        await connections.fetch(RAISE, sqlstate)
    assert isinstance(raised.value, DatabaseUnavailableError) is passes
    assert await connections.fetch("SELECT 1")


async def test_a_server_that_is_read_only_for_a_while_is_waited_for(
    new: Any, url: str, postgres: EmbeddedPostgres, table: str
) -> None:
    connections = await new(url)
    await connections.fetch(f"CREATE TABLE {table} (number int)")
    superuser = await asyncpg.connect(postgres.superuser_url)
    await superuser.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        await superuser.execute("SELECT pg_reload_conf()")
        write = f"INSERT INTO {table} VALUES (1)"
        with pytest.raises(DatabaseUnavailableError, match="read-only"):  # noqa: PT012
            while True:  # The server takes its settings a moment later.
                await connections.fetch(write)
        writing = asyncio.create_task(until_available(lambda: connections.fetch(write)))
        await asyncio.sleep(1)
        assert not writing.done()
    finally:
        await superuser.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await superuser.execute("SELECT pg_reload_conf()")
        await superuser.close()
    async with asyncio.timeout(20):
        await writing


async def test_statements_that_deadlock_are_sent_again(
    new: Any, url: str, admin: asyncpg.Connection, table: str
) -> None:
    connections = await new(url, 8)
    await admin.execute(f"""
CREATE TABLE {table} (id int PRIMARY KEY, number int DEFAULT 0);
INSERT INTO {table} SELECT generate_series(1, 2);
GRANT ALL ON {table} TO ai;
CREATE FUNCTION {table}(one int, two int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {table} SET number = number + 1 WHERE id = one;
    PERFORM pg_sleep(0.02);
    UPDATE {table} SET number = number + 1 WHERE id = two;
END $$""")
    await asyncio.gather(
        *(connections.fetch(f"SELECT {table}($1, $2)", *pair) for pair in [(1, 2), (2, 1)])
    )
    assert await admin.fetchval(f"SELECT sum(number) FROM {table}") == 4
    await admin.execute(f"DROP FUNCTION {table}; DROP TABLE {table}")


async def test_sessions_ask_for_what_kern_needs_whatever_the_database_says(
    new: Any, postgres: EmbeddedPostgres, admin: asyncpg.Connection, table: str
) -> None:
    await admin.execute(f"CREATE DATABASE {table} OWNER ai")
    for setting in ("default_transaction_isolation = serializable", "statement_timeout = 100"):
        await admin.execute(f"ALTER DATABASE {table} SET {setting}")
    connections = await new(postgres.url.removesuffix("/ai") + f"/{table}")
    [row] = await connections.fetch(
        "SELECT current_setting('transaction_isolation'), current_setting('application_name'), "
        "pg_sleep(0.3)"
    )
    assert row[:2] == ("read committed", "kern")
    await connections.fetch("CREATE TABLE counter AS SELECT 0 AS number")
    await asyncio.gather(
        *(connections.fetch("UPDATE counter SET number = number + 1") for _ in range(50))
    )
    assert (await connections.fetch("SELECT number FROM counter"))[0]["number"] == 50
    connections.terminate()
    await admin.execute(f"DROP DATABASE {table} WITH (FORCE)")


# --- listening


class Told:
    """What a listener has said."""

    def __init__(self) -> None:
        self.payloads: list[str] = []
        self.lost = self.back = 0

    def lose(self) -> None:
        self.lost += 1

    def return_(self) -> None:
        self.back += 1


async def listen(connections: Connections, channel: str) -> tuple[Any, Told]:
    told = Told()
    listener = connections.listener(
        channel, told.payloads.append, lost=told.lose, back=told.return_
    )
    await listener.start()
    return listener, told


async def test_a_listener_whose_connection_is_silent_says_so_and_recovers(
    new: Any, url: str, proxy: Proxy, postgres: EmbeddedPostgres, admin: asyncpg.Connection
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    listener, told = await listen(connections, "frozen")
    await asyncio.sleep(0.5)
    assert told.lost == 0
    proxy.freeze_open()
    noticed = await within(HEARTBEAT + SLACK, lambda: told.lost)
    recovered = await within(HEARTBEAT + SLACK, lambda: told.back)
    print(f"noticed after {noticed:.1f} s, recovered after {recovered:.1f} s more")
    await admin.execute("NOTIFY frozen, 'heard'")
    await within(20, lambda: told.payloads == ["heard"])
    await listener.close()


async def test_a_listener_whose_server_process_is_stopped_is_given_another(
    new: Any, url: str, admin: asyncpg.Connection
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    listener, told = await listen(connections, "stopped")
    pid = listener.listener._connection.get_server_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        await within(HEARTBEAT + SLACK, lambda: told.lost)
        await within(HEARTBEAT + SLACK, lambda: told.back)
        await admin.execute("NOTIFY stopped, 'heard'")
        await within(20, lambda: told.payloads == ["heard"])
    finally:
        os.kill(pid, signal.SIGCONT)
    await listener.close()


async def test_a_listener_comes_back_with_its_database(
    new: Any,
    url: str,
    proxy: Proxy,
    admin: asyncpg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "kern")
    connections = await new(url)
    listener, told = await listen(connections, "away")
    proxy.cut()
    await within(20, lambda: told.lost)
    await asyncio.sleep(0.5)
    assert told.back == 0
    proxy.mend()
    await within(20, lambda: told.back)
    await admin.execute("NOTIFY away, 'heard'")
    await within(20, lambda: told.payloads == ["heard"])
    assert [each.levelname for each in outages(caplog)] == ["WARNING", "INFO"]
    await listener.close()


async def test_what_arrives_spares_a_listener_its_probe(
    new: Any, url: str, admin: asyncpg.Connection
) -> None:
    connections = await new(url, heartbeat=HEARTBEAT)
    listener, told = await listen(connections, "busy")
    sent: list[str] = []
    notify = listener.listener._notify

    async def counting(channel: str, payload: str) -> None:
        sent.append(channel)
        await notify(channel, payload)

    listener.listener._notify = counting
    longest = HEARTBEAT
    while longest > HEARTBEAT / 2:  # A probe would be due after two thirds of a heartbeat.
        sent.clear()
        longest = 0.0
        for _ in range(9):
            began = time.monotonic()
            await admin.execute("NOTIFY busy")
            await asyncio.sleep(HEARTBEAT / 10)
            longest = max(longest, time.monotonic() - began)
    assert len(sent) <= 1  # The first one may still have been under way.
    await within(HEARTBEAT + SLACK, lambda: len(sent) > 1)
    assert told.lost == 0
    await listener.close()


# --- sharing


async def sessions(admin: asyncpg.Connection, name: str) -> int:
    count: int = await admin.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name
    )
    return count


async def no_sessions(admin: asyncpg.Connection, name: str) -> None:
    async with asyncio.timeout(20):
        while await sessions(admin, name):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_databases_made_for_each_request_share_their_connections(
    postgres: EmbeddedPostgres, table: str, admin: asyncpg.Connection, monkeypatch: Any
) -> None:
    monkeypatch.setattr("kern.aio.shared._LINGER", 60.0)
    url = f"{postgres.url}?application_name={table}"

    async def request() -> None:
        database = PostgresDb(url, table, pool_size=4)
        assert await (await database.store()).get("run") is None

    for _ in range(5):
        await asyncio.gather(*(request() for _ in range(10)))
        assert await sessions(admin, table) <= 4
    assert await sessions(admin, table) >= 1
    monkeypatch.setattr("kern.aio.shared._LINGER", 0.05)
    await request()
    gc.collect()
    await no_sessions(admin, table)


async def test_a_database_closes_with_the_last_of_those_who_share_it(
    postgres: EmbeddedPostgres, table: str, admin: asyncpg.Connection
) -> None:
    url = f"{postgres.url}?application_name={table}"
    async with PostgresDb(url, table) as one:
        other = PostgresDb(url, table)
        assert await one.store() is await other.store()
        assert await (await one.store()).get("run") is None
    assert await (await other.store()).get("run") is None
    assert await sessions(admin, table) >= 1
    await other.aclose()
    await no_sessions(admin, table)
    assert await (await one.store()).get("run") is None
    await one.aclose()
    await no_sessions(admin, table)


async def test_databases_that_differ_share_nothing(postgres: EmbeddedPostgres, table: str) -> None:
    store = await PostgresDb(postgres.url, table).store()
    for other in (
        PostgresDb(postgres.url, f"{table}_other"),
        PostgresDb(postgres.url, table, pool_size=2),
        PostgresDb(postgres.url, table, f"schema_{table}"),
        PostgresDb(f"{postgres.url}?application_name=mine", table),
    ):
        assert await other.store() is not store
        await other.aclose()


def test_each_loop_has_its_own_and_close_closes_that_of_another_thread(
    postgres: EmbeddedPostgres, table: str
) -> None:
    database = PostgresDb(f"{postgres.url}?application_name={table}", table)

    async def use() -> None:
        store = await database.store()
        await store.get("run")
        with pytest.raises(Exception, match="aclose"):
            database.close()
        other = await asyncio.to_thread(lambda: asyncio.run(database.store()))
        assert other is not store
        await asyncio.to_thread(database.close)
        admin = await asyncpg.connect(postgres.superuser_url)
        await no_sessions(admin, table)
        await admin.close()

    asyncio.run(use())
