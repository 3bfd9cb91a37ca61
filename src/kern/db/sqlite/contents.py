"""The contents of knowledge bases in SQLite, an operation a transaction."""

import sqlite3
from collections.abc import Sequence

from typing_extensions import override

from kern.db.contents import Content, Contents, content_of, details_of
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.reading import moment

_COLUMNS = "content_id, name, status, details, created_at, updated_at"


class SqliteContents(Contents):
    """The contents beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._table = file.tables.contents

    @override
    async def put(self, knowledge: str, content: Content) -> None:
        await self._file.write(self._put, knowledge, content)

    @override
    async def find(self, knowledge: str, content_id: str) -> Content | None:
        return await self._file.read(self._find, knowledge, content_id)

    @override
    async def list(self, knowledge: str, limit: int, after: str = "") -> Sequence[Content]:
        return await self._file.read(self._list, knowledge, limit, after)

    @override
    async def delete(self, knowledge: str, content_id: str | None = None) -> int:
        return await self._file.write(self._delete, knowledge, content_id)

    def _put(self, transaction: Transaction, knowledge: str, content: Content) -> None:
        transaction.execute(
            f"INSERT INTO {self._table} "
            "(knowledge, content_id, name, status, details, created_at, updated_at) "
            "VALUES (:knowledge, :id, :name, :status, :details, :now, :now) "
            "ON CONFLICT (knowledge, content_id) DO UPDATE SET name = excluded.name, "
            "status = excluded.status, details = excluded.details, updated_at = :now",
            knowledge=knowledge,
            id=content.id,
            name=content.name,
            status=content.status.value,
            details=details_of(content),
        )

    def _find(self, transaction: Transaction, knowledge: str, content_id: str) -> Content | None:
        row = transaction.one(
            f"SELECT {_COLUMNS} FROM {self._table} "
            "WHERE knowledge = :knowledge AND content_id = :content_id",
            knowledge=knowledge,
            content_id=content_id,
        )
        return None if row is None else _content(row)

    def _list(
        self, transaction: Transaction, knowledge: str, limit: int, after: str
    ) -> Sequence[Content]:
        rows = transaction.execute(
            f"SELECT {_COLUMNS} FROM {self._table} WHERE knowledge = :knowledge "
            "AND content_id > :after ORDER BY content_id LIMIT :limit",
            knowledge=knowledge,
            limit=limit,
            after=after,
        )
        return [_content(row) for row in rows]

    def _delete(self, transaction: Transaction, knowledge: str, content_id: str | None) -> int:
        return transaction.execute(
            f"DELETE FROM {self._table} "
            "WHERE knowledge = :knowledge AND content_id = coalesce(:content_id, content_id)",
            knowledge=knowledge,
            content_id=content_id,
        ).rowcount


def _content(row: sqlite3.Row) -> Content:
    *values, created_at, updated_at = row
    return content_of(*values, moment(created_at), moment(updated_at))
