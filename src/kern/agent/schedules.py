"""An agent's methods for its schedules."""

from kern.agent.definition import AgentDefinition, runtime_of
from kern.agent.options import Input, written
from kern.db.schedules import Schedules
from kern.errors import ConfigurationError
from kern.run.agent import Output
from kern.run.base import Deps
from kern.run.codec import check_user
from kern.run.schedule import Missed, Schedule


class Scheduling(AgentDefinition[Deps, Output]):
    """What an agent can do to run by the clock."""

    async def aschedule(
        self,
        name: str,
        input: Input,
        *,
        cron: str,
        timezone: str = "UTC",
        missed: Missed = "once",
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> Schedule:
        """Have the agent run at every moment that a cron line names, once in all processes.

        The runs are background runs, started by any process that executes runs in this database,
        and executed by any that serves the agent; from now on this one does, too.

        A schedule that the agent has by this name is replaced, so this can be said at every start
        of a program. What it has missed until then is not forgotten, unless the line or the time
        zone is another one; and one that was paused stays paused.

        Args:
            name: the schedule's identity in the database, at most 200 characters. Users who
                choose the same name have a schedule each.
            input: a text, a message, or a list of messages.
            cron: five fields: minute, hour, day of the month, month, day of the week.
            timezone: where the line is read, such as ``Europe/Berlin``.
            missed: what becomes of moments that passed while no process was there: ``"skip"``
                (nothing, once one is more than 60 seconds late), ``"once"`` (one run for all of
                them) or ``"all"`` (one each, for the last 1000).
            session_id: the conversation of all its runs; by default a new one for each.
            user_id: on whose behalf.
            metadata: JSON values that its runs carry, besides ``schedule`` and ``scheduled_for``.

        Raises:
            InvalidInputError: an argument cannot be used, or the name is another agent's, or a
                user's where none is named.
            ConfigurationError: the agent has no db, or neither name nor id.
            DatabaseError: the schedule could not be stored.
        """
        if not self.is_named:
            raise ConfigurationError(
                "A schedule needs an agent with a name or an id, by which every process knows "
                "whose runs they are."
            )
        runtime = await runtime_of(self, "A schedule")
        schedules = runtime.store.schedules
        given = written(self.input_schema, input)
        schedule = Schedule.new(
            name,
            self.id,
            given if self.hooks is None else self.hooks.at_submit(given),
            now=await schedules.now(),
            cron=cron,
            timezone=timezone,
            missed=missed,
            session_id=session_id,
            user_id=user_id,
            metadata=metadata,
        )
        stored = await schedules.create(schedule)
        runtime.use(self)
        return stored

    async def alist_schedules(self, *, user_id: str | None = None) -> list[Schedule]:
        """Return the agent's schedules, by name.

        Args:
            user_id: only those of this user.

        Raises:
            ConfigurationError: the agent has no db.
            DatabaseError: they could not be read.
        """
        return await (await self._schedules()).find(self.id, check_user(user_id))

    async def apause_schedule(self, name: str, *, user_id: str | None = None) -> Schedule:
        """Have a schedule start no runs, until it is resumed.

        Args:
            name: the schedule.
            user_id: the user whose schedule it must be; by default any.

        Raises:
            ScheduleNotFoundError: the agent has no such schedule.
            DatabaseError: it could not be paused.
        """
        return await (await self._schedules()).pause(name, self.id, check_user(user_id))

    async def aresume_schedule(self, name: str, *, user_id: str | None = None) -> Schedule:
        """Have a paused schedule go on; what it missed meanwhile is skipped.

        Args:
            name: the schedule.
            user_id: the user whose schedule it must be; by default any.

        Raises:
            ScheduleNotFoundError: the agent has no such schedule.
            DatabaseError: it could not be resumed.
        """
        return await (await self._schedules()).resume(name, self.id, check_user(user_id))

    async def adelete_schedule(self, name: str, *, user_id: str | None = None) -> bool:
        """Delete a schedule, and say whether the agent had it; the runs that it started stay.

        Args:
            name: the schedule.
            user_id: the user whose schedule it must be; by default any.

        Raises:
            DatabaseError: it could not be deleted.
        """
        return await (await self._schedules()).remove(name, self.id, check_user(user_id))

    async def _schedules(self) -> Schedules:
        return (await runtime_of(self, "A schedule")).store.schedules
