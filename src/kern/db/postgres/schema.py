"""The tables in PostgreSQL: made and migrated on first use, forward only."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import asyncpg

from kern.db.postgres.migrations import MIGRATIONS
from kern.db.postgres.names import Names
from kern.db.values import TablesVersion
from kern.errors import ConfigurationError, SchemaVersionError

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.queries import Queries


async def migrate(connection: asyncpg.Connection, names: Names) -> None:
    """Bring the tables of ``names`` to this version of kern.

    Safe when many processes start at once: one makes the changes, the others wait for it.

    Raises:
        ConfigurationError: the schema's name cannot be used.
        SchemaVersionError: the tables are newer than this version of kern.
    """
    if await _version(connection, names) == len(MIGRATIONS):
        return
    # Loaded before the transaction: a server ends those that are idle for long.
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

    from kern.db.queue_tables import queue_queries

    queue = queue_queries(AsyncpgDriver(connection), names.schema)
    async with connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"kern/{names.schema}"
        )
        version = await _version(connection, names)
        if version is None:
            await _begin(connection, names, queue)
        for statement in _statements(names, version or 0):
            await connection.execute(statement)


def migration_sql(names: Names) -> str:
    """Return the SQL that makes the tables of ``names`` in a schema that does not exist yet."""
    from kern.db.queue_tables import install_sql

    statements = (
        f'CREATE SCHEMA "{names.schema}"',
        _versions_table(names),
        install_sql(names.schema).rstrip().removesuffix(";"),
        *_statements(names, 0),
    )
    return "BEGIN;\n\n" + ";\n\n".join(map(str.strip, statements)) + ";\n\nCOMMIT;\n"


async def tables_version(connection: asyncpg.Connection, names: Names) -> TablesVersion:
    """Return the version of the tables of ``names``, which are left as they are."""
    return TablesVersion(await _found_version(connection, names), len(MIGRATIONS))


def _statements(names: Names, version: int) -> Iterator[str]:
    """Yield what brings the tables from a version to the newest."""
    known = {
        each: getattr(names, each)
        for each in (
            *("sessions", "runs", "positions", "events", "webhooks", "processes", "tick"),
            *(
                "blobs",
                "schedules",
                "budgets",
                "states",
                "approvals",
                "keys",
                "figures",
                "memories",
                "components",
                "contents",
                "queue",
                "enqueue",
                "sessions_of_users",
            ),
        )
    }
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            yield statement.format(**known)
    yield (
        f"INSERT INTO {names.versions} VALUES ('{names.session_table}', {len(MIGRATIONS)}) "
        "ON CONFLICT (name) DO UPDATE SET version = excluded.version"
    )


def _versions_table(names: Names) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {names.versions} "
        "(name text PRIMARY KEY, version integer NOT NULL)"
    )


async def _found_version(connection: asyncpg.Connection, names: Names) -> int | None:
    # Not to_regclass(): after the wait for the lock it answers as it would have before.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = $2)",
        names.schema,
        "kern_versions",
    ):
        return None
    version: int | None = await connection.fetchval(
        f"SELECT version FROM {names.versions} WHERE name = $1", names.session_table
    )
    return version


async def _begin(connection: asyncpg.Connection, names: Names, queue: "Queries") -> None:
    # PgQueuer writes the schema without quotes.
    if await connection.fetchval(
        "SELECT catcode <> 'U' FROM pg_get_keywords() WHERE word = $1", names.schema
    ):
        raise ConfigurationError(f"db_schema {names.schema!r} is a word of SQL. Choose another.")
    # Not IF NOT EXISTS: that needs the right to create schemas although there is one.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", names.schema
    ):
        await connection.execute(f'CREATE SCHEMA "{names.schema}"')
    await connection.execute(_versions_table(names))
    if not await queue.schema_is_installed():
        await queue.install(create_schema=False)


async def _version(connection: asyncpg.Connection, names: Names) -> int | None:
    version = await _found_version(connection, names)
    if version is not None and version > len(MIGRATIONS):
        raise SchemaVersionError(
            f"The tables of {names.sessions} have version {version}; this kern knows versions up "
            f"to {len(MIGRATIONS)}. Upgrade kern, or name another session_table."
        )
    return version
