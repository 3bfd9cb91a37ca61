"""Notifies one event loop of what happens to a file, in this process and in others."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from kern.db.sqlite.connection import MEMORY
from kern.db.sqlite.file import SqliteFile
from kern.db.values import Kind, Signal
from kern.errors import DatabaseError

# How often another process's changes are looked for, in seconds; SQLite has no notifications.
_INTERVAL = 0.05


class Listener:
    """Hands over what this process notifies of, and looks whether another has changed the file.

    SQLite shows a connection only the changes of others, so what this process does itself is
    always notified.
    """

    def __init__(self, file: SqliteFile) -> None:
        """Listen to ``file`` for the running event loop, once somebody wants to know."""
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._on_signal: Callable[[Signal], None] | None = None
        self._on_due: Callable[[], None] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._subscribed = False

    async def listen(self, on_signal: Callable[[Signal], None]) -> None:
        """Hand every signal over."""
        self._on_signal = on_signal
        await self._begin()

    async def listen_due(self, on_due: Callable[[], None]) -> None:
        """Say whenever runs may have become due."""
        self._on_due = on_due
        await self._begin()

    async def close(self) -> None:
        """Listen no more."""
        self._file.unsubscribe(self)
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait({self._polling})

    def notify(self, signals: Sequence[Signal], due: bool) -> None:
        """See :class:`kern.db.sqlite.file.Subscriber`."""
        with suppress(RuntimeError):  # The loop has been closed.
            self._loop.call_soon_threadsafe(self._hand_over, signals, due)

    def _hand_over(self, signals: Sequence[Signal], due: bool) -> None:
        if self._on_signal is not None:
            for signal in signals:
                self._on_signal(signal)
        if due and self._on_due is not None:
            self._on_due()

    async def _begin(self) -> None:
        if self._subscribed:
            return
        self._subscribed = True
        self._file.subscribe(self)
        if self._file.path != MEMORY:
            seen = await self._file.version_seen()
            self._polling = asyncio.create_task(self._poll(seen))

    async def _poll(self, seen: tuple[int, int]) -> None:
        away = False
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                version = await self._file.version_seen()
            except DatabaseError:
                if not away:
                    self._hand_over([Signal(Kind.away)], due=False)
                away = True
                continue
            if away or version != seen:
                self._hand_over([Signal(Kind.resync)], due=True)
            away, seen = False, version
