"""Sessions as users see them, in PostgreSQL."""

from collections.abc import Sequence

import asyncpg
from typing_extensions import override

from kern.db.erasing import IS_SEEN
from kern.db.listing import BEGINNING, is_no_child
from kern.db.postgres.connections import Connections
from kern.db.postgres.names import Names
from kern.db.postgres.retention import forget_sessions
from kern.db.postgres.rows import columns, record
from kern.db.postgres.statements.parts import JOURNAL, LIVE, RECORD
from kern.db.reading import Reading
from kern.db.retention import NEWEST
from kern.db.sessions import COPIED, Preview, SessionFilter, SessionRow, Sessions
from kern.run.record import RunRecord


class PostgresSessions(Sessions):
    """Sessions in one session table."""

    def __init__(self, connections: Connections, names: Names, reading: Reading) -> None:
        """Write the statements for ``names``."""
        super().__init__(reading)
        self._connections = connections
        self._fetch = connections.fetch
        self._names = names
        sessions, runs = names.sessions, names.runs
        self._select = f"""
SELECT session_id, agent_id, user_id, name, (
    SELECT json_agg(json_build_array(key, value::text)) FROM {names.states} AS state
    WHERE state.session_id = session.session_id AND value IS NOT NULL) AS state,
    coalesce(metadata, (SELECT metadata FROM {runs} AS run
        WHERE run.session_id = session.session_id AND position > 0
        ORDER BY position LIMIT 1)) AS metadata,
    summary, data, created_at, updated_at, session_type
FROM {sessions} AS session"""
        self._put = f"""
INSERT INTO {sessions} AS session
    (session_id, agent_id, user_id, name, metadata, summary, data, created_at, session_type)
VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce($8, now()), $9)
ON CONFLICT (session_id) DO UPDATE SET user_id = coalesce(session.user_id, excluded.user_id),
    name = excluded.name, metadata = excluded.metadata, summary = excluded.summary,
    data = excluded.data, updated_at = now()
WHERE coalesce(session.user_id = excluded.user_id, true)
RETURNING session_id"""
        self._summarize = f"""
UPDATE {sessions} AS session SET summary = $4
FROM {runs} AS run
WHERE session.session_id = $1 AND run.run_id = $2 AND run.session_id = $1 AND run.attempt = $3
    AND run.status = 'RUNNING' AND NOT run.unstored
RETURNING session.session_id"""
        self._records = f"""
SELECT {RECORD}, usage, input FROM {runs}
WHERE run_id = ANY($1) AND session_id IS NOT NULL AND {IS_SEEN} ORDER BY position"""
        self._previews = f"""
SELECT session_id, left(input::text, {BEGINNING}) AS input,
    left(output::text, {BEGINNING}) AS output
FROM unnest($1::text[]) WITH ORDINALITY AS given (session_id, number) CROSS JOIN LATERAL (
    SELECT input, output, position FROM (
        SELECT input, output, position, status, replaced_by, parent_run_id, session_id
        FROM {runs} AS run
        WHERE run.session_id = given.session_id AND position > 0 AND {IS_SEEN}
        ORDER BY position LIMIT {NEWEST}) AS earliest
    WHERE status = 'COMPLETED' AND replaced_by IS NULL AND {is_no_child(runs, "earliest")}
    ORDER BY position LIMIT $2) AS shown
ORDER BY number, position"""
        # The journal and the blobs of a run are found by its id, as in the table of runs.
        self._copy = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($9::text[], $10::text[]) WITH ORDINALITY AS t (old, new, number)
), session AS (
    INSERT INTO {sessions} (session_id, agent_id, user_id, name, metadata, summary, data,
        session_type)
    VALUES ($2, $3, $4, $5, $6, $7, $8, $11)
), state AS (
    INSERT INTO {names.states} (session_id, key, value, position)
    SELECT $2, key, value, 0 FROM {names.states} WHERE session_id = $1 AND value IS NOT NULL
), run AS (
    INSERT INTO {runs} (run_id, session_id, parent_run_id, replaced_by, {COPIED})
    SELECT given.new, $2, parent.new, coalesce(successor.new, replaced_by), {COPIED}
    FROM given JOIN {runs} AS runs ON runs.run_id = given.old AND {IS_SEEN}
    LEFT JOIN given AS parent ON parent.old = runs.parent_run_id
    LEFT JOIN given AS successor ON successor.old = runs.replaced_by
    ORDER BY given.number
    RETURNING run_id
), copied AS (
    SELECT old, new FROM given JOIN run ON run.run_id = new
), journal AS (
    INSERT INTO {names.events} (run_id, {JOURNAL}, created_at)
    SELECT new, {JOURNAL}, created_at FROM copied JOIN {names.events} AS event ON run_id = old
)
INSERT INTO {names.blobs} (run_id, hash, chunk, data)
SELECT new, hash, chunk, data FROM copied JOIN {names.blobs} AS blob ON run_id = old"""
        self._put_run = f"""
INSERT INTO {runs} AS run (run_id, session_id, agent_id, user_id, parent_run_id, status, attempt,
    input, output, error, error_kind, usage, metadata, created_at, started_at, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, coalesce($16, now()))
ON CONFLICT (run_id) DO UPDATE SET status = excluded.status, output = excluded.output,
    error = excluded.error, error_kind = excluded.error_kind, usage = excluded.usage,
    metadata = excluded.metadata
