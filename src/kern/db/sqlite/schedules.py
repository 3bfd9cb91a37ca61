"""Schedules in SQLite; the time is this machine's."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from typing_extensions import override

from kern.db.base import Kind, Signal
from kern.db.schedules import Schedules
from kern.db.sqlite.file import SqliteFile
from kern.run.codec import encode
from kern.run.schedule import Schedule

_MOMENTS = ("next_at", "last_at", "created_at")


class SqliteSchedules(Schedules):
    """The schedules beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._table = f'"{file.session_table}_schedules"'

    @override
    async def now(self) -> datetime:
        return datetime.now(UTC)

    @override
    async def put(self, schedule: Schedule) -> Schedule | None:
        metadata = schedule.metadata
        rows = await self._execute(
            f"""
INSERT INTO {self._table} AS known (name, agent_id, input, cron, timezone, missed, session_id,
    user_id, metadata, next_at, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    input = excluded.input, cron = excluded.cron, timezone = excluded.timezone,
    missed = excluded.missed, session_id = excluded.session_id, user_id = excluded.user_id,
    metadata = excluded.metadata,
    next_at = CASE WHEN known.cron = excluded.cron AND known.timezone = excluded.timezone
        THEN known.next_at ELSE excluded.next_at END
WHERE known.agent_id = excluded.agent_id
RETURNING *""",
            schedule.name,
            schedule.agent_id,
            schedule.input.to_json(),
            schedule.cron,
            schedule.timezone,
            schedule.missed,
            schedule.session_id,
            schedule.user_id,
            None if metadata is None else encode(metadata, "metadata"),
            schedule.next_at.timestamp(),
            schedule.created_at.timestamp(),
        )
        self._tell()
        return rows[0] if rows else None

    @override
    async def get(self, name: str) -> Schedule | None:
        rows = await self._execute(f"SELECT * FROM {self._table} WHERE name = ?", name)
        return rows[0] if rows else None

    @override
    async def find(self, agent_id: str | None = None) -> list[Schedule]:
        return await self._execute(
            f"SELECT * FROM {self._table} WHERE ?1 IS NULL OR agent_id = ?1 ORDER BY name", agent_id
        )

    @override
    async def upcoming(self, now: datetime) -> list[Schedule]:
        return await self._execute(
            f"""
SELECT * FROM {self._table}
WHERE NOT paused AND next_at <= coalesce(
    (SELECT min(next_at) FROM {self._table} WHERE NOT paused AND next_at > ?1), ?1)
ORDER BY next_at, name""",
            now.timestamp(),
        )

    @override
    async def update(self, old: Schedule, new: Schedule) -> bool:
        rows = await self._execute(
            f"""
UPDATE {self._table} SET next_at = ?, last_at = ?, paused = ?
WHERE name = ? AND cron = ? AND timezone = ? AND next_at = ? AND paused = ?
RETURNING *""",
            new.next_at.timestamp(),
            None if new.last_at is None else new.last_at.timestamp(),
            new.paused,
            old.name,
            old.cron,
            old.timezone,
            old.next_at.timestamp(),
            old.paused,
        )
        if old.paused and not new.paused:
            self._tell()
        return bool(rows)

    @override
    async def delete(self, name: str, agent_id: str | None = None) -> bool:
        rows = await self._execute(
            f"DELETE FROM {self._table} WHERE name = ?1 AND (?2 IS NULL OR agent_id = ?2) "
            "RETURNING *",
            name,
            agent_id,
        )
        self._tell()
        return bool(rows)

    async def _execute(self, statement: str, *values: object) -> list[Schedule]:
        return [_schedule(row) for row in await self._file.call(_fetch, statement, values)]

    def _tell(self) -> None:
        self._file.tell(Signal(Kind.schedule))


def _fetch(
    connection: sqlite3.Connection, statement: str, values: Sequence[object]
) -> list[sqlite3.Row]:
    return connection.execute(statement, tuple(values)).fetchall()


def _schedule(row: sqlite3.Row) -> Schedule:
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118 # a Row iterates over its values
    for name in _MOMENTS:
        if values[name] is not None:
            values[name] = datetime.fromtimestamp(values[name], UTC)
    return Schedule.from_row(values)
