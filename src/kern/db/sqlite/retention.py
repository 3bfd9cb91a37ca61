"""Deletes what is over, in SQLite."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from typing_extensions import override

from kern.db.figures import KEPT
from kern.db.retention import NEWEST, PENDING_CANCELS_KEPT, WEBHOOKS_KEPT, Pruned, Retention
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile

_PROCESSES_KEPT = timedelta(days=1)

# How many pending cancels are deleted at once.
_MANY = 500

_ENDED = "status IN ('COMPLETED', 'ERROR', 'CANCELLED')"


class SqliteRetention(Retention):
    """Deletes what is over, beside one session table."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._tables = file.tables

    @override
    async def prune(
        self,
        before: datetime,
        position: int,
        most: int,
        *,
        deleting: bool = True,
        alone: bool = False,
    ) -> Pruned:
        return await self._file.write(self._prune, before.timestamp(), position, most, deleting)

    @override
    async def clean(self) -> int:
        return await self._file.write(self._clean)

    def _prune(
        self,
        transaction: Transaction,
        before: float,
        position: int,
        most: int,
        deleting: bool,
    ) -> Pruned:
        looked_at = transaction.execute(
            f"SELECT position, created_at FROM {self._tables.runs} WHERE position > :position "
            "ORDER BY position LIMIT :most",
            position=position,
            most=most,
        ).fetchall()
        if not looked_at:
            return Pruned(0, None)
        last: int = looked_at[-1]["position"]
        over = self._over(transaction, before, position, last)
        if deleting:
            self._delete(transaction, over)
        # None that was accepted after the moment has ended before it.
        after = last if any(row["created_at"] < before for row in looked_at) else None
        if after is None and last < 0:  # Behind the erased runs come the others.
            after = 0
        return Pruned(len(over), after if len(looked_at) == most else None)

    def _over(
        self, transaction: Transaction, before: float, position: int, last: int
    ) -> list[sqlite3.Row]:
        runs = self._tables.runs
        return transaction.execute(
            f"""
SELECT run_id, session_id FROM {runs} AS run
WHERE position > :position AND position <= :last AND {_ENDED} AND finished_at < :before
    AND session_id IS NOT NULL
    AND (webhook IS NULL OR finished_at < :webhooks
        OR NOT EXISTS (SELECT 1 FROM {self._tables.webhooks} AS delivery
            WHERE delivery.run_id = run.run_id AND delivery.due_at IS NOT NULL))
    AND NOT EXISTS (SELECT 1 FROM {runs} AS child
        WHERE child.parent_run_id = run.run_id AND NOT {_ENDED})
    AND session_id NOT IN (
        SELECT session_id FROM (SELECT DISTINCT session_id FROM {runs}
            WHERE position > :position AND position <= :last AND session_id IS NOT NULL) AS seen
        WHERE EXISTS (SELECT 1 FROM (SELECT status FROM {runs} AS newest
            WHERE newest.session_id = seen.session_id ORDER BY position DESC LIMIT {NEWEST})
            WHERE NOT {_ENDED}))""",
            position=position,
            last=last,
            before=before,
            webhooks=transaction.now - WEBHOOKS_KEPT.total_seconds(),
        ).fetchall()

    def _delete(self, transaction: Transaction, over: Sequence[sqlite3.Row]) -> None:
        tables = self._tables
        run_ids: list[dict[str, object]] = [{"run_id": row["run_id"]} for row in over]
        for table in (tables.journal, tables.webhooks, tables.blobs, tables.approvals, tables.runs):
            transaction.execute_many(f"DELETE FROM {table} WHERE run_id = :run_id", run_ids)
        transaction.execute_many(
            f"DELETE FROM {tables.sessions} AS session WHERE session_id = :session_id "
            f"AND NOT EXISTS (SELECT 1 FROM {tables.states} AS state "
            "WHERE state.session_id = session.session_id) "
            f"AND NOT EXISTS (SELECT 1 FROM {tables.runs} AS run "
            "WHERE run.session_id = session.session_id AND position > 0)",
            [{"session_id": session_id} for session_id in {row["session_id"] for row in over}],
        )

    def _clean(self, transaction: Transaction) -> int:
        transaction.execute(
            f"DELETE FROM {self._tables.processes} WHERE beat_at < :now - :seconds",
            seconds=_PROCESSES_KEPT.total_seconds(),
        )
        for span, kept in KEPT.items():
            transaction.execute(
                f"DELETE FROM {self._tables.figures} "
                "WHERE span = :span AND begins_at < :now - :seconds",
                span=span,
                seconds=kept.total_seconds(),
            )
        deleted = transaction.execute(
            f"DELETE FROM {self._tables.runs} WHERE position IN (SELECT position "
            f"FROM {self._tables.runs} WHERE session_id IS NULL AND created_at < :long_ago "
            "ORDER BY created_at LIMIT :many)",
            long_ago=transaction.now - PENDING_CANCELS_KEPT.total_seconds(),
            many=_MANY,
        )
        return deleted.rowcount
