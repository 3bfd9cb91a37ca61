"""Agents at rest in SQLite, an operation a transaction."""

import sqlite3
from collections.abc import Sequence

from typing_extensions import override

from kern.db.components import Components, ComponentType, NewVersion, Version
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.reading import moment

_COLUMNS = """component_id, version, component_type, stage, label, notes, is_current, created_at,
    deleted_at"""


class SqliteComponents(Components):
    """The components beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._table = file.tables.components

    @override
    async def add(self, new: NewVersion) -> int | None:
        return await self._file.write(self._add, new)

    @override
    async def change(self, version: int, new: NewVersion) -> bool:
        return await self._file.write(self._change, version, new)

    @override
    async def find(
        self, component_id: str, version: int | None = None, label: str | None = None
    ) -> Version | None:
        return await self._file.read(self._find, component_id, version, label)

    @override
    async def versions(self, component_id: str, *, configs: bool = False) -> Sequence[Version]:
        return await self._file.read(self._versions, component_id, configs)

    @override
    async def list(
        self, component_type: ComponentType | None, limit: int, offset: int
    ) -> tuple[Sequence[Version], int]:
        return await self._file.read(self._list, component_type, limit, offset)

    @override
    async def set_current(self, component_id: str, version: int) -> bool:
        return await self._file.write(self._set_current, component_id, version)

    @override
    async def delete(self, component_id: str, version: int | None = None, *, hard: bool) -> bool:
        return await self._file.write(self._delete, component_id, version, hard)

    def _add(self, transaction: Transaction, new: NewVersion) -> int | None:
        last = transaction.one(
            f"SELECT version, component_type FROM {self._table} "
            "WHERE component_id = :component_id ORDER BY version DESC LIMIT 1",
            component_id=new.component_id,
        )
        if last is not None and last["component_type"] != new.component_type:
            return None
        number = 1 if last is None else int(last["version"]) + 1
        self._make_room(transaction, new)
        transaction.execute(
            f"INSERT INTO {self._table} (component_id, version, component_type, config, stage, "
            "label, notes, is_current, created_at) VALUES (:component_id, :version, "
            ":component_type, :config, :stage, :label, :notes, :stage = 'published', :now)",
            **{**new._asdict(), "version": number},
        )
        return number

    def _change(self, transaction: Transaction, version: int, new: NewVersion) -> bool:
        is_draft = (
            "component_id = :component_id AND version = :version AND stage = 'draft' "
            "AND component_type = :component_type AND deleted_at IS NULL"
        )
        values = {**new._asdict(), "version": version}
        if transaction.one(f"SELECT 1 FROM {self._table} WHERE {is_draft}", **values) is None:
            return False
        self._make_room(transaction, new)
        transaction.execute(
            f"UPDATE {self._table} SET config = :config, stage = :stage, "
            "label = coalesce(:label, label), notes = coalesce(:notes, notes), "
            f"is_current = :stage = 'published' WHERE {is_draft}",
            **values,
        )
        return True

    def _make_room(self, transaction: Transaction, new: NewVersion) -> None:
        """Take from other versions what a new one has instead."""
        transaction.execute(
            f"UPDATE {self._table} SET label = NULL "
            "WHERE component_id = :component_id AND label = :label",
            component_id=new.component_id,
            label=new.label,
        )
        if new.stage == "published":
            self._leave(transaction, new.component_id)

    def _leave(self, transaction: Transaction, component_id: str) -> None:
        """Have no version be the current one."""
        transaction.execute(
            f"UPDATE {self._table} SET is_current = 0 "
            "WHERE component_id = :component_id AND is_current",
            component_id=component_id,
        )

    def _find(
        self, transaction: Transaction, component_id: str, version: int | None, label: str | None
    ) -> Version | None:
        which = "is_current" if version is None else "version = :version"
        if label is not None:
            which = "label = :label"
        row = transaction.one(
            f"SELECT {_COLUMNS}, config FROM {self._table} "
            f"WHERE component_id = :component_id AND {which} AND deleted_at IS NULL",
            component_id=component_id,
            version=version,
            label=label,
        )
        return None if row is None else _version(row)

    def _versions(
        self, transaction: Transaction, component_id: str, configs: bool
    ) -> Sequence[Version]:
        rows = transaction.execute(
            f"SELECT {_COLUMNS}{', config' if configs else ''} FROM {self._table} "
            "WHERE component_id = :component_id AND deleted_at IS NULL ORDER BY version DESC",
            component_id=component_id,
        )
        return [_version(row) for row in rows]

    def _list(
        self,
        transaction: Transaction,
        component_type: ComponentType | None,
        limit: int,
        offset: int,
    ) -> tuple[Sequence[Version], int]:
        rows = transaction.execute(
            f"""
SELECT {_COLUMNS}, count(*) OVER () AS components FROM (
    SELECT {_COLUMNS}, row_number() OVER (
        PARTITION BY component_id ORDER BY is_current DESC, version DESC
    ) AS place
    FROM {self._table}
    WHERE deleted_at IS NULL AND (:type IS NULL OR component_type = :type)
)
WHERE place = 1 ORDER BY component_id LIMIT :limit OFFSET :offset""",
            type=component_type,
            limit=limit,
            offset=offset,
        ).fetchall()
        total = int(rows[0]["components"]) if rows else 0
        return [_version(row, "components") for row in rows], total

    def _set_current(self, transaction: Transaction, component_id: str, version: int) -> bool:
        which = "component_id = :component_id AND version = :version AND stage = 'published'"
        values = {"component_id": component_id, "version": version}
        if transaction.one(f"SELECT 1 FROM {self._table} WHERE {which}", **values) is None:
            return False
        self._leave(transaction, component_id)
        transaction.execute(
            f"UPDATE {self._table} SET is_current = 1, deleted_at = NULL WHERE {which}", **values
        )
        return True

    def _delete(
        self, transaction: Transaction, component_id: str, version: int | None, hard: bool
    ) -> bool:
        which = "component_id = :component_id"
        if version is not None:
            which += " AND version = :version AND NOT is_current"
        statement = f"DELETE FROM {self._table} WHERE {which}"
        if not hard:
            statement = (
                f"UPDATE {self._table} SET deleted_at = :now, is_current = 0 "
                f"WHERE {which} AND deleted_at IS NULL"
            )
        done = transaction.execute(statement, component_id=component_id, version=version)
        return done.rowcount > 0


def _version(row: sqlite3.Row, *left_out: str) -> Version:
    values = {name: value for name, value in dict(row).items() if name not in left_out}
    values["is_current"] = bool(values["is_current"])
    for column in ("created_at", "deleted_at"):
        values[column] = moment(values[column])
    return Version(**values)
