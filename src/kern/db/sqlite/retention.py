"""Getting rid of what is over, in SQLite."""

import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from kern.db.retention import INTENTS_KEPT, NEWEST, WEBHOOKS_KEPT, Pruned, Retention
from kern.db.sqlite.file import SqliteFile

_INTENTS = 500

_ENDED = "status IN ('COMPLETED', 'ERROR', 'CANCELLED')"


class SqliteRetention(Retention):
    """Deletes what is over, beside one session table."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        table = file.session_table
        self._sessions, self._runs = f'"{table}"', f'"{table}_runs"'
        self._journal = f'"{table}_run_events"'

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
        return await self._file.call(self._prune, before.timestamp(), position, most, deleting)

    @override
    async def tidy(self) -> int:
        return await self._file.call(self._tidy)

    def _prune(
        self,
        connection: sqlite3.Connection,
        before: float,
        position: int,
        most: int,
        deleting: bool,
    ) -> Pruned:
        # A bound parameter cannot exceed 64 bits, and nothing is accepted after the last row.
        looked_at = connection.execute(
            f"SELECT position, created_at FROM {self._runs} WHERE position > ? "
            "ORDER BY position LIMIT ?",
            (position, most),
        ).fetchall()
        if not looked_at:
            return Pruned(0, None)
        last: int = looked_at[-1]["position"]
        doomed = self._doomed(connection, before, position, last)
        if deleting:
            self._delete(connection, doomed)
        # None that was accepted after the moment has ended before it.
        goes_on = len(looked_at) == most and any(row["created_at"] < before for row in looked_at)
        return Pruned(len(doomed), last if goes_on else None)

    def _doomed(
        self, connection: sqlite3.Connection, before: float, position: int, last: int
    ) -> list[sqlite3.Row]:
        return connection.execute(
            f"""
SELECT run_id, session_id FROM {self._runs} AS run
WHERE position > :position AND position <= :last AND {_ENDED} AND finished_at < :before
    AND session_id IS NOT NULL
    AND (webhook IS NULL OR webhook_delivered_at IS NOT NULL OR finished_at < :webhooks)
    AND NOT EXISTS (SELECT 1 FROM {self._runs} AS child
        WHERE child.parent_run_id = run.run_id AND NOT {_ENDED})
    AND session_id NOT IN (
        SELECT session_id FROM (SELECT DISTINCT session_id FROM {self._runs}
            WHERE position > :position AND position <= :last AND session_id IS NOT NULL) AS seen
        WHERE EXISTS (SELECT 1 FROM (SELECT status FROM {self._runs} AS newest
            WHERE newest.session_id = seen.session_id ORDER BY position DESC LIMIT {NEWEST})
            WHERE NOT {_ENDED}))""",
            {
                "position": position,
                "last": last,
                "before": before,
                "webhooks": time.time() - WEBHOOKS_KEPT.total_seconds(),
            },
        ).fetchall()

    def _delete(self, connection: sqlite3.Connection, doomed: Sequence[sqlite3.Row]) -> None:
        run_ids = [(row["run_id"],) for row in doomed]
        connection.executemany(f"DELETE FROM {self._journal} WHERE run_id = ?", run_ids)
        connection.executemany(f"DELETE FROM {self._runs} WHERE run_id = ?", run_ids)
        connection.executemany(
            f"DELETE FROM {self._sessions} AS session WHERE session_id = ? "
            f"AND session_state IS NULL AND NOT EXISTS (SELECT 1 FROM {self._runs} AS run "
            "WHERE run.session_id = session.session_id)",
            [(session_id,) for session_id in {row["session_id"] for row in doomed}],
        )

    def _tidy(self, connection: sqlite3.Connection) -> int:
        deleted = connection.execute(
            f"DELETE FROM {self._runs} WHERE position IN (SELECT position FROM {self._runs} "
            "WHERE session_id IS NULL AND created_at < ? ORDER BY position LIMIT ?)",
            (time.time() - INTENTS_KEPT.total_seconds(), _INTENTS),
        )
        return deleted.rowcount
