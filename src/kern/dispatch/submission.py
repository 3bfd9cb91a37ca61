"""How runs come to be: accepted, resumed, branched off others. What follows is the same for all."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal, NoReturn, TypeAlias, TypeVar

from msgspec.structs import replace

from kern.db.base import Store
from kern.db.values import Accepted, Resume
from kern.dispatch.answer import Answer, who_was_first
from kern.dispatch.bound import Bound
from kern.dispatch.resuming import decide
from kern.errors import (
    BudgetExceededError,
    DatabaseUnavailableError,
    OutcomeUnknownError,
    QueueFullError,
    RunConflictError,
    RunNotFoundError,
    RunStateError,
    SessionBusyError,
)
from kern.execution.blobs import put_all
from kern.execution.cancellation import cancellations
from kern.execution.executor import Executor
from kern.run.base import RunStatus
from kern.run.codec import decode_object, encode
from kern.run.given import REPLACED
from kern.run.input import RunInput
from kern.run.lineage import Branch
from kern.run.ownership import may_see
from kern.run.record import NewRun, RunRecord

Result = TypeVar("Result")

SessionPolicy: TypeAlias = Literal["queue", "reject", "interrupt", "parallel"]
"""What becomes of a run where its session has another background run that has not ended."""


class _TakenError(RunConflictError):
    """Another user's run has come between the look at a chosen id and the submit."""


