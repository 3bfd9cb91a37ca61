"""Schedules in PostgreSQL."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import asyncpg
from typing_extensions import override

from kern.db.postgres.names import Names
from kern.db.schedules import Schedules
from kern.run.codec import encode
from kern.run.schedule import Schedule

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]

_COLUMNS = """name, agent_id, input, cron, timezone, missed, session_id, user_id, metadata, paused,
    next_at, last_at, created_at"""


class PostgresSchedules(Schedules):
    """The schedules beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        table = names.schedules
        tell = f"SELECT pg_notify('{names.channel}', 'schedule')::text"
        self._put = f"""
WITH schedule AS (
    INSERT INTO {table} AS known (name, agent_id, input, cron, timezone, missed, session_id,
        user_id, metadata, next_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (name) DO UPDATE SET
        input = excluded.input, cron = excluded.cron, timezone = excluded.timezone,
        missed = excluded.missed, session_id = excluded.session_id, user_id = excluded.user_id,
        metadata = excluded.metadata,
        next_at = CASE WHEN (known.cron, known.timezone) = (excluded.cron, excluded.timezone)
            THEN known.next_at ELSE excluded.next_at END
    WHERE known.agent_id = excluded.agent_id
        AND (known.user_id IS NULL OR known.user_id = excluded.user_id)
    RETURNING {_COLUMNS}
), told AS ({tell} FROM schedule)
SELECT schedule.* FROM schedule, told"""
        self._find = f"""
SELECT {_COLUMNS} FROM {table}
WHERE ($1::text IS NULL OR agent_id = $1) AND ($2::text IS NULL OR user_id = $2) ORDER BY name"""
        self._agents = f"SELECT DISTINCT agent_id FROM {table} ORDER BY agent_id"
        self._get = f"SELECT {_COLUMNS} FROM {table} WHERE name = $1"
        self._upcoming = f"""
SELECT {_COLUMNS} FROM {table}
WHERE NOT paused AND next_at <= coalesce(
    (SELECT min(next_at) FROM {table} WHERE NOT paused AND next_at > $1), $1)
ORDER BY next_at, name"""
        self._update = f"""
WITH schedule AS (
    UPDATE {table} SET next_at = $6, last_at = $7, paused = $8
    WHERE name = $1 AND cron = $2 AND timezone = $3 AND next_at = $4 AND paused = $5
    RETURNING paused
), told AS ({tell} FROM schedule WHERE $5 AND NOT paused)
SELECT (SELECT count(*) FROM told) FROM schedule"""
        self._delete = f"""
WITH schedule AS (
    DELETE FROM {table} WHERE name = $1 AND ($2::text IS NULL OR agent_id = $2) RETURNING name
)
{tell} FROM schedule"""

    @override
    async def now(self) -> datetime:
        now: datetime = (await self._fetch("SELECT now()"))[0][0]
        return now

    @override
    async def put(self, schedule: Schedule) -> Schedule | None:
        rows = await self._fetch(
            self._put,
            schedule.name,
            schedule.agent_id,
            schedule.input.to_json(),
            schedule.cron,
            schedule.timezone,
            schedule.missed,
            schedule.session_id,
            schedule.user_id,
            None if schedule.metadata is None else encode(schedule.metadata, "metadata"),
            schedule.next_at,
        )
        return Schedule.from_row(dict(rows[0])) if rows else None

    @override
    async def get(self, name: str) -> Schedule | None:
        rows = await self._fetch(self._get, name)
        return Schedule.from_row(dict(rows[0])) if rows else None

    @override
    async def find(self, agent_id: str | None = None, user_id: str | None = None) -> list[Schedule]:
        rows = await self._fetch(self._find, agent_id, user_id)
        return [Schedule.from_row(dict(row)) for row in rows]

    @override
    async def agents(self) -> list[str]:
        return [row["agent_id"] for row in await self._fetch(self._agents)]

    @override
    async def upcoming(self, now: datetime) -> list[Schedule]:
        return [Schedule.from_row(dict(row)) for row in await self._fetch(self._upcoming, now)]

    @override
    async def update(self, old: Schedule, new: Schedule) -> bool:
        guard = (old.name, old.cron, old.timezone, old.next_at, old.paused)
        values = (new.next_at, new.last_at, new.paused)
        return bool(await self._fetch(self._update, *guard, *values))

    @override
    async def delete(self, name: str, agent_id: str | None = None) -> bool:
        return bool(await self._fetch(self._delete, name, agent_id))
