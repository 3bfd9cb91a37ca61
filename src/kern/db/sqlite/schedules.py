"""Schedules in SQLite; the time is this machine's."""

import sqlite3
from datetime import UTC, datetime

from typing_extensions import override

from kern.db.schedules import Schedules
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.values import Kind
from kern.run.codec import encode
from kern.run.schedule import Schedule

_MOMENTS = ("next_at", "last_at", "created_at")


class SqliteSchedules(Schedules):
    """The schedules beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._table = file.tables.schedules

    @override
    async def now(self) -> datetime:
        return datetime.fromtimestamp(self._file.clock(), UTC)

    @override
    async def put(self, schedule: Schedule) -> Schedule | None:
        metadata = schedule.metadata
        rows = await self._store(
            f"""
INSERT INTO {self._table} AS known (name, agent_id, input, cron, timezone, missed, session_id,
    user_id, metadata, next_at, created_at)
VALUES (:name, :agent_id, :input, :cron, :timezone, :missed, :session_id, :user_id, :metadata,
    :next_at, :created_at)
ON CONFLICT (name) DO UPDATE SET
    input = excluded.input, cron = excluded.cron, timezone = excluded.timezone,
    missed = excluded.missed, session_id = excluded.session_id, user_id = excluded.user_id,
    metadata = excluded.metadata,
    next_at = CASE WHEN known.cron = excluded.cron AND known.timezone = excluded.timezone
        THEN known.next_at ELSE excluded.next_at END
WHERE known.agent_id = excluded.agent_id
    AND (known.user_id IS NULL OR known.user_id = excluded.user_id)
RETURNING *""",
            notifies=True,
            name=schedule.name,
            agent_id=schedule.agent_id,
            input=schedule.input.to_json(),
            cron=schedule.cron,
            timezone=schedule.timezone,
            missed=schedule.missed,
            session_id=schedule.session_id,
            user_id=schedule.user_id,
            metadata=None if metadata is None else encode(metadata, "metadata"),
            next_at=schedule.next_at.timestamp(),
            created_at=schedule.created_at.timestamp(),
        )
        return rows[0] if rows else None

    @override
    async def get(self, name: str) -> Schedule | None:
        rows = await self._select(f"SELECT * FROM {self._table} WHERE name = :name", name=name)
        return rows[0] if rows else None

    @override
    async def find(self, agent_id: str | None = None, user_id: str | None = None) -> list[Schedule]:
        return await self._select(
            f"SELECT * FROM {self._table} WHERE (:agent_id IS NULL OR agent_id = :agent_id) "
            "AND (:user_id IS NULL OR user_id = :user_id) ORDER BY name",
            agent_id=agent_id,
            user_id=user_id,
        )

    @override
    async def agents(self) -> list[str]:
        statement = f"SELECT DISTINCT agent_id FROM {self._table} ORDER BY agent_id"
        return [row["agent_id"] for row in await self._file.read(_fetch, statement, {})]

    @override
    async def upcoming(self, now: datetime) -> list[Schedule]:
        return await self._select(
            f"""
SELECT * FROM {self._table}
WHERE NOT paused AND next_at <= coalesce(
    (SELECT min(next_at) FROM {self._table} WHERE NOT paused AND next_at > :given), :given)
ORDER BY next_at, name""",
            given=now.timestamp(),
        )

    @override
    async def update(self, old: Schedule, new: Schedule) -> bool:
        rows = await self._store(
            f"""
UPDATE {self._table} SET next_at = :new_next_at, last_at = :last_at, paused = :new_paused
WHERE name = :name AND cron = :cron AND timezone = :timezone AND next_at = :next_at
    AND paused = :paused
RETURNING *""",
            notifies=old.paused and not new.paused,
            new_next_at=new.next_at.timestamp(),
            last_at=None if new.last_at is None else new.last_at.timestamp(),
            new_paused=new.paused,
            name=old.name,
            cron=old.cron,
            timezone=old.timezone,
            next_at=old.next_at.timestamp(),
            paused=old.paused,
        )
        return bool(rows)

    @override
    async def delete(self, name: str, agent_id: str | None = None) -> bool:
        rows = await self._store(
            f"DELETE FROM {self._table} WHERE name = :name "
            "AND (:agent_id IS NULL OR agent_id = :agent_id) RETURNING *",
            notifies=True,
            name=name,
            agent_id=agent_id,
        )
        return bool(rows)

    async def _select(self, statement: str, **values: object) -> list[Schedule]:
        rows = await self._file.read(_fetch, statement, values)
        return [_schedule(row) for row in rows]

    async def _store(self, statement: str, *, notifies: bool, **values: object) -> list[Schedule]:
        rows = await self._file.write(_fetch, statement, values, notifies)
        return [_schedule(row) for row in rows]


def _fetch(
    transaction: Transaction, statement: str, values: dict[str, object], notifies: bool = False
) -> list[sqlite3.Row]:
    if notifies:
        transaction.notify(Kind.schedule)
    return transaction.execute(statement, **values).fetchall()


def _schedule(row: sqlite3.Row) -> Schedule:
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118 # a Row iterates over its values
    for name in _MOMENTS:
        if values[name] is not None:
            values[name] = datetime.fromtimestamp(values[name], UTC)
    return Schedule.from_row(values)
