"""How a worker is asked to end: once in good order, twice at once."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

HAND_OVER = 10.0
"""Seconds that a process has beyond the grace for handing runs over."""

# How long a start that is interrupted may take to end, in seconds: there is nothing to hand over.
_INTERRUPTED = 2.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ASKED = b"\0"


class Stop:
    """Hears SIGTERM and SIGINT, even where the event loop or the main thread is blocked.

    The first asks the process to end, the second ends it at once with exit code 1. A process that
    was asked and has not ended in time is ended too. One that still starts has nothing in hand: it
    ends with exit code 0, and at once where no event loop runs yet.

    Attributes:
        asked: whether the process is to end.
    """

    def __init__(
        self,
        patience: float,
        last_act: Callable[[], None] | None = None,
        *,
        starts: bool = False,
    ) -> None:
        """Listen from now on; in the main thread only.

        Args:
            patience: seconds from being asked to the end.
            last_act: what to do before the process is ended.
            starts: whether the process still starts, until :meth:`started`.
        """
        self.asked = False
        self._patience = patience
        self._last_act = last_act
        self._starts = starts
        self._exit_code = 0 if starts else 1
        self._begin: Callable[[], object] | None = None
        # Python's own handlers wait for the main thread; what is written here does not.
        self._heard, self._said = socket.socketpair()
        self._said.setblocking(False)
        signal.set_wakeup_fd(self._said.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="kern-stop", daemon=True).start()
        for number in _SIGNALS:
            signal.signal(number, lambda number, _: self._hear(number))
        os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_hear_nothing)

    def ask(self) -> None:
        """Have the process end; from any thread, and as often as one likes."""
        self._said.send(_ASKED)

    def tell(self, begin: Callable[[], None]) -> None:
        """Have the running event loop call ``begin`` when the process is to end, perhaps twice."""
        loop = asyncio.get_running_loop()
        self._begin = lambda: loop.call_soon_threadsafe(begin)
        if self.asked:
            begin()

    def started(self) -> None:
        """Count on runs in hand from now on, unless the process was about to end."""
        if self._starts and not self.asked:
            self._starts, self._exit_code = False, 1

    def done(self) -> None:
        """Count an end from now on as one in good order, however long threads hold it up."""
        self._exit_code = 0

    def _hear(self, number: int) -> None:
        """Say what was not said yet, because an event loop had the descriptor for its signals."""
        descriptor = self._said.fileno()
        if signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False) != descriptor:
            self._said.send(bytes([number]))

    def _watch(self) -> None:
        signals = 0
        end = time.monotonic()
        while True:
            try:
                said = self._heard.recv(1)
            except TimeoutError:
                self._end()
            signals += said[0] in _SIGNALS
            if signals == 2:
                self._end()
            if not self.asked and (signals or said == _ASKED):
                self.asked = True
                patience = min(self._patience, _INTERRUPTED) if self._starts else self._patience
                end = time.monotonic() + patience
                if self._begin is not None:
                    with suppress(RuntimeError):  # The loop has ended.
                        self._begin()
                elif self._starts:
                    self._end()
            if self.asked:
                self._heard.settimeout(max(end - time.monotonic(), 0.001))

    def _end(self) -> NoReturn:
        if self._last_act is not None:
            self._last_act()
        os._exit(self._exit_code)


def _hold() -> None:
    """Keep a signal for a process that is being forked until it is ready for it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _hear_nothing() -> None:
    """Have a process that a tool has forked end at a signal like any other."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _release()
