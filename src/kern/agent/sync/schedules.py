"""Generated from ``kern/agent/schedules.py`` by ``scripts/generate_sync.py``."""

from kern.agent.blocking import blocking
from kern.agent.options import Input
from kern.agent.schedules import Scheduling
from kern.run.agent import Output
from kern.run.base import Deps
from kern.run.schedule import Missed, Schedule


class SyncScheduling(Scheduling[Deps, Output]):
    """The methods of :class:`Scheduling`, for code without an event loop."""

    def schedule(
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
        return blocking("await agent.aschedule(...)").call(
            self.aschedule(
                name,
                input,
                cron=cron,
                timezone=timezone,
                missed=missed,
                session_id=session_id,
                user_id=user_id,
                metadata=metadata,
            )
        )

    def list_schedules(self, *, user_id: str | None = None) -> list[Schedule]:
        """Return the agent's schedules, by name.

        Args:
            user_id: only those of this user.

        Raises:
            ConfigurationError: the agent has no db.
            DatabaseError: they could not be read.
        """
        return blocking("await agent.alist_schedules(...)").call(
            self.alist_schedules(user_id=user_id)
        )

    def pause_schedule(self, name: str, *, user_id: str | None = None) -> Schedule:
        """Have a schedule start no runs, until it is resumed.

        Args:
            name: the schedule.
            user_id: the user whose schedule it must be; by default any.

        Raises:
            ScheduleNotFoundError: the agent has no such schedule.
            DatabaseError: it could not be paused.
        """
        return blocking("await agent.apause_schedule(...)").call(
            self.apause_schedule(name, user_id=user_id)
        )

    def resume_schedule(self, name: str, *, user_id: str | None = None) -> Schedule:
        """Have a paused schedule go on; what it missed meanwhile is skipped.

        Args:
            name: the schedule.
            user_id: the user whose schedule it must be; by default any.

        Raises:
            ScheduleNotFoundError: the agent has no such schedule.
            DatabaseError: it could not be resumed.
        """
        return blocking("await agent.aresume_schedule(...)").call(
            self.aresume_schedule(name, user_id=user_id)
        )

    def delete_schedule(self, name: str, *, user_id: str | None = None) -> bool:
        """Delete a schedule, and say whether the agent had it; the runs that it started stay.

        Args:
            name: the schedule.
            user_id: the user whose schedule it must be; by default any.

        Raises:
            DatabaseError: it could not be deleted.
        """
        return blocking("await agent.adelete_schedule(...)").call(
            self.adelete_schedule(name, user_id=user_id)
        )
