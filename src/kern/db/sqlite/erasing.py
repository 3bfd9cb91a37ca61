"""Erasing runs in SQLite, an operation a transaction."""

import sqlite3
from collections.abc import Sequence

from typing_extensions import override

from kern.db.erasing import (
    BEHIND,
    EMPTIED,
    HAS_SUMMARY,
    IS_DESERTED,
    MANY,
    Erasing,
    Family,
    without_summary,
)
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.memories import Remembering
from kern.db.sqlite.tables import LIVE, Tables


class Erasure:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._tables = tables
        self._runs, self._unstored = tables.runs, tables.unstored
        self._memories = Remembering(tables)

    def hide(self, transaction: Transaction, run_id: str) -> bool | None:
        """See :meth:`kern.db.erasing.Erasing.hide`."""
        run = transaction.one(
            f"SELECT status IN {LIVE} AND cancel_requested_at IS NULL AS lives FROM {self._runs} "
            "WHERE run_id = :run_id AND session_id IS NOT NULL AND erased_at IS NULL",
            run_id=run_id,
        )
        if run is None or run["lives"]:
            return False if run is None else None
        transaction.execute(
            f"UPDATE {self._runs} SET unstored = 1, erased_at = :now WHERE run_id = :run_id",
            run_id=run_id,
        )
        return True

    def erase(self, transaction: Transaction, run_ids: Sequence[str]) -> Family:
        """See :meth:`kern.db.erasing.Erasing._erase`."""
        family = Family([], [])
        for run_id in run_ids:
            self._erase(transaction, run_id, family)
        return family

    def forget(self, transaction: Transaction, session_ids: Sequence[str]) -> None:
        """See :meth:`kern.db.erasing.Erasing._forget`."""
        sessions, states = self._tables.sessions, self._tables.states
        transaction.execute_many(
            f"DELETE FROM {sessions} AS session WHERE session_id = :session_id "
            "AND lock_run_id IS NULL AND name IS NULL "
            "AND metadata IS NULL AND summary IS NULL AND data IS NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {states} AS state "
            "WHERE state.session_id = session.session_id) "
            f"AND NOT EXISTS (SELECT 1 FROM {self._runs} AS run "
            "WHERE run.session_id = session.session_id AND position > 0)",
            [{"session_id": each} for each in session_ids],
        )

    def sweep(self, transaction: Transaction) -> None:
        """Erase some of what lost processes have left."""
        left, sessions = self.left(transaction), list[str]()
        while left:
            left, made = self.erase(transaction, left)
            sessions += made
        self.forget(transaction, sessions)

    def left(self, transaction: Transaction) -> list[str]:
        """Return some unstored runs that have ended."""
        rows = transaction.execute(
            f"SELECT run_id FROM {self._runs} INDEXED BY {self._unstored} "
            "WHERE unstored AND finished_at IS NOT NULL "
            f"AND status NOT IN {LIVE} "
            f"ORDER BY finished_at LIMIT {MANY}"
        )
        return [row["run_id"] for row in rows.fetchall()]

    def _erase(self, transaction: Transaction, run_id: str, family: Family) -> None:
        run = transaction.one(
            "SELECT session_id, created_at, position, erased_at IS NOT NULL AS wholly "
            f"FROM {self._runs} "
            f"WHERE run_id = :run_id AND unstored AND status NOT IN {LIVE}",
            run_id=run_id,
        )
        if run is None:
            return
        transaction.execute(
            f"UPDATE {self._runs} SET unstored = 0, erased_at = coalesce(erased_at, :now), "
            f"position = position - {BEHIND}, {', '.join(f'{each} = NULL' for each in EMPTIED)} "
            "WHERE run_id = :run_id",
            run_id=run_id,
        )
        tables = self._tables
        for table in (tables.journal, tables.webhooks, tables.blobs, tables.approvals):
            transaction.execute(f"DELETE FROM {table} WHERE run_id = :run_id", run_id=run_id)
        if run["wholly"]:
            self._memories.erase(transaction, run_id)
        self._leave(transaction, run, family)
        children = transaction.execute(
            f"UPDATE {self._runs} SET unstored = 1, "
            f"erased_at = CASE WHEN :wholly AND status NOT IN {LIVE} THEN :now END, "
            f"status = CASE WHEN {IS_DESERTED} THEN 'CANCELLED' ELSE status END, "
            f"finished_at = CASE WHEN {IS_DESERTED} THEN :now ELSE finished_at END, "
            f"due_at = CASE WHEN NOT ({IS_DESERTED}) THEN due_at END, "
            f"attempt = attempt + ({IS_DESERTED}) "
            f"WHERE parent_run_id = :run_id AND erased_at IS NULL AND (:wholly OR foreground) "
            "RETURNING run_id",
            run_id=run_id,
            wholly=run["wholly"],
        )
        family.children.extend(row["run_id"] for row in children.fetchall())

    def _leave(self, transaction: Transaction, run: sqlite3.Row, family: Family) -> None:
        """Have the session of a run without what it says of it."""
        sessions = self._tables.sessions
        if run["wholly"]:
            transaction.execute(
                f"UPDATE {sessions} SET summary = NULL WHERE session_id = :session_id",
                session_id=run["session_id"],
            )
            self._forget_summaries(transaction, run)
        if transaction.one(
            f"SELECT 1 FROM {sessions} WHERE session_id = :session_id AND created_at = :created_at",
            session_id=run["session_id"],
            created_at=run["created_at"],
        ):
            family.sessions.append(run["session_id"])

    def _forget_summaries(self, transaction: Transaction, run: sqlite3.Row) -> None:
        """Have no later run of the session hold what may sum up this one."""
        later = transaction.execute(
            f"SELECT run_id FROM {self._runs} WHERE session_id = :session_id "
            f"AND position > :position AND {HAS_SUMMARY.format(text='')}",
            session_id=run["session_id"],
            position=run["position"],
        )
        for run_id in [each["run_id"] for each in later.fetchall()]:
            found = transaction.sole(
                f"SELECT output FROM {self._runs} WHERE run_id = :run_id", run_id=run_id
            )
            transaction.execute(
                f"UPDATE {self._runs} SET output = :output WHERE run_id = :run_id",
                run_id=run_id,
                output=without_summary(found["output"]),
            )


class SqliteErasing(Erasing):
    """Erases runs beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._erasure = Erasure(file.tables)

    @override
    async def hide(self, run_id: str) -> bool | None:
        return await self._file.write(self._erasure.hide, run_id)

    @override
    async def _erase(self, run_ids: Sequence[str]) -> Family:
        return await self._file.write(self._erasure.erase, run_ids)

    @override
    async def _forget(self, session_ids: Sequence[str]) -> None:
        await self._file.write(self._erasure.forget, session_ids)

    @override
    async def _left(self) -> list[str]:
        return await self._file.read(self._erasure.left)
