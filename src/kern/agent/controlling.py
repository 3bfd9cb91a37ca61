"""An agent's methods for runs that exist: to cancel, await, retry and continue them."""

from collections.abc import Mapping, Sequence
from typing import get_args

from kern.agent.definition import AgentDefinition, runtime_of
from kern.dispatch.waiting import Until
from kern.errors import InvalidInputError, RunNotFoundError
from kern.execution.cancellation import acancel_run, tell_manager
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps, RunStatus
from kern.run.codec import check_id, check_user
from kern.run.identity import new_id
from kern.run.numbers import check_count, check_wait
from kern.run.record import NewRun
from kern.run.requirement import RunRequirement
from kern.run.steps import OPTIONS_VERSION, TYPED_VERSION

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
        runtime, error = await runtime_of(self), RunStatus.error
        return self._typed(await runtime.resume(run_id, error, definition=self, user_id=user_id))

    async def acontinue_run(
        self,
        run_id: str,
        *,
        requirements: Sequence[RunRequirement] | None = None,
        results: Mapping[str, str] | None = None,
        from_seq: int | None = None,
        new_run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> RunOutput[Output]:
        """Have a PAUSED run go on; or begin a new run from an earlier step of any run.

        Args:
            run_id: the run.
            requirements: those of the paused output, answered: ``requirement.confirm()``,
                ``.reject(note)``, or ``.set_external_execution_result(text)``. The run pauses
                again for those that are not.
            results: what tool calls for which the run paused returned elsewhere: texts by tool
                call id. Without ``requirements``, calls of unknown outcome that are left out are
                made again.
            from_seq: begin a new run with the steps of this one that tell nothing after the
                event of this number; what comes after them is done anew.
            new_run_id: with ``from_seq``, the new run's id; by default a new one.
            session_id: with ``from_seq``, the new run's session; by default the same.
            user_id: the user whose run it must be; by default any.

        Returns:
            The run, or the new one, PENDING.

        Raises:
            RunNotFoundError: there is no such run.
            RunStateError: it is not PAUSED, does not wait for these, or one has expired.
            JournalError: what is stored of it cannot be read.
            RunConflictError: the new run's id is in use.
            InvalidInputError: an argument cannot be used.
        """
        check_id("run_id", run_id)
        check_user(user_id)
        runtime = await runtime_of(self)
        for call, result in (results or {}).items():
            if not isinstance(result, str):
                kind = type(result).__name__
                raise InvalidInputError(f"The result of {call} must be a text, not {kind}.")
        if from_seq is None:
            _refuse_unused("only with from_seq", new_run_id=new_run_id, session_id=session_id)
            paused = RunStatus.paused
            resumed = await runtime.resume(run_id, paused, results, requirements, self, user_id)
            return self._typed(resumed)
        check_count("from_seq", from_seq, least=0)
        _refuse_unused("only without from_seq", requirements=requirements, results=results)
        record = await runtime.store.get_for(run_id, user_id, with_input=True)
        if record is None or record.input is None:
            raise RunNotFoundError(f"There is no run {run_id!r} in {self.db}.")
        run = NewRun(
            run_id=check_id("new_run_id", new_id() if new_run_id is None else new_run_id),
            session_id=record.session_id
            if session_id is None
            else check_id("session_id", session_id),
            agent_id=self.id,
            user_id=record.user_id or user_id,
            input=record.input,
            metadata=record.metadata,
            ordered=self.session_policy != "parallel",
            timeout=self.timeout,
            max_attempts=self.attempts,
            journal_version=max(
                record.journal_version,
                1 if self.answering is None else TYPED_VERSION,
                1 if self.hooks is None and not self.uses_state else OPTIONS_VERSION,
            ),
            output_schema=record.output_schema,
            # A run of nobody's may be in another user's session.
            chosen=("session_id",) if new_run_id is None else ("run_id", "session_id"),
        )
        return self._typed(await runtime.fork(self, run, record.run_id, from_seq))


def _refuse_unused(when: str, **given: object) -> None:
    """Raise where an argument would be without effect."""
    if unused := [name for name, value in given.items() if value is not None]:
        raise InvalidInputError(f"{', '.join(unused)}: {when}.")
