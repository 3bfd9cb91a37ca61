"""Cancelling a run by its id alone, with no agent and no database in hand.

A process keeps what it executes and what was cancelled before it arrived here; every database
that the process uses subscribes, and is handed each cancel for a run that does not execute here.
"""

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from kern.errors import described
from kern.keywords import explained
from kern.run.cancellation_management import BaseRunCancellationManager
from kern.run.codec import check_id, check_user
from kern.run.ownership import ids_of, may_see, own_id

logger = logging.getLogger("kern")

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
        self._stopped: set[str] = set()

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
            self._stopped.discard(run_id)

    def active(self) -> dict[str, bool]:
        """Return the runs that execute here, each with whether it was stopped for a cancel here."""
        with self._lock:
            return {run_id: run_id in self._stopped for run_id in self._executing}

    def is_pending(self, run_id: str) -> bool:
        """Say whether a cancel is kept for a run that has not arrived yet."""
        with self._lock:
            return run_id in self._pending

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
                is_stopped = stop(run_id)
                with self._lock:
                    if is_stopped and run_id in self._executing:
                        self._stopped.add(run_id)
                return is_stopped
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


class Managed:
    """The cancellation manager of the program, where it has set one.

    Attributes:
        manager: the manager; see :mod:`kern.execution.managing`.
    """

    manager: BaseRunCancellationManager | None = None


managed = Managed()


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
    if managed.manager is not None:
        try:
            managed.manager.cancel_run(run_id)
        except Exception as error:
            _log(run_id, error)
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
    if managed.manager is not None:
        await tell_manager(run_id)
    told = await asyncio.gather(*(asyncio.wrap_future(answer) for answer in answers))
    return stopped or any(told)


async def tell_manager(run_id: str) -> None:
    """Tell the program's cancellation manager, if there is one, of a cancel.

    Args:
        run_id: the run.
    """
    if managed.manager is not None:
        try:
            await managed.manager.acancel_run(run_id)
        except Exception as error:
            _log(run_id, error)


def _log(run_id: str, error: Exception) -> None:
    text = described(error)
    logger.warning("the cancellation manager was not told of the cancel of %s: %s", run_id, text)
