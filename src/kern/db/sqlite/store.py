"""SQLite, open for one event loop."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import cast

from typing_extensions import override

from kern.aio.batch import Batcher
from kern.db.base import Store
from kern.db.listing import Load, RunFilter
from kern.db.sqlite.approvals import SqliteApprovals
from kern.db.sqlite.attempts import Attempts
from kern.db.sqlite.blobs import SqliteBlobs
from kern.db.sqlite.budgets import SqliteBudgets
from kern.db.sqlite.components import SqliteComponents
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.contents import SqliteContents
from kern.db.sqlite.erasing import SqliteErasing
from kern.db.sqlite.figures import SqliteFigures
from kern.db.sqlite.file import Arguments, Operation, Result, SqliteFile, bound
from kern.db.sqlite.journals import Journals
from kern.db.sqlite.keys import SqliteKeys
from kern.db.sqlite.limits import Limits
from kern.db.sqlite.listener import Listener
from kern.db.sqlite.memories import SqliteMemories
from kern.db.sqlite.outbox import SqliteOutbox
from kern.db.sqlite.overview import SqliteOverview
from kern.db.sqlite.processes import SqliteProcesses
from kern.db.sqlite.queue import SqliteQueue
from kern.db.sqlite.reading import Reading
from kern.db.sqlite.resuming import Resuming
from kern.db.sqlite.retention import SqliteRetention
from kern.db.sqlite.schedules import SqliteSchedules
from kern.db.sqlite.session_rows import SqliteSessions
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.states import SqliteStates
from kern.db.sqlite.submission import Submission
from kern.db.sqlite.sweep import Sweep
from kern.db.sqlite.users import SqliteUsers
from kern.db.values import ANYWHERE, Accepted, Appended, Claim, Resume, Settled, Signal, Swept
from kern.errors import BudgetExceededError
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement
from kern.run.state import StatePatch


class SqliteStore(Store):
    """Runs and sessions in one file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file`` from the running event loop."""
        super().__init__()
        self._file = file
        self._attempts = Attempts(file.tables)
        self._journals = Journals(file.tables)
        self._limits = Limits(file.tables)
        self._lock = SessionLock(file.tables)
        self._reading = Reading(file.tables)
        self._resuming = Resuming(file.tables)
        self._submission = Submission(file.tables)
        self._sweep = Sweep(file.tables)
        self._listener = Listener(file)
        self._writes: Batcher[Callable[[Transaction], object], object] = Batcher(
            lambda operations: file.write(_each, operations)
        )
        self.queue = SqliteQueue(file, self._listener)
        self.schedules = SqliteSchedules(file)
        self.approvals = SqliteApprovals(file)
        self.retention = SqliteRetention(file)
        self.outbox = SqliteOutbox(file)
        self.processes = SqliteProcesses(file)
        self.overview = SqliteOverview(file)
        self.blobs = SqliteBlobs(file)
        self.budgets = SqliteBudgets(file)
        self.keys = SqliteKeys(file)
        self.contents = SqliteContents(file)
        self.components = SqliteComponents(file)
        self.erasing = SqliteErasing(file)
        self.figures = SqliteFigures(file)
        self.memories = SqliteMemories(file)
        self.states = SqliteStates(file)
        self.users = SqliteUsers(file)
        self.sessions = SqliteSessions(file, self)

    def __repr__(self) -> str:
        return f"SQLite file {self._file.path!r}"

    async def open(self) -> None:
        """Open the file, and make or migrate its tables."""
        self._file.enter()
        try:
            await self.ping()
        except BaseException:
            await self._file.leave()
            raise

    @override
    async def close(self) -> None:
        """Stop listening, and close the file if nobody else in this process uses it."""
        await self._listener.close()
        await self._file.leave()

    @override
    async def submit(self, run: NewRun) -> Accepted | None:
        return _accepted(await self._write(self._submission.submit, run))

    @override
    async def held(self, run_id: str, executor: str) -> RunRecord | None:
        # What gave it to the executor may be on its way yet.
        await self._writes.answered()
        return await self._file.read(self._reading.held, run_id, executor)

    @override
    async def withdraw(self, run_id: str) -> bool:
        return await self._file.write(self._lock.withdraw, run_id)

    @override
    async def before(self, run_id: str) -> list[str]:
        return await self._file.read(self._lock.before, run_id)

    @override
    async def queued(self, agent_id: str) -> int:
        return await self._file.read(self._reading.queued, agent_id)

    @override
    async def queued_of_user(self, user_id: str) -> int:
        return await self._file.read(self._reading.queued_of_user, user_id)

    @override
    async def claim(self, run_id: str, claim: Claim) -> RunRecord | None:
        return await self._write(self._attempts.claim, run_id, claim)

    @override
    async def make_due(self, agent_id: str, user_id: str | None, claim: Claim) -> None:
        await self._file.write(self._limits.make_due, agent_id, user_id, claim)

    @override
    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> Appended | None:
        return await self._write(self._attempts.append, run_id, attempt, rows, streamed)

    @override
    async def replace_input(self, run_id: str, attempt: int, input: str) -> bool:
        return await self._write(self._attempts.replace_input, run_id, attempt, input)

    @override
    async def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        return await self._file.write(self._attempts.extend, attempts, lease)

    @override
    async def settle(self, settlement: Settlement) -> Settled | None:
        return await self._write(self._attempts.settle, settlement)

    @override
    async def postpone(
        self,
        run_id: str,
        attempt: int,
        delay: float,
        rows: Sequence[JournalRow],
        *,
        failed: bool = True,
    ) -> RunStatus | None:
        return await self._file.write(self._attempts.postpone, run_id, attempt, delay, rows, failed)

    @override
    async def release(self, run_id: str, attempt: int) -> RunStatus | None:
        return await self._file.write(self._attempts.release, run_id, attempt)

    @override
    async def refuse(
        self, run_id: str, attempt: int, reason: str, delay: float, unserved_timeout: timedelta
    ) -> RunStatus | None:
        return await self._file.write(
            self._attempts.refuse, run_id, attempt, reason, delay, unserved_timeout
        )

    @override
    async def set_counted(self, run_id: str, attempt: int, counted: bool) -> None:
        await self._file.write(self._attempts.set_counted, run_id, attempt, counted)

    @override
    async def sweep(self, heartbeat: float) -> Swept | None:
        return await self._file.write(self._sweep.sweep, heartbeat)

    @override
    async def cancel(self, run_id: str, user_id: str | None = None) -> bool:
        return await self._file.write(self._submission.cancel, run_id, user_id)

    @override
    async def children(self, run_id: str) -> list[str]:
        return await self._file.read(self._reading.children, run_id)

    @override
    async def ended_children(self, run_id: str) -> list[tuple[str, int]]:
        return await self._file.read(self._reading.ended_children, run_id)

    @override
    async def usage_of_children(self, run_id: str) -> list[str]:
        return await self._file.read(self._reading.usage_of_children, run_id)

    @override
    async def usage_of_session(self, session_id: str) -> list[tuple[str, float]]:
        return await self._file.read(self._reading.usage_of_session, session_id)

    @override
    async def wanted(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        return await self._file.read(self._reading.wanted, run_ids)

    @override
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        return await self._file.read(self._reading.get, run_id, with_input)

    @override
    async def find(
        self, wanted: RunFilter, limit: int, before: str | None = None
    ) -> list[RunRecord]:
        return await self._file.read(self._reading.find, wanted, limit, before)

    @override
    async def load(self) -> Load:
        return await self._file.read(self._reading.load)

    @override
    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        return await self._file.read(self._journals.events, run_id, after)

    @override
    async def watch(self, run_id: str) -> RunRecord | None:
        """Look only: here every end is notified, also that of a run which is still to come."""
        return await self.get(run_id)

    @override
    async def read(self, run_id: str) -> bool:
        return await self._file.write(self._submission.read, run_id)

    @override
    async def history(
        self,
        session_id: str,
        before: str,
        limit: int,
        *,
        agent_id: str | None = None,
        user_id: str | None = None,
    ) -> list[tuple[str, str]]:
        return await self._file.read(
            self._reading.history, session_id, before, limit, agent_id, user_id
        )

    @override
    async def outputs(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        return await self._file.read(self._reading.outputs, run_ids)

    @override
    async def resume(
        self,
        run_id: str,
        status: RunStatus,
        attempt: int,
        rows: Sequence[JournalRow],
        how: Resume = ANYWHERE,
    ) -> RunRecord | None:
        return await self._file.write(
            self._resuming.resume,
            run_id,
            status,
            attempt,
            rows,
            how,
        )

    @override
    async def wake_parent(self, run_id: str) -> None:
        await self._file.write(self._resuming.wake_parent, run_id)

    @override
    async def expired_pauses(self, limit: int) -> list[str]:
        return await self._file.write(self._resuming.expire, limit)

    @override
    async def follow(self, run: NewRun, ended: str, attempt: int) -> Accepted | None:
        return _accepted(await self._file.write(self._submission.follow, run, ended, attempt))

    @override
    async def fork(
        self,
        run: NewRun,
        origin: str,
        seq: int,
        state: StatePatch | None = None,
        *,
        replaces: bool = False,
    ) -> Accepted | None:
        return _accepted(
            await self._file.write(self._submission.fork, run, origin, seq, state, replaces)
        )

    @override
    async def ping(self) -> None:
        await self._file.version_seen()

    @override
    async def listen(self, on_signal: Callable[[Signal], None]) -> None:
        await self._listener.listen(on_signal)

    async def _write(
        self,
        operation: Operation[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Carry out an operation in a transaction that it shares with others of its time.

        Raises:
            DatabaseError: as :meth:`SqliteFile.write` does.
        """
        if not self._file.threaded:
            return await self._file.write(operation, *args, **kwargs)
        return cast(Result, await self._writes.put(bound(operation, *args, **kwargs)))


def _accepted(accepted: Accepted | BudgetExceededError | None) -> Accepted | None:
    if isinstance(accepted, BudgetExceededError):
        raise accepted
    return accepted


def _each(
    transaction: Transaction, operations: Sequence[Callable[[Transaction], object]]
) -> list[object]:
    return [operation(transaction) for operation in operations]
