"""What a process hears of its runs: who is told that a run has moved on or ended."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kern.aio.tasks import Tasks
from kern.db.base import Signal, Store


class Notices:
    """Listens to a database once somebody needs to, and wakes those who wait for a run."""

    def __init__(self, store: Store, tasks: Tasks, hear: Callable[[Signal], None]) -> None:
        """Prepare, without listening.

        Args:
            store: whom to listen to.
            tasks: where to listen.
            hear: called with every signal.
        """
        self._store = store
        self._tasks = tasks
        self._hear = hear
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def listen(self) -> None:
        """Hear every signal from now on.

        Raises:
            DatabaseUnavailableError: the database cannot be reached; the next call tries again.
        """
        listening = self._listening
        if listening is None or (
            listening.done() and (listening.cancelled() or listening.exception() is not None)
        ):
            listening = self._listening = self._tasks.start(self._store.listen(self._hear))
        await asyncio.shield(listening)

    @contextmanager
    def of(self, run_id: str) -> Iterator[asyncio.Event]:
        """Set the event whenever there may be news of the run."""
        told = asyncio.Event()
        self._waiting.setdefault(run_id, set()).add(told)
        try:
            yield told
        finally:
            self._waiting[run_id].discard(told)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    def tell(self, run_id: str) -> None:
        """Wake those who wait for the run."""
        for told in self._waiting.get(run_id, ()):
            told.set()

    def tell_all(self) -> None:
        """Wake all who wait."""
        for run_id in list(self._waiting):
            self.tell(run_id)
