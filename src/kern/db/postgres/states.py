"""The states of sessions in PostgreSQL. Runs change them by the statements of their steps."""

from collections.abc import Awaitable, Callable

import asyncpg
from typing_extensions import override

from kern.db.postgres.names import Names
from kern.db.postgres.rows import columns
from kern.db.postgres.statements.parts import CHANGED
from kern.db.states import States, StoredState
from kern.run.state import StatePatch, changes_of, stored_key

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


class PostgresStates(States):
    """The states beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        self._of = f"""
SELECT key, value, version FROM {names.states} WHERE session_id = $1
UNION ALL SELECT NULL, NULL, state_version FROM {names.sessions} WHERE session_id = $1
ORDER BY key"""
        self._change = f"""
WITH session AS MATERIALIZED (
    SELECT session_id, nextval('{names.positions}') AS position FROM {names.sessions}
    WHERE session_id = $1 FOR KEY SHARE
), changed AS (
    INSERT INTO {names.states} AS state (session_id, key, value, position)
    SELECT session_id, key, value, CASE WHEN begins THEN 0 ELSE position END
    FROM session, unnest($2::text[], $3::json[], $4::boolean[]) AS t (key, value, begins)
    ORDER BY key
    {CHANGED}
)
SELECT session_id FROM session"""

    @override
    async def of(self, session_id: str) -> StoredState:
        rows = await self._fetch(self._of, session_id)
        keys = [(stored_key(row["key"]), row["value"]) for row in rows if row["key"] is not None]
        return StoredState(
            {key: value for key, value in keys if value is not None},
            frozenset(key for key, value in keys if value is None),
            sum(row["version"] for row in rows),
        )

    @override
    async def change(self, session_id: str, patch: StatePatch) -> bool:
        changes = columns(changes_of(patch), 3)
        return bool(await self._fetch(self._change, session_id, *changes))
