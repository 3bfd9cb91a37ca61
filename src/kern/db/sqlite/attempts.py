"""An attempt at a run in SQLite, from its claim to its end, each step in one transaction."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from kern.db.sqlite.approvals import Asking
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.ends import Ends
from kern.db.sqlite.journals import Journals
from kern.db.sqlite.limits import Limits
from kern.db.sqlite.reading import Reading, moment, record
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.tables import Tables
from kern.db.values import UNSERVED_MESSAGE, Appended, Claim, Kind, Settled, newer_journal
from kern.run.base import RunStatus
from kern.run.record import JournalRow, RunRecord, Settlement
from kern.run.steps import PAUSE_VERSION

_MINE = "run_id = :run_id AND attempt = :attempt AND status = 'RUNNING'"

_SERVED = "refusals = 0, refused_at = NULL, refusal = NULL"


class Attempts:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._runs = tables.runs
        self._asking = Asking(tables)
        self._ends = Ends(tables)
        self._journals = Journals(tables)
        self._limits = Limits(tables)
        self._lock = SessionLock(tables)
        self._reading = Reading(tables)

    def claim(self, transaction: Transaction, run_id: str, claim: Claim) -> RunRecord | None:
        """See :meth:`kern.db.base.Store.claim`."""
        run = transaction.one(
            f"""
SELECT session_id, agent_id, user_id, ordered, journal_version,
    EXISTS (SELECT 1 FROM {self._runs} AS parent WHERE parent.run_id = run.parent_run_id
        AND (parent.status = 'CANCELLED' OR parent.cancel_requested_at IS NOT NULL)) AS orphan
FROM {self._runs} AS run WHERE run_id = :run_id AND status = 'PENDING' AND due_at <= :now""",
            run_id=run_id,
        )
        if run is None:
            return None
        if not run["orphan"] and run["journal_version"] > claim.journal_version:
            raise newer_journal(run_id)
        if not run["orphan"] and self._waits(transaction, run_id, run, claim):
            return None
        now, is_orphan = transaction.now, run["orphan"]
        claimed = transaction.sole(
            f"""
UPDATE {self._runs} SET status = :status, attempt = attempt + 1, due_at = NULL, counted = :counted,
    executor = coalesce(:executor, executor), dispatched_at = :now,
    started_at = coalesce(started_at, :now), lease_until = :lease_until, finished_at = :finished_at
WHERE run_id = :run_id
RETURNING {self._reading.claimed}""",
            run_id=run_id,
            status=(RunStatus.cancelled if is_orphan else RunStatus.running).value,
            counted=claim.is_limited and not is_orphan,
            executor=None if is_orphan else claim.executor,
            lease_until=None if is_orphan else now + claim.lease,
            finished_at=now if is_orphan else None,
        )
        if is_orphan:
            self._ends.follow(transaction, run_id)
        return record(claimed)

    def _waits(self, transaction: Transaction, run_id: str, run: sqlite3.Row, claim: Claim) -> bool:
        """Have a run wait for the session lock or for a limit, if it must; say whether it does."""
        if run["ordered"] and not self._lock.take(transaction, run["session_id"], run_id):
            self._lock.wait(transaction, run_id)
            return True
        return self._limits.wait(transaction, run_id, run["agent_id"], run["user_id"], claim)

    def extend(
        self, transaction: Transaction, attempts: Sequence[tuple[str, int]], lease: float
    ) -> dict[str, bool]:
        """See :meth:`kern.db.base.Store.extend`."""
        mine: dict[str, bool] = {}
        for run_id, attempt in attempts:
            row = transaction.one(
                f"UPDATE {self._runs} SET lease_until = :now + :lease WHERE {_MINE} "
                "RETURNING cancel_requested_at IS NOT NULL AS cancelled",
                run_id=run_id,
                attempt=attempt,
                lease=lease,
            )
            if row is not None:
                mine[run_id] = bool(row["cancelled"])
        return mine

    def append(
        self,
        transaction: Transaction,
        run_id: str,
        attempt: int,
        rows: Sequence[JournalRow],
        streamed: bool,
    ) -> Appended | None:
        """See :meth:`kern.db.base.Store.append`."""
        mine = transaction.one(
            f"SELECT 1 FROM {self._runs} WHERE {_MINE}", run_id=run_id, attempt=attempt
        )
        if mine is None:
            return None
        lost = self._journals.write(transaction, rows)
        if streamed:
            transaction.notify(Kind.changed, run_id)
        return Appended(lost)

    def replace_input(
        self, transaction: Transaction, run_id: str, attempt: int, input: str
    ) -> bool:
        """See :meth:`kern.db.base.Store.replace_input`."""
        replaced = transaction.one(
            f"UPDATE {self._runs} SET input = :input WHERE {_MINE} RETURNING run_id",
            run_id=run_id,
            attempt=attempt,
            input=input,
        )
        return replaced is not None

    def settle(self, transaction: Transaction, settlement: Settlement) -> Settled | None:
        """See :meth:`kern.db.base.Store.settle`."""
        run_id = settlement.run_id
        row = transaction.one(
            f"""
