"""What kern needs of a database for schedules: the port beside that of the runs."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from kern.errors import InvalidInputError, ScheduleNotFoundError
from kern.run.ownership import ids_of, may_see, place
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
            The schedule as it is stored; None where another agent or user has one with this name.
        """

    @abstractmethod
    async def get(self, name: str) -> Schedule | None:
        """Return a schedule."""

    @abstractmethod
    async def find(self, agent_id: str | None = None, user_id: str | None = None) -> list[Schedule]:
        """Return the schedules of an agent and a user, or of all, by name."""

    @abstractmethod
    async def agents(self) -> list[str]:
        """Return the ids of the agents that have schedules, in order."""

    @abstractmethod
    async def upcoming(self, now: datetime) -> list[Schedule]:
        """Return what is due, the earliest first, and what comes next after ``now``."""

    @abstractmethod
    async def update(self, old: Schedule, new: Schedule) -> bool:
        """Set ``next_at``, ``last_at`` and ``paused``, if the schedule is still as ``old``."""

    @abstractmethod
    async def delete(self, name: str, agent_id: str | None = None) -> bool:
        """Delete a schedule, of an agent or of any, and say whether there was one."""

    async def get_for(self, name: str, user_id: str | None) -> Schedule | None:
        """Return the schedule that a user calls by a name; see :mod:`kern.run.ownership`."""
        for each in ids_of(name, user_id):
            found = await self.get(each)
            if found is not None and may_see(user_id, found.user_id):
                return found
        return None

    async def create(self, schedule: Schedule) -> Schedule:
        """Store a schedule, as :meth:`put` does, under the name that its user's stands for.

        Raises:
            InvalidInputError: it is another agent's, or a user's, and the schedule names none.
        """
        stored = await self.put(await self._placed(schedule))
        if stored is None:  # Another user's may have come between the look and the put.
            stored = await self.put(await self._placed(schedule))
        if stored is None:
            raise InvalidInputError(
                f"The schedule {schedule.name!r} belongs to another agent, or to a user. Name that "
                "user, choose another name, or delete it first."
            )
        return stored

    async def pause(
        self, name: str, agent_id: str | None = None, user_id: str | None = None
    ) -> Schedule:
        """Have a schedule start no runs, until it is resumed.

        Args:
            name: the schedule, as the user calls it.
            agent_id: the agent that it must belong to; by default any.
            user_id: the user that it must belong to; by default any.

        Raises:
            ScheduleNotFoundError: there is no such schedule.
        """
        return await self._change(
            name, agent_id, user_id, lambda found: replace(found, paused=True)
        )

    async def resume(
        self, name: str, agent_id: str | None = None, user_id: str | None = None
    ) -> Schedule:
        """Have a paused schedule go on; what it missed meanwhile is skipped.

        Args:
            name: the schedule, as the user calls it.
            agent_id: the agent that it must belong to; by default any.
            user_id: the user that it must belong to; by default any.

        Raises:
            ScheduleNotFoundError: there is no such schedule.
        """
        now = await self.now()

        def resumed(found: Schedule) -> Schedule:
            return replace(found, paused=False, next_at=found.after(now)) if found.paused else found

        return await self._change(name, agent_id, user_id, resumed)

    async def remove(
        self, name: str, agent_id: str | None = None, user_id: str | None = None
    ) -> bool:
        """Delete a schedule, as the user calls it, and say whether there was one."""
        found = await self.get_for(name, user_id)
        return found is not None and await self.delete(found.name, agent_id)

    async def _placed(self, schedule: Schedule) -> Schedule:
        """Return a schedule with the name that its user's name for it stands for."""
        user_id, name = schedule.user_id, schedule.name
        if user_id is None:
            return schedule
        known = [await self.get(each) for each in ids_of(name, user_id)]
        owners = {each.name: each.user_id for each in known if each is not None}
        return replace(schedule, name=place(name, user_id, owners))

    async def _change(
        self,
        name: str,
        agent_id: str | None,
        user_id: str | None,
        change: Callable[[Schedule], Schedule],
    ) -> Schedule:
        while True:
            found = await self.get_for(name, user_id)
            if found is None or agent_id not in (None, found.agent_id):
                raise ScheduleNotFoundError(f"There is no schedule {name!r}.")
            changed = change(found)
            if changed == found or await self.update(found, changed):
                return changed
