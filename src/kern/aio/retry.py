"""Doing again what a database that is away has refused."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kern.errors import DatabaseUnavailableError

logger = logging.getLogger("kern")

Result = TypeVar("Result")

# Leases are short: a process that comes back late finds its runs with others.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


async def until_available(operation: Callable[[], Awaitable[Result]]) -> Result:
    """Repeat a guarded operation until the database can be reached, with growing pauses."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await operation()
        except DatabaseUnavailableError as error:
            logger.debug("trying again in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
