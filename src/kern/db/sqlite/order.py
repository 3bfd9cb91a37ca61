"""Who goes next in SQLite: the order in a session, and the limit of a user.

A run has the turn of its session from its first attempt until it ends. An operation sees every
run as it is, and nobody changes one meanwhile, so who gets the turn follows from the runs.
"""

import sqlite3
import time

_HOLDS = "turn AND status IN ('PENDING', 'RUNNING', 'PAUSED')"

DUE = "status = 'PENDING' AND (run_at IS NULL OR run_at <= :now)"


def waits(runs: str) -> str:
    """Return the expression for whether ``run`` waits for another of its session at ``:now``.

    Args:
        runs: the table of the runs.
    """
    return f"""(NOT turn AND ordered AND {DUE} AND (
        EXISTS (SELECT 1 FROM {runs} WHERE session_id = run.session_id AND {_HOLDS})
        OR EXISTS (SELECT 1 FROM {runs} WHERE session_id = run.session_id AND ordered AND {DUE}
            AND position < run.position)))"""


class Order:
    """The operations on one file's tables; each is given the connection, in a transaction."""

    def __init__(self, session_table: str) -> None:
        """Name the tables after ``session_table``."""
        self._runs = f'"{session_table}_runs"'
        self._waits = waits(self._runs)

    def is_full(self, connection: sqlite3.Connection, run_id: str, user_limit: int) -> bool:
        """Say whether so many other runs of the run's user execute, and park the run then."""
        full = connection.execute(
            f"SELECT (SELECT count(*) FROM {self._runs} AS other WHERE other.status = 'RUNNING' "
            "AND NOT other.parked "
            "AND other.agent_id = run.agent_id AND other.user_id = run.user_id "
            f"AND other.run_id <> run.run_id) >= ? FROM {self._runs} AS run "
            "WHERE run_id = ? AND user_id IS NOT NULL",
            (user_limit, run_id),
        ).fetchone()
        if full is None or not full[0]:
            return False
        connection.execute(
            f"UPDATE {self._runs} AS run SET parked = 1 WHERE run_id = :run_id "
            f"AND {DUE} AND NOT {self._waits}",
            {"run_id": run_id, "now": time.time()},
        )
        return True

    def withdraw(self, connection: sqlite3.Connection, run_id: str) -> bool:
        """See :meth:`kern.db.base.Store.withdraw`."""
        deleted = connection.execute(
            f"DELETE FROM {self._runs} AS run WHERE run_id = :run_id AND {self._waits}",
            {"run_id": run_id, "now": time.time()},
        )
        return deleted.rowcount > 0

    def before(self, connection: sqlite3.Connection, run_id: str) -> list[str]:
        """See :meth:`kern.db.base.Store.before`."""
        rows = connection.execute(
            f"""
WITH run AS (SELECT session_id, position FROM {self._runs} WHERE run_id = :run_id)
SELECT run_id FROM (
    SELECT run_id, position FROM {self._runs}
    WHERE session_id = (SELECT session_id FROM run) AND ordered AND {DUE}
        AND position < (SELECT position FROM run) AND NOT turn
    UNION ALL
    SELECT run_id, 0 FROM {self._runs}
    WHERE session_id = (SELECT session_id FROM run) AND {_HOLDS} AND run_id <> :run_id
) ORDER BY position DESC""",
            {"run_id": run_id, "now": time.time()},
        )
        return [row["run_id"] for row in rows]

    def admit(
        self,
        connection: sqlite3.Connection,
        session_id: str,
        agent_id: str,
        user_id: str | None,
        user_limit: int | None,
    ) -> list[tuple[str, str]]:
        """See :meth:`kern.db.base.Store.admit`."""
        now = time.time()
        admitted = connection.execute(
            f"""
SELECT run_id, agent_id FROM {self._runs} WHERE session_id = :session_id AND ordered AND {DUE}
    AND NOT EXISTS (SELECT 1 FROM {self._runs} WHERE session_id = :session_id AND {_HOLDS})
ORDER BY position LIMIT 1""",
            {"session_id": session_id, "now": now},
        ).fetchall()
        if user_id is not None and user_limit is not None:
            parked = connection.execute(
                f"""
SELECT run_id, agent_id FROM {self._runs} AS run
WHERE agent_id = :agent_id AND user_id = :user_id AND status = 'PENDING' AND parked
    AND NOT {self._waits}
ORDER BY priority DESC, position
LIMIT max(0, :user_limit - (SELECT count(*) FROM {self._runs}
    WHERE agent_id = :agent_id AND user_id = :user_id AND status = 'RUNNING'
        AND NOT parked))""",
                {"agent_id": agent_id, "user_id": user_id, "user_limit": user_limit, "now": now},
            ).fetchall()
            connection.executemany(
                f"UPDATE {self._runs} SET parked = 0 WHERE run_id = ?",
                [(row["run_id"],) for row in parked],
            )
            admitted += parked
        return list(dict.fromkeys((row["run_id"], row["agent_id"]) for row in admitted))
