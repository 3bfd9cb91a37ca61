"""A caller's own connection to the same database, in whose transaction a run is accepted."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

from kern.db.postgres.connections import Connection
from kern.db.postgres.statements.accepting import LOCK_TIMEOUT
from kern.errors import ConfigurationError

# Where a connection leads: the same server, started at the same moment, and the same database.
SERVER = """
SELECT pg_postmaster_start_time()::text || ' ' || oid AS server FROM pg_database
WHERE datname = current_database()"""

_SAVEPOINT = "kern_submit"


async def asyncpg_connection(connection: object) -> Connection:
    """Return the asyncpg connection behind what a caller has, in its transaction.

    Args:
        connection: of asyncpg, or SQLAlchemy's ``AsyncConnection`` or ``AsyncSession`` over it.

    Raises:
        ConfigurationError: it is anything else, or in no transaction.
    """
    found = connection
    # It was imported, if there is an object of it.
    if sqlalchemy := sys.modules.get("sqlalchemy.ext.asyncio"):
        if isinstance(found, sqlalchemy.AsyncSession):
            found = await found.connection()
        if isinstance(found, sqlalchemy.AsyncConnection):
            # SQLAlchemy begins a transaction in the database with its first statement only.
            await found.exec_driver_sql("SELECT 1")
            found = (await found.get_raw_connection()).driver_connection
    if not isinstance(found, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        raise ConfigurationError(
            "connection must be one of asyncpg, or an AsyncConnection or AsyncSession of "
            f"SQLAlchemy over asyncpg, not {type(found).__module__}.{type(found).__qualname__}."
        )
    if not found.is_in_transaction():
        raise ConfigurationError(
            "connection is in no transaction, so there is nothing that would commit the run. "
            "Begin one first, as in `async with connection.transaction():`."
        )
    return found


@asynccontextmanager
async def briefly(connection: Connection) -> AsyncGenerator[None, None]:
    """Wait for locks no longer than kern may, and leave the transaction as it was.

    A statement that fails within it is undone alone.
    """
    before = await connection.fetchval("SELECT current_setting('lock_timeout')")
    shortly = round(1000 * LOCK_TIMEOUT)
    await connection.execute(f"SAVEPOINT {_SAVEPOINT}; SET LOCAL lock_timeout = {shortly}")
    try:
        yield
    except asyncpg.PostgresError:
        # It takes the setting back as well.
        await connection.execute(f"ROLLBACK TO {_SAVEPOINT}; RELEASE {_SAVEPOINT}")
        raise
    await connection.execute(f"RELEASE {_SAVEPOINT}; SET LOCAL lock_timeout = '{before}'")