UPDATE {self._runs} SET
    status = CASE WHEN cancel_requested_at IS NULL THEN :status ELSE 'CANCELLED' END,
    output = :output, error = :error, error_kind = :error_kind, usage = :usage,
    model = coalesce(:model, model), requirements = :requirements,
    journal_version = CASE WHEN :status = 'PAUSED'
        THEN max(journal_version, {PAUSE_VERSION}) ELSE journal_version END,
    expires_at = CASE WHEN NOT foreground THEN :expires_at END,
    lease_until = NULL, {_SERVED},
    finished_at = CASE WHEN :status = 'PAUSED' AND cancel_requested_at IS NULL
        THEN NULL ELSE :now END
WHERE {_MINE}
RETURNING status, finished_at, unstored""",
            run_id=run_id,
            attempt=settlement.attempt,
            status=settlement.status.value,
            output=settlement.output,
            error=settlement.error,
            error_kind=settlement.error_kind,
            usage=settlement.usage,
            model=settlement.model,
            requirements=settlement.requirements,
            expires_at=settlement.expires_at,
        )
        if row is None:
            return None
        lost = self._journals.write(transaction, settlement.journal)
        if settlement.fold_before:
            self._journals.fold(transaction, run_id, settlement.fold_before)
        status = RunStatus(row["status"])
        if status.is_terminal:
            self._ends.follow(transaction, run_id)
        else:
            self._ends.pause(transaction, run_id)
            self._asking.ask(transaction, settlement.approvals)
        return Settled(status, moment(row["finished_at"]), lost, bool(row["unstored"]))

    def release(self, transaction: Transaction, run_id: str, attempt: int) -> RunStatus | None:
        """See :meth:`kern.db.base.Store.release`."""
        return self._give_up(transaction, run_id, attempt, 0.0, _SERVED)

    def postpone(
        self,
        transaction: Transaction,
        run_id: str,
        attempt: int,
        delay: float,
        rows: Sequence[JournalRow],
        failed: bool,
    ) -> RunStatus | None:
        """See :meth:`kern.db.base.Store.postpone`."""
        changes = f"failures = failures + {failed:d}, run_at = :now + :delay, {_SERVED}"
        status = self._give_up(transaction, run_id, attempt, delay, changes)
        if status is not None:
            self._journals.write(transaction, rows)
        return status

    def refuse(
        self,
        transaction: Transaction,
        run_id: str,
        attempt: int,
        reason: str,
        delay: float,
        unserved_timeout: timedelta,
    ) -> RunStatus | None:
        """See :meth:`kern.db.base.Store.refuse`."""
        changes = (
            "refusals = refusals + 1, refused_at = coalesce(refused_at, :now), refusal = :reason"
        )
        status = self._give_up(transaction, run_id, attempt, delay, changes, reason=reason)
        if status is not RunStatus.pending:
            return status
        unserved = transaction.one(
            f"SELECT refused_at FROM {self._runs} WHERE run_id = :run_id "
            "AND refused_at <= :now - :seconds",
            run_id=run_id,
            seconds=unserved_timeout.total_seconds(),
        )
        if unserved is None:
            return status
        since = f"{datetime.fromtimestamp(unserved['refused_at'], UTC):%Y-%m-%d %H:%M UTC}"
        message = UNSERVED_MESSAGE % (since, reason)
        self._ends.end(transaction, run_id, RunStatus.error, "UnservedError", message)
        return RunStatus.error

    def _give_up(
        self,
        transaction: Transaction,
        run_id: str,
        attempt: int,
        delay: float,
        changes: str,
        **values: object,
    ) -> RunStatus | None:
        """Make a run PENDING for a later attempt, or end it where that was asked for.

        Args:
            transaction: the transaction.
            run_id: the run.
            attempt: who gives it up; a stale attempt is refused.
            delay: the seconds before which it does not begin again.
            changes: what else is set in the run's row.
            **values: those of ``changes``.
        """
        row = transaction.one(
            f"""
UPDATE {self._runs} SET
    status = CASE WHEN cancel_requested_at IS NULL THEN 'PENDING' ELSE 'CANCELLED' END,
    due_at = CASE WHEN cancel_requested_at IS NULL THEN :now + :delay END,
    finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE :now END,
    lease_until = NULL, {changes}
WHERE {_MINE}
RETURNING status""",
            run_id=run_id,
            attempt=attempt,
            delay=delay,
            **values,
        )
        if row is None:
            return None
        status = RunStatus(row["status"])
        if status.is_terminal:
            self._ends.follow(transaction, run_id)
        else:
            transaction.makes_due = True
        return status

    def set_counted(
        self, transaction: Transaction, run_id: str, attempt: int, counted: bool
    ) -> None:
        """See :meth:`kern.db.base.Store.set_counted`."""
        transaction.execute(
            f"UPDATE {self._runs} SET counted = :counted WHERE {_MINE}",
            run_id=run_id,
            attempt=attempt,
            counted=counted,
        )
