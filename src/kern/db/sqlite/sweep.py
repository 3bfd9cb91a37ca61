"""The sweep of SQLite: makes good what lost processes have left undone, once for all."""

from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.ends import Ends
from kern.db.sqlite.erasing import Erasure
from kern.db.sqlite.limits import Limits
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.tables import Tables
from kern.db.values import LOST_ATTEMPTS, LOST_ATTEMPTS_MESSAGE, Swept
from kern.run.base import RunStatus

# How often in a row a gap in the ticks holds expiry back.
_QUIET_TIMES = 3

# How many runs expire in one sweep at most.
_MANY = 1000


class Sweep:
    """The operation on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._runs, self._tick = tables.runs, tables.tick
        self._ends = Ends(tables)
        self._erasure = Erasure(tables)
        self._limits = Limits(tables)
        self._lock = SessionLock(tables)

    def sweep(self, transaction: Transaction, heartbeat: float) -> Swept | None:
        """See :meth:`kern.db.base.Store.sweep`."""
        tick = transaction.sole(f"SELECT swept_at, quiet_until, quiet_times FROM {self._tick}")
        # A tick in the future was written before the clock was set back.
        since = transaction.now - tick["swept_at"]
        if 0 <= since < heartbeat / 4:  # The shortest time after which a process looks again.
            return None
        quiet_until = min(tick["quiet_until"], transaction.now + heartbeat)
        quiet_times = tick["quiet_times"]
        has_gap = not 0 <= since <= heartbeat * 2 / 3
        if has_gap and quiet_times < _QUIET_TIMES:
            quiet_until, quiet_times = transaction.now + heartbeat, quiet_times + 1
        expires = quiet_until <= transaction.now
        transaction.execute(
            f"UPDATE {self._tick} SET swept_at = :now, quiet_until = :quiet_until, "
            "quiet_times = :quiet_times",
            quiet_until=quiet_until,
            quiet_times=quiet_times if has_gap else 0,
        )
        expired = self._expire(transaction) if expires else []
        self._erasure.sweep(transaction)
        self._lock.hand_off_stale(transaction)
        self._limits.try_first(transaction)
        # Nothing is enqueued here: a due run is found in its table.
        return Swept(expired, 0)

    def _expire(self, transaction: Transaction) -> list[str]:
        runs = transaction.execute(
            f"""
SELECT run_id, cancel_requested_at IS NOT NULL OR unstored AND foreground AS cancelled,
    failures + 1 AS lost, failures + 1 >= coalesce(max_attempts, {LOST_ATTEMPTS}) AS given_up
FROM {self._runs} WHERE status = 'RUNNING' AND lease_until < :now
ORDER BY lease_until LIMIT {_MANY}"""
        ).fetchall()
        for run in runs:
            transaction.execute(
                f"""
UPDATE {self._runs} SET status = 'PENDING', failures = failures + 1, counted = 0,
    refusals = 0, refused_at = NULL, refusal = NULL, due_at = :now, lease_until = NULL
WHERE run_id = :run_id""",
                run_id=run["run_id"],
            )
            # An unstored run was its caller's alone: nobody could read what others make of it.
            if run["cancelled"]:
                self._ends.end(transaction, run["run_id"], RunStatus.cancelled)
            elif run["given_up"]:
                message = LOST_ATTEMPTS_MESSAGE % run["lost"]
                self._ends.end(
                    transaction, run["run_id"], RunStatus.error, "LostAttemptsError", message
                )
            else:
                transaction.makes_due = True
        return [run["run_id"] for run in runs]
