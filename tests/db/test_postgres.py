"""How PostgreSQL is named, and what is said where that cannot work."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from stores import LEASE, Recorder, ending, new_run, settled_as

from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.db.values import Kind, Signal
from kern.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus

URL = "postgresql://ai:ai@localhost:5432/ai"
PASSWORD = "hunter2"


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"]
)
@pytest.mark.parametrize("query", ["", "?application_name=mine", "?sslmode=prefer"])
async def test_a_url_of_any_driver_opens_the_database(
    postgres: EmbeddedPostgres, postgres_db: PostgresDb, scheme: str, query: str
) -> None:
    url = postgres.url.replace("postgresql", scheme, 1) + query
    store = await PostgresDb(url, postgres_db.session_table).store()
    assert await store.submit(new_run()) is not None
    assert await store.get("run") is not None


@pytest.mark.parametrize(
    "url",
    [
        5432,
        b"postgresql://ai:hunter2@localhost/ai",
        "",
        PASSWORD,
        f"ai:{PASSWORD}@localhost/ai",
        f"{PASSWORD}:ai@localhost/ai",
        f"mysql://ai:{PASSWORD}@localhost/ai",
        f"sqlite:///{PASSWORD}",
        f"postgresql:/ai:{PASSWORD}@localhost/ai",
        f"postgresql+://ai:{PASSWORD}@localhost/ai",
        f"postgresql://ai:{PASSWORD}@localhost:port/ai",
        f"postgresql://ai:{PASSWORD}@localhost:99999/ai",
        f"postgresql://ai:{PASSWORD}@[::1/ai",
        f"postgresql://ai:{PASSWORD}/@localhost:5432/ai",
        f"postgresql://ai:{PASSWORD}?@localhost:5432/ai",
        f"postgresql://ai:{PASSWORD}#@localhost:5432/ai",
        f"postgresql://ai:5432/{PASSWORD}@localhost:5432/ai",
        f"postgresql://ai:5432#{PASSWORD}@localhost:5432/ai",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_without_its_password(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="db_url") as raised:
        PostgresDb(url)
    error: BaseException | None = raised.value
    while error is not None:
        assert PASSWORD not in str(error)
        error = None if error.__suppress_context__ else error.__context__


async def test_a_url_with_a_wrong_parameter_is_refused() -> None:
    database = PostgresDb(f"postgresql://ai:{PASSWORD}@127.0.0.1:1/ai?sslmode=perhaps")
    with pytest.raises(ConfigurationError, match="sslmode") as raised:
        await database.store()
    assert PASSWORD not in str(raised.value)


def test_a_database_shows_its_address_and_not_its_password() -> None:
    database = PostgresDb(f"postgresql://ai:{PASSWORD}@db.example:6000/ai", "runs_of_mine", "mine")
    assert repr(database) == 'PostgresDb(\'db.example:6000\', "mine"."runs_of_mine")'
    assert "localhost:5432" in repr(PostgresDb(f"postgres://ai:{PASSWORD}@localhost/ai"))


# --- what cannot be reached


async def failure(url: str) -> str:
    with pytest.raises(DatabaseUnavailableError) as raised:
        await PostgresDb(url).store()
    return str(raised.value)


async def test_an_unreachable_server_is_named_with_the_way_to_start_one() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        said = await failure(f"postgresql://ai:{PASSWORD}@127.0.0.1:{port}/ai")
    assert f"127.0.0.1:{port}" in said
    assert "kern db up" in said
    assert PASSWORD not in said


async def test_a_server_that_hangs_up_is_named() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert f"127.0.0.1:{port}" in await failure(f"postgresql://ai:ai@127.0.0.1:{port}/ai")


async def test_a_wrong_password_is_said_and_not_shown(postgres: EmbeddedPostgres) -> None:
    said = await failure(postgres.url.replace(":ai@", f":{PASSWORD}@"))
    assert "password" in said
    assert f"127.0.0.1:{postgres.port}" in said
    assert PASSWORD not in said


async def test_an_unknown_user_is_said(postgres: EmbeddedPostgres) -> None:
    said = await failure(postgres.url.replace("//ai:", "//nobody:"))
    assert '"nobody"' in said


async def test_a_missing_database_is_said(postgres: EmbeddedPostgres) -> None:
    said = await failure(postgres.url + "_missing")
    assert '"ai_missing" does not exist' in said
    assert f"127.0.0.1:{postgres.port}" in said


async def test_a_database_that_could_not_be_reached_is_tried_again(
    postgres: EmbeddedPostgres, table: str
) -> None:
    database = PostgresDb(postgres.url.removesuffix("/ai") + f"/{table}")
    with pytest.raises(DatabaseUnavailableError):
        await database.store()
    admin = await asyncpg.connect(postgres.url)
    await admin.execute(f"CREATE DATABASE {table}")
    assert await (await database.store()).get("run") is None
    await database.aclose()
    await admin.execute(f"DROP DATABASE {table}")
    await admin.close()


@pytest.fixture
async def role(postgres: EmbeddedPostgres, table: str) -> AsyncIterator[str]:
    """The URL of a user who may connect twice and create nothing but in the schema ``table``."""
    name = f"role_{table}"
    admin = await asyncpg.connect(postgres.superuser_url)
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'ai' CONNECTION LIMIT 2")
    await admin.execute(f"CREATE SCHEMA {table} AUTHORIZATION {name}")
    yield postgres.url.replace("//ai:", f"//{name}:")
    await admin.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")
    await admin.close()


async def test_a_server_without_a_free_connection_is_said(role: str, table: str) -> None:
    taken = [await asyncpg.connect(role) for _ in range(2)]
    assert "pool_size" in await failure(role)
    for connection in taken:
        await connection.close()
    store = await PostgresDb(role, db_schema=table).store()
    assert await store.get("run") is None


async def test_a_user_who_may_not_create_schemas_can_use_one_that_exists(
    role: str, table: str
) -> None:
    store = await PostgresDb(role, db_schema=table).store()
    assert await store.submit(new_run()) is not None
    with pytest.raises(DatabaseError, match="permission denied"):
        await PostgresDb(role, db_schema=f"{table}_other").store()


# --- names

NAMED: dict[str, Callable[[Any], Database]] = {
    "session_table": lambda name: PostgresDb(URL, session_table=name),
    "db_schema": lambda name: PostgresDb(URL, db_schema=name),
    "session_table in SQLite": lambda name: SqliteDb("kern.db", session_table=name),
    "session_table in memory": InMemoryDb,
}

NO_IDENTIFIERS = [
    7,
    b"runs",
    "",
    " ",
    "1st",
    "x; drop table y",
    'x"; drop table y; --',
    "x'y",
    "kern.sessions",
    "with-hyphen",
    "naïve",
    "бег",
    "runs\n",
    "runs\x00",
    "x" * 41,
    "x" * 60,
    "{runs}",
]


@pytest.mark.parametrize("what", NAMED)
@pytest.mark.parametrize("name", NO_IDENTIFIERS, ids=ascii)
def test_a_name_that_is_no_identifier_is_refused(what: str, name: Any) -> None:
    with pytest.raises(ConfigurationError, match=what.split()[0]) as raised:
        NAMED[what](name)
    assert repr(name) in str(raised.value)


@pytest.mark.parametrize("schema", ["Kern", "pg_kern", "PG_KERN"])
def test_a_schema_that_postgres_would_not_find_again_is_refused(schema: str) -> None:
    with pytest.raises(ConfigurationError, match="lower case"):
        PostgresDb(URL, db_schema=schema)


@pytest.mark.parametrize("pool_size", [1, 0, -1])
def test_a_pool_that_is_too_small_is_refused(pool_size: int) -> None:
    with pytest.raises(ConfigurationError, match="pool_size"):
        PostgresDb(URL, pool_size=pool_size)


@pytest.mark.parametrize("name", ["user", "order", "select", "CamelCase", "_", "x" * 40])
@pytest.mark.parametrize("kind", ["postgres", "sqlite", "memory"])
async def test_every_identifier_names_a_table_even_a_word_of_sql(
    request: pytest.FixtureRequest, tmp_path: Path, table: str, kind: str, name: str
) -> None:
    if kind == "memory":
        database: Database = InMemoryDb(name)
    elif kind == "sqlite":
        database = SqliteDb(tmp_path / "kern.db", name)
    else:
        url = request.getfixturevalue("postgres").url
        database = PostgresDb(url, name, f"schema_{table}")
    store = await database.store()
    await store.submit(new_run(lease=LEASE))
    await store.watch("run")
    recorder = Recorder()
    await store.listen(recorder)
    assert settled_as(await store.settle(ending())) is RunStatus.completed
    await recorder.gets(Signal(Kind.changed, "run"))
    await store.submit(new_run("next"))
    assert await store.history("session", "next", 1) == [("run", ending().output)]


async def test_a_schema_that_is_a_word_of_sql_is_refused(postgres: EmbeddedPostgres) -> None:
    """PgQueuer cannot use it."""
    for word in ("user", "order", "between", "left"):
        with pytest.raises(ConfigurationError, match=f"'{word}' is a word of SQL"):
            await PostgresDb(postgres.url, db_schema=word).store()
