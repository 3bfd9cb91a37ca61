"""Generated from ``kern/agent/controlling.py`` by ``scripts/generate_sync.py``."""

from kern.agent.blocking import blocking
from kern.agent.controlling import Controlling
from kern.dispatch.waiting import Until
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps


class SyncControlling(Controlling[Deps, Output]):
    """The methods of :class:`Controlling`, for code without an event loop."""

    def cancel_run(self, run_id: str, *, user_id: str | None = None) -> bool:
        """Cancel a run, wherever it executes or waits.

        Args:
            run_id: the run, or the id that a run will have.
            user_id: the user whose run it must be, as everywhere here: another user's counts as
                not known. By default any; a run without a user is everybody's.

        Returns:
            True where the run ends cancelled: the connection to its model is closed within
            milliseconds, and what it produced is kept. False where it had ended, which changes
            nothing, or is not known; then the cancel is kept, and honoured when it arrives.

        Raises:
            DatabaseError: the cancel could not be stored; that is repeated until it is.
        """
        return blocking("await agent.acancel_run(...)").call(
            self.acancel_run(run_id, user_id=user_id)
        )

    def erase_run(self, run_id: str, *, user_id: str | None = None) -> bool:
        """Erase a run, and the runs that its calls have started: cancel what has not ended.

        From then on none of them is known, and the id cannot be used again. What they were given,
        said and did is deleted: at once, or as soon as the run has stopped. Runs that were branched
        off it have copies, and stay; so does the state of its session.

        Args:
            run_id: the run.
            user_id: the user whose run it must be; by default any.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: an argument cannot be used.
            ConfigurationError: the agent has no db.
            DatabaseError: the database refused, or is away; erase it again.
        """
        return blocking("await agent.aerase_run(...)").call(
            self.aerase_run(run_id, user_id=user_id)
        )

    def wait_run(
        self,
        run_id: str,
        timeout: float | None = None,
        *,
        until: Until = "pause",
        user_id: str | None = None,
    ) -> RunOutput[Output] | None:
        """Wait for a background run's end or pause, whichever process executes it.

        The wait outlasts an outage of the database, up to its timeout.

        Args:
            run_id: the run.
            timeout: seconds to wait at most, 0 to look once; by default without end.
            until: ``"end"`` to wait on while the run is PAUSED.
            user_id: the user whose run it must be; by default any.

        Returns:
            The run as it ended or paused, or None where it is not known.

        Raises:
            TimeoutError: it had not by then; it goes on.
            InvalidInputError: an argument cannot be used.
            ConfigurationError: the agent has no db.
            DatabaseError: the database could not be opened.
        """
        return blocking("await agent.await_run(...)").call(
            self.await_run(run_id, timeout, until=until, user_id=user_id)
        )

    def retry_run(self, run_id: str, *, user_id: str | None = None) -> RunOutput[Output]:
        """Have a run that ended in ERROR go on from its journal: what is done is not done again.

        Args:
            run_id: the run.
            user_id: the user whose run it must be; by default any.

        Returns:
            The run, PENDING.

        Raises:
            RunNotFoundError: there is no such run.
            InvalidInputError: it is another agent's.
            RunStateError: it is not in ERROR.
            JournalError: what is stored of it cannot be read.
        """
        return blocking("await agent.aretry_run(...)").call(
            self.aretry_run(run_id, user_id=user_id)
        )
