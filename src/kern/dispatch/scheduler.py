"""Starts the runs of the schedules when their moment has come.

Every process that executes runs does this for the whole database. The runs' ids follow from the
schedules and the moments, so it does no harm that several processes start the same run, or that
one starts it again after a crash.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from kern.aio.retry import until_available
from kern.aio.survived import survived
from kern.db.schedules import Schedules
from kern.errors import BudgetExceededError, DatabaseUnavailableError
from kern.run.record import NewRun
from kern.run.schedule import Schedule

logger = logging.getLogger("kern")

# Clocks are set, and machines sleep: the time is looked at this often, in seconds.
_LONGEST_SLEEP = 60.0


class Scheduler:
    """Starts what is due, and sleeps until the next moment."""

    def __init__(
        self,
        schedules: Schedules,
        submit: Callable[[NewRun], Awaitable[object]],
        listen: Callable[[], Awaitable[object]],
    ) -> None:
        """Prepare.

        Args:
            schedules: what to start, and the clock to go by.
            submit: accepts a run, once for its id.
            listen: has :meth:`wake` called from now on when a schedule has changed.
        """
        self._schedules = schedules
        self._submit = submit
        self._listen = listen
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at the schedules: they have changed, or may have."""
        self._woken.set()

    async def run(self) -> None:
        """Start what is due, until the task is cancelled."""
        await until_available(self._listen)
        while True:
            self._woken.clear()
            try:
                sleep = await until_available(self._start_due)
            except Exception as error:
                survived(logger, error, "the schedules cannot be looked at")
                sleep = _LONGEST_SLEEP
            with suppress(TimeoutError):
                async with asyncio.timeout(sleep):
                    await self._woken.wait()

    async def _start_due(self) -> float | None:
        """Start what is due; return the seconds to sleep, or None where nothing comes next."""
        now = await self._schedules.now()
        upcoming = await self._schedules.upcoming(now)
        due = [schedule for schedule in upcoming if schedule.next_at <= now]
        started = [await self._start(schedule, now) for schedule in due]
        if any(started):
            return 0
        if len(upcoming) > len(due):
            sleep = (upcoming[-1].next_at - now).total_seconds()
            return min(sleep, _LONGEST_SLEEP)
        return _LONGEST_SLEEP if due else None

    async def _submit_unless_over_budget(self, schedule: Schedule, tick: datetime) -> None:
        try:
            await self._submit(schedule.run(tick))
        except BudgetExceededError as error:
            logger.warning(
                "the schedule %r skips its run of %s: %s", schedule.name, tick.isoformat(), error
            )

    async def _start(self, schedule: Schedule, now: datetime) -> bool:
        """Start a schedule's runs and move it on; say whether that went well."""
        try:
            ticks = schedule.due(now)
            for tick in ticks:
                await self._submit_unless_over_budget(schedule, tick)
            last_at = ticks[-1] if ticks else schedule.last_at
            moved_on = replace(schedule, next_at=schedule.after(now), last_at=last_at)
            await self._schedules.update(schedule, moved_on)
        except DatabaseUnavailableError:
            raise
        except Exception as error:
            survived(logger, error, "the schedule %r cannot start its runs", schedule.name)
            return False
        return True