class Submission:
    """Accepts runs, whether they begin here and now or where the queue takes them."""

    def __init__(
        self, store: Store, cancel: Callable[[str], Awaitable[bool]], executor: Executor
    ) -> None:
        """Prepare.

        Args:
            store: where the runs are kept.
            cancel: stops a run.
            executor: what executes runs here.
        """
        self._store = store
        self._cancel = cancel
        self._executor = executor
        self._bound = Bound(store)

    async def placed(
        self,
        run: NewRun,
        accept: Callable[[NewRun], Awaitable[Result]],
        connection: object | None = None,
    ) -> Result:
        """Accept a run under the ids that its user's names for it stand for.

        Args:
            run: the run.
            accept: accepts it under the ids that it is given.
            connection: a caller's own, in whose transaction it is accepted.
        """
        if run.user_id is None or not run.chosen:
            return await accept(run)
        while True:
            with suppress(_TakenError):  # The next look sees it.
                return await accept(await self._store.users.place(run, connection))

    async def accept(self, run: NewRun) -> RunRecord:
        """Accept a run, durably.

        Args:
            run: the run; with an executor and a lease it begins there as soon as it is accepted,
                unless it has to wait for the session lock.

        Returns:
            The run as it was accepted; RUNNING at its executor where it begins there. Or as it
            stands, where the same run was submitted before.

        Raises:
            RunConflictError: the run id is in use for something else.
            OutcomeUnknownError: the database has not said whether the run was accepted.
            BudgetExceededError: its user has used up a budget.
            DatabaseError: the run was not accepted.
        """
        if run.media and not run.unstored and not await self._is_there(run):
            # It is there before the row is. Where that does not follow, for the database is away,
            # it waits for a submit of the same id; nobody else refers to it.
            await put_all(self._store.blobs, run.run_id, run.media)
        record = await self._accepted(run)
        if run.media and run.unstored:
            # Its row is there before it is, and has it erased. Its caller has it in memory.
            await put_all(self._store.blobs, run.run_id, run.media)
        return record

    async def _accepted(self, run: NewRun) -> RunRecord:
        """Accept a run whose media is written by others; raises as :meth:`accept` does."""
        if cancellations.take_pending(run.run_id, run.user_id):
            run = replace(run, cancelled=True)
        try:
            if run.branch is None:
                accepted = await self._store.submit(run)
            else:
                accepted = await self._branched(run, run.branch)
        except BudgetExceededError:
            if run.media:
                await self._store.blobs.drop(run.run_id, [*run.media])
            raise
        except DatabaseUnavailableError as error:
            return await self._unanswered(run, error)
        if accepted is None:
            held = await self._held(run)
            return await self.same_run(run) if held is None else _same(run, held)
        return record_of(run, accepted)

    async def _branched(self, run: NewRun, branch: Branch) -> Accepted | None:
        """Have the database accept a run as a branch of another.

        Raises:
            RunStateError: the run that it was to replace has been replaced before.
            RunNotFoundError: that one is not there any more.
        """
        accepted = await self._store.fork(
            run, branch.origin, branch.seq, branch.state, replaces=branch.replaces
        )
        if accepted is None and branch.replaces and await self._store.get(run.run_id) is None:
            replaced = await self.found(branch.origin)
            raise RunStateError(
                f"Run {replaced.run_id} has been replaced by run {replaced.replaced_by}. Have that "
                "one answered anew, or pass replace_original=False."
            )
        return accepted

    async def submit(self, run: NewRun, limit: int | None, policy: SessionPolicy) -> RunRecord:
        """Accept a background run; see :meth:`accept`.

        Args:
            run: the run.
            limit: how many of the agent's runs may wait; None for any number.
            policy: what becomes of it where its session has another one.

        Raises:
            SessionBusyError: the session has another run, and the policy is to reject.
            QueueFullError: too many of the agent's runs wait.
        """
        try:
            if limit is not None:
                await self._bound.check(run.agent_id, limit)
        except QueueFullError:
            if await self._store.get(run.run_id) is None:
                raise
            return await self.same_run(run)
        record = await self.accept(run)
        if record.waiting and policy == "reject" and await self._store.withdraw(run.run_id):
            raise SessionBusyError(
                f"The session {run.session_id!r} has a run that has not ended. Wait for it, "
                "cancel it, or choose another session_policy."
            )
        if record.waiting and policy == "interrupt":
            for earlier in await self._store.before(run.run_id):
                await self._cancel(earlier)
        return record

    async def submit_with(
        self, connection: object, run: NewRun, limit: int | None
    ) -> tuple[RunRecord, str | None]:
        """Accept a background run in the transaction of a caller's own connection.

        Returns:
            The run, and the transaction; None where the same run was submitted before.

        Raises:
            ConfigurationError: the database cannot, or the connection is to another one.
            RunConflictError: the run id is in use.
            QueueFullError: too many of the agent's runs wait.
        """
        if limit is not None:
            await self._bound.check(run.agent_id, limit)
        accepted = await self._store.submit_with(connection, run)
        if accepted is None:
            return await self.same_run(run, connection), None
        return record_of(run, accepted), accepted.transaction

    async def resume(
        self,
        record: RunRecord,
        answer: Answer,
        *,
        executor: str | None = None,
        lease: float | None = None,
        foreground: bool = False,
    ) -> RunRecord:
        """Have a run that stands still go on from its journal, wherever its agent is served.

        Args:
            record: the run, as it was found.
            answer: what it is given to go on with.
            executor: who executes it at once, by a name that nobody else has.
            lease: the seconds for which that one is protected from others.
            foreground: whether it belongs to a caller from now on.

        Returns:
            The run, PENDING; or RUNNING at its executor, unless it has to wait for the session
            lock.

        Raises:
            RunStateError: it stands otherwise by now, or does not wait for these; the error says
                who has answered before.
            JournalError: what is stored of it cannot be read.
        """
        run_id, metadata = record.run_id, None
        if answer.metadata:
            metadata = encode({**decode_object(record.metadata), **answer.metadata}, "metadata")
        try:
            decided = await decide(self._store, record, answer)
        except RunStateError as error:
            who = await who_was_first(self._store, run_id, answer)
            raise RunStateError(f"{error}{who}") from error
        try:
            how = Resume(executor, lease, foreground, metadata, resolved=decided.resolved)
            resumed = await self._store.resume(
                run_id, record.status, record.attempt, decided.rows, how
            )
        except OutcomeUnknownError:
            held = None if executor is None else await self._store.held(run_id, executor)
            if held is None:
                raise
            return held
        if resumed is None:
            await self.refuse(await self.found(run_id), answer, record.status)
        return resumed

    async def refuse(
        self, record: RunRecord, answer: Answer, wanted: RunStatus = RunStatus.paused
    ) -> NoReturn:
        """Say that a run cannot go on like this, and who has answered before.

        Args:
            record: the run, as it stands.
            answer: what it was given to go on with.
            wanted: the status that it would have to have.

        Raises:
            RunStateError: it has another one.
        """
        who = await who_was_first(self._store, record.run_id, answer)
        status = record.status if record.status is not wanted else f"{wanted} anew"
        raise RunStateError(f"Run {record.run_id} is {status}, not {wanted}.{who}")

    async def found(
        self, run_id: str, user_id: str | None = None, *, with_input: bool = False
    ) -> RunRecord:
        """Return the run that a user calls ``run_id``.

        Raises:
            RunNotFoundError: there is no such run.
        """
        record = await self._store.get_for(run_id, user_id, with_input=with_input)
        if record is None:
            raise RunNotFoundError(f"There is no run {run_id!r} in {self._store}.")
        return record

    async def same_run(self, run: NewRun, connection: object | None = None) -> RunRecord:
        """Return the run that has this id already, for who waits for it.

        Args:
            run: the run.
            connection: a caller's own, whose transaction may have it.

        Raises:
            RunConflictError: it is another one.
        """
        await self._check_taken(run, connection)
        record = await self._store.get(run.run_id, with_input=True)
        if record is None:
            raise RunConflictError(
                f"run_id {run.run_id!r} is in use for a run that nobody can see: it is erased, or "
                "its transaction has not ended. Choose a new one."
            )
        return _read(_same(run, record))

    async def _is_there(self, run: NewRun) -> bool:
        """Say whether there is a run of this id: then it has its media, or has it no more."""
        return "run_id" in run.chosen and await self._store.get(run.run_id) is not None

    async def _check_taken(self, run: NewRun, connection: object | None = None) -> None:
        """Raise where the id of a run is another user's, perhaps for a pending cancel."""
        if run.user_id is not None and "run_id" in run.chosen:
            owners = (await self._store.users.owners((run.run_id,), (), connection)).runs
            if not may_see(run.user_id, owners.get(run.run_id)):
                raise _TakenError(f"run_id {run.run_id!r} is in use. Choose a new one.")

    async def _unanswered(self, run: NewRun, error: DatabaseUnavailableError) -> RunRecord:
        """Return a run of whose acceptance only the answer was lost, or raise."""
        is_unknown = isinstance(error, OutcomeUnknownError)
        try:
            found = await self._held(run)
            if found is None and is_unknown:
                found = await self._store.get(run.run_id, with_input=True)
                found = None if found is None else _read(found)
        except DatabaseUnavailableError:
            found = None
        if found is not None:
            return _same(run, found)
        if is_unknown:
            raise OutcomeUnknownError(
                f"Whether run {run.run_id!r} was accepted is not known. Look for it by its id, or "
                f"submit it again with run_id={run.run_id!r}: it is accepted once. {error}",
                address=error.address,
            ) from error
        raise error

    async def _held(self, run: NewRun) -> RunRecord | None:
        """Return the run if it is RUNNING at its executor, which does not execute it yet."""
        if run.executor is None or self._executor.attempt(run.run_id) is not None:
            return None  # An attempt that ends meanwhile would still be RUNNING in the answer.
        return await self._store.held(run.run_id, run.executor)


