"""How runs get into the queue: submitted, taken up again, branched off others."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal, TypeAlias

from kern.db.base import Accepted, Store
from kern.dispatch.bound import Bound
from kern.dispatch.decisions import decide
from kern.dispatch.queue import WEBHOOKS, Queue, topic_of
from kern.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    QueueFullError,
    RunConflictError,
    RunNotFoundError,
    RunStateError,
    SessionBusyError,
)
from kern.execution.cancellation import cancellations
from kern.execution.definition import Definition
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import decode_object
from kern.run.record import NewRun, RunRecord

SessionPolicy: TypeAlias = Literal["queue", "reject", "interrupt", "parallel"]
"""What becomes of a run where its session has another background run that has not ended."""


class Intake:
    """Accepts background runs, for whoever executes them."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        cancel: Callable[[str], Awaitable[bool]],
        begin: Callable[[NewRun, Accepted], None],
        executes: Callable[[str], bool],
    ) -> None:
        """Prepare.

        Args:
            store: where the runs are kept.
            queue: where they wait, if the store does not put them there itself.
            cancel: stops a run.
            begin: executes one that was accepted with a lease.
            executes: says whether one executes here.
        """
        self._store = store
        self._queue = queue
        self._cancel = cancel
        self._begin = begin
        self._executes = executes
        self._bound = Bound(store)

    async def submit(
        self, definition: Definition, run: NewRun, policy: SessionPolicy = "queue"
    ) -> RunOutput:
        """Accept a run into the queue, durably.

        Args:
            definition: the agent.
            run: the run.
            policy: what becomes of it where its session has another one.

        Returns:
            The run, PENDING, or CANCELLED where it was cancelled before; or as it stands where
            the same run was submitted before.

        Raises:
            RunConflictError: the run id is in use for something else.
            SessionBusyError: the session has another run, and the policy is to reject.
            QueueFullError: too many of the agent's runs wait.
            DatabaseError: the run was not accepted.
        """
        try:
            await self._bound.check(run.agent_id, definition.max_queued_runs)
        except QueueFullError:
            if await self._store.get(run.run_id) is None:
                raise
            return RunOutput.from_record(await self.same_run(run))
        run = replace(
            run,
            cancelled=cancellations.take_intent(run.run_id),
            ordered=policy != "parallel",
        )
        accepted = await self.accept(run)
        if accepted is None:
            return RunOutput.from_record(await self.same_run(run))
        if accepted.status is RunStatus.running:
            self._begin(run, accepted)
            # It takes its first step once its caller lets the event loop go on.
            return accepted_output(definition, run, accepted._replace(status=RunStatus.pending))
        if accepted.waiting and policy == "reject" and await self._store.withdraw(run.run_id):
            raise SessionBusyError(
                f"The session {run.session_id!r} has a run that has not ended. Wait for it, "
                "cancel it, or choose another session_policy."
            )
        if accepted.waiting and policy == "interrupt":
            for earlier in await self._store.before(run.run_id):
                await self._cancel(earlier)
        return accepted_output(definition, run, accepted)

    async def accept(self, run: NewRun) -> Accepted | None:
        """Accept a run into the queue, or say with None that its id is in use."""
        try:
            accepted = await self._store.submit(run) or await self._begun(run)
        except DatabaseUnavailableError:
            # Perhaps only the answer was lost.
            accepted = await self._begun(run)
            if accepted is None:
                raise
        except asyncio.CancelledError:
            with suppress(DatabaseError):
                await self._let_go(run)
            raise
        if accepted is not None and not self._store.enqueues:
            if accepted.status is RunStatus.pending and not accepted.waiting:
                await self._queue.enqueue(
                    run.run_id, topic_of(run.agent_id), priority=run.priority, run_at=run.run_at
                )
            elif accepted.status is RunStatus.cancelled and run.webhook is not None:
                await self._queue.enqueue(run.run_id, WEBHOOKS)
        return accepted

    async def _begun(self, run: NewRun) -> Accepted | None:
        """Return how a run was accepted that is to begin here, though nobody has begun it."""
        if run.executor is None or self._executes(run.run_id):
            return None
        return await self._store.begun(run.run_id, run.executor)

    async def _let_go(self, run: NewRun) -> None:
        """Leave a run to the queue that was to begin here, whose submitter has gone meanwhile."""
        if run.executor is None:
            return
        accepted = await self._store.submit(run) or await self._begun(run)
        if accepted is not None and accepted.status is RunStatus.running:
            await self._store.release(run.run_id, 1)
            if not self._store.enqueues:
                await self._queue.enqueue(run.run_id, topic_of(run.agent_id))

    async def take_up(
        self, run_id: str, status: RunStatus, results: dict[str, str] | None = None
    ) -> RunOutput:
        """Have a run that stands still go on from its journal, wherever its agent is served.

        Args:
            run_id: the run.
            status: the status in which it has to be: ERROR or PAUSED.
            results: by tool call id, what calls of unknown outcome returned; all others are made
                again.

        Returns:
            The run, PENDING.

        Raises:
            RunNotFoundError: there is no such run.
            RunStateError: it is in another status, or has no such calls.
        """
        record = await self.found(run_id)
        if record.status is not status:
            raise RunStateError(f"Run {run_id} is {record.status}, not {status}.")
        events = await decide(self._store, record, results or {})
        if not await self._store.take_up(run_id, status, events):
            raise RunStateError(f"Run {run_id} is not {status} any more.")
        if not self._store.enqueues:
            await self._queue.enqueue(run_id, topic_of(record.agent_id), again=True)
        return RunOutput.from_record(await self.found(run_id))

    async def fork(self, run: NewRun, origin: str, seq: int) -> RunOutput:
        """Begin a new run with the first steps of another.

        Args:
            run: the new run; its input is the other's.
            origin: the other run.
            seq: the number of the last event that the new run takes over.

        Returns:
            The new run, PENDING.

        Raises:
            RunConflictError: the new run's id is in use.
        """
        if not await self._store.fork(run, origin, seq):
            raise RunConflictError(f"run_id {run.run_id!r} is in use. Choose a new one.")
        if not self._store.enqueues:
            await self._queue.enqueue(run.run_id, topic_of(run.agent_id))
        return RunOutput.from_record(await self.found(run.run_id))

    async def found(self, run_id: str, *, with_input: bool = False) -> RunRecord:
        """Return a run.

        Raises:
            RunNotFoundError: there is no such run.
        """
        record = await self._store.get(run_id, with_input=with_input)
        if record is None:
            raise RunNotFoundError(f"There is no run {run_id!r} in {self._store}.")
        return record

    async def same_run(self, run: NewRun) -> RunRecord:
        """Return the run that has this id already.

        Raises:
            RunConflictError: it is another one.
        """
        record = await self.found(run.run_id, with_input=True)
        if (record.input, record.agent_id) != (run.input, run.agent_id):
            raise RunConflictError(
                f"run_id {run.run_id!r} is in use for another input or agent. Choose a new one."
            )
        return record


def accepted_output(definition: Definition, run: NewRun, accepted: Accepted) -> RunOutput:
    """Return a run as it was accepted."""
    return RunOutput(
        run_id=run.run_id,
        session_id=run.session_id,
        agent_id=run.agent_id,
        agent_name=definition.name,
        user_id=run.user_id,
        status=accepted.status,
        metadata=decode_object(run.metadata) if run.metadata else None,
        created_at=accepted.created_at.timestamp(),
    )
