"""Runs in the background: accepted, pinned to their definition, begun here if there is a slot."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from kern.aio.retry import until_available
from kern.dispatch.foreground import Foreground
from kern.dispatch.here import Here
from kern.dispatch.submission import SessionPolicy, Submission
from kern.dispatch.worker import Worker
from kern.errors import DatabaseUnavailableError, RunStateError
from kern.execution.spec import Definition, Spec
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import NewRun, RunRecord

Result = TypeVar("Result")


class Background:
    """Accepts background runs on one event loop, and has them begin there at once if they may."""

    def __init__(
        self, here: Here, submission: Submission, worker: Worker, foreground: Foreground
    ) -> None:
        """Prepare.

        Args:
            here: what the parts of the runtime share.
            submission: what accepts runs.
            worker: what executes them.
            foreground: what executes the runs of callers who wait.
        """
        self._store = here.store
        self._submission = submission
        self._definitions = here.definitions
        self._slots = here.slots
        self._worker = worker
        self._foreground = foreground
        self._subscriptions = here.subscriptions
        self._tasks = here.tasks
        self._name = here.name
        self._heartbeat = here.settings.heartbeat
        self._owner = here.owner

    async def submit(
        self,
        definition: Definition,
        run: NewRun,
        policy: SessionPolicy,
        connection: object | None,
    ) -> RunOutput:
        """Accept a run; see :meth:`kern.dispatch.runtime.Runtime.submit`."""
        limit, ordered = definition.max_queued_runs, policy != "parallel"
        if connection is None and self._may_begin(definition, run):
            lease, executor = self._heartbeat, self._name
            run = replace(run, ordered=ordered, lease=lease, executor=executor)
            return await self._submit_in_slot(Spec.of(definition), run, limit, policy)
        run = replace(run, ordered=ordered)
        if connection is not None:
            accept_with = partial(self._submission.submit_with, connection, run, limit)
            record, transaction = await self.pinned(definition, run.run_id, accept_with)
            if transaction is not None and self._worker.takes_runs:
                spec = Spec.of(definition)
                self._definitions.pin(run.run_id, spec, self._owner(), transaction)
        else:
            accept = partial(self._submission.submit, run, limit, policy)
            record = await self.pinned(definition, run.run_id, accept)
        return output_of(definition, record)

    async def pinned(
        self, definition: Definition, run_id: str, accept: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Accept a run that waits, pinned to its definition if this process executes runs.

        Args:
            definition: the agent.
            run_id: the run.
            accept: accepts it, or has it go on; what that raises is passed on.
        """
        if not self._worker.takes_runs:
            return await accept()
        spec = Spec.of(definition)
        self._definitions.check(spec)
        is_new = not self._definitions.is_pinned(run_id)
        if is_new:
            self._definitions.pin(run_id, spec, self._owner())
        try:
            result = await accept()
        except BaseException as error:
            # Another caller's pin of the same run holds. Where another caller was first to resume
            # it, this one's is theirs too; the next sweep forgets it if the run has ended.
            if is_new and not isinstance(error, RunStateError):
                self._definitions.unpin(run_id)
            raise
        if not self._definitions.is_pinned(run_id) and not self._worker.executes(run_id):
            # A sweep has seen the run as it was before it went on.
            self._definitions.pin(run_id, spec, self._owner())
        if not self._subscriptions.is_notified:
            self._worker.wake()
        return result

    def owns(self, record: RunRecord) -> bool:
        """Say whether a run is RUNNING for this executor, and nothing here executes it yet."""
        return (
            record.status is RunStatus.running
            and record.executor == self._name
            and not self._worker.executes(record.run_id)
            and not self._foreground.executes(record.run_id)
        )

    def _may_begin(self, definition: Definition, run: NewRun) -> bool:
        """Say whether a run may begin here as soon as it is accepted; limits are kept in claims."""
        is_limited = definition.max_concurrent_runs is not None or (
            definition.max_concurrent_runs_per_user is not None and run.user_id is not None
        )
        return (
            not is_limited
            and run.run_at is None
            and self._worker.takes_runs
            and self._worker.has_slot(run.parent_run_id is not None)
        )

    async def _submit_in_slot(
        self, spec: Spec, run: NewRun, limit: int | None, policy: SessionPolicy
    ) -> RunOutput:
        """Accept a run that begins here at once, unless it has to wait for the session lock."""
        self._definitions.check(spec)
        self._slots.take()
        try:
            record = await self._submission.submit(run, limit, policy)
        except BaseException as error:
            self._slots.give_back()
            if isinstance(error, (asyncio.CancelledError, DatabaseUnavailableError)):
                self._tasks.start(self._release_accepted(run.run_id))
            raise
        output = output_of(spec, record)
        if self.owns(record):
            self._worker.begin(record, spec)
            # It takes its first step once its caller lets the event loop go on.
            output.status = RunStatus.pending
            return output
        self._slots.give_back()
        if record.status is RunStatus.pending:
            self._definitions.pin(run.run_id, spec, self._owner())
        return output

    async def _release_accepted(self, run_id: str) -> None:
        """Release a run that was to begin here, if it was accepted: its submitter has left."""
        held = await until_available(lambda: self._store.held(run_id, self._name))
        if held is not None and self.owns(held):
            await until_available(lambda: self._store.release(run_id, held.attempt))


def output_of(definition: Definition | Spec, record: RunRecord) -> RunOutput:
    """Return a run as its caller sees it, with the name that its agent has here."""
    output = RunOutput.from_record(record)
    output.agent_name = output.agent_name or definition.name
    return output
