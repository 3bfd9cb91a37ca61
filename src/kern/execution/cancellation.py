"""Cancelling a run by its id alone, with no agent and no database in hand.

A process keeps what it executes and what was cancelled before it arrived here; every database
that the process uses subscribes, and is handed each cancel for a run that does not execute here.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from kern.keywords import explained
from kern.run.codec import check_id, check_user
from kern.run.ownership import ids_of, may_see, own_id

# A pending cancel whose run never arrives must not be kept without end.
_PENDING_LIMIT = 10_000

Stop = Callable[[str], bool]
Subscriber = Callable[[str, str | None], Future[bool]]


class Cancellations:
    """What one process knows of cancels. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executing: dict[str, Stop] = {}
        self._owners: dict[str, str] = {}
        self._pending: OrderedDict[str, set[str | None]] = OrderedDict()
        self._subscribers: dict[object, Subscriber] = {}

    def executes(self, run_id: str, user_id: str | None, stop: Stop) -> None:
        """Keep how to stop a run that executes here.

        Args:
            run_id: the run.
            user_id: its user.
            stop: called from any thread with its id; says whether it will stop for that.
        """
        with self._lock:
            self._executing[run_id] = stop
            if user_id is not None:
                self._owners[run_id] = user_id

    def ended(self, run_id: str) -> None:
        """Forget a run that no longer executes here."""
        with self._lock:
            self._executing.pop(run_id, None)
            self._owners.pop(run_id, None)

    def run_id(self, chosen: str, user_id: str | None) -> str:
        """Return the id for a run that is kept nowhere, where another user's may execute here."""
        with self._lock:
            is_free = may_see(user_id, self._owners.get(chosen))
        return chosen if user_id is None or is_free else own_id(chosen, user_id)

    def stop(self, chosen: str, user_id: str | None) -> bool:
        """Stop the run if it executes here and has not come to its end, and say whether so."""
        for run_id in ids_of(chosen, user_id):
            with self._lock:
                is_seen = may_see(user_id, self._owners.get(run_id))
                stop = self._executing.get(run_id) if is_seen else None
            if stop is not None:
                return stop(run_id)
        return False

    def keep_pending(self, run_id: str, user_id: str | None) -> None:
        """Keep a cancel for a run that has not arrived yet."""
        with self._lock:
            self._pending.setdefault(run_id, set()).add(user_id)
            if len(self._pending) > _PENDING_LIMIT:
                self._pending.popitem(last=False)

    def take_pending(self, run_id: str, user_id: str | None) -> bool:
        """Say whether the arriving run was cancelled before, and forget the pending cancel."""
        with self._lock:
            users = self._pending.get(run_id)
            if users is None:
                return False
            meant = {each for each in users if may_see(each, user_id)}
            users -= meant
            if not users:
                self._pending.pop(run_id, None)
        return bool(meant)

    def subscribe(self, key: object, subscriber: Subscriber) -> list[tuple[str, str | None]]:
        """Hand every later cancel to ``subscriber``; return the pending cancels.

        Args:
            key: for :meth:`unsubscribe`.
            subscriber: called from any thread with a run id and a user; must not block. Its
                future says whether the run will end cancelled.
        """
        with self._lock:
            self._subscribers[key] = subscriber
            return [(run_id, user) for run_id, users in self._pending.items() for user in users]

    def unsubscribe(self, key: object) -> None:
        """Hand no more cancels to the subscriber of ``key``."""
        with self._lock:
            self._subscribers.pop(key, None)

    def cancel(self, run_id: str, user_id: str | None) -> tuple[bool, list[Future[bool]]]:
        """Stop the run here or keep a pending cancel, and hand the cancel to every subscriber.

        Returns:
            Whether it was stopped here, and the answers of the subscribers.
        """
        stopped = self.stop(run_id, user_id)
        if not stopped:
            self.keep_pending(run_id, user_id)
        with self._lock:
            subscribers = list(self._subscribers.values())
        return stopped, [hand_over(run_id, user_id) for hand_over in subscribers]


cancellations = Cancellations()


@explained
def cancel_run(run_id: str, user_id: str | None = None) -> bool:
    """Cancel a run, whether it runs, waits, or has yet to be started.

    Returns at once. Every database that this process uses is told in the background.

    Args:
        run_id: the run, or the id that a run will have.
        user_id: the user whose run it must be; by default any.

    Returns:
        True where the run executes in this process and was stopped. False otherwise; the cancel
        is kept, and honoured when a run with that id arrives.

    Raises:
        InvalidInputError: ``run_id`` or ``user_id`` cannot be an id.
    """
    stopped, _ = cancellations.cancel(check_id("run_id", run_id), check_user(user_id))
    return stopped


@explained
async def acancel_run(run_id: str, user_id: str | None = None) -> bool:
    """Cancel a run as :func:`cancel_run` does, and wait until every database was told.

    Args:
        run_id: the run, or the id that a run will have.
        user_id: the user whose run it must be; by default any.

    Returns:
        True where the run will end cancelled; False where it had ended or is not known. An
        unknown one is cancelled when it arrives.

    Raises:
        InvalidInputError: ``run_id`` or ``user_id`` cannot be an id.
        DatabaseError: a database could not be told.
    """
    stopped, answers = cancellations.cancel(check_id("run_id", run_id), check_user(user_id))
    told = await asyncio.gather(*(asyncio.wrap_future(answer) for answer in answers))
    return stopped or any(told)
