"""What kern needs of a database for schedules: the port beside that of the runs."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from kern.errors import InvalidInputError, ScheduleNotFoundError
from kern.run.schedule import Schedule


class Schedules(ABC):
    """The schedules in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached. Every process that listens to the database is told when a schedule is put, resumed
    or deleted.
    """

    @abstractmethod
    async def now(self) -> datetime:
        """Return the database's time, which all processes go by, in UTC."""

    @abstractmethod
    async def put(self, schedule: Schedule) -> Schedule | None:
        """Store a schedule, in the place of the agent's schedule with this name.

        A replaced one stays paused where it was; and it keeps its next moment where the cron line
        and the time zone are the same, so that what was missed is not forgotten.

        Returns:
            The schedule as it is stored; None where another agent has one with this name.
        """

    @abstractmethod
    async def get(self, name: str) -> Schedule | None:
        """Return a schedule."""

    @abstractmethod
    async def find(self, agent_id: str | None = None) -> list[Schedule]:
        """Return the schedules of an agent, or of all agents, by name."""

    @abstractmethod
    async def upcoming(self, now: datetime) -> list[Schedule]:
        """Return what is due, the earliest first, and what comes next after ``now``."""

    @abstractmethod
    async def update(self, old: Schedule, new: Schedule) -> bool:
        """Set ``next_at``, ``last_at`` and ``paused``, if the schedule is still as ``old``."""

    @abstractmethod
    async def delete(self, name: str, agent_id: str | None = None) -> bool:
        """Delete a schedule, of an agent or of any, and say whether there was one."""

    async def create(self, schedule: Schedule) -> Schedule:
        """Store a schedule, as :meth:`put` does.

        Raises:
            InvalidInputError: another agent has a schedule with this name.
        """
        stored = await self.put(schedule)
        if stored is None:
            raise InvalidInputError(
                f"The schedule {schedule.name!r} belongs to another agent. Choose another name, or "
                "delete that one first."
            )
        return stored

    async def pause(self, name: str, agent_id: str | None = None) -> Schedule:
        """Have a schedule start no runs, until it is resumed.

        Args:
            name: the schedule.
            agent_id: the agent that it must belong to; by default any.

        Raises:
            ScheduleNotFoundError: there is no such schedule.
        """
        return await self._change(name, agent_id, lambda found: replace(found, paused=True))

    async def resume(self, name: str, agent_id: str | None = None) -> Schedule:
        """Have a paused schedule go on; what it missed meanwhile is skipped.

        Args:
            name: the schedule.
            agent_id: the agent that it must belong to; by default any.

        Raises:
            ScheduleNotFoundError: there is no such schedule.
        """
        now = await self.now()

        def resumed(found: Schedule) -> Schedule:
            return replace(found, paused=False, next_at=found.after(now)) if found.paused else found

        return await self._change(name, agent_id, resumed)

    async def _change(
        self, name: str, agent_id: str | None, change: Callable[[Schedule], Schedule]
    ) -> Schedule:
        while True:
            found = await self.get(name)
            if found is None or agent_id not in (None, found.agent_id):
                raise ScheduleNotFoundError(f"There is no schedule {name!r}.")
            changed = change(found)
            if changed == found or await self.update(found, changed):
                return changed
