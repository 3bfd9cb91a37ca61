"""A thread in which spans end and metrics are recorded: processors and exporters may block there.

A span processor that exports by itself does so as the span ends, for as long as its collector takes
to answer. No event loop waits for that.
"""

import atexit
import logging
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

logger = logging.getLogger("kern")

# How much may wait for the thread; the rest is dropped.
_MOST = 10_000

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
        self._queue: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def do(self, work: Callable[[], object]) -> None:
        """Have something done that does not raise; it is dropped where too much waits."""
        if self._process != os.getpid():
            self._start()
        if self._queue.qsize() < self._most:
            self._queue.put(work)
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
        self._queue.put(done.set)
        return done.wait(timeout)

    def _start(self) -> None:
        with self._lock:
            if self._process == os.getpid():
                return
            # A forked child has its parent's queue, and not the thread that empties it.
            self._queue, self._has_dropped = SimpleQueue(), False
            thread = threading.Thread(
                target=_work, args=(self._queue,), name="kern-telemetry", daemon=True
            )
            thread.start()
            # Not sooner: the SDK, which was made by now, ends its own part after this.
            atexit.register(self.flush)
            self._process = os.getpid()


def _work(queue: SimpleQueue[Callable[[], object]]) -> None:
    while True:
        queue.get()()


ending = Ending()
"""That of this process."""
