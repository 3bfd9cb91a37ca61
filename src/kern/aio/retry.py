"""Waiting for a database that is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kern.errors import DatabaseUnavailableError

logger = logging.getLogger("kern")

Result = TypeVar("Result")

# Leases are short: who comes back late finds its runs taken over.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


async def patiently(operation: Callable[[], Awaitable[Result]]) -> Result:
    """Repeat a guarded operation until the database can be reached, with growing pauses."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await operation()
        except DatabaseUnavailableError as error:
            logger.warning("trying again in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
