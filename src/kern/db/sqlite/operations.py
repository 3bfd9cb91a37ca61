"""What SQLite is told: all of kern's statements for it, an operation a transaction."""

import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from kern.db.base import Accepted
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement

_RECORD = """run_id, session_id, agent_id, user_id, status, attempt, created_at, started_at,
    finished_at, metadata, output, error"""


class Operations:
    """The operations on one file's tables; each is given the connection, in a transaction."""

    def __init__(self, session_table: str) -> None:
        """Name the tables after ``session_table``."""
        self._sessions = f'"{session_table}"'
        self._runs = f'"{session_table}_runs"'
        self._journal = f'"{session_table}_run_events"'

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
        status = (
            RunStatus.cancelled
            if cancelled
            else RunStatus.pending
            if run.lease is None
            else RunStatus.running
        )
        started = now if status is RunStatus.running else None
        connection.execute(
            f"INSERT INTO {self._sessions} (session_id, agent_id, user_id, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (session_id) DO NOTHING",
            (run.session_id, run.agent_id, run.user_id, now, now),
        )
        connection.execute(
            f"INSERT INTO {self._runs} (run_id, session_id, agent_id, user_id, input, metadata, "
            "parent_run_id, streamed, status, attempt, created_at, started_at, finished_at, "
            "lease_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run.run_id,
                run.session_id,
                run.agent_id,
                run.user_id,
                run.input,
                run.metadata,
                run.parent_run_id,
                run.streamed,
                status.value,
                0 if started is None else 1,
                now,
                started,
                now if cancelled else None,
                None if started is None or run.lease is None else now + run.lease,
            ),
        )
        return Accepted(status, datetime.fromtimestamp(now, UTC))

    def claim(self, connection: sqlite3.Connection, run_id: str, lease: float) -> RunRecord | None:
        """See :meth:`kern.db.base.Store.claim`."""
        now = time.time()
        row = connection.execute(
            f"""
UPDATE {self._runs} SET
    status = CASE WHEN cancel_requested_at IS NULL THEN 'RUNNING' ELSE 'CANCELLED' END,
    attempt = attempt + 1,
    started_at = coalesce(started_at, :now),
    finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE :now END,
    lease_until = :until
WHERE run_id = :run_id AND (status = 'PENDING' OR status = 'RUNNING' AND lease_until < :now)
RETURNING {_RECORD}, input, streamed,
    (SELECT coalesce(max(seq), 0) FROM {self._journal} WHERE run_id = :run_id) AS last_seq""",
            {"run_id": run_id, "now": now, "until": now + lease},
        ).fetchone()
        return _record(row) if row else None

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
    lease_until = NULL
WHERE run_id = ? AND attempt = ? AND status = 'RUNNING'
RETURNING status""",
            (time.time(), run_id, attempt),
        ).fetchone()
        return RunStatus(row["status"]) if row else None

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

    def children(self, connection: sqlite3.Connection, run_id: str) -> list[str]:
        """See :meth:`kern.db.base.Store.children`."""
        rows = connection.execute(
            f"SELECT run_id FROM {self._runs} WHERE parent_run_id = ? "
            "AND status IN ('PENDING', 'RUNNING', 'PAUSED')",
            (run_id,),
        )
        return [row["run_id"] for row in rows]

    def asked(
        self, connection: sqlite3.Connection, run_ids: Sequence[str]
    ) -> list[tuple[str, bool, bool]]:
        """See :meth:`kern.db.base.Store.asked`."""
        statement = (
            "SELECT run_id, cancel_requested_at IS NOT NULL AS cancelled, streamed "
            f"FROM {self._runs} WHERE run_id = ? AND status = 'RUNNING' "
            "AND (cancel_requested_at IS NOT NULL OR streamed)"
        )
        found = [connection.execute(statement, (each,)).fetchone() for each in run_ids]
        return [(row[0], bool(row[1]), bool(row[2])) for row in found if row is not None]

    def read(self, connection: sqlite3.Connection, run_id: str) -> None:
        """See :meth:`kern.db.base.Store.read`."""
        connection.execute(
            f"UPDATE {self._runs} SET streamed = 1 WHERE run_id = ? AND NOT streamed "
            "AND status IN ('PENDING', 'RUNNING', 'PAUSED')",
            (run_id,),
        )

    def events(self, connection: sqlite3.Connection, run_id: str, after: int) -> list[JournalRow]:
        """See :meth:`kern.db.base.Store.events`."""
        rows = connection.execute(
            f"SELECT run_id, seq, type, payload, created_at FROM {self._journal} "
            "WHERE run_id = ? AND seq > ? ORDER BY seq",
            (run_id, after),
        )
        return [JournalRow(*row) for row in rows]

    def get(
        self, connection: sqlite3.Connection, run_id: str, with_input: bool
    ) -> RunRecord | None:
        """See :meth:`kern.db.base.Store.get`."""
        columns = f"{_RECORD}, input" if with_input else _RECORD
        row = connection.execute(
            f"SELECT {columns} FROM {self._runs} WHERE run_id = ? AND session_id IS NOT NULL",
            (run_id,),
        ).fetchone()
        return _record(row) if row else None

    def history(
        self, connection: sqlite3.Connection, session_id: str, before: str, limit: int
    ) -> list[tuple[str, str]]:
        """See :meth:`kern.db.base.Store.history`."""
        rows = connection.execute(
            f"SELECT run_id, output FROM {self._runs} "
            "WHERE session_id = ? AND status = 'COMPLETED' "
            f"AND position < (SELECT position FROM {self._runs} WHERE run_id = ?) "
            "ORDER BY position DESC LIMIT ?",
            (session_id, before, limit),
        ).fetchall()
        return [(row["run_id"], row["output"]) for row in reversed(rows)]

    def outputs(
        self, connection: sqlite3.Connection, run_ids: Sequence[str]
    ) -> list[tuple[str, str]]:
        """See :meth:`kern.db.base.Store.outputs`."""
        places = ", ".join("?" for _ in run_ids)
        rows = connection.execute(
            f"SELECT run_id, output FROM {self._runs} WHERE run_id IN ({places}) "
            "AND output IS NOT NULL ORDER BY position",
            list(run_ids),
        )
        return [(row["run_id"], row["output"]) for row in rows]

    def take_up(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        status: RunStatus,
        events: Sequence[tuple[str, str]],
    ) -> bool:
        """See :meth:`kern.db.base.Store.take_up`."""
        changed = connection.execute(
            f"UPDATE {self._runs} SET status = 'PENDING', error = NULL, finished_at = NULL "
            "WHERE run_id = ? AND status = ?",
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

    def unfinished(
        self, connection: sqlite3.Connection, agent_ids: Sequence[str]
    ) -> list[tuple[str, str]]:
        """See :meth:`kern.db.base.Store.unfinished`."""
        rows = connection.execute(
            f"SELECT run_id, agent_id FROM {self._runs} WHERE status IN ('PENDING', 'RUNNING') "
            "ORDER BY position"
        ).fetchall()
        return [(row["run_id"], row["agent_id"]) for row in rows if row["agent_id"] in agent_ids]


def _record(row: sqlite3.Row) -> RunRecord:
    values = dict(row)
    values["status"] = RunStatus(values["status"])
    for moment in ("created_at", "started_at", "finished_at"):
        if values[moment] is not None:
            values[moment] = datetime.fromtimestamp(values[moment], UTC)
    return RunRecord(**values)
