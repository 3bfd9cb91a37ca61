"""The end of a run in SQLite, and what follows from it in the same transaction."""

import sqlite3

from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.tables import Tables
from kern.db.values import Kind
from kern.run.base import RunStatus
from kern.run.codec import encode


class Ends:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._runs, self._webhooks = tables.runs, tables.webhooks
        self._lock = SessionLock(tables)

    def end(
        self,
        transaction: Transaction,
        run_id: str,
        status: RunStatus,
        error_kind: str | None = None,
        message: str | None = None,
    ) -> None:
        """End a run that nobody executes.

        Args:
            transaction: the transaction.
            run_id: the run, which has not ended.
            status: how it ends.
            error_kind: the class of what went wrong.
            message: what went wrong, in a sentence.
        """
        transaction.execute(
            f"UPDATE {self._runs} SET status = :status, error = :error, error_kind = :error_kind, "
            "finished_at = :now, due_at = NULL, lease_until = NULL, waiting = 0, "
            "concurrency_key = NULL WHERE run_id = :run_id",
            run_id=run_id,
            status=status.value,
            error=None if message is None else encode({"message": message}, "error"),
            error_kind=error_kind,
        )
        self.follow(transaction, run_id)

    def follow(self, transaction: Transaction, run_id: str) -> None:
        """Do what follows from the end of a run.

        The session lock is handed off, its webhook is put into the outbox, and who waits for it
        is notified.
        """
        run = transaction.sole(
            f"SELECT session_id, attempt, webhook FROM {self._runs} WHERE run_id = :run_id",
            run_id=run_id,
        )
        self._lock.hand_off(transaction, run["session_id"], run_id)
        self._report(transaction, run_id, run)

    def pause(self, transaction: Transaction, run_id: str) -> None:
        """Do what follows from the pause of a run: as from its end, but that it keeps the lock."""
        run = transaction.sole(
            f"SELECT attempt, webhook FROM {self._runs} WHERE run_id = :run_id", run_id=run_id
        )
        self._report(transaction, run_id, run)

    def _report(self, transaction: Transaction, run_id: str, run: sqlite3.Row) -> None:
        """Put the webhook of a run into the outbox, and notify those who wait for the run."""
        if run["webhook"] is not None:
            transaction.execute(
                f"INSERT INTO {self._webhooks} (delivery_id, run_id, attempt, due_at, created_at) "
                "VALUES (:delivery_id, :run_id, :attempt, :now, :now)",
                delivery_id=f"{run_id}/{run['attempt']}",
                run_id=run_id,
                attempt=run["attempt"],
            )
            transaction.notify(Kind.webhook)
        transaction.notify(Kind.changed, run_id)
