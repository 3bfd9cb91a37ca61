"""Opens sessions of PostgreSQL that ask for what kern needs, and notice when nobody is there."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from kern.aio.jitter import jitter
from kern.aio.limit import answered_within
from kern.db.postgres.address import Address, Host, Keepalive
from kern.db.postgres.reporting import reporting
from kern.db.postgres.sqlstates import SETTING_REFUSED
from kern.errors import ConfigurationError, DatabaseUnavailableError

logger = logging.getLogger("kern")

# However short the heartbeat, the seconds that a healthy server under load may take.
_LEAST_PATIENCE = 3.0

# The driver's own limits count the time for which other code blocks the loop; these are only for
# what is sent without limits of ours.
_DRIVER_TIMEOUT = 60.0

# SQL_ASCII means that the server does not look at what it holds.
_ENCODINGS = ("UTF8", "SQL_ASCII")

# What a change of the tables may take, in seconds: it writes millions of rows anew.
_MIGRATION_TIMEOUT = 3600.0


class Session(asyncpg.Connection):
    """A connection that knows its age, and whose death the operating system notices.

    Attributes:
        opened_at: when it was opened, by the loop's clock.
    """

    def __init__(
        self, protocol: Any, transport: Any, loop: asyncio.AbstractEventLoop, *more: Any
    ) -> None:
        super().__init__(protocol, transport, loop, *more)
        self.opened_at = loop.time()
        self._socket: socket.socket = transport.get_extra_info("socket")

    def keep_alive(self, keepalive: Keepalive, patience: float) -> None:
        """Have the operating system probe the connection, and give up within ``patience``."""
        if self._socket.family == socket.AF_UNIX:
            return
        user_timeout = keepalive.user_timeout or round(patience * 1000)
        self._set(socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", user_timeout)
        self._set(socket.SOL_SOCKET, "SO_KEEPALIVE", int(keepalive.enabled))
        idle = keepalive.idle or max(1, round(patience / 3))
        self._set(socket.IPPROTO_TCP, "TCP_KEEPIDLE", idle)
        self._set(socket.IPPROTO_TCP, "TCP_KEEPALIVE", idle)  # its name on macOS
        interval = keepalive.interval or max(1, round(patience / 6))
        self._set(socket.IPPROTO_TCP, "TCP_KEEPINTVL", interval)
        self._set(socket.IPPROTO_TCP, "TCP_KEEPCNT", keepalive.count or 3)

    def _set(self, level: int, name: str, value: int) -> None:
        option: int | None = getattr(socket, name, None)
        if option is not None:
            self._socket.setsockopt(level, option, value)


class Connector:
    """Opens connections to one address, and learns what stands before it.

    Attributes:
        address: where to.
        patience: the seconds within which silence is noticed: connecting, or waiting for a
            connection, takes a third of it at most, a statement the rest.
        is_pooled: whether a pooler in transaction mode stands before the server, which mixes up
            prepared statements.
        is_isolated: whether transactions are READ COMMITTED without being asked one by one.
    """

    def __init__(self, address: Address, heartbeat: float, statement_cache: bool | None) -> None:
        """Prepare.

        Args:
            address: where to.
            heartbeat: the seconds within which a dead connection is to be noticed.
            statement_cache: whether sessions keep prepared statements; None finds out.
        """
        self.address = address
        self.patience = max(heartbeat, _LEAST_PATIENCE)
        self.is_pooled = address.pooled or statement_cache is False
        self._finds_out = statement_cache is None
        self.is_isolated = True
        self._asks = True
        self._left: set[asyncio.Task[Session]] = set()

    @property
    def connect_timeout(self) -> float:
        """The seconds that connecting may take."""
        return min(self.address.connect_timeout or self.patience, self.patience / 3)

    @property
    def statement_timeout(self) -> float:
        """The seconds that a statement may take."""
        return self.patience * 2 / 3

    @property
    def lock_timeout(self) -> float:
        """The seconds that a statement may wait for a lock; then it fails before its time is up."""
        return self.statement_timeout * 0.8

    async def connect(self, *, migrates: bool = False) -> Session:
        """Open a connection to the first host that will do.

        Args:
            migrates: whether it is for a change of the tables, which takes its time and
                prepares nothing.

        Raises:
            ConfigurationError: the address cannot be used.
            DatabaseUnavailableError: no host can be reached, or lets us in.
        """
        hosts = list(self.address.hosts)
        if self.address.any_order:
            jitter.shuffle(hosts)
        failures: list[DatabaseUnavailableError] = []
        for host in hosts:
            try:
                return await self._connect(host, len(hosts), migrates)
            except DatabaseUnavailableError as error:
                failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        raise DatabaseUnavailableError(
            f"None of {len(failures)} hosts will do. " + " ".join(str(each) for each in failures),
            address=str(self.address),
        ) from failures[-1]

    async def learn(self, connection: asyncpg.Connection) -> None:
        """Find out by a round trip what stands before the server.

        Raises:
            ConfigurationError: the database cannot hold every text.
        """
        [(pid, isolation, encoding)] = await connection.fetch(
            "SELECT pg_backend_pid(), current_setting('default_transaction_isolation'), "
            "current_setting('server_encoding')"
        )
        if encoding not in _ENCODINGS:
            raise ConfigurationError(
                f"The database at {self.address} has the encoding {encoding}, which cannot hold "
                "every text of a model. Make one with CREATE DATABASE … ENCODING 'UTF8'."
            )
        if self._finds_out:
            self.is_pooled = self.is_pooled or pid != connection.get_server_pid()
            self._finds_out = False
        self.is_isolated = isolation == "read committed"

    @asynccontextmanager
    async def session(self, *, migrates: bool = False) -> AsyncGenerator[Session, None]:
        """Hand out a connection of its own; see :meth:`connect`.

        Raises:
            DatabaseError: what is done with it failed.
        """
        connection = await self.connect(migrates=migrates)
        try:
            limit = _MIGRATION_TIMEOUT if migrates else self.statement_timeout
            with reporting(str(self.address), sent=True):
                async with answered_within(limit):
                    yield connection
                    await connection.close()
        finally:
            connection.terminate()

    async def _connect(self, host: Host, hosts: int, migrates: bool) -> Session:
        asked = self._asks
        with reporting(str(host)):
            try:
                return await self._open(host, hosts, migrates)
            except asyncpg.PostgresError as error:
                if not asked or error.sqlstate not in SETTING_REFUSED:
                    raise
                if self._asks:
                    self._asks = False
                    logger.info(
                        "PostgreSQL at %s lets no session ask for settings of its own, so kern "
                        "goes without them: %s",
                        host,
                        error,
                    )
            return await self._open(host, hosts, migrates)

    async def _open(self, host: Host, hosts: int, migrates: bool) -> Session:
        opening = asyncio.create_task(self._connect_to(host, migrates))
        try:
            async with answered_within(self.connect_timeout / hosts):
                connection = await asyncio.shield(opening)
        except TimeoutError:
            opening.cancel()
            await asyncio.wait({opening})
            _close(opening)
            raise
        except asyncio.CancelledError:
            # The driver may have an error then that it leaves to nobody, of which asyncio would
            # complain. So it goes on to the end, in a time of its own.
            opening.add_done_callback(_close)
            self._left.add(opening)
            opening.add_done_callback(self._left.discard)
            raise
        connection.keep_alive(self.address.keepalive, self.patience)
        return connection

    async def _connect_to(self, host: Host, migrates: bool) -> Session:
        address = self.address
        return await asyncpg.connect(
            f"postgresql:///?{address.driver}",
            host=host.name,
            port=host.port,
            user=address.user,
            password=address.password,
            database=address.database,
            ssl=ssl.create_default_context() if address.system_ca else None,
            timeout=_DRIVER_TIMEOUT,
            command_timeout=_MIGRATION_TIMEOUT if migrates else _DRIVER_TIMEOUT,
            statement_cache_size=0 if self.is_pooled or self._finds_out else 100,
            server_settings=self._settings(migrates),
            connection_class=Session,
        )

    def _settings(self, migrates: bool) -> dict[str, str]:
        settings = {"application_name": "kern"} | dict(self.address.settings)
        if not self._asks:
            return settings
        # The server gives up a little before we do: then its connection can still be used.
        statement = 0 if migrates else round(self.statement_timeout * 900)
        lock = 0 if migrates else round(self.lock_timeout * 1000)
        patience = round(self.patience)
        return settings | {
            "default_transaction_isolation": "read committed",
            "statement_timeout": str(statement),
            "lock_timeout": str(lock),
            "idle_in_transaction_session_timeout": str(patience * 1000),
            "idle_session_timeout": "0",
            # The locks of a process that is gone are released within a heartbeat too.
            "tcp_keepalives_idle": str(max(1, patience // 3)),
            "tcp_keepalives_interval": str(max(1, patience // 6)),
            "tcp_keepalives_count": "3",
            "tcp_user_timeout": str(patience * 1000),
        }


def _close(opening: asyncio.Task[Session]) -> None:
    """Close a connection for which nobody waits any more, if there is one."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()
