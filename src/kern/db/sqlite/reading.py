"""What SQLite is asked about runs, an operation a transaction."""

import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from kern.db.base import Accepted, Waiting
from kern.db.listing import BEGINNING, Load, RunFilter
from kern.db.sqlite.order import DUE, waits
from kern.run.base import RunStatus
from kern.run.record import JournalRow, RunRecord

RECORD = """run_id, session_id, agent_id, user_id, status, attempt, created_at, started_at,
    finished_at, metadata, output, error, priority, run_at, timeout, max_attempts, failures,
    webhook"""

_LISTED = RECORD.replace(" output,", "")


class Reading:
    """The operations on one file's tables; each is given the connection, in a transaction."""

    def __init__(self, session_table: str) -> None:
        """Name the tables after ``session_table``."""
        self._runs = f'"{session_table}_runs"'
        self._journal = f'"{session_table}_run_events"'
        self._waits = waits(self._runs)

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
        more = ", input" if with_input else ""
        row = connection.execute(
            f"SELECT {RECORD}, status = 'PENDING' AND (parked OR {self._waits}) AS waiting{more} "
            f"FROM {self._runs} AS run WHERE run_id = :run_id AND session_id IS NOT NULL",
            {"run_id": run_id, "now": time.time()},
        ).fetchone()
        return record_of(row) if row else None

    def find(
        self, connection: sqlite3.Connection, wanted: RunFilter, limit: int, before: str | None
    ) -> list[RunRecord]:
        """See :meth:`kern.db.base.Store.find`."""
        statuses = {f"status_{number}": each for number, each in enumerate(wanted.statuses)}
        values = {
            "agent_id": wanted.agent_id,
            "session_id": wanted.session_id,
            "user_id": wanted.user_id,
            "since": None if wanted.since is None else wanted.since.timestamp(),
            "before": before,
        }
        conditions = {
            "agent_id": "agent_id = :agent_id",
            "session_id": "session_id = :session_id",
            "user_id": "user_id = :user_id",
            "since": "created_at >= :since",
            "before": f"position < (SELECT position FROM {self._runs} WHERE run_id = :before)",
        }
        chosen = ["session_id IS NOT NULL"]
        chosen += [text for name, text in conditions.items() if values[name] is not None]
        if statuses:
            chosen.append(f"status IN ({', '.join(f':{name}' for name in statuses)})")
        if wanted.is_live:  # As the index of these runs says it.
            chosen.append("status IN ('PENDING', 'RUNNING')")
        rows = connection.execute(
            f"SELECT {_LISTED}, status = 'PENDING' AND (parked OR {self._waits}) AS waiting, "
            f"usage, substr(input, 1, {BEGINNING}) AS beginning FROM {self._runs} AS run "
            f"WHERE {' AND '.join(chosen)} ORDER BY position DESC LIMIT :limit",
            {**values, **statuses, "limit": limit, "now": time.time()},
        )
        return [record_of(row) for row in rows]

    def load(self, connection: sqlite3.Connection) -> Load:
        """See :meth:`kern.db.base.Store.load`."""
        row = connection.execute(
            f"""
SELECT total(status = 'RUNNING') AS running, total(due AND NOT waits) AS due,
    total(due AND waits) AS waiting, total(status = 'PENDING' AND NOT due) AS delayed,
    (SELECT count(*) FROM {self._runs}) AS total
FROM (SELECT status, {DUE} AS due, parked OR {self._waits} AS waits FROM {self._runs} AS run
    WHERE status IN ('PENDING', 'RUNNING'))""",
            {"now": time.time()},
        ).fetchone()
        return Load(*map(int, row))

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

    def queued(self, connection: sqlite3.Connection, agent_id: str) -> int:
        """See :meth:`kern.db.base.Store.queued`."""
        count: int = connection.execute(
            f"SELECT count(*) FROM {self._runs} WHERE {DUE} AND agent_id = :agent_id",
            {"agent_id": agent_id, "now": time.time()},
        ).fetchone()[0]
        return count

    def untold(self, connection: sqlite3.Connection) -> list[str]:
        """See :meth:`kern.db.base.Store.untold`."""
        rows = connection.execute(
            f"SELECT run_id FROM {self._runs} WHERE webhook IS NOT NULL "
            "AND webhook_delivered_at IS NULL AND status IN ('COMPLETED', 'ERROR', 'CANCELLED') "
            "ORDER BY position"
        )
        return [row["run_id"] for row in rows]

    def begun(self, connection: sqlite3.Connection, run_id: str, executor: str) -> Accepted | None:
        """See :meth:`kern.db.base.Store.begun`."""
        row = connection.execute(
            f"SELECT created_at FROM {self._runs} WHERE run_id = ? AND executor = ? "
            "AND attempt = 1 AND status = 'RUNNING'",
            (run_id, executor),
        ).fetchone()
        created_at = _moment(row["created_at"]) if row else None
        return None if created_at is None else Accepted(RunStatus.running, created_at)

    def unfinished(self, connection: sqlite3.Connection, agent_ids: Sequence[str]) -> list[Waiting]:
        """See :meth:`kern.db.base.Store.unfinished`."""
        rows = connection.execute(
            f"SELECT run_id, agent_id, priority, run_at FROM {self._runs} "
            "WHERE status IN ('PENDING', 'RUNNING') ORDER BY position"
        ).fetchall()
        return [
            Waiting(row["run_id"], row["agent_id"], row["priority"], _moment(row["run_at"]))
            for row in rows
            if row["agent_id"] in agent_ids
        ]


def record_of(row: sqlite3.Row) -> RunRecord:
    """Return a row of the table of runs as kern has it."""
    values = dict(row)
    values["status"] = RunStatus(values["status"])
    for column in ("created_at", "started_at", "finished_at", "run_at"):
        values[column] = _moment(values[column])
    for column in ("streamed", "waiting"):
        if column in values:
            values[column] = bool(values[column])
    return RunRecord(**values)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
