"""The connections to one PostgreSQL, and what its driver's errors mean."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg

from kern.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError

# How long a statement waits for the pool before a connection is opened beside it, in seconds.
_LONGEST_WAIT = 5.0

# How a statement is told that its connection, or the server, is going away. The driver calls it a
# fault of its own where the server has said so before the statement was sent.
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,
)

# Every statement is guarded and stands alone, so one that lost a deadlock is sent again.
_TRIES = 5


Connection: TypeAlias = "asyncpg.Connection | asyncpg.pool.PoolConnectionProxy"


class Connections:
    """A pool, and what is done when that has nothing to give.

    Attributes:
        pool: where the statements are sent.
        connect: opens a connection beside the pool.
        address: where the database is, for errors.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        address: str,
    ) -> None:
        self.pool = pool
        self.connect = connect
        self.address = address
        self._beside = asyncio.Lock()

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Return the rows that a statement gives, in a transaction of its own.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            DatabaseError: it refused.
        """
        with reporting(self.address):
            for tries_left in reversed(range(_TRIES)):
                async with self._connection() as connection:
                    try:
                        return await connection.fetch(statement, *values)
                    except asyncpg.DeadlockDetectedError:
                        if not tries_left:
                            raise
        raise AssertionError("the last try returns or raises")

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection, None]:
        """Hand out a connection in a transaction, which commits at the end.

        Raises:
            DatabaseError: as :meth:`fetch` does.
        """
        with reporting(self.address):
            async with self._connection() as connection, connection.transaction():
                yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection, None]:
        connection = await self._free_connection()
        if connection is None:
            # asyncio.run, which is ending, may have interrupted so many releases that no
            # connection will ever come back. If the pool is only busy, one more does no harm.
            async with self._beside:
                alone = await self.connect()
                try:
                    yield alone
                finally:
                    alone.terminate()
            return
        try:
            yield connection
        except asyncpg.InternalClientError:
            connection.terminate()  # It is of no use to those who would get it next.
            raise
        finally:
            await self.pool.release(connection)

    async def _free_connection(self) -> "asyncpg.pool.PoolConnectionProxy | None":
        """Return one of the pool; None where there was none for long, and no other help is."""
        while True:
            try:
                return await self.pool.acquire(timeout=_LONGEST_WAIT)
            except TimeoutError:
                if not self._beside.locked():
                    return None


@contextmanager
def reporting(address: str) -> Iterator[None]:
    """Turn the driver's errors into kern's, which say where the database is and what to do."""
    try:
        yield
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise ConfigurationError(f"db_url cannot be used: {error}") from error
    except asyncpg.InvalidCatalogNameError as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {address} has no such database: {error}. Create it, or correct db_url."
        ) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {address} does not let us in: {error}. Correct the user and password "
            "in db_url."
        ) from error
    except asyncpg.TooManyConnectionsError as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {address} has no connection left for us: {error}. Raise its "
            "max_connections, or lower pool_size."
        ) from error
    except asyncpg.DeadlockDetectedError as error:
        raise DatabaseUnavailableError(f"PostgreSQL at {address} was too busy: {error}") from error
    except (OSError, asyncpg.PostgresError, *_LOST, asyncpg.InterfaceError) as error:
        if isinstance(error, (OSError, *_LOST)) or _is_gone(error):
            raise DatabaseUnavailableError(
                f"PostgreSQL at {address} cannot be reached: {error or type(error).__name__}. "
                "Start it, or correct db_url; `kern db up` starts one on port 5532 of this machine."
            ) from error
        raise DatabaseError(f"PostgreSQL at {address} refused: {error}") from error


def _is_gone(error: Exception) -> bool:
    """Say whether a connection was lost between two statements, of which only the text tells."""
    return isinstance(error, asyncpg.InterfaceError) and any(
        words in str(error) for words in ("connection is closed", "released back", "in progress")
    )
