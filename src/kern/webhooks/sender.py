"""Sends the webhooks in the outbox of a database.

Every process that executes runs does this for the whole database. A delivery that one of them has
taken is due again after its lease, so none is lost with a process.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from kern.aio.jitter import jitter
from kern.aio.retry import until_available
from kern.aio.survived import survived
from kern.db.base import Store
from kern.db.outbox import Delivery
from kern.errors import KernError, WebhookError, described
from kern.run.base import RunStatus
from kern.run.record import PARENT, RunRecord
from kern.webhooks.delivery import deliver

logger = logging.getLogger("kern")

# How many are sent at once. One that does not answer holds its place for the time of a try.
_LIMIT = 32

# Seconds: longer than a try, with its reads and writes.
_LEASE = 30.0

# The scheme's example: the pause before each try, three days and three hours in all.
_PAUSES = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)

_RETRIED = "The run has gone on: its next pause, or its end, is another delivery."

# Seconds before it is tried again to tell a parent, where that cannot be done: first, at most.
_FIRST_TROUBLE, _LONGEST_TROUBLE = 10.0, 300.0

_PARENT_GOES_ON = "The run that has started it goes on."

# Seconds between two looks where others hold what is due.
_SHORTEST_WAIT = 0.05


TellParent: TypeAlias = Callable[[Store, str, int], Awaitable[float | None]]
"""Has the parent of a run know of its end; returns the seconds before the next try, or None.

It is given the store, the run, and how often it was tried.
"""


class Sender:
    """Takes what is due, sends it, and sleeps until more is."""

    def __init__(self, store: Store, heartbeat: float, tell_parent: TellParent) -> None:
        """Prepare.

        Args:
            store: the database with the runs and the outbox.
            heartbeat: the seconds after which it looks again, whatever it was notified of.
            tell_parent: delivers what is for the parent of a run; see :mod:`kern.dispatch.telling`.
        """
        self._store = store
        self._heartbeat = heartbeat
        self._tell_parent = tell_parent
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._more = False
        self._stopping = False
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look into the outbox: there may be more to send."""
        self._woken.set()

    async def stop(self, grace: float) -> None:
        """Take nothing new, and wait for the answers to what is being sent.

        Args:
            grace: for how many seconds at most.
        """
        self._stopping = True
        self._woken.set()
        if self._sending:
            await asyncio.wait(self._sending.values(), timeout=grace)

    async def run(self) -> None:
        """Send what is due, until it is stopped or cancelled.

        A cancel breaks off what is being sent; it is due again after its lease.
        """
        self._stopping = False
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                self._woken.clear()
                wait = self._heartbeat
                try:
                    for delivery in await until_available(self._take):
                        task = group.create_task(self._send(delivery))
                        self._sending[delivery.delivery_id] = task
                        # Not a `finally`: a task that is cancelled before its first step runs none.
                        task.add_done_callback(partial(self._sent, delivery.delivery_id))
                    wait = await until_available(self._wait)
                except Exception as error:
                    survived(logger, error, "the outbox of webhooks cannot be read")
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._woken.wait()

    async def _take(self) -> list[Delivery]:
        """Take as many deliveries as there are places for."""
        room = _LIMIT - len(self._sending)
        taken = await self._store.outbox.take(room, _LEASE) if room else []
        self._more = len(taken) == room
        # One that is still being sent when its lease expires is not sent beside itself.
        return [each for each in taken if each.delivery_id not in self._sending]

    async def _wait(self) -> float:
        """Return after how many seconds to look again, if nothing wakes it before."""
        due_at = None if self._more else await self._store.outbox.next_at()
        if due_at is None:
            return self._heartbeat
        now = await self._store.schedules.now()
        return min(max(_SHORTEST_WAIT, (due_at - now).total_seconds()), self._heartbeat)

    async def _send(self, delivery: Delivery) -> None:
        """Send a delivery once; one whose outcome cannot be stored is due after its lease."""
        try:
            await self._try(delivery)
        except Exception as error:
            survived(
                logger, error, "the outcome of webhook %s cannot be stored", delivery.delivery_id
            )

    def _sent(self, delivery_id: str, _task: object) -> None:
        del self._sending[delivery_id]
        if self._more:
            self.wake()

    async def _try(self, delivery: Delivery) -> None:
        outbox = self._store.outbox
        record = await until_available(partial(self._store.get, delivery.run_id))
        if record is None or not _rests(record) or record.attempt != delivery.attempt:
            await until_available(partial(outbox.failed, delivery, _RETRIED, None))
            return
        if record.webhook == PARENT:
            return await self._tell(delivery)
        try:
            await deliver(record, delivery.delivery_id)
        except Exception as error:
            delay = _delay(error, delivery.tries + 1)
            outlook = "giving up" if delay is None else f"trying again in {delay:.0f} s"
            logger.warning(
                *("webhook of run %s, try %d: %s; %s", delivery.run_id, delivery.tries + 1),
                *(error if isinstance(error, KernError) else described(error), outlook),
            )
            logger.debug("webhook of run %s failed", delivery.run_id, exc_info=error)
            await until_available(partial(outbox.failed, delivery, str(error), delay))
            self.wake()  # The next try may be due before anything else.
        else:
            await until_available(partial(outbox.delivered, delivery))

    async def _tell(self, delivery: Delivery) -> None:
        """Have the parent of a run know of its end, however long that takes."""
        outbox, run_id = self._store.outbox, delivery.run_id
        why = _PARENT_GOES_ON
        try:
            delay = await self._tell_parent(self._store, run_id, delivery.tries)
        except Exception as error:
            delay = min(_FIRST_TROUBLE * 2.0 ** min(delivery.tries, 5), _LONGEST_TROUBLE)
            delay, why = delay * jitter.uniform(0.8, 1.2), str(error)
            told = error if isinstance(error, KernError) else described(error)
            text = "the end of run %s cannot be told to its parent: %s; trying again in %.0f s"
            logger.warning(text, run_id, told, delay)
            logger.debug("telling of run %s failed", run_id, exc_info=error)
        if delay is None:
            return await until_available(partial(outbox.delivered, delivery))
        await until_available(partial(outbox.failed, delivery, why, delay))
        self.wake()  # The next try may be due before anything else.


def _rests(record: RunRecord) -> bool:
    """Say whether a run has ended, or waits for a person."""
    return record.status.is_terminal or record.status is RunStatus.paused


def next_delay(tries: int) -> float | None:
    """Return the seconds before the next try; None where there were enough.

    The receivers that failed together are not tried again together: each delay is up to a fifth
    shorter or longer than the schedule's.

    Args:
        tries: how many have failed.
    """
    if tries >= len(_PAUSES):
        return None
    return _PAUSES[tries] * jitter.uniform(0.8, 1.2)


def _delay(error: Exception, tries: int) -> float | None:
    """Return the seconds before the next try after a failed one; None for no other."""
    delay = next_delay(tries)
    if delay is None or not isinstance(error, WebhookError):
        return delay
    return None if error.permanent else max(delay, error.retry_after)
