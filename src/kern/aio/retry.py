"""Doing again what a database that is away has refused."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kern.aio.jitter import jitter
from kern.errors import DatabaseUnavailableError

logger = logging.getLogger("kern")

Result = TypeVar("Result")

# Leases are short: a process that comes back late finds its runs with others.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


async def until_available(operation: Callable[[], Awaitable[Result]]) -> Result:
    """Repeat a guarded operation until the database can be reached, with growing pauses.

    An outage is logged once, when it begins and when it ends, however many wait for its end.
    """
    pause = _FIRST_PAUSE
    outage: _Outage | None = None
    try:
        while True:
            try:
                result = await operation()
            except DatabaseUnavailableError as error:
                if outage is None:
                    outage = _outages.setdefault(error.address, _Outage(error.address))
                    outage.join(error)
                logger.debug("trying again in %.1f s: %s", pause, error)
                # Not all at once: what comes back would be away again.
                await asyncio.sleep(pause * jitter.uniform(0.7, 1.0))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if outage is not None:
                    outage.over()
                return result
    finally:
        if outage is not None:
            outage.leave()


class _Outage:
    """The time for which a database is away, while somebody waits for it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._since = time.monotonic()
        self._waiting = 0
        self._is_over = False

    def join(self, error: DatabaseUnavailableError) -> None:
        if not self._waiting:
            logger.warning("the database is unavailable, trying again until it is back: %s", error)
        self._waiting += 1

    def over(self) -> None:
        if not self._is_over:
            self._is_over = True
            logger.info("the database is back after %.1f s", time.monotonic() - self._since)

    def leave(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            _outages.pop(self._address, None)


_outages: dict[str, _Outage] = {}

# Nobody in a forked child waits for the end of the parent's outages.
os.register_at_fork(after_in_child=_outages.clear)
