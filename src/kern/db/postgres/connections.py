"""The connections to one PostgreSQL: a pool, a statement, a transaction, a listener."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg

from kern.aio.jitter import jitter
from kern.aio.limit import answered_within
from kern.db.postgres.connector import Connector, Session
from kern.db.postgres.listener import Listener, Subscription
from kern.db.postgres.reporting import is_lost, reporting, sqlstate
from kern.db.postgres.sqlstates import POOLED, Meaning, meaning
from kern.errors import DatabaseError, DatabaseUnavailableError

Connection: TypeAlias = "asyncpg.Connection | asyncpg.pool.PoolConnectionProxy"

# How long to wait at most before a statement that has collided with another is sent again: every
# statement is guarded and stands alone.
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2)


class Connections:
    """A pool, and what is done when that has nothing to give.

    Attributes:
        pool: where the statements are sent.
        address: where the database is, for errors.
        lock_timeout: the seconds that a statement may wait for a lock.
        patience: the seconds after which a connection, or a process, that is silent is lost.
    """

    def __init__(
        self, connector: Connector, pool_size: int, listening: Connector | None = None
    ) -> None:
        """Prepare; :meth:`open` comes next.

        Args:
            connector: opens the connections.
            pool_size: how many of them at most.
            listening: opens those on which notifications arrive, where that is another.
        """
        self.address = str(connector.address)
        self.lock_timeout = connector.lock_timeout
        self.patience = connector.patience
        self._connector = connector
        listening = listening or connector
        self._listener = Listener(
            listening.connect, self._notify, connector.patience, str(listening.address)
        )
        self.pool = asyncpg.create_pool(
            # The driver would replace connections in the background, and print what fails.
            min_size=0,
            max_size=pool_size,
            connect=self._open_pooled,
            connection_class=Session,
            reset=_keep_as_it_is,
        )
        self._trusted_since = 0.0
        self._beside = asyncio.Lock()

    async def open(self) -> None:
        """Make the pool ready; nothing is connected yet."""
        await self.pool

    def terminate(self) -> None:
        """Close every connection; nothing uses them any more."""
        self._listener.terminate()
        # Not close(): that waits for connections whose release asyncio.run has interrupted.
        self.pool.terminate()

    async def connect(self) -> asyncpg.Connection:
        """Open a connection beside the pool."""
        return await self._connector.connect()

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Return the rows that a statement gives, in a transaction of its own.

        Raises:
            DatabaseUnavailableError: the database cannot do it now.
            OutcomeUnknownError: it has not said whether it did.
            DatabaseError: it refused.
        """
        with reporting(self.address, sent=True):
            for pause in (*_PAUSES, None):
                try:
                    if self._connector.is_isolated:
                        async with self._connection() as connection, self._answered():
                            return await connection.fetch(statement, *values)
                    async with self.transaction() as connection:
                        return await connection.fetch(statement, *values)
                except (asyncpg.PostgresError, DatabaseError) as error:
                    if pause is None or not self._may_send_again(sqlstate(error)):
                        raise
                await asyncio.sleep(jitter.uniform(0, pause))
        raise AssertionError("the last try returns or raises")

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection, None]:
        """Hand out a connection in a transaction, which commits at the end.

        Raises:
            DatabaseUnavailableError: as :meth:`fetch`, and where it collided with another.
            OutcomeUnknownError: the database has not said whether it has committed.
            DatabaseError: as :meth:`fetch`.
        """
        with reporting(self.address, sent=True):
            async with self._connection() as connection, self._answered():
                transaction = connection.transaction(isolation="read_committed")
                with reporting(self.address):
                    await transaction.start()
                    try:
                        yield connection
                    except BaseException as error:
                        if not is_lost(error):
                            await transaction.rollback()
                        raise
                await transaction.commit()

    async def ping(self) -> None:
        """Make a round trip to the database and back, within a heartbeat.

        Raises:
            DatabaseUnavailableError: it did not answer.
        """
        await self.fetch("SELECT 1")

    def listener(
        self,
        channel: str,
        callback: Callable[[str], None],
        lost: Callable[[], None],
        back: Callable[[], None],
    ) -> Subscription:
        """Return what listens on a channel once it is started.

        Args:
            channel: the channel's name.
            callback: called with every payload.
            lost: called when notifications do not arrive any more.
            back: called when they do again; some may have been missed.
        """
        return Subscription(self._listener, channel, callback, lost, back)

    async def _notify(self, channel: str, payload: str) -> None:
        await self.fetch("SELECT pg_notify($1, $2)", channel, payload)

    def _answered(self) -> answered_within:
        return answered_within(self._connector.statement_timeout)

    def _may_send_again(self, code: str) -> bool:
        if code in POOLED:
            if not self._connector.is_pooled:
                self._connector.is_pooled = True
                self._distrust()
            return True
        return meaning(code) is Meaning.collided

    def _distrust(self) -> None:
        """Use none of the connections that are open now for another statement."""
        self._trusted_since = asyncio.get_running_loop().time()

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
        except BaseException as error:
            if is_lost(error):
                with suppress(asyncpg.InterfaceError):  # It is back in the pool already.
                    connection.terminate()
                if isinstance(error, Exception):  # The others go the same way.
                    self._distrust()
            raise
        finally:
            await self.pool.release(connection)

    async def _free_connection(self) -> "asyncpg.pool.PoolConnectionProxy | None":
        """Return one of the pool; None where there was none for long, and no other help is."""
        give_up_at = asyncio.get_running_loop().time() + self._connector.patience
        while True:
            try:
                if self.pool.get_idle_size():
                    connection = await self.pool.acquire()
                else:
                    # A little longer than connecting takes, which says itself what was wrong.
                    async with answered_within(1.2 * self._connector.connect_timeout):
                        connection = await self.pool.acquire()
            except TimeoutError:
                if not self._beside.locked():
                    return None
                if asyncio.get_running_loop().time() > give_up_at:
                    raise DatabaseUnavailableError(
                        f"All {self.pool.get_max_size()} connections to PostgreSQL at "
                        f"{self.address} were in use for {self._connector.patience:g} s. Raise "
                        "pool_size.",
                        address=self.address,
                    ) from None
                continue
            opened_at: float = connection.opened_at  # type: ignore[attr-defined] # by its proxy
            if opened_at >= self._trusted_since:
                return connection
            connection.terminate()
            await self.pool.release(connection)

    async def _open_pooled(self, *_: object, **__: object) -> Session:
        return await self._connector.connect()


async def _keep_as_it_is(_connection: asyncpg.Connection) -> None:
    """Kern's statements leave no state behind, so a released connection needs no reset."""
