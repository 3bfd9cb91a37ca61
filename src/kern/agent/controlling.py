"""An agent's methods for runs that exist: to cancel, await and retry them."""

from typing import get_args

from kern.agent.definition import AgentDefinition, runtime_of
from kern.dispatch.waiting import Until
from kern.errors import InvalidInputError
from kern.execution.cancellation import acancel_run, tell_manager
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps
from kern.run.codec import check_id, check_user
from kern.run.numbers import check_wait

_UNTIL = get_args(Until)


class Controlling(AgentDefinition[Deps, Output]):
    """What an agent can do with runs that exist."""

    async def acancel_run(self, run_id: str, *, user_id: str | None = None) -> bool:
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
        if self.db is None:
            return await acancel_run(run_id, user_id)
        check_id("run_id", run_id)
        await tell_manager(run_id)
        return await (await runtime_of(self)).cancel(run_id, self.models, check_user(user_id))

    async def aerase_run(self, run_id: str, *, user_id: str | None = None) -> bool:
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
        check_id("run_id", run_id)
        check_user(user_id)
        return await (await runtime_of(self)).erase(run_id, self.models, user_id)

    async def await_run(
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
        check_id("run_id", run_id)
        check_user(user_id)
        check_wait(timeout)
        if until not in _UNTIL:
            raise InvalidInputError(f"until must be 'pause' or 'end', not {until!r:.50}.")
        runtime = await runtime_of(self)
        runtime.use(self)
        output = await runtime.wait(run_id, timeout, until, user_id)
        return None if output is None else self._typed(output)

    async def aretry_run(self, run_id: str, *, user_id: str | None = None) -> RunOutput[Output]:
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
        check_id("run_id", run_id)
        check_user(user_id)
        return self._typed(await (await runtime_of(self)).retry(run_id, self, user_id))
