"""Agents at rest in PostgreSQL.

Who changes the versions of a component holds its advisory lock, so that two who save at once get
two numbers.
"""

from collections.abc import Sequence

import asyncpg
from typing_extensions import override

from kern.db.components import Components, ComponentType, NewVersion, Version
from kern.db.postgres.connections import Connection, Connections
from kern.db.postgres.names import Names

_COLUMNS = """component_id, version, component_type, stage, label, notes, is_current, created_at,
    deleted_at"""


class PostgresComponents(Components):
    """The components beside one session table."""

    def __init__(self, connections: Connections, names: Names) -> None:
        """Send statements over ``connections``."""
        self._connections = connections
        self._table = table = names.components
        self._last = f"""
SELECT version, component_type FROM {table} WHERE component_id = $1 ORDER BY version DESC LIMIT 1"""
        self._insert = f"""
INSERT INTO {table} (component_id, component_type, config, stage, label, notes, version, is_current)
VALUES ($1, $2, $3, $4, $5, $6, $7, $4 = 'published')"""
        self._unlabel = f"UPDATE {table} SET label = NULL WHERE component_id = $1 AND label = $2"
        self._leave = (
            f"UPDATE {table} SET is_current = false WHERE component_id = $1 AND is_current"
        )
        self._is_draft = f"""
SELECT true FROM {table} WHERE component_id = $1 AND version = $2 AND component_type = $3
    AND stage = 'draft' AND deleted_at IS NULL"""
        self._change = f"""
UPDATE {table} SET config = $3, stage = $4, label = coalesce($5, label),
    notes = coalesce($6, notes), is_current = $4 = 'published'
WHERE component_id = $1 AND component_type = $2 AND version = $7"""
        self._is_published = f"""
SELECT true FROM {table} WHERE component_id = $1 AND version = $2 AND stage = 'published'"""
        self._enter = f"""
UPDATE {table} SET is_current = true, deleted_at = NULL WHERE component_id = $1 AND version = $2"""
        self._list = f"""
WITH kept AS (
    SELECT DISTINCT ON (component_id) {_COLUMNS} FROM {table}
    WHERE deleted_at IS NULL AND ($1::text IS NULL OR component_type = $1)
    ORDER BY component_id, is_current DESC, version DESC
)
SELECT {_COLUMNS}, count(*) OVER () AS components FROM kept
ORDER BY component_id LIMIT $2 OFFSET $3"""

    @override
    async def add(self, new: NewVersion) -> int | None:
        async with self._connections.transaction() as connection:
            await self._lock(connection, new.component_id)
            last = await connection.fetchrow(self._last, new.component_id)
            if last is not None and last["component_type"] != new.component_type:
                return None
            number = 1 if last is None else int(last["version"]) + 1
            await self._make_room(connection, new)
            await connection.execute(self._insert, *new, number)
            return number

    @override
    async def change(self, version: int, new: NewVersion) -> bool:
        which = (new.component_id, version, new.component_type)
        async with self._connections.transaction() as connection:
            await self._lock(connection, new.component_id)
            if not await connection.fetchval(self._is_draft, *which):
                return False
            await self._make_room(connection, new)
            await connection.execute(self._change, *new, version)
            return True

    @override
    async def find(
        self, component_id: str, version: int | None = None, label: str | None = None
    ) -> Version | None:
        statement = (
            f"SELECT {_COLUMNS}, config FROM {self._table} "
            "WHERE component_id = $1 AND deleted_at IS NULL AND "
        )
        find = self._connections.fetch
        if label is not None:
            rows = await find(statement + "label = $2", component_id, label)
        elif version is not None:
            rows = await find(statement + "version = $2", component_id, version)
        else:
            rows = await find(statement + "is_current", component_id)
        return _version(rows[0]) if rows else None

    @override
    async def versions(self, component_id: str, *, configs: bool = False) -> Sequence[Version]:
        rows = await self._connections.fetch(
            f"SELECT {_COLUMNS}{', config' if configs else ''} FROM {self._table} "
            "WHERE component_id = $1 AND deleted_at IS NULL ORDER BY version DESC",
            component_id,
        )
        return [_version(row) for row in rows]

    @override
    async def list(
        self, component_type: ComponentType | None, limit: int, offset: int
    ) -> tuple[Sequence[Version], int]:
        rows = await self._connections.fetch(self._list, component_type, limit, offset)
        return [_version(row) for row in rows], int(rows[0]["components"]) if rows else 0

    @override
    async def set_current(self, component_id: str, version: int) -> bool:
        async with self._connections.transaction() as connection:
            await self._lock(connection, component_id)
            if not await connection.fetchval(self._is_published, component_id, version):
                return False
            await connection.execute(self._leave, component_id)
            await connection.execute(self._enter, component_id, version)
            return True

    @override
    async def delete(self, component_id: str, version: int | None = None, *, hard: bool) -> bool:
        which = "component_id = $1 AND ($2::integer IS NULL OR version = $2 AND NOT is_current)"
        statement = f"DELETE FROM {self._table} WHERE {which} RETURNING version"
        if not hard:
            statement = (
                f"UPDATE {self._table} SET deleted_at = now(), is_current = false "
                f"WHERE {which} AND deleted_at IS NULL RETURNING version"
            )
        return bool(await self._connections.fetch(statement, component_id, version))

    async def _lock(self, connection: Connection, component_id: str) -> None:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            f"{self._table}/{component_id}",
        )

    async def _make_room(self, connection: Connection, new: NewVersion) -> None:
        """Take from other versions what a new one has instead."""
        if new.label is not None:
            await connection.execute(self._unlabel, new.component_id, new.label)
        if new.stage == "published":
            await connection.execute(self._leave, new.component_id)


def _version(row: asyncpg.Record) -> Version:
    values = dict(row)
    values.pop("components", None)
    return Version(**values)
