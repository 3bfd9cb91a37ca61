"""SQLite, open for one event loop. All of kern's statements for it are here."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from typing_extensions import override

from kern.db.base import Accepted, Kind, Signal, Store
from kern.db.sqlite.file import SqliteFile
from kern.errors import DatabaseError
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement

# How often another process's changes are looked for, in seconds; SQLite has no notifications.
_LOOK = 0.05

_RECORD = """run_id, session_id, agent_id, user_id, status, attempt, created_at, started_at,
    finished_at, metadata, output, error"""


class SqliteStore(Store):
    """Runs and sessions in one file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._runs = f'"{file.session_table}_runs"'
        self._events = f'"{file.session_table}_run_events"'
        self._sessions = f'"{file.session_table}"'
        self._hear: Callable[[Signal], None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, and make or migrate its tables."""
        self._file.enter()
        try:
            await self._file.version_seen()
        except BaseException:
            await self._file.leave()
            raise

    async def close(self) -> None:
        """Stop listening, and close the file if nobody else in this process uses it."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        if self._hear is not None:
            self._file.unsubscribe(self._hear)
        await self._file.leave()

    @override
    async def submit(self, run: NewRun) -> Accepted | None:
        return await self._file.call(self._submit, run)

    @override
    async def claim(self, run_id: str, lease: float) -> RunRecord | None:
        record = await self._file.call(self._claim, run_id, lease)
        if record is not None:
            self._ended(run_id, record.status)
        return record

    @override
    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> bool:
        written = await self._file.call(self._append, run_id, attempt, rows)
        if streamed:
            self._file.tell(Signal(Kind.news, run_id))
        return written

    @override
    async def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        return await self._file.call(self._extend, attempts, lease)

    @override
    async def settle(self, settlement: Settlement) -> RunStatus | None:
        return self._ended(settlement.run_id, await self._file.call(self._settle, settlement))

    @override
    async def release(self, run_id: str, attempt: int) -> None:
        self._ended(run_id, await self._file.call(self._release, run_id, attempt))

    @override
    async def cancel(self, run_id: str) -> bool:
        status = await self._file.call(self._cancel, run_id)
        if status is RunStatus.running:
            self._file.tell(Signal(Kind.cancel, run_id))
        else:
            self._ended(run_id, status)
        return status is not None

    @override
    async def children(self, run_id: str) -> list[str]:
        return await self._file.call(self._children, run_id)

    @override
    async def asked(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        return await self._file.call(self._asked, run_ids)

    @override
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        return await self._file.call(self._get, run_id, with_input)

    async def watch(self, run_id: str) -> None:
        """Do nothing: here every end is signalled."""

    @override
    async def read(self, run_id: str) -> None:
        await self._file.call(self._read, run_id)
        self._file.tell(Signal(Kind.read, run_id))

    @override
    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        return await self._file.call(self._rows_after, run_id, after)

    @override
    async def history(self, session_id: str, before: str, limit: int) -> list[tuple[str, str]]:
        return await self._file.call(self._history, session_id, before, limit)

    @override
    async def outputs(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        return await self._file.call(self._outputs, run_ids)

    @override
    async def take_up(
        self, run_id: str, status: RunStatus, events: Sequence[tuple[str, str]]
    ) -> bool:
        return await self._file.call(self._take_up, run_id, status, events)

    @override
    async def fork(self, run: NewRun, origin: str, seq: int) -> bool:
        return await self._file.call(self._fork, run, origin, seq)

    @override
    async def unfinished(self, agent_ids: Sequence[str]) -> list[tuple[str, str]]:
        return await self._file.call(self._unfinished, agent_ids)

    @override
    async def listen(self, hear: Callable[[Signal], None]) -> None:
        loop = asyncio.get_running_loop()

        def hear_here(signal: Signal) -> None:
            with suppress(RuntimeError):  # The loop has been closed.
                loop.call_soon_threadsafe(hear, signal)

        self._hear = hear_here
        self._file.subscribe(hear_here)
        if self._file.path != ":memory:":
            seen = await self._file.version_seen()
            self._looking = asyncio.create_task(self._look(hear, seen))

    async def _look(self, hear: Callable[[Signal], None], seen: int) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            try:
                version = await self._file.version_seen()
            except DatabaseError:
                continue  # Locked, most likely; who uses the file is told.
            if version != seen:
                seen = version
                hear(Signal(Kind.again))

    def _ended(self, run_id: str, status: RunStatus | None) -> RunStatus | None:
        if status is not None and status.is_terminal:
            self._file.tell(Signal(Kind.news, run_id))
        return status

    def _submit(self, connection: sqlite3.Connection, run: NewRun) -> Accepted | None:
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

    def _claim(self, connection: sqlite3.Connection, run_id: str, lease: float) -> RunRecord | None:
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
    (SELECT coalesce(max(seq), 0) FROM {self._events} WHERE run_id = :run_id) AS last_seq""",
            {"run_id": run_id, "now": now, "until": now + lease},
        ).fetchone()
        return _record(row) if row else None

    def _extend(
        self, connection: sqlite3.Connection, attempts: Sequence[tuple[str, int]], lease: float
    ) -> dict[str, bool]:
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

    def _append(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        attempt: int,
        rows: Sequence[JournalRow],
    ) -> bool:
        mine = connection.execute(
            f"SELECT 1 FROM {self._runs} WHERE run_id = ? AND attempt = ? AND status = 'RUNNING'",
            (run_id, attempt),
        ).fetchone()
        if mine is not None:
            self._write(connection, rows)
        return mine is not None

    def _write(self, connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> None:
        connection.executemany(
            f"INSERT OR IGNORE INTO {self._events} (run_id, seq, type, payload, created_at) "
            "VALUES (?, ?, ?, ?, ?)",
            [(row.run_id, row.seq, row.type, row.payload, time.time()) for row in rows],
        )

    def _settle(self, connection: sqlite3.Connection, settlement: Settlement) -> RunStatus | None:
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
                f"DELETE FROM {self._events} WHERE run_id = ? AND seq < ? AND type = 'RunContent'",
                (settlement.run_id, settlement.fold_before),
            )
        return RunStatus(row["status"])

    def _release(
        self, connection: sqlite3.Connection, run_id: str, attempt: int
    ) -> RunStatus | None:
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

    def _cancel(self, connection: sqlite3.Connection, run_id: str) -> RunStatus | None:
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

    def _children(self, connection: sqlite3.Connection, run_id: str) -> list[str]:
        rows = connection.execute(
            f"SELECT run_id FROM {self._runs} WHERE parent_run_id = ? "
            "AND status IN ('PENDING', 'RUNNING', 'PAUSED')",
            (run_id,),
        )
        return [row["run_id"] for row in rows]

    def _asked(
        self, connection: sqlite3.Connection, run_ids: Sequence[str]
    ) -> list[tuple[str, bool, bool]]:
        statement = (
            "SELECT run_id, cancel_requested_at IS NOT NULL AS cancelled, streamed "
            f"FROM {self._runs} WHERE run_id = ? AND status = 'RUNNING' "
            "AND (cancel_requested_at IS NOT NULL OR streamed)"
        )
        found = [connection.execute(statement, (each,)).fetchone() for each in run_ids]
        return [(row[0], bool(row[1]), bool(row[2])) for row in found if row is not None]

    def _read(self, connection: sqlite3.Connection, run_id: str) -> None:
        connection.execute(
            f"UPDATE {self._runs} SET streamed = 1 WHERE run_id = ? AND NOT streamed "
            "AND status IN ('PENDING', 'RUNNING', 'PAUSED')",
            (run_id,),
        )

    def _rows_after(
        self, connection: sqlite3.Connection, run_id: str, after: int
    ) -> list[JournalRow]:
        rows = connection.execute(
            f"SELECT run_id, seq, type, payload, created_at FROM {self._events} "
            "WHERE run_id = ? AND seq > ? ORDER BY seq",
            (run_id, after),
        )
        return [JournalRow(*row) for row in rows]

    def _get(
        self, connection: sqlite3.Connection, run_id: str, with_input: bool
    ) -> RunRecord | None:
        columns = f"{_RECORD}, input" if with_input else _RECORD
        row = connection.execute(
            f"SELECT {columns} FROM {self._runs} WHERE run_id = ? AND session_id IS NOT NULL",
            (run_id,),
        ).fetchone()
        return _record(row) if row else None

    def _history(
        self, connection: sqlite3.Connection, session_id: str, before: str, limit: int
    ) -> list[tuple[str, str]]:
        rows = connection.execute(
            f"SELECT run_id, output FROM {self._runs} "
            "WHERE session_id = ? AND status = 'COMPLETED' "
            f"AND position < (SELECT position FROM {self._runs} WHERE run_id = ?) "
            "ORDER BY position DESC LIMIT ?",
            (session_id, before, limit),
        ).fetchall()
        return [(row["run_id"], row["output"]) for row in reversed(rows)]

    def _outputs(
        self, connection: sqlite3.Connection, run_ids: Sequence[str]
    ) -> list[tuple[str, str]]:
        places = ", ".join("?" for _ in run_ids)
        rows = connection.execute(
            f"SELECT run_id, output FROM {self._runs} WHERE run_id IN ({places}) "
            "AND output IS NOT NULL ORDER BY position",
            list(run_ids),
        )
        return [(row["run_id"], row["output"]) for row in rows]

    def _take_up(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        status: RunStatus,
        events: Sequence[tuple[str, str]],
    ) -> bool:
        changed = connection.execute(
            f"UPDATE {self._runs} SET status = 'PENDING', error = NULL, finished_at = NULL "
            "WHERE run_id = ? AND status = ?",
            (run_id, status.value),
        )
        if not changed.rowcount:
            return False
        last = connection.execute(
            f"SELECT coalesce(max(seq), 0) FROM {self._events} WHERE run_id = ?", (run_id,)
        ).fetchone()[0]
        rows = [JournalRow(run_id, seq, *event) for seq, event in enumerate(events, last + 1)]
        self._write(connection, rows)
        return True

    def _fork(self, connection: sqlite3.Connection, run: NewRun, origin: str, seq: int) -> bool:
        if self._submit(connection, run) is None:
            return False
        connection.execute(
            f"INSERT INTO {self._events} SELECT ?, seq, type, payload, created_at "
            f"FROM {self._events} WHERE run_id = ? AND seq <= ? "
            "AND type NOT IN ('RunContent', 'ToolCallStarted', 'ModelRequestStarted')",
            (run.run_id, origin, seq),
        )
        return True

    def _unfinished(
        self, connection: sqlite3.Connection, agent_ids: Sequence[str]
    ) -> list[tuple[str, str]]:
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
