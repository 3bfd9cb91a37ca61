"""The session lock in SQLite: the background runs of a session execute one after another.

The session's row names the run that holds the lock, from when it is due until it ends. What it
finds held waits, without being due, until the lock is handed off to it.
"""

from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.tables import LIVE, Tables, each_of


class SessionLock:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._sessions, self._runs = tables.sessions, tables.runs
        self._blobs, self._journal = tables.blobs, tables.journal

    def take(self, transaction: Transaction, session_id: str, run_id: str) -> bool:
        """Have a run hold the lock, if no other one does; say whether it holds it."""
        taken = transaction.execute(
            f"UPDATE {self._sessions} SET lock_run_id = :run_id WHERE session_id = :session_id "
            "AND coalesce(lock_run_id, :run_id) = :run_id",
            session_id=session_id,
            run_id=run_id,
        )
        return taken.rowcount > 0

    def wait(self, transaction: Transaction, run_id: str) -> None:
        """Have a run that has not got the lock wait for it."""
        transaction.execute(
            f"UPDATE {self._runs} SET waiting = 1, due_at = NULL WHERE run_id = :run_id",
            run_id=run_id,
        )

    def hand_off(self, transaction: Transaction, session_id: str, run_id: str | None) -> None:
        """Pass the lock on to the first run that waits, if a run that has ended holds it."""
        holder = transaction.one(
            f"""
UPDATE {self._sessions} SET lock_run_id = (SELECT run_id FROM {self._runs}
    WHERE session_id = :session_id AND waiting ORDER BY position LIMIT 1)
WHERE session_id = :session_id AND lock_run_id IS :run_id
RETURNING lock_run_id""",
            session_id=session_id,
            run_id=run_id,
        )
        if holder is not None and holder["lock_run_id"] is not None:
            transaction.makes_due = True
            transaction.execute(
                f"UPDATE {self._runs} SET waiting = 0, due_at = :now WHERE run_id = :run_id",
                run_id=holder["lock_run_id"],
            )

    def hand_off_stale(self, transaction: Transaction) -> None:
        """Pass on the locks of runs that have ended and for which others still wait."""
        stale = transaction.execute(
            f"""
SELECT session_id, lock_run_id FROM ({each_of("session_id", self._runs, "waiting")})
JOIN {self._sessions} ON session_id = value
WHERE NOT EXISTS (SELECT 1 FROM {self._runs} AS holder
    WHERE holder.run_id = lock_run_id AND holder.status IN {LIVE} AND NOT holder.waiting)
LIMIT 1000"""
        ).fetchall()
        for row in stale:
            self.hand_off(transaction, row["session_id"], row["lock_run_id"])

    def withdraw(self, transaction: Transaction, run_id: str) -> bool:
        """See :meth:`kern.db.base.Store.withdraw`."""
        deleted = transaction.one(
            f"DELETE FROM {self._runs} WHERE run_id = :run_id AND waiting "
            "RETURNING json_extract(lineage, '$.regenerated_from') AS origin",
            run_id=run_id,
        )
        if deleted is None:
            return False
        for table in (self._blobs, self._journal):
            transaction.execute(f"DELETE FROM {table} WHERE run_id = :run_id", run_id=run_id)
        transaction.execute(
            f"UPDATE {self._runs} SET replaced_by = NULL "
            "WHERE run_id = :origin AND replaced_by = :run_id",
            origin=deleted["origin"],
            run_id=run_id,
        )
        return True

    def before(self, transaction: Transaction, run_id: str) -> list[str]:
        """See :meth:`kern.db.base.Store.before`."""
        rows = transaction.execute(
            f"""
WITH run AS (SELECT session_id, position FROM {self._runs} WHERE run_id = :run_id)
SELECT run_id FROM (
    SELECT run_id, position FROM {self._runs}
    WHERE session_id = (SELECT session_id FROM run) AND waiting
        AND position < (SELECT position FROM run)
    UNION ALL
    SELECT lock_run_id, 0 FROM {self._sessions}
    WHERE session_id = (SELECT session_id FROM run) AND lock_run_id <> :run_id
) ORDER BY position DESC""",
            run_id=run_id,
        )
        return [row["run_id"] for row in rows]