WHERE run.status NOT IN {LIVE} AND run.erased_at IS NULL
    AND run.session_id = excluded.session_id AND run.user_id IS NOT DISTINCT FROM excluded.user_id
RETURNING run_id"""

    @override
    async def get(self, session_id: str) -> SessionRow | None:
        rows = await self._fetch(f"{self._select} WHERE session_id = $1", session_id)
        return _row(rows[0]) if rows else None

    @override
    async def find(
        self,
        wanted: SessionFilter,
        limit: int | None,
        offset: int = 0,
        *,
        oldest_first: bool,
        after: str | None = None,
    ) -> list[SessionRow]:
        agents = wanted.agents if wanted.user_id is None else ()
        if agents:
            wanted = wanted._replace(agents=())
        conditions, values = self._conditions(wanted)
        sessions = self._names.sessions
        if after is not None:
            values.append(after)
            conditions.append(
                f"(created_at, session_id) {'>' if oldest_first else '<'} (SELECT created_at, "
                f"session_id FROM {sessions} WHERE session_id = ${len(values)})"
            )
        values += [limit, offset]
        many, skipped = f"${len(values) - 1}::bigint", f"${len(values)}::bigint"
        direction = "" if oldest_first else " DESC"
        order = f"ORDER BY created_at{direction}, session_id{direction} LIMIT {many}"
        if agents:  # Each by itself: its index has them in their order.
            values.append([*agents])
            conditions.append("agent_id = of_agent")
            conditions = [
                f"""session_id = ANY(ARRAY(
    SELECT found.session_id FROM unnest(${len(values)}::text[]) AS of_agent CROSS JOIN LATERAL (
        SELECT session_id FROM {sessions}{_where(conditions)} {order} + {skipped}) AS found))"""
            ]
        rows = await self._fetch(
            f"{self._select}{_where(conditions)} {order} OFFSET {skipped}", *values
        )
        return [_row(row) for row in rows]

    @override
    async def count(self, wanted: SessionFilter) -> int:
        conditions, values = self._conditions(wanted)
        [row] = await self._fetch(
            f"SELECT count(*) AS count FROM {self._names.sessions}{_where(conditions)}", *values
        )
        count: int = row["count"]
        return count

    @override
    async def put(self, row: SessionRow) -> bool:
        rows = await self._fetch(
            self._put,
            row.session_id,
            row.agent_id,
            row.user_id,
            row.name,
            row.metadata,
            row.summary,
            row.data,
            row.created_at,
            row.session_type,
        )
        return bool(rows)

    @override
    async def rename(self, session_id: str, name: str) -> bool:
        statement = (
            f"UPDATE {self._names.sessions} SET name = $2, updated_at = now() "
            "WHERE session_id = $1 RETURNING session_id"
        )
        return bool(await self._fetch(statement, session_id, name))

    @override
    async def summarize(self, session_id: str, run_id: str, attempt: int, summary: str) -> bool:
        return bool(await self._fetch(self._summarize, session_id, run_id, attempt, summary))

    @override
    async def records(self, run_ids: Sequence[str]) -> list[RunRecord]:
        return [record(row) for row in await self._fetch(self._records, run_ids)]

    @override
    async def previews(self, session_ids: Sequence[str], many: int) -> list[Preview]:
        return [Preview(*row) for row in await self._fetch(self._previews, session_ids, many)]

    @override
    async def put_run(self, run: RunRecord) -> bool:
        rows = await self._fetch(
            self._put_run,
            run.run_id,
            run.session_id,
            run.agent_id,
            run.user_id,
            run.parent_run_id,
            run.status.value,
            run.attempt,
            run.input,
            run.output,
            run.error,
            run.error_kind,
            run.usage,
            run.metadata,
            run.created_at,
            run.started_at,
            run.finished_at,
        )
        return bool(rows)

    @override
    async def copy(self, source: str, row: SessionRow, run_ids: Sequence[tuple[str, str]]) -> None:
        await self._fetch(
            self._copy,
            source,
            *(row.session_id, row.agent_id, row.user_id, row.name),
            *(row.metadata, row.summary, row.data),
            *columns(run_ids, 2),
            row.session_type,
        )

    @override
    async def forget(self, session_id: str) -> bool:
        gone = await forget_sessions(self._connections, self._names, [session_id], "true")
        return gone > 0

    def _conditions(self, wanted: SessionFilter) -> tuple[list[str], list[object]]:
        """Return the conditions that are asked for, so that each list finds its index."""
        values = list[object]()
        conditions = list[str]()
        for condition, value in (
            ("user_id = ${}", wanted.user_id),
            ("agent_id = ${}", wanted.agent_id),
            # The first condition is that of the index.
            ("name IS NOT NULL AND strpos(lower(name), lower(${})) > 0", wanted.name),
            ("created_at >= ${}", wanted.since),
            ("created_at <= ${}", wanted.until),
            ("agent_id = ANY(${})", [*wanted.agents] or None),
        ):
            if value is not None:
                values.append(value)
                conditions.append(condition.format(len(values)))
        if wanted.is_of_team is not None:
            conditions.append(f"session_type IS {'NOT ' if wanted.is_of_team else ''}NULL")
        return conditions, values


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _row(row: asyncpg.Record) -> SessionRow:
    return SessionRow(*row)
