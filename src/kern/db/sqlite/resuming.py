"""How runs in SQLite go on that stand still, each in one transaction."""

from collections.abc import Sequence

from kern.db.erasing import IS_SEEN
from kern.db.sqlite.approval_rows import Records
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.journals import Journals
from kern.db.sqlite.reading import Reading, record
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.tables import Tables
from kern.db.values import ANYWHERE, Resume, newer_journal
from kern.run.base import RunStatus
from kern.run.record import JournalRow, RunRecord

# What is over as a run goes on; its failures and its time begin anew.
_ANEW = """error = NULL, error_kind = NULL, requirements = NULL, expires_at = NULL,
    finished_at = NULL, failures = 0, run_at = NULL, lease_until = NULL, counted = 0,
    waiting = 0, concurrency_key = NULL,
    refusals = 0, refused_at = NULL, refusal = NULL"""

_DUE = f"status = 'PENDING', due_at = :now, started_at = NULL, {_ANEW}"


class Resuming:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._runs, self._expiries = tables.runs, tables.expiries
        self._records = Records(tables)
        self._journals = Journals(tables)
        self._reading = Reading(tables)
        self._lock = SessionLock(tables)

    def resume(
        self,
        transaction: Transaction,
        run_id: str,
        status: RunStatus,
        attempt: int,
        rows: Sequence[JournalRow],
        how: Resume = ANYWHERE,
    ) -> RunRecord | None:
        """See :meth:`kern.db.base.Store.resume`."""
        run = transaction.one(
            f"""
UPDATE {self._runs} SET {_DUE}, foreground = coalesce(:foreground, foreground),
    metadata = coalesce(:metadata, metadata)
WHERE run_id = :run_id AND status = :status AND attempt = :attempt AND {IS_SEEN}
RETURNING session_id, ordered, parent_run_id, journal_version""",
            run_id=run_id,
            status=status.value,
            attempt=attempt,
            foreground=how.foreground,
            metadata=how.metadata,
        )
        if run is None:
            return None
        if how.executor is not None and run["journal_version"] > how.journal_version:
            raise newer_journal(run_id)
        self._journals.write(transaction, rows)
        self._records.resolve(transaction, how.resolved)
        self.wake(transaction, run["parent_run_id"])
        if run["ordered"] and not self._lock.take(transaction, run["session_id"], run_id):
            self._lock.wait(transaction, run_id)
        elif how.executor is None:
            transaction.makes_due = True
        else:
            assert how.lease is not None, "who executes a run is protected"
            transaction.execute(
                f"UPDATE {self._runs} SET status = 'RUNNING', attempt = attempt + 1, "
                "executor = :executor, due_at = NULL, started_at = :now, dispatched_at = :now, "
                "lease_until = :now + :lease WHERE run_id = :run_id",
                run_id=run_id,
                executor=how.executor,
                lease=how.lease,
            )
        row = transaction.sole(
            f"SELECT {self._reading.claimed} FROM {self._runs} WHERE run_id = :run_id",
            run_id=run_id,
        )
        return record(row)

    def expire(self, transaction: Transaction, limit: int) -> list[str]:
        """See :meth:`kern.db.base.Store.expired_pauses`."""
        expired = transaction.execute(
            # Else SQLite looks at all that is paused.
            f"SELECT run_id FROM {self._runs} INDEXED BY {self._expiries} "
            "WHERE status = 'PAUSED' AND expires_at <= :now ORDER BY expires_at LIMIT :limit",
            limit=limit,
        ).fetchall()
        for row in expired:
            self.wake(transaction, row["run_id"])
        return [row["run_id"] for row in expired]

    def wake_parent(self, transaction: Transaction, run_id: str) -> None:
        """See :meth:`kern.db.base.Store.wake_parent`."""
        parent = transaction.one(
            f"SELECT parent.run_id FROM {self._runs} AS child JOIN {self._runs} AS parent "
            "ON parent.run_id = child.parent_run_id AND parent.session_id = child.session_id "
            "WHERE child.run_id = :run_id",
            run_id=run_id,
        )
        if parent is not None:
            self.wake(transaction, parent["run_id"])

    def wake(self, transaction: Transaction, run_id: str | None) -> None:
        """Make a paused run due, and the paused runs that wait for it.

        One that belongs to a caller waits for that one.
        """
        while run_id is not None:
            woken = transaction.one(
                f"UPDATE {self._runs} SET {_DUE} WHERE run_id = :run_id AND status = 'PAUSED' "
                "AND NOT foreground RETURNING parent_run_id",
                run_id=run_id,
            )
            transaction.makes_due |= woken is not None
            run_id = None if woken is None else woken["parent_run_id"]
