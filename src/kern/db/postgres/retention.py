"""Getting rid of what is over, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from kern.db.figures import KEPT
from kern.db.postgres.connections import Connections
from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import LIVE, deleted_with
from kern.db.retention import NEWEST, PENDING_CANCELS_KEPT, WEBHOOKS_KEPT, Pruned, Retention

# How many rows a statement deletes at most.
_CANCELS, _FIGURES, _LOG = 500, 5000, 5000


class PostgresRetention(Retention):
    """Deletes what is over, beside one session table."""

    def __init__(self, connections: Connections, names: Names) -> None:
        """Write the statements for ``names``."""
        self._connections = connections
        self._names = names
        self._count = self._pruning("", "SELECT run_id, session_id FROM prunable)")
        # The lock on the row keeps the run from being resumed at this moment.
        self._prune = self._pruning(
            "FOR UPDATE OF runs SKIP LOCKED",
            f"""DELETE FROM {names.runs} WHERE run_id = ANY(ARRAY(SELECT run_id FROM prunable))
    RETURNING run_id, session_id
), {deleted_with(names, "prunable")}""",
        )

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
        statement = self._prune if deleting else self._count
        [row] = await self._connections.fetch(statement, before, position, most, alone)
        if deleting and row["sessions"]:
            stateless = f"""NOT EXISTS (SELECT FROM {self._names.states} AS state
                WHERE state.session_id = session.session_id)"""
            await forget_sessions(self._connections, self._names, row["sessions"], stateless)
        return Pruned(row["runs"], row["position"])

    @override
    async def clean(self) -> int:
        deleted = 0
        for statement in self._cleaning():
            deleted += (await self._connections.fetch(statement))[0]["deleted"]
        return deleted

    def _pruning(self, lock: str, act: str) -> str:
        """Return the statement that looks at runs and does something with those to be deleted.

        The runs that are looked at are the next ones from a position on, so that a step costs the
        same wherever it is; none that was accepted after the moment has ended before it. Behind
        the erased runs, whose positions are below 0, come the others.
        """
        runs = self._names.runs
        return f"""
WITH looked_at AS MATERIALIZED (
    SELECT run_id, position, session_id, status, created_at FROM {runs}
    WHERE position > $2 AND (NOT $4 OR {self._is_alone("prune")})
    ORDER BY position LIMIT $3
), busy AS MATERIALIZED (
    SELECT session_id FROM (
        SELECT DISTINCT session_id FROM looked_at WHERE status NOT IN {LIVE}) AS session,
    LATERAL (SELECT bool_or(status IN {LIVE}) AS is_busy FROM (
        SELECT status FROM {runs} AS runs WHERE runs.session_id = session.session_id
        ORDER BY position DESC LIMIT {NEWEST}) AS newest) AS newest
    WHERE is_busy
), prunable AS MATERIALIZED (
    SELECT run_id, session_id FROM {runs} AS runs
    WHERE run_id = ANY(ARRAY(SELECT run_id FROM looked_at WHERE status NOT IN {LIVE}))
        AND runs.status NOT IN {LIVE} AND finished_at < $1 AND session_id IS NOT NULL
        AND session_id NOT IN (SELECT session_id FROM busy)
        AND (webhook IS NULL
            OR finished_at < now() - make_interval(secs => {WEBHOOKS_KEPT.total_seconds()})
            OR NOT EXISTS (SELECT FROM {self._names.webhooks} AS webhook
                WHERE webhook.run_id = runs.run_id AND webhook.due_at IS NOT NULL))
        AND NOT EXISTS (SELECT FROM {runs} AS child
            WHERE child.parent_run_id = runs.run_id AND child.status IN {LIVE})
    {lock}
), done AS (
    {act}
SELECT (SELECT count(*) FROM done) AS runs,
    (SELECT array_agg(DISTINCT session_id) FROM done) AS sessions,
    (SELECT CASE WHEN bool_or(created_at < $1) THEN max(position) ELSE 0 END FROM looked_at
        HAVING count(*) = $3 AND (bool_or(created_at < $1) OR max(position) < 0)) AS position"""

    def _cleaning(self) -> list[str]:
        names = self._names
        return [
            self._deleting(
                names.runs,
                "run_id",
                f"""session_id IS NULL AND created_at
            < now() - make_interval(secs => {PENDING_CANCELS_KEPT.total_seconds()})
        ORDER BY position LIMIT {_CANCELS} FOR UPDATE SKIP LOCKED""",
            ),
            *(
                self._deleting(
                    names.figures,
                    "ctid",
                    f"span = {span} AND begins_at < now() "
                    f"- make_interval(secs => {kept.total_seconds()}) LIMIT {_FIGURES}",
                )
                for span, kept in KEPT.items()
            ),
            self._deleting(names.processes, "executor", "beat_at < now() - interval '1 day'"),
            self._deleting(
                f'"{names.schema}".pgqueuer_log',
                "id",
                f"created < now() - interval '1 hour' ORDER BY created LIMIT {_LOG}",
            ),
        ]

    def _deleting(self, table: str, key: str, which: str) -> str:
        return f"""
WITH deleted AS (
    DELETE FROM {table} WHERE {key} = ANY(ARRAY(
        SELECT {key} FROM {table} WHERE {self._is_alone(table)} AND {which}))
    RETURNING {key}
)
SELECT count(*) AS deleted FROM deleted"""

    def _is_alone(self, what: str) -> str:
        key = f"kern/{what}/{self._names.runs}"
        return f"(SELECT pg_try_advisory_xact_lock(hashtextextended('{key}', 0)))"


async def forget_sessions(
    connections: Connections, names: Names, session_ids: Sequence[str], condition: str
) -> int:
    """Delete those of the sessions that have no run any more but erased ones, and say how many.

    The locks come first: a submit holds its session's, so the run is seen by the second
    statement, or finds no session and makes it again. A run of a caller's transaction holds
    none, so its claim makes the session again.

    Args:
        connections: where to.
        names: the tables.
        session_ids: the sessions.
        condition: what else must hold of them.
    """
    async with connections.transaction() as connection:
        rows = await connection.fetch(
            f"SELECT session_id FROM {names.sessions} AS session WHERE session_id = ANY($1) "
            f"AND {condition} AND lock_run_id IS NULL FOR UPDATE SKIP LOCKED",
            session_ids,
        )
        deleted = await connection.fetch(
            f"DELETE FROM {names.sessions} AS session WHERE session_id = ANY($1) "
            f"AND NOT EXISTS (SELECT FROM {names.runs} AS runs "
            "WHERE runs.session_id = session.session_id AND position > 0) RETURNING session_id",
            [row["session_id"] for row in rows],
        )
        await connection.execute(
            f"DELETE FROM {names.states} WHERE session_id = ANY($1)",
            [row["session_id"] for row in deleted],
        )
    return len(deleted)
