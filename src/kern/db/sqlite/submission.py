"""How runs are accepted and cancelled in SQLite, each in one transaction."""

from datetime import UTC, datetime

from kern.db.erasing import IS_SEEN
from kern.db.sqlite.approval_rows import Records
from kern.db.sqlite.budgets import Spendings
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.ends import Ends
from kern.db.sqlite.journals import Journals
from kern.db.sqlite.resuming import Resuming
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.states import StateChanges
from kern.db.sqlite.tables import LIVE, Tables
from kern.db.values import Accepted, Kind
from kern.errors import BudgetExceededError
from kern.run.base import RunStatus
from kern.run.ownership import may_see
from kern.run.record import NewRun
from kern.run.state import StatePatch


class Submission:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._sessions, self._runs = tables.sessions, tables.runs
        self._blobs = tables.blobs
        self._approvals = Records(tables)
        self._ends = Ends(tables)
        self._journals = Journals(tables)
        self._spendings = Spendings(tables)
        self._states = StateChanges(tables)
        self._lock = SessionLock(tables)
        self._resuming = Resuming(tables)

    def submit(
        self, transaction: Transaction, run: NewRun
    ) -> Accepted | BudgetExceededError | None:
        """See :meth:`kern.db.base.Store.submit`; the error is returned, for others go on."""
        known = transaction.one(
            f"SELECT session_id, user_id FROM {self._runs} WHERE run_id = :run_id",
            run_id=run.run_id,
        )
        if known is not None and (
            known["session_id"] is not None or not may_see(run.user_id, known["user_id"])
        ):
            return None
        spendings = [] if run.user_id is None else self._spendings.of(transaction, run.user_id)
        try:
            for spending in spendings:
                spending.check("The run was refused; nothing was stored.")
        except BudgetExceededError as error:
            return error
        if known is not None:  # A pending cancel has taken the run's place.
            transaction.execute(
                f"DELETE FROM {self._runs} WHERE run_id = :run_id", run_id=run.run_id
            )
        cancelled = run.cancelled or known is not None or self._is_orphan(transaction, run)
        waiting = not self._enter_session(transaction, run, cancelled)
        if cancelled:
            status = RunStatus.cancelled
        elif run.lease is None or waiting:
            status = RunStatus.pending
        else:
            status = RunStatus.running
        self._insert(transaction, run, status, waiting)
        if cancelled:
            self._ends.follow(transaction, run.run_id)
        created_at = datetime.fromtimestamp(transaction.now, UTC)
        return Accepted(status, created_at, waiting, budgeted=bool(spendings))

    def _is_orphan(self, transaction: Transaction, run: NewRun) -> bool:
        """Say whether the run's parent was cancelled, so that it must not begin."""
        return run.parent_run_id is not None and bool(
            transaction.one(
                f"SELECT 1 FROM {self._runs} WHERE run_id = :parent "
                "AND (status = 'CANCELLED' OR cancel_requested_at IS NOT NULL)",
                parent=run.parent_run_id,
            )
        )

    def _is_of_erased(self, transaction: Transaction, run: NewRun) -> bool:
        """Say whether the run's parent is erased, so that nothing of the run may be kept."""
        return run.parent_run_id is not None and bool(
            transaction.one(
                f"SELECT 1 FROM {self._runs} WHERE run_id = :parent AND NOT ({IS_SEEN})",
                parent=run.parent_run_id,
            )
        )

    def _enter_session(self, transaction: Transaction, run: NewRun, cancelled: bool) -> bool:
        """Make the run's session if need be; say whether the run waits for no other one there."""
        due = run.run_at is None or run.run_at.timestamp() <= transaction.now
        asks = run.ordered and due and not cancelled
        transaction.execute(
            f"INSERT INTO {self._sessions} "
            "(session_id, agent_id, user_id, session_type, created_at, updated_at) "
            "VALUES (:session_id, :agent_id, :user_id, :session_type, :now, :now) "
            "ON CONFLICT (session_id) "
            "DO UPDATE SET updated_at = :now WHERE :asks",
            session_id=run.session_id,
            agent_id=run.agent_id,
            user_id=run.user_id,
            session_type=run.session_type,
            asks=asks,
        )
        return not asks or self._lock.take(transaction, run.session_id, run.run_id)

    def _insert(
        self, transaction: Transaction, run: NewRun, status: RunStatus, waiting: bool
    ) -> None:
        now = transaction.now
        run_at = None if run.run_at is None else run.run_at.timestamp()
        values: dict[str, object] = {
            "run_id": run.run_id,
            "session_id": run.session_id,
            "agent_id": run.agent_id,
            "user_id": run.user_id,
            "input": run.input,
            "metadata": run.metadata,
            "parent_run_id": run.parent_run_id,
            "streamed": run.streamed,
            "ordered": run.ordered,
            "waiting": waiting,
            "priority": run.priority,
            "run_at": run_at,
            "timeout": run.timeout,
            "max_attempts": run.max_attempts,
            "webhook": run.webhook,
            "traceparent": run.traceparent,
            "journal_version": run.journal_version,
            "usage_limits": run.usage_limits,
            "output_schema": run.output_schema,
            "lineage": run.lineage,
            "foreground": run.foreground,
            "unstored": run.unstored or self._is_of_erased(transaction, run),
            "status": status.value,
            "created_at": now,
        }
        if status is RunStatus.running:
            assert run.lease is not None
            values |= {"attempt": 1, "executor": run.executor, "lease_until": now + run.lease}
            values |= {"started_at": now, "dispatched_at": now}
        elif status is RunStatus.cancelled:
            values["finished_at"] = now
        elif not waiting:
            values["due_at"] = max(now, run_at or now)
            transaction.makes_due = True
        transaction.execute(
            f"INSERT INTO {self._runs} ({', '.join(values)}) "
            f"VALUES ({', '.join(':' + column for column in values)})",
            **values,
        )

    def follow(
        self, transaction: Transaction, run: NewRun, ended: str, attempt: int
    ) -> Accepted | BudgetExceededError | None:
        """See :meth:`kern.db.base.Store.follow`; the error is returned."""
        has_ended = transaction.one(
            f"SELECT 1 FROM {self._runs} WHERE run_id = :ended AND attempt = :attempt "
            f"AND status NOT IN {LIVE} AND {IS_SEEN}",
            ended=ended,
            attempt=attempt,
        )
        return self.submit(transaction, run) if has_ended else None

    def fork(
        self,
        transaction: Transaction,
        run: NewRun,
        origin: str,
        seq: int,
        state: StatePatch | None,
        replaces: bool,
    ) -> Accepted | BudgetExceededError | None:
        """See :meth:`kern.db.base.Store.fork`; the error is returned."""
        if replaces and not transaction.one(
            f"SELECT 1 FROM {self._runs} WHERE run_id = :origin AND replaced_by IS NULL",
            origin=origin,
        ):
            return None
        accepted = self.submit(transaction, run)
        if not isinstance(accepted, Accepted):
            return accepted
        if replaces and accepted.status is not RunStatus.cancelled:
            transaction.execute(
                f"UPDATE {self._runs} SET replaced_by = :run_id WHERE run_id = :origin",
                run_id=run.run_id,
                origin=origin,
            )
        self._journals.copy(transaction, run.run_id, origin, seq)
        if state is not None:
            self._states.change_by(transaction, run.run_id, state)
        transaction.execute(
            f"INSERT OR IGNORE INTO {self._blobs} (run_id, hash, chunk, data) "
            f"SELECT :run_id, hash, chunk, data FROM {self._blobs} WHERE run_id = :origin",
            run_id=run.run_id,
            origin=origin,
        )
        return accepted

    def cancel(self, transaction: Transaction, run_id: str, user_id: str | None) -> bool:
        """See :meth:`kern.db.base.Store.cancel`."""
        run = transaction.one(
            "SELECT user_id, status, status = 'RUNNING' AND lease_until >= :now AS alive, "
            "CASE WHEN status = 'PAUSED' THEN parent_run_id END AS waiting_parent "
            f"FROM {self._runs} WHERE run_id = :run_id",
            run_id=run_id,
        )
        if run is None:
            transaction.execute(
                f"INSERT INTO {self._runs} "
                "(run_id, user_id, status, cancel_requested_at, created_at) "
                "VALUES (:run_id, :user_id, 'CANCELLED', :now, :now)",
                run_id=run_id,
                user_id=user_id,
            )
            return False
        if RunStatus(run["status"]).is_terminal or not may_see(user_id, run["user_id"]):
            return False
        # A run whose lease has expired has no executor that would stop it, so it ends here; the
        # raised attempt shuts out one that was only asleep.
        transaction.execute(
            f"UPDATE {self._runs} SET cancel_requested_at = coalesce(cancel_requested_at, :now), "
            "attempt = attempt + :ends WHERE run_id = :run_id",
            run_id=run_id,
            ends=not run["alive"],
        )
        self._approvals.cancel(transaction, run_id)
        if run["alive"]:
            transaction.notify(Kind.cancel, run_id)
        else:
            self._ends.end(transaction, run_id, RunStatus.cancelled)
            self._resuming.wake(transaction, run["waiting_parent"])
        return True

    def read(self, transaction: Transaction, run_id: str) -> bool:
        """See :meth:`kern.db.base.Store.read`."""
        transaction.execute(
            f"UPDATE {self._runs} SET streamed = 1 WHERE run_id = :run_id AND NOT streamed "
            f"AND status IN {LIVE}",
            run_id=run_id,
        )
        transaction.notify(Kind.read, run_id)
        found = transaction.one(
            f"SELECT 1 FROM {self._runs} WHERE run_id = :run_id AND {IS_SEEN}", run_id=run_id
        )
        return found is not None
