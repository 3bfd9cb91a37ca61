"""Takes the notifications of other processes, over one connection that it looks after."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from kern.aio.limit import answered_within
from kern.aio.retry import until_available
from kern.db.postgres.reporting import reporting
from kern.errors import DatabaseError, KernError

logger = logging.getLogger("kern")

_FIRST_PAUSE = 0.1


class Listener:
    """Listens on the channels of its subscriptions, while it has any.

    Once a heartbeat it sends a notification to itself, the way others send theirs. Where that
    does not arrive, the connection is replaced: it may be dead, or lead to a pooler that hands
    its server to others.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        notify: Callable[[str, str], Awaitable[object]],
        heartbeat: float,
        address: str,
    ) -> None:
        """Prepare.

        Args:
            connect: opens a connection.
            notify: sends a notification over another connection, by channel and payload.
            heartbeat: the seconds within which silence is noticed.
            address: where the database is, for the log.
        """
        self._connect = connect
        self._notify = notify
        self._heartbeat = heartbeat
        self._address = address
        # Of its own, so that nobody else is woken.
        self._probe_channel = f"kern_probe_{os.urandom(8).hex()}"
        self._subscriptions: list[Subscription] = []
        self._changing = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._answers = False
        self._is_deaf = False

    async def add(self, subscription: "Subscription") -> None:
        """Listen for it from now on.

        Raises:
            DatabaseError: the first connection could not be opened.
        """
        async with self._changing:
            if self._task is None:
                self._subscriptions = [subscription]
                await self._listen(await self._connect())
                self._task = asyncio.create_task(self._keep_listening())
                return
            self._subscriptions.append(subscription)
            if self._connection is None:
                subscription.lost()
                return
            try:
                await self._subscribe(self._connection, [subscription])
            except DatabaseError:
                self._ended.set()  # The next connection has it from the start.

    async def remove(self, subscription: "Subscription") -> None:
        """Listen for it no more, and close the connection with the last one."""
        async with self._changing:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
            if self._subscriptions:
                return
            task, self._task = self._task, None
            try:
                if task is not None:
                    task.cancel()
                    await asyncio.wait({task})
            finally:
                self._drop()

    def terminate(self) -> None:
        """Listen to nothing more, and close the connection; nothing uses it any more."""
        self._subscriptions.clear()
        if self._task is not None:
            self._task.cancel()
        self._drop()

    async def _keep_listening(self) -> None:
        arrives = await self._probe()
        while True:
            if not arrives:
                self._say_deaf()
                for each in [*self._subscriptions]:
                    each.lost()
                await self._recover()
                for each in [*self._subscriptions]:
                    each.back()
            arrives = await self._arrives()

    async def _arrives(self) -> bool:
        """Wait for most of a heartbeat, and say whether notifications still arrive."""
        self._arrived.clear()
        self._answers = False
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
            self._say_deaf()
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._heartbeat)
        if self._is_deaf:
            self._is_deaf = False
            logger.info("notifications of PostgreSQL at %s arrive again", self._address)

    async def _replace(self) -> bool:
        """Open another connection, and say whether notifications arrive there."""
        self._drop()
        try:
            await self._listen(await until_available(self._connect))
        except KernError as error:
            logger.debug("cannot listen to PostgreSQL at %s: %s", self._address, error)
        return await self._probe()

    def _say_deaf(self) -> None:
        if not self._answers or self._is_deaf:
            return
        self._is_deaf = True
        logger.warning(
            "PostgreSQL at %s answers, but notifications do not arrive: the connection is dead, "
            "or leads through a pooler in transaction mode. Until they do kern looks once a "
            "second. PostgresDb(listen_url=...) takes an address that leads to the server itself.",
            self._address,
        )

    async def _listen(self, connection: asyncpg.Connection) -> None:
        """Subscribe to everything on a new connection."""
        connection.add_termination_listener(self._terminated)
        try:
            await self._subscribe(connection, self._subscriptions)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        self._ended.clear()
        if connection.is_closed():
            self._ended.set()

    async def _subscribe(
        self, connection: asyncpg.Connection, subscriptions: "Sequence[Subscription]"
    ) -> None:
        with reporting(self._address):
            async with answered_within(self._heartbeat / 3):
                await connection.add_listener(self._probe_channel, self._notified)
                channels: set[str] = set()
                # Again and again, because some come and go meanwhile.
                while missing := {each.channel for each in subscriptions} - channels:
                    channels.add(channel := missing.pop())
                    await connection.add_listener(channel, self._notified)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
        self._ended.set()

    def _terminated(self, connection: object) -> None:
        if connection is self._connection:
            self._ended.set()
            self._arrived.set()

    def _notified(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._arrived.set()
        for each in [*self._subscriptions]:
            if each.channel == channel:
                each.callback(str(payload))


@dataclass(eq=False)
class Subscription:
    """What somebody wants to be told of one channel.

    Attributes:
        listener: who listens.
        channel: the channel's name.
        callback: called with every payload.
        lost: called when notifications do not arrive any more.
        back: called when they do again; some may have been missed.
    """

    listener: Listener
    channel: str
    callback: Callable[[str], None]
    lost: Callable[[], None]
    back: Callable[[], None]

    async def start(self) -> None:
        """Listen from now on; see :meth:`Listener.add`.

        Raises:
            DatabaseError: no connection could be opened.
        """
        await self.listener.add(self)

    async def close(self) -> None:
        """Listen no more."""
        await self.listener.remove(self)
