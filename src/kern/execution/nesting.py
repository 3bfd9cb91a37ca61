"""Which calls of an attempt wait for other runs, so that it needs no slot meanwhile."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from threading import Lock


class OpenCalls:
    """The tool calls of one attempt that are under way. Safe to use from any thread."""

    def __init__(self, on_change: Callable[[bool], None]) -> None:
        """Have no open call yet.

        Args:
            on_change: called on the event loop that makes this, with whether all open calls wait
                for other runs, whenever that has changed.
        """
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._lock = Lock()
        self._open = 0
        self._waiting = 0
        self._all_wait = False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Count a call, which this context makes and may find itself in."""
        token = _current.set(OpenCall(self))
        self.count(open=1)
        try:
            yield
        finally:
            self.count(open=-1)
            _current.reset(token)

    def count(self, *, open: int = 0, waiting: int = 0) -> None:
        """Count calls that have begun or ended, or have begun or ended to wait."""
        with self._lock:
            self._open += open
            self._waiting += waiting
            all_wait = 0 < self._open == self._waiting
            if all_wait is self._all_wait:
                return
            self._all_wait = all_wait
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._on_change, all_wait)


class OpenCall:
    """A call that is under way; however often it waits at a time, it counts once."""

    def __init__(self, calls: OpenCalls) -> None:
        """Wait for nothing yet."""
        self._calls = calls
        self._lock = Lock()
        self._waits = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the call as waiting for another run."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            before, self._waits = self._waits, self._waits + change
            if 0 in (before, self._waits):
                self._calls.count(waiting=change)


_current: ContextVar[OpenCall | None] = ContextVar("current_call", default=None)


def waiting_for_a_run() -> AbstractContextManager[None]:
    """Count the tool call in which this happens, if it does in one, as waiting for another run."""
    call = _current.get()
    return _NOTHING if call is None else call.waiting()


_NOTHING = nullcontext()