def _same(run: NewRun, record: RunRecord) -> RunRecord:
    """Return the record if it is that of the run, not of another one with its id."""
    if not may_see(run.user_id, record.user_id):
        raise _TakenError(f"run_id {run.run_id!r} is in use. Choose a new one.")
    is_same = record.input == run.input or _is_replaced(record)
    if not is_same or (record.agent_id, record.lineage) != (run.agent_id, run.lineage):
        raise RunConflictError(
            f"run_id {run.run_id!r} is in use for another input or agent. Choose a new one."
        )
    return record


def _read(record: RunRecord) -> RunRecord:
    """Return a run as it was read, which lacks what its executor has to know: it is at work."""
    return replace(record, executor=None)


def _is_replaced(record: RunRecord) -> bool:
    """Say whether a hook has put another input in the place of what the run was given."""
    return bool(record.input) and REPLACED in RunInput.from_json(record.input or "{}").options


def record_of(run: NewRun, accepted: Accepted) -> RunRecord:
    """Return the row of a run that was just accepted."""
    begins = accepted.status is RunStatus.running
    record = RunRecord(
        run.run_id,
        run.session_id,
        run.agent_id,
        run.user_id,
        accepted.status,
        int(begins),
        accepted.created_at,
        accepted.created_at if begins else None,
        None,
        run.metadata,
        priority=run.priority,
        run_at=run.run_at,
        timeout=run.timeout,
        max_attempts=run.max_attempts,
        webhook=run.webhook,
        parent_run_id=run.parent_run_id,
        executor=run.executor if begins else None,
        usage_limits=run.usage_limits,
        output_schema=run.output_schema,
        foreground=run.foreground,
        unstored=run.unstored,
        waiting=accepted.waiting,
        input=run.input,
        streamed=run.streamed,
        budgeted=accepted.budgeted,
        is_new_session=run.is_new_session,
        traceparent=run.traceparent,
    )
    if run.lineage is not None:
        last_seq = 0 if run.branch is None else run.branch.seq
        record = replace(record, lineage=run.lineage, last_seq=last_seq)
    return record if run.media is None else replace(record, media=run.media)
