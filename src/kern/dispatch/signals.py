"""Notifications of a database: who waits for a run is woken, and catches up after a gap."""

import asyncio
from collections.abc import Callable

from kern.db.base import Store
from kern.db.values import Kind, Signal


class Subscriptions:
    """Listens to a database once somebody needs to, and wakes those who wait for a run.

    Attributes:
        is_notified: whether notifications come, as far as is known.
    """

    def __init__(self, store: Store, on_signal: Callable[[Signal], None]) -> None:
        """Prepare, without listening.

        Args:
            store: which database to listen to.
            on_signal: called with every signal.
        """
        self.is_notified = False
        self._store = store
        self._on_signal = on_signal
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def listen(self) -> None:
        """Have every signal handed over from now on.

        Raises:
            DatabaseUnavailableError: the database cannot be reached; the next call tries again.
        """
        if self._listening is None or (self._listening.done() and _failed(self._listening)):
            # A task of its own: the first one to ask may leave, and the others wait for it.
            self._listening = asyncio.create_task(self._listen())
            self._listening.add_done_callback(_failed)
        if not self._listening.done():
            await asyncio.shield(self._listening)

    async def _listen(self) -> None:
        await self._store.listen(self._receive)
        self.is_notified = True

    def _receive(self, signal: Signal) -> None:
        if signal.kind in (Kind.away, Kind.resync):
            self.is_notified = signal.kind is Kind.resync
        self._on_signal(signal)

    def to(self, run_id: str) -> "_Subscription":
        """Set the event of this context whenever the run may have moved on."""
        return _Subscription(self._waiting, run_id)

    def notify(self, run_id: str) -> None:
        """Wake those who wait for the run."""
        for changed in self._waiting.get(run_id, ()):
            changed.set()

    def notify_all(self) -> None:
        """Wake all who wait."""
        for run_id in list(self._waiting):
            self.notify(run_id)


class _Subscription:
    """The time for which somebody waits for a run: one small object, as every waiter has one."""

    __slots__ = ("_changed", "_run_id", "_waiting")

    def __init__(self, waiting: dict[str, set[asyncio.Event]], run_id: str) -> None:
        self._waiting = waiting
        self._run_id = run_id
        self._changed = asyncio.Event()

    def __enter__(self) -> asyncio.Event:
        self._waiting.setdefault(self._run_id, set()).add(self._changed)
        return self._changed

    def __exit__(self, *_: object) -> None:
        waiting = self._waiting[self._run_id]
        waiting.discard(self._changed)
        if not waiting:
            del self._waiting[self._run_id]


def _failed(listening: asyncio.Task[None]) -> bool:
    return listening.cancelled() or listening.exception() is not None
