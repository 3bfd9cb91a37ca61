"""Runs in the foreground: accepted like all others, executed for a caller who waits."""

import asyncio
from dataclasses import replace

from kern.aio.guard import guarded
from kern.aio.retry import until_available
from kern.dispatch.answer import Answer
from kern.dispatch.here import Here
from kern.dispatch.submission import Submission
from kern.errors import DatabaseUnavailableError
from kern.execution.attempt import Attempt
from kern.execution.executor import Executor
from kern.execution.from_record import attempt_of
from kern.execution.journal import Emit
from kern.execution.output import handed_out
from kern.execution.settling import erase_unstored, settle
from kern.execution.spec import Spec
from kern.failures import with_output
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import NewRun, RunRecord


class Foreground:
    """Executes runs for callers of this event loop."""

    def __init__(self, here: Here, submission: Submission, executor: Executor) -> None:
        """Prepare.

        Args:
            here: what the parts of the runtime share.
            submission: what accepts runs.
            executor: what executes them.
        """
        self._store = here.store
        self._submission = submission
        self._executor = executor
        self._tasks = here.tasks
        self._in_hand: set[str] = set()

    async def accept(self, run: NewRun) -> RunRecord:
        """Accept a run; if the caller leaves meanwhile, it ends CANCELLED.

        Raises:
            RunConflictError: the run id is in use for something else.
            DatabaseError: the run was not accepted.
        """
        try:
            return await self._submission.accept(run)
        except (asyncio.CancelledError, DatabaseUnavailableError):
            # Its submit may be under way still: nobody else may execute it then.
            assert run.executor is not None, "a foreground run begins where it is accepted"
            self._tasks.start(self._abandon(run.run_id, run.executor))
            raise

    async def resume(
        self, record: RunRecord, answer: Answer, executor: str, lease: float
    ) -> RunRecord:
        """Have a run go on for a caller; if the caller leaves meanwhile, it ends CANCELLED.

        Raises:
            RunStateError: it stands otherwise by now, or does not wait for these.
            DatabaseError: whether it goes on is not known; if it does, it does in the background.
        """
        resuming = asyncio.ensure_future(
            self._submission.resume(record, answer, executor=executor, lease=lease, foreground=True)
        )
        try:
            return await asyncio.shield(resuming)
        except asyncio.CancelledError:
            self._tasks.start(self._abandon(record.run_id, executor, resuming))
            raise
        except DatabaseUnavailableError:
            self._tasks.start(self._release(record.run_id, executor))
            raise

    async def execute(
        self, record: RunRecord, spec: Spec, emit: Emit | None, told: int | None = None
    ) -> RunOutput:
        """Execute a run that was accepted RUNNING for this executor.

        Args:
            record: the run.
            spec: the agent.
            emit: is given its events, as they happen.
            told: the number of the last event of earlier attempts that the caller has.

        Raises:
            DatabaseError: its end was not stored.
            Exception: what the run failed of; it is settled as ERROR by then.
        """
        attempt = attempt_of(record, spec, self._store, emit=emit, foreground=True, told=told)
        self._in_hand.add(record.run_id)
        try:
            return await carry(self._executor, attempt)
        finally:
            self._in_hand.discard(record.run_id)

    def executes(self, run_id: str) -> bool:
        """Say whether a run executes here for its caller, or is just about to."""
        return run_id in self._in_hand

    async def _abandon(
        self, run_id: str, executor: str, begins: asyncio.Future[RunRecord] | None = None
    ) -> None:
        """End a run whose caller has left while it was to begin here, if it does.

        Args:
            run_id: the run.
            executor: the name of this executor.
            begins: what has it begin, where that is under way.
        """
        if begins is not None:
            await asyncio.wait({begins})
            if begins.cancelled() or begins.exception() is not None:
                return
        if (held := await self._held(run_id, executor)) is not None:
            output = replace(RunOutput.from_record(held), status=RunStatus.cancelled)
            settlement = output.settlement(held.attempt)
            settled = await until_available(lambda: self._store.settle(settlement))
            await erase_unstored(self._store, run_id, settled)

    async def _release(self, run_id: str, executor: str) -> None:
        """Leave a run to others whose caller was not told that it begins here, if it does."""
        if (held := await self._held(run_id, executor)) is not None:
            await until_available(lambda: self._store.release(run_id, held.attempt))

    async def _held(self, run_id: str, executor: str) -> RunRecord | None:
        """Return a run that is RUNNING for this executor, if nothing here executes it."""
        held = await until_available(lambda: self._store.held(run_id, executor))
        executes = self.executes(run_id) or self._executor.attempt(run_id) is not None
        return None if executes else held


async def carry(executor: Executor, attempt: Attempt) -> RunOutput:
    """Execute an attempt in a task of its own, and cancel the run where its caller is cancelled."""
    has_begun = False

    async def execute() -> None:
        nonlocal has_begun
        has_begun = True
        await executor.execute(attempt)

    task = asyncio.create_task(execute(), name=f"run {attempt.output.run_id}")
    try:
        with guarded():
            await asyncio.wait({task})
    except asyncio.CancelledError:
        if not task.cancelling():
            task.cancel()
        await asyncio.wait({task})
        raise
    finally:
        if not has_begun:  # A task that is cancelled before its first step never takes it.
            attempt.output.status = RunStatus.cancelled
            await settle(attempt)
    task.result()
    output = handed_out(attempt)
    if attempt.failure is not None and attempt.output.status is RunStatus.error:
        raise with_output(attempt.failure, output)
    return output
