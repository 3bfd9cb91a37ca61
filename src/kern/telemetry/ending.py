"""A thread in which spans end and metrics are recorded: processors and exporters may block there.

A span processor that exports by itself does so as the span ends, for as long as its collector takes
to answer. No event loop waits for that.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable

logger = logging.getLogger("kern")

# How much may wait for the thread; the rest is dropped.
_MOST = 10_000

# For how long work gathers before it is done, in seconds.
_GATHERING = 0.02

# How long the end of the process waits for what has not been done, in seconds.
_AT_THE_END = 5.0


class Ending:
    """Does work in a thread of its own, in order; it begins with the first work."""

    def __init__(self, most: int = _MOST) -> None:
        """Start nothing yet.

        Args:
            most: how much may wait.
        """
        self._most = most
        self._lock = threading.Lock()
        self._process = 0
        self._has_dropped = False
        self._waiting: deque[Callable[[], object]] = deque()
        self._wake = threading.Event()

    def do(self, work: Callable[[], object]) -> None:
        """Have something done soon that does not raise; it is dropped where too much waits."""
        if self._process != os.getpid() and not self._start():
            return
        if len(self._waiting) < self._most:
            self._waiting.append(work)
            if not self._wake.is_set():
                self._wake.set()
        elif not self._has_dropped:
            self._has_dropped = True
            logger.warning(
                "%d spans wait for their end, for what they are sent to is slow; more are dropped",
                self._most,
            )

    def flush(self, timeout: float = _AT_THE_END) -> bool:
        """Wait until everything so far is done, and say whether it is.

        Args:
            timeout: seconds to wait at most.
        """
        if self._process != os.getpid():
            return True
        done = threading.Event()
        self._waiting.append(done.set)
        self._wake.set()
        return done.wait(timeout)

    def _start(self) -> bool:
        """Start the thread, unless another one was first; say whether there is one."""
        with self._lock:
            if self._process == os.getpid():
                return True
            # A forked child has what its parent has left to do, and not the thread that does it.
            self._waiting, self._wake, self._has_dropped = deque(), threading.Event(), False
            thread = threading.Thread(
                target=_work,
                args=(self._waiting, self._wake),
                name="kern-telemetry",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError as error:  # The process ends, or has too many.
                logger.debug("a span does not end, for no thread could be started: %s", error)
                return False
            # Not sooner: the SDK, which was made by now, ends its own part after this.
            atexit.register(self.flush)
            self._process = os.getpid()
            return True


def _work(waiting: deque[Callable[[], object]], wake: threading.Event) -> None:
    while True:
        wake.wait()
        # Each time that a thread wakes takes longer than what it does.
        time.sleep(_GATHERING)
        wake.clear()
        while waiting:
            waiting.popleft()()


ending = Ending()
"""That of this process."""
