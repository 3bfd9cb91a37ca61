"""A run's steps in SQLite, an operation a transaction; whose turn it is, is in ``order``."""

import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from kern.db.base import LOST_ATTEMPTS, LOST_ATTEMPTS_MESSAGE, Accepted
from kern.db.sqlite.order import DUE, Order, waits
from kern.db.sqlite.reading import RECORD, record_of
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement

_LOST_ENOUGH = f"""(status = 'RUNNING'
        AND failures + 1 >= coalesce(max_attempts, {LOST_ATTEMPTS}))"""


class Operations:
    """The operations on one file's tables; each is given the connection, in a transaction."""

    def __init__(self, session_table: str) -> None:
        """Name the tables after ``session_table``."""
        self._sessions = f'"{session_table}"'
        self._runs = f'"{session_table}_runs"'
        self._journal = f'"{session_table}_run_events"'
        self._waits = waits(self._runs)
        self._order = Order(session_table)

    def submit(self, connection: sqlite3.Connection, run: NewRun) -> Accepted | None:
        """See :meth:`kern.db.base.Store.submit`."""
        now = time.time()
        existing = connection.execute(
            f"SELECT session_id FROM {self._runs} WHERE run_id = ?", (run.run_id,)
        ).fetchone()
        if existing is not None and existing["session_id"] is not None:
            return None
        if existing is not None:  # An intent: the run's place was taken by its cancel.
            connection.execute(f"DELETE FROM {self._runs} WHERE run_id = ?", (run.run_id,))
        cancelled = run.cancelled or existing is not None
        status = RunStatus.cancelled if cancelled else RunStatus.pending
        self._begin_session(connection, run, now, status)
        values = {
            "run_id": run.run_id,
            "session_id": run.session_id,
            "agent_id": run.agent_id,
            "user_id": run.user_id,
            "input": run.input,
            "metadata": run.metadata,
            "parent_run_id": run.parent_run_id,
            "streamed": run.streamed,
            "ordered": run.ordered,
            "priority": run.priority,
            "run_at": None if run.run_at is None else run.run_at.timestamp(),
            "timeout": run.timeout,
            "max_attempts": run.max_attempts,
            "webhook": run.webhook,
            "executor": run.executor,
            "status": status.value,
            "created_at": now,
            "finished_at": now if cancelled else None,
        }
        row = connection.execute(
            f"INSERT INTO {self._runs} AS run ({', '.join(values)}) "
            f"VALUES ({', '.join(':' + column for column in values)}) RETURNING position",
            values,
        ).fetchone()
        waiting = connection.execute(
            f"SELECT {self._waits} FROM {self._runs} AS run WHERE position = :position",
            {"position": row["position"], "now": now},
        ).fetchone()[0]
        if run.lease is not None and not waiting and not cancelled:
            status = RunStatus.running
            connection.execute(  # One that its caller executes takes nobody's place.
                f"UPDATE {self._runs} SET status = 'RUNNING', attempt = 1, turn = ordered, "
                "parked = NOT ordered, started_at = ?, lease_until = ? WHERE position = ?",
                (now, now + run.lease, row["position"]),
            )
        return Accepted(status, datetime.fromtimestamp(now, UTC), bool(waiting))

    def _begin_session(
        self, connection: sqlite3.Connection, run: NewRun, now: float, status: RunStatus
    ) -> None:
        asks = run.ordered and status is not RunStatus.cancelled
        due = run.run_at is None or run.run_at.timestamp() <= now
        connection.execute(
            f"INSERT INTO {self._sessions} (session_id, agent_id, user_id, created_at, updated_at)"
            " VALUES (:session_id, :agent_id, :user_id, :now, :now) ON CONFLICT (session_id) "
            "DO UPDATE SET updated_at = :now WHERE :moves",
            {
                "session_id": run.session_id,
                "agent_id": run.agent_id,
                "user_id": run.user_id,
                "now": now,
                "moves": asks and due,
            },
        )

    def claim(
        self, connection: sqlite3.Connection, run_id: str, lease: float, user_limit: int | None
    ) -> RunRecord | None:
        """See :meth:`kern.db.base.Store.claim`."""
        now = time.time()
        if user_limit is not None and self._order.is_full(connection, run_id, user_limit):
            return None
        row = connection.execute(
            f"""
UPDATE {self._runs} AS run SET
    status = CASE WHEN cancel_requested_at IS NOT NULL THEN 'CANCELLED'
        WHEN {_LOST_ENOUGH} THEN 'ERROR' ELSE 'RUNNING' END,
    attempt = attempt + 1, turn = ordered, parked = 0,
    failures = failures + (status = 'RUNNING'),
    error = CASE WHEN cancel_requested_at IS NULL AND {_LOST_ENOUGH}
        THEN json_object('message', printf(:message, failures + 1)) END,
    started_at = coalesce(started_at, :now),
    finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR {_LOST_ENOUGH} THEN :now END,
    lease_until = :until
WHERE run_id = :run_id AND (
    {DUE} AND NOT {self._waits}
    OR status = 'RUNNING' AND lease_until < :now)
RETURNING {RECORD}, input, streamed,
    (SELECT coalesce(max(seq), 0) FROM {self._journal} WHERE run_id = :run_id) AS last_seq""",
            {
                "run_id": run_id,
                "now": now,
                "until": now + lease,
                "message": LOST_ATTEMPTS_MESSAGE,
            },
        ).fetchone()
        return record_of(row) if row else None

    def extend(
        self, connection: sqlite3.Connection, attempts: Sequence[tuple[str, int]], lease: float
    ) -> dict[str, bool]:
        """See :meth:`kern.db.base.Store.extend`."""
        mine: dict[str, bool] = {}
        for run_id, attempt in attempts:
            row = connection.execute(
                f"UPDATE {self._runs} SET lease_until = ? "
                "WHERE run_id = ? AND attempt = ? AND status = 'RUNNING' "
                "RETURNING cancel_requested_at IS NOT NULL AS cancelled",
                (time.time() + lease, run_id, attempt),
            ).fetchone()
            if row is not None:
                mine[run_id] = bool(row["cancelled"])
        return mine

    def append(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        attempt: int,
        rows: Sequence[JournalRow],
    ) -> bool:
        """See :meth:`kern.db.base.Store.append`."""
        mine = connection.execute(
            f"SELECT 1 FROM {self._runs} WHERE run_id = ? AND attempt = ? AND status = 'RUNNING'",
            (run_id, attempt),
        ).fetchone()
        if mine is not None:
            self._write(connection, rows)
        return mine is not None

    def _write(self, connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> None:
        connection.executemany(
            f"INSERT OR IGNORE INTO {self._journal} (run_id, seq, type, payload, created_at) "
            "VALUES (?, ?, ?, ?, ?)",
            [(row.run_id, row.seq, row.type, row.payload, time.time()) for row in rows],
        )

    def settle(self, connection: sqlite3.Connection, settlement: Settlement) -> RunStatus | None:
        """See :meth:`kern.db.base.Store.settle`."""
        row = connection.execute(
            f"""
UPDATE {self._runs} SET
    status = CASE WHEN cancel_requested_at IS NULL THEN :status ELSE 'CANCELLED' END,
    output = :output, error = :error, usage = :usage, lease_until = NULL,
    finished_at = CASE WHEN :status = 'PAUSED' AND cancel_requested_at IS NULL
        THEN NULL ELSE :now END
WHERE run_id = :run_id AND attempt = :attempt AND status = 'RUNNING'
RETURNING status""",
            {
                "status": settlement.status.value,
                "output": settlement.output,
                "error": settlement.error,
                "usage": settlement.usage,
                "now": time.time(),
                "run_id": settlement.run_id,
                "attempt": settlement.attempt,
            },
        ).fetchone()
        if row is None:
            return None
        self._write(connection, settlement.journal)
        if settlement.fold_before:
            connection.execute(
                f"DELETE FROM {self._journal} WHERE run_id = ? AND seq < ? AND type = 'RunContent'",
                (settlement.run_id, settlement.fold_before),
            )
        return RunStatus(row["status"])

    def release(
        self, connection: sqlite3.Connection, run_id: str, attempt: int
    ) -> RunStatus | None:
        """See :meth:`kern.db.base.Store.release`."""
        row = connection.execute(
            f"""
UPDATE {self._runs} SET
    status = CASE WHEN cancel_requested_at IS NULL THEN 'PENDING' ELSE 'CANCELLED' END,
    finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE ? END,
    lease_until = NULL, parked = 0
WHERE run_id = ? AND attempt = ? AND status = 'RUNNING'
RETURNING status""",
            (time.time(), run_id, attempt),
        ).fetchone()
        return RunStatus(row["status"]) if row else None

    def postpone(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        attempt: int,
        delay: float,
        rows: Sequence[JournalRow],
    ) -> RunStatus | None:
        """See :meth:`kern.db.base.Store.postpone`."""
        status = self.release(connection, run_id, attempt)
        if status is not None:
            connection.execute(
                f"UPDATE {self._runs} SET failures = failures + 1, run_at = ? WHERE run_id = ?",
                (time.time() + delay, run_id),
            )
            self._write(connection, rows)
        return status

    def webhook_delivered(self, connection: sqlite3.Connection, run_id: str, attempt: int) -> None:
        """See :meth:`kern.db.base.Store.webhook_delivered`."""
        connection.execute(
            f"UPDATE {self._runs} SET webhook_delivered_at = ? WHERE run_id = ? AND attempt = ?",
            (time.time(), run_id, attempt),
        )

    def cancel(self, connection: sqlite3.Connection, run_id: str) -> RunStatus | None:
        """See :meth:`kern.db.base.Store.cancel`."""
        now = time.time()
        row = connection.execute(
            f"SELECT session_id, status, lease_until FROM {self._runs} WHERE run_id = ?",
            (run_id,),
        ).fetchone()
        if row is None:
            connection.execute(
                f"INSERT INTO {self._runs} (run_id, status, cancel_requested_at, created_at) "
                "VALUES (?, 'CANCELLED', ?, ?)",
                (run_id, now, now),
            )
            return None
        if RunStatus(row["status"]).is_terminal:
            return None
        # A run whose lease has run out has no executor to hear of it, so it ends here; the raised
        # attempt shuts out an executor that was only asleep.
        alive = row["status"] == "RUNNING" and row["lease_until"] >= now
        connection.execute(
            f"UPDATE {self._runs} SET cancel_requested_at = coalesce(cancel_requested_at, ?), "
            "status = ?, attempt = attempt + ?, finished_at = ? WHERE run_id = ?",
            (now, "RUNNING" if alive else "CANCELLED", not alive, None if alive else now, run_id),
        )
        return RunStatus.running if alive else RunStatus.cancelled

    def read(self, connection: sqlite3.Connection, run_id: str) -> bool:
        """See :meth:`kern.db.base.Store.read`."""
        connection.execute(
            f"UPDATE {self._runs} SET streamed = 1 WHERE run_id = ? AND NOT streamed "
            "AND status IN ('PENDING', 'RUNNING', 'PAUSED')",
            (run_id,),
        )
        known = connection.execute(f"SELECT 1 FROM {self._runs} WHERE run_id = ?", (run_id,))
        return known.fetchone() is not None

    def take_up(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        status: RunStatus,
        events: Sequence[tuple[str, str]],
    ) -> bool:
        """See :meth:`kern.db.base.Store.take_up`."""
        changed = connection.execute(
            f"UPDATE {self._runs} SET status = 'PENDING', error = NULL, finished_at = NULL, "
            "started_at = NULL, failures = 0, run_at = NULL, webhook_delivered_at = NULL, "
            "parked = 0, turn = turn AND status = 'PAUSED' WHERE run_id = ? AND status = ?",
            (run_id, status.value),
        )
        if not changed.rowcount:
            return False
        last = connection.execute(
            f"SELECT coalesce(max(seq), 0) FROM {self._journal} WHERE run_id = ?", (run_id,)
        ).fetchone()[0]
        rows = [JournalRow(run_id, seq, *event) for seq, event in enumerate(events, last + 1)]
        self._write(connection, rows)
        return True

    def fork(self, connection: sqlite3.Connection, run: NewRun, origin: str, seq: int) -> bool:
        """See :meth:`kern.db.base.Store.fork`."""
        if self.submit(connection, run) is None:
            return False
        connection.execute(
            f"INSERT INTO {self._journal} SELECT ?, seq, type, payload, created_at "
            f"FROM {self._journal} WHERE run_id = ? AND seq <= ? "
            "AND type NOT IN ('RunContent', 'ToolCallStarted', 'ModelRequestStarted')",
            (run.run_id, origin, seq),
        )
        return True
