"""Who owns what in PostgreSQL."""

from collections.abc import Sequence

import asyncpg
from typing_extensions import override

from kern.db.erasing import BEHIND, IS_SEEN
from kern.db.postgres.accepting import Accepting
from kern.db.postgres.connections import Connections
from kern.db.postgres.names import Names
from kern.db.postgres.queue import PostgresQueue
from kern.db.postgres.retention import forget_sessions
from kern.db.postgres.statements.parts import FEW, LIVE, deleted_with
from kern.db.users import MANY, ORDER, PAGE, Owners, Row, Table, Users
from kern.run.record import NewRun


class PostgresUsers(Users):
    """Who owns what beside one session table."""

    def __init__(
        self, connections: Connections, names: Names, accepting: Accepting, queue: PostgresQueue
    ) -> None:
        """Write the statements for ``names``."""
        self._connections = connections
        self._names = names
        self._accepting = accepting
        self._queue = queue
        sessions, runs = names.sessions, names.runs
        self._owners = f"""
SELECT run_id AS id, user_id, true AS is_run FROM {runs}
WHERE run_id IN (SELECT unnest($1::text[]) {FEW})
UNION ALL
SELECT session_id, user_id, false FROM {sessions}
WHERE session_id IN (SELECT unnest($2::text[]) LIMIT cardinality($2::text[]))"""
        self._enter = f"""
INSERT INTO {sessions} (session_id, agent_id, user_id, session_type) VALUES ($1, $2, $3, $4)
ON CONFLICT (session_id) DO NOTHING RETURNING session_id AS id"""
        self._delete_runs = f"""
WITH gone AS (
    DELETE FROM {runs} WHERE run_id = ANY($1) AND status NOT IN {LIVE}
    RETURNING run_id, session_id
), {deleted_with(names, "gone")}
SELECT run_id, session_id FROM gone"""
        self._delete_schedules = f"""
WITH gone AS (DELETE FROM {names.schedules} WHERE user_id = $1 RETURNING name)
SELECT pg_notify('{names.channel}', 'schedule')::text FROM gone"""
        # What others have in it stays theirs.
        self._disown = f"""
WITH disowned AS (
    UPDATE {sessions} AS session SET user_id = NULL, name = NULL, metadata = NULL,
        summary = NULL, data = NULL,
        state_version = state_version + 1 + coalesce((SELECT sum(version)
            FROM {names.states} AS state WHERE state.session_id = session.session_id), 0)
    WHERE user_id = $1 AND EXISTS (SELECT FROM {runs} AS runs
        WHERE runs.session_id = session.session_id AND runs.user_id <> $1)
    RETURNING session_id
)
DELETE FROM {names.states} WHERE (session_id, key) IN (
    SELECT session_id, key FROM {names.states}
    WHERE session_id IN (SELECT session_id FROM disowned) ORDER BY session_id, key FOR UPDATE)"""
        self._table_of: dict[Table, str] = {
            "sessions": f"{sessions} WHERE user_id = $1",
            "states": f"{names.states} WHERE session_id IN ("
            f"SELECT session_id FROM {sessions} WHERE user_id = $1)",
            "events": f"{names.events} WHERE run_id = $1",
            "blobs": f"{names.blobs} WHERE run_id = $1",
            "webhooks": f"{names.webhooks} WHERE run_id = $1",
            "schedules": f"{names.schedules} WHERE user_id = $1",
            "budgets": f"{names.budgets} WHERE user_id = $1",
            "approvals": f"{names.approvals} WHERE user_id = $1",
            "keys": f"{names.keys} WHERE user_id = $1",
            "memories": f"{names.memories} WHERE user_id = $1",
            "approvals_of_run": f"{names.approvals} WHERE run_id = $1 AND user_id IS NULL",
        }

    @override
    async def owners(
        self, run_ids: Sequence[str], session_ids: Sequence[str], connection: object | None = None
    ) -> Owners:
        what = ", ".join((*run_ids[-1:], *session_ids[-1:]))
        rows = await self._fetch(connection, what, self._owners, run_ids, session_ids)
        return Owners(
            {row["id"]: row["user_id"] for row in rows if row["is_run"]},
            {row["id"]: row["user_id"] for row in rows if not row["is_run"]},
        )

    @override
    async def enter(self, run: NewRun, connection: object | None = None) -> bool:
        values = (run.session_id, run.agent_id, run.user_id, run.session_type)
        return bool(await self._fetch(connection, run.run_id, self._enter, *values))

    @override
    async def runs(self, user_id: str) -> list[tuple[str, bool]]:
        statement = self._of_user(f"run_id, status IN {LIVE} AS is_live, position", MANY)
        rows = await self._connections.fetch(statement, user_id, -BEHIND)
        return [(row["run_id"], row["is_live"]) for row in rows]

    @override
    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        rows = await self._connections.fetch(self._delete_runs, run_ids)
        await self._queue.forget(run_ids)
        session_ids = {row["session_id"] for row in rows} - {None}
        if session_ids:
            ownerless = "user_id IS NULL"
            await forget_sessions(self._connections, self._names, [*session_ids], ownerless)
        return len(rows)

    @override
    async def delete_schedules(self, user_id: str) -> int:
        return len(await self._connections.fetch(self._delete_schedules, user_id))

    @override
    async def delete_budgets(self, user_id: str) -> int:
        deleted = f"DELETE FROM {self._names.budgets} WHERE user_id = $1 RETURNING per"
        return len(await self._connections.fetch(deleted, user_id))

    @override
    async def delete_approvals(self, user_id: str) -> None:
        deleted = f"DELETE FROM {self._names.approvals} WHERE user_id = $1"
        await self._connections.fetch(deleted, user_id)

    @override
    async def delete_keys(self, user_id: str) -> None:
        await self._connections.fetch(f"DELETE FROM {self._names.keys} WHERE user_id = $1", user_id)

    @override
    async def delete_memories(self, user_id: str) -> int:
        deleted = f"DELETE FROM {self._names.memories} WHERE user_id = $1 RETURNING memory_id"
        return len(await self._connections.fetch(deleted, user_id))

    @override
    async def delete_sessions(self, user_id: str) -> int:
        rows = await self._connections.fetch(
            f"SELECT session_id FROM {self._names.sessions} WHERE user_id = $1", user_id
        )
        session_ids = [row["session_id"] for row in rows]
        deleted = await forget_sessions(self._connections, self._names, session_ids, "true")
        await self._connections.fetch(self._disown, user_id)
        return deleted

    @override
    async def rows(self, table: Table, key: str, after: Sequence[object]) -> list[Row]:
        if table == "runs":
            statement = self._of_user("*", PAGE, IS_SEEN)
        else:
            order = ", ".join(ORDER[table])
            given = ", ".join(f"${2 + place}" for place in range(len(after)))
            statement = f"""
SELECT * FROM {self._table_of[table]} AND ({order}) > ({given}) ORDER BY {order} LIMIT {PAGE}"""
        return [dict(row) for row in await self._connections.fetch(statement, key, *after)]

    def _of_user(self, columns: str, most: int, condition: str = "true") -> str:
        """Return the statement that reads a user's runs from a position on, by two indexes."""
        runs, sessions = self._names.runs, self._names.sessions
        return f"""
SELECT {columns} FROM {runs} WHERE position = ANY(ARRAY(
    (SELECT position FROM {runs} WHERE user_id = $1 AND position > $2 AND {condition}
    ORDER BY position LIMIT {most})
    UNION ALL
    (SELECT runs.position FROM {sessions} AS session JOIN {runs} AS runs USING (session_id)
    WHERE session.user_id = $1 AND runs.user_id IS NULL AND runs.position > $2 AND {condition}
    ORDER BY runs.position LIMIT {most})))
ORDER BY position LIMIT {most}"""

    async def _fetch(
        self, connection: object | None, what: str, statement: str, *values: object
    ) -> list[asyncpg.Record]:
        if connection is None:
            return await self._connections.fetch(statement, *values)
        return await self._accepting.fetch_within(connection, what, statement, *values)
