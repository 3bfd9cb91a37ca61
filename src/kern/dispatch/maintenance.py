"""Maintenance: makes good what lost processes have left undone, deletes what is over."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from kern.aio.jitter import jitter
from kern.aio.survived import survived
from kern.db.retention import FIRST, Retention
from kern.errors import DatabaseError

logger = logging.getLogger("kern")

# How often is looked for what is over, in seconds.
_OFTEN = 300.0

# How many runs a step of pruning looks at.
_STEP = 500

# The least pause after a step, in seconds.
_PAUSE = 0.05


class Maintenance:
    """Does now and then what nobody waits for."""

    def __init__(
        self,
        retention: Retention,
        *,
        sweep: Callable[[], Awaitable[None]],
        pause: float,
        keep: timedelta | None,
        often: float = _OFTEN,
    ) -> None:
        """Prepare.

        Args:
            retention: what deletes.
            sweep: makes good what lost processes have left undone.
            pause: the seconds between two sweeps.
            keep: how long runs that have ended are kept; None without end.
            often: how often to delete, in seconds.
        """
        self._retention = retention
        self._sweep = sweep
        self._pause = pause
        self._keep = keep
        self._often = often

    async def run(self) -> None:
        """Sweep and delete until the task is cancelled."""
        await asyncio.gather(_repeat(self._sweep, self._pause), _repeat(self._clean, self._often))

    async def _clean(self) -> None:
        deleted = await self._retention.clean()
        while deleted:
            await asyncio.sleep(_PAUSE)
            deleted = await self._retention.clean()
        if self._keep is not None:
            steps = prune(self._retention, datetime.now(UTC) - self._keep, alone=True)
            async with aclosing(steps):
                deleted = sum([runs async for runs in steps])
            if deleted:
                logger.info("deleted %d runs that ended more than %s ago", deleted, self._keep)


async def prune(
    retention: Retention, before: datetime, *, deleting: bool = True, alone: bool = False
) -> AsyncGenerator[int, None]:
    """Delete the runs that ended before a moment, in small steps with pauses between them.

    Args:
        retention: what deletes.
        before: the moment, with a time zone.
        deleting: delete them; or only count.
        alone: stop where another process is at it.

    Yields:
        How many runs each step has deleted, or would have.
    """
    position: int | None = FIRST
    while position is not None:
        began = time.monotonic()
        step = await retention.prune(before, position, _STEP, deleting=deleting, alone=alone)
        yield step.runs
        position = step.position
        if position is not None and deleting:
            # The database has at least half of the time for others.
            await asyncio.sleep(max(_PAUSE, time.monotonic() - began))


async def _repeat(work: Callable[[], Awaitable[None]], often: float) -> None:
    while True:
        # Processes that were started together do not come together.
        await asyncio.sleep(often * jitter.uniform(0.75, 1.25))
        try:
            await work()
        except DatabaseError as error:
            logger.debug("maintenance has to wait: %s", error)
        except Exception as error:
            survived(logger, error, "maintenance failed")
