"""Takes the notifications of other processes, over a connection of its own that it looks after."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg

from kern.aio.limit import answered_within
from kern.aio.retry import until_available
from kern.db.postgres.reporting import reporting
from kern.errors import DatabaseError, KernError

logger = logging.getLogger("kern")

_FIRST_PAUSE = 0.1


class Listener:
    """Listens on one channel until it is closed.

    Once a heartbeat it sends a notification to itself, the way others send theirs. Where that
    does not arrive, the connection is replaced: it may be dead, or lead to a pooler that hands
    its server to others.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        channel: str,
        callback: Callable[[str], None],
        lost: Callable[[], None],
        back: Callable[[], None],
        *,
        notify: Callable[[str, str], Awaitable[object]],
        heartbeat: float,
        address: str,
    ) -> None:
        """Prepare.

        Args:
            connect: opens a connection.
            channel: the channel's name.
            callback: called with every payload.
            lost: called when notifications do not arrive any more.
            back: called when they do again; some may have been missed.
            notify: sends a notification over another connection, by channel and payload.
            heartbeat: the seconds within which silence is noticed.
            address: where the database is, for the log.
        """
        self._connect = connect
        self._channel = channel
        self._callback = callback
        self._tell_lost = lost
        self._tell_back = back
        self._notify = notify
        self._heartbeat = heartbeat
        self._address = address
        # Of its own, so that nobody else is woken.
        self._probe_channel = f"kern_probe_{os.urandom(8).hex()}"
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._answers = False
        self._is_deaf = False

    async def start(self) -> None:
        """Listen from now on.

        Raises:
            DatabaseError: the first connection could not be opened.
        """
        await self._listen()
        self._task = asyncio.create_task(self._keep_listening())

    async def close(self) -> None:
        """Stop listening and close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._drop()

    async def _keep_listening(self) -> None:
        arrives = await self._probe()
        while True:
            if not arrives:
                self._tell_lost()
                await self._recover()
                self._tell_back()
            arrives = await self._arrives()

    async def _arrives(self) -> bool:
        """Wait for most of a heartbeat, and say whether notifications still arrive."""
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat * 2 / 3):
                await self._ended.wait()
            return False
        return self._arrived.is_set() or await self._probe()

    async def _probe(self) -> bool:
        """Say whether a notification arrives that is sent now."""
        self._arrived.clear()
        self._answers = False
        try:
            async with answered_within(self._heartbeat / 3):
                await self._notify(self._probe_channel, "")
                self._answers = True
                await self._arrived.wait()
        except (TimeoutError, DatabaseError):
            return False
        return not self._ended.is_set()

    async def _recover(self) -> None:
        """Replace the connection until notifications arrive."""
        pause = _FIRST_PAUSE
        while not await self._replace():
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._heartbeat)
        if self._is_deaf:
            self._is_deaf = False
            logger.info("notifications of PostgreSQL at %s arrive again", self._address)

    async def _replace(self) -> bool:
        """Open another connection, and say whether notifications arrive there."""
        self._drop()
        try:
            await until_available(self._listen)
        except KernError as error:
            logger.warning("cannot listen to PostgreSQL at %s: %s", self._address, error)
            return False
        if await self._probe():
            return True
        if self._answers and not self._is_deaf:
            self._is_deaf = True
            logger.warning(
                "PostgreSQL at %s answers, but its notifications do not arrive, as through a "
                "pooler in transaction mode; kern looks once a second instead. Give "
                "PostgresDb(listen_url=...) an address that leads to the server itself.",
                self._address,
            )
        return False

    async def _listen(self) -> None:
        connection = await self._connect()
        try:
            with reporting(self._address):
                await connection.add_listener(self._probe_channel, self._notified)
                await connection.add_listener(self._channel, self._notified)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        self._ended.clear()
        connection.add_termination_listener(self._terminated)
        if connection.is_closed():
            self._ended.set()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _terminated(self, connection: object) -> None:
        if connection is self._connection:
            self._ended.set()
            self._arrived.set()

    def _notified(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._arrived.set()
        if channel == self._channel:
            self._callback(str(payload))
