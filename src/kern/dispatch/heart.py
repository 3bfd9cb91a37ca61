"""The heart: extends the leases of a process from a thread of its own.

User code may block an event loop for minutes; its runs are not lost for it. A loop that does not
answer for longer than that is dead, and its runs are left to others.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary, ref

from kern.aio.survived import survived
from kern.db.database import Database
from kern.db.heart import Heart
from kern.errors import DatabaseError, DatabaseUnavailableError

logger = logging.getLogger("kern")

Attempts = list[tuple[str, int]]
Beat = Callable[[Attempts, dict[str, bool]], None]


@dataclass(eq=False, slots=True)
class Pulse:
    """One event loop's part in the heart of its process.

    Attributes:
        attempts: says what executes on the loop; called from the heart's thread.
        on_beat: told on the loop which attempts were extended, and what of them is still its.
        heartbeat: seconds for which a lease is extended, every third of that.
        max_loop_block: seconds without an answer after which the loop counts as dead.
        loop: the event loop.
        asked_at: when it was asked for an answer that it has not given yet.
    """

    attempts: Callable[[], Attempts]
    on_beat: Beat
    heartbeat: float
    max_loop_block: float
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    asked_at: float | None = None

    def is_alive(self) -> bool:
        """Ask the loop for an answer, unless it still owes one; say whether it took too long."""
        asked_at = self.asked_at
        if asked_at is None:
            asked_at = self.asked_at = time.monotonic()
            try:
                self.loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # It is closed.
                return False
        return time.monotonic() - asked_at < self.max_loop_block

    def _answer(self) -> None:
        self.asked_at = None


class HeartThread:
    """Beats for all event loops of the process that use one database."""

    def __init__(self, database: Database) -> None:
        """Prepare; the thread runs while somebody has joined."""
        self._database = ref(database)
        self._pulses: set[Pulse] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, database: Database) -> "HeartThread":
        """Return the process's heart for a database."""
        heart = _hearts.get(database)
        if heart is None:
            heart = _hearts[database] = cls(database)
        return heart

    def join(self, pulse: Pulse) -> None:
        """Beat for an event loop from now on."""
        with self._lock:
            self._pulses.add(pulse)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kern-heart", daemon=True)
                self._thread.start()
        self._wake.set()

    def leave(self, pulse: Pulse) -> None:
        """Beat for an event loop no more; the last one ends the thread."""
        with self._lock:
            self._pulses.discard(pulse)
        self._wake.set()

    def _run(self) -> None:
        database = self._database()
        if database is None:
            return
        heart = database.open_heart()
        del database  # It is closed when nobody holds it any more.
        try:
            while pulses := self._joined():
                began = time.monotonic()
                for pulse in pulses:
                    _beat(heart, pulse)
                pause = min(pulse.heartbeat for pulse in pulses) / 3
                self._wake.wait(max(0.0, pause - (time.monotonic() - began)))
                self._wake.clear()
        finally:
            heart.close()

    def _joined(self) -> list[Pulse]:
        with self._lock:
            if not self._pulses:
                self._thread = None
            return list(self._pulses)


def _beat(heart: Heart, pulse: Pulse) -> None:
    attempts = pulse.attempts()
    if not attempts or not pulse.is_alive():
        return
    try:
        mine = heart.extend(attempts, pulse.heartbeat)
        pulse.loop.call_soon_threadsafe(pulse.on_beat, attempts, mine)
    except DatabaseUnavailableError as error:
        logger.debug("the leases of %d runs were not extended: %s", len(attempts), error)
    except DatabaseError as error:
        survived(logger, error, "the leases of %d runs were not extended", len(attempts))
    except RuntimeError:
        logger.debug("an event loop was closed while its leases were extended")


_hearts: WeakKeyDictionary[Database, HeartThread] = WeakKeyDictionary()


def _forget() -> None:
    """A forked child has the parent's hearts, but not their threads."""
    global _hearts
    _hearts = WeakKeyDictionary()


os.register_at_fork(after_in_child=_forget)
