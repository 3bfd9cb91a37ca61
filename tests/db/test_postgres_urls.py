"""Connection strings, as people and providers write them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from database_proxy import proxy_to

from kern.db.postgres import PostgresDb
from kern.db.postgres.address import Host, parse_address
from kern.db.postgres.connector import Connector, Session
from kern.errors import ConfigurationError, DatabaseUnavailableError
from kern.local.postgres import EmbeddedPostgres

PROVIDERS = {
    "neon": "postgresql://app:s3%2Fcr%40t@ep-cool-1.eu-central-1.aws.neon.tech/neondb"
    "?sslmode=require&channel_binding=require",
    "neon, options": "postgres://app:pw@ep-cool-1.aws.neon.tech/neondb"
    "?options=endpoint%3Dep-cool-1&sslmode=verify-full",
    "supabase": "postgresql://postgres.ref:pw@aws-0-eu.pooler.supabase.com:6543/postgres"
    "?pgbouncer=true&connect_timeout=10",
    "azure": "postgresql://app%40tenant:pw@x.postgres.database.azure.com:5432/db?sslmode=require",
    "digital ocean": "postgresql://doadmin:pw@db-1.db.ondigitalocean.com:25060/defaultdb"
    "?sslmode=require",
    "crunchy, patroni": "postgresql://app:pw@one:5432,two:5433,three/db"
    "?target_session_attrs=read-write&keepalives=1&keepalives_idle=30&keepalives_interval=10"
    "&keepalives_count=3&tcp_user_timeout=5000",
    "heroku": "postgres://user:pw@ec2-1.compute-1.amazonaws.com:5432/d1",
    "cockroach": "postgresql://app:pw@free.cockroachlabs.cloud:26257/defaultdb"
    "?sslmode=verify-full&sslrootcert=system",
    "sqlalchemy": "postgresql+asyncpg://app:pw@host/db?ssl=require",
    "socket": "postgresql://app@%2Fvar%2Frun%2Fpostgresql/db",
    "socket, query": "postgresql:///db?host=/var/run/postgresql&user=app",
    "docker": "postgresql://app:pw@[::1]:5433/db?application_name=mine&gssencmode=disable",
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_providers_print_is_understood(provider: str) -> None:
    database = PostgresDb(PROVIDERS[provider])
    assert "pw" not in repr(database)


def test_the_parts_of_a_url_are_read() -> None:
    address = parse_address(PROVIDERS["neon"])
    assert (address.user, address.password, address.database) == ("app", "s3/cr@t", "neondb")
    assert address.hosts == (Host("ep-cool-1.eu-central-1.aws.neon.tech", None),)
    assert address.driver == "sslmode=require&target_session_attrs=any"
    assert "s3" not in repr(address)


def test_several_hosts_are_tried_in_order_and_written_to() -> None:
    address = parse_address(PROVIDERS["crunchy, patroni"])
    assert address.hosts == (Host("one", 5432), Host("two", 5433), Host("three", None))
    assert str(address) == "one:5432,two:5433,three:5432"
    assert "target_session_attrs=read-write" in address.driver
    assert "target_session_attrs=read-write" in parse_address("postgres://a,b/db").driver
    keepalive = address.keepalive
    assert (keepalive.idle, keepalive.interval, keepalive.count) == (30, 10, 3)
    assert keepalive.user_timeout == 5000
    query = parse_address("postgres:///db?host=a,b&port=1,2")
    assert query.hosts == (Host("a", 1), Host("b", 2))
    assert parse_address("postgres:///db?host=a,b&port=6000").hosts[1] == Host("b", 6000)


def test_other_ways_to_write_a_parameter_are_translated() -> None:
    assert "sslmode=require" in parse_address(PROVIDERS["sqlalchemy"]).driver
    assert "sslmode=disable" in parse_address("postgres://h/db?ssl=false").driver
    assert parse_address(PROVIDERS["supabase"]).pooled
    assert parse_address(PROVIDERS["supabase"]).connect_timeout == 10
    assert parse_address(PROVIDERS["cockroach"]).system_ca
    assert parse_address("postgres://h/db?connect_timeout=0").connect_timeout is None
    assert not parse_address("postgres://h/db?keepalives=0").keepalive.enabled
    address = parse_address("postgres://h/db?fallback_application_name=tool")
    assert address.settings == (("application_name", "tool"),)
    assert parse_address(PROVIDERS["docker"]).hosts == (Host("::1", 5433),)
    assert str(parse_address("postgres://[::1]/db")) == "[::1]:5432"
    assert parse_address(PROVIDERS["socket"]).hosts[0].name == "/var/run/postgresql"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("jit=off", "'jit'"),
        ("sslmode=require&connection_limit=5", "'connection_limit'"),
        ("require_auth=scram-sha-256", "'require_auth'"),
        ("target_session_attrs=standby", "read-write or primary"),
        ("target_session_attrs=prefer-standby", "read-write or primary"),
        ("connect_timeout=soon", "connect_timeout='soon'"),
        ("keepalives_idle=often", "keepalives_idle='often'"),
        ("sslmode", "cannot be read"),
        ("host=a,b,c&port=1,2", "cannot be read"),
        ("host=a&port=x", "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_named(query: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        PostgresDb(f"postgresql://app:pw@host/db?{query}")


def test_the_address_to_listen_is_named_in_its_errors() -> None:
    with pytest.raises(ConfigurationError, match="listen_url"):
        PostgresDb("postgresql://app@host/db", listen_url="mysql://app@host/db")


# --- opened for real


async def open_session(url: str, **keywords: Any) -> Session:
    return await Connector(parse_address(url, **keywords), 3, None).connect()


async def test_what_the_server_takes_reaches_it(postgres: EmbeddedPostgres) -> None:
    session = await open_session(
        f"{postgres.url}?application_name=mine&options=-c%20search_path%3Dours&channel_binding=prefer"
        "&connect_timeout=2&keepalives_idle=1&sslmode=prefer&client_encoding=utf8"
    )
    row = await session.fetchrow(
        "SELECT current_setting('application_name'), current_setting('search_path')"
    )
    assert tuple(row or ()) == ("mine", "ours")
    await session.close()


@pytest.fixture(params=["p@/ss:w?rd#%+ &=", "pässwörd-密码-🤖", "[::1]%41"])
async def password_user(
    postgres: EmbeddedPostgres, table: str, request: pytest.FixtureRequest
) -> AsyncIterator[str]:
    admin = await asyncpg.connect(postgres.superuser_url)
    await admin.execute(f"CREATE ROLE {table} LOGIN PASSWORD '{request.param}'")
    yield postgres.url.replace("//ai:ai@", f"//{table}:{quote(request.param, safe='')}@")
    await admin.execute(f"DROP ROLE {table}")
    await admin.close()


async def test_a_password_of_any_characters_lets_us_in(password_user: str) -> None:
    session = await open_session(password_user)
    await session.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:p%E4ss@host/db",
        "postgresql://%FF@host/db",
        "postgresql://app@host/d%80",
        "postgresql://app@host/db?password=p%E4ss",
        "postgresql://app:p[w@host/db",
        "postgresql://app:pw@[::1/db",
        "postgresql://app:pw@::1/db",
    ],
)
def test_what_has_no_single_meaning_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"db_url cannot be read.* UTF-8, as in %2F"):
        parse_address(url)


def test_hosts_are_written_as_on_the_internet() -> None:
    assert parse_address("postgresql://münchen.example/db").hosts[0].name == "münchen.example"
    assert parse_address("postgresql://m%C3%BCnchen.example/db").hosts[0].name == "münchen.example"
    assert parse_address("postgresql://[fe80::1%25eth0]:5433/db").hosts == (
        Host("fe80::1%eth0", 5433),
    )


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "UTF8"])
async def test_a_database_must_hold_every_text(
    postgres: EmbeddedPostgres, table: str, encoding: str
) -> None:
    admin = await asyncpg.connect(postgres.superuser_url)
    name = f"{table} für 数据"
    await admin.execute(
        f"CREATE DATABASE \"{name}\" OWNER ai TEMPLATE template0 ENCODING '{encoding}' "
        "LOCALE_PROVIDER libc LOCALE 'C'"
    )
    db = PostgresDb(f"{postgres.url.rpartition('/')[0]}/{quote(name)}")
    if encoding == "LATIN1":
        with pytest.raises(ConfigurationError, match=r"encoding LATIN1, .* ENCODING 'UTF8'"):
            await db.store()
    else:
        await db.store()
    await db.aclose()
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def test_the_first_host_that_can_be_written_to_is_used(
    postgres: EmbeddedPostgres, unused_tcp_port: int
) -> None:
    with proxy_to(postgres) as silent:
        silent.freeze()
        hosts = f"127.0.0.1:{unused_tcp_port},127.0.0.1:{silent.port},127.0.0.1:{postgres.port}"
        session = await open_session(postgres.url.replace(f"127.0.0.1:{postgres.port}", hosts))
        assert await session.fetchval("SELECT 1") == 1
        await session.close()


async def test_every_host_is_named_with_its_reason_where_none_will_do(
    postgres: EmbeddedPostgres, unused_tcp_port: int, table: str
) -> None:
    admin = await asyncpg.connect(postgres.superuser_url)
    await admin.execute(f"CREATE DATABASE {table}")
    await admin.execute(f"ALTER DATABASE {table} SET default_transaction_read_only = on")
    with proxy_to(postgres) as silent:
        silent.freeze()
        hosts = f"127.0.0.1:{unused_tcp_port},127.0.0.1:{silent.port},127.0.0.1:{postgres.port}"
        url = f"postgresql://ai:ai@{hosts}/{table}"
        with pytest.raises(DatabaseUnavailableError) as raised:
            await open_session(url)
    said = str(raised.value)
    assert f"127.0.0.1:{unused_tcp_port} cannot be reached: Connection refused" in said
    assert f"127.0.0.1:{silent.port} cannot be reached: it did not answer in time" in said
    assert f"127.0.0.1:{postgres.port} cannot be reached: it is read-only" in said
    await admin.execute(f"DROP DATABASE {table} WITH (FORCE)")
    await admin.close()


async def test_a_name_that_is_not_known_is_said(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(DatabaseUnavailableError, match=r"nowhere\.invalid:5432 cannot be reached"):
        await open_session("postgresql://ai:ai@nowhere.invalid/ai")


async def test_a_socket_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match=str(tmp_path)):
        await open_session(f"postgresql:///ai?host={tmp_path}&user=ai")


async def test_a_socket_is_connected_to(tmp_path: Path) -> None:
    accepted = asyncio.Event()

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        writer.close()

    path = tmp_path / ".s.PGSQL.5499"
    async with await asyncio.start_unix_server(hang_up, path):
        with pytest.raises(DatabaseUnavailableError):
            await open_session(f"postgresql:///ai?host={tmp_path}&port=5499&user=ai")
    assert accepted.is_set()


async def test_what_a_user_sets_for_keepalives_is_set(postgres: EmbeddedPostgres) -> None:
    session = await open_session(f"{postgres.url}?keepalives=0&tcp_user_timeout=7000")
    look = session._socket.getsockopt
    assert not look(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert look(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
    await session.close()
