"""Hears what other processes notify, over a connection of its own that comes back when lost."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0


class Listener:
    """Listens on one channel until it is closed."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        channel: str,
        hear: Callable[[str], None],
        lost: Callable[[], None],
        back: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            connect: opens a connection.
            channel: the channel's name.
            hear: called with every payload.
            lost: called when nothing is heard any more.
            back: called when it is again; something may have been missed.
        """
        self._connect = connect
        self._channel = channel
        self._hear = hear
        self._tell_lost = lost
        self._tell_back = back
        self._lost = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen from now on.

        Raises:
            Exception: the first connection could not be opened.
        """
        await self._listen()
        self._task = asyncio.create_task(self._keep_listening())

    async def close(self) -> None:
        """Stop listening and close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._connection is not None:
            self._connection.terminate()

    async def _listen(self) -> None:
        connection = await self._connect()
        try:
            await connection.add_listener(self._channel, self._notified)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        connection.add_termination_listener(lambda _: self._lost.set())
        if not connection.is_closed():
            self._lost.clear()

    async def _keep_listening(self) -> None:
        while True:
            await self._lost.wait()
            self._tell_lost()
            wait = _FIRST_WAIT
            while self._lost.is_set():
                try:
                    await self._listen()
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await asyncio.sleep(wait)
                    wait = min(2 * wait, _LONGEST_WAIT)
            self._tell_back()

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._hear(str(payload))
