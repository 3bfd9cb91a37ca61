"""API keys in SQLite, an operation a transaction."""

import sqlite3
from collections.abc import Sequence

from typing_extensions import override

from kern.db.keys import TOUCHED, Key, Keys, NewKey, of_text, to_text
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.reading import moment

_COLUMNS = """key_id, user_id, name, scopes, agents, created_at, expires_at, revoked_at,
    last_used_at"""


class SqliteKeys(Keys):
    """The keys beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._keys = file.tables.keys

    @override
    async def create(self, key: NewKey) -> Key:
        return await self._file.write(self._create, key)

    @override
    async def find(self, hash: str) -> Key | None:
        return await self._file.read(self._find, hash)

    @override
    async def revoke(self, key_id: str) -> bool:
        return await self._file.write(self._revoke, key_id)

    @override
    async def touch(self, key_id: str) -> None:
        await self._file.write(self._touch, key_id)

    @override
    async def list(self, user_id: str | None = None) -> Sequence[Key]:
        return await self._file.read(self._list, user_id)

    def _create(self, transaction: Transaction, key: NewKey) -> Key:
        row = transaction.sole(
            f"INSERT INTO {self._keys} "
            "(key_id, hash, user_id, name, scopes, agents, created_at, expires_at) "
            "VALUES (:key_id, :hash, :user_id, :name, :scopes, :agents, :now, :now + :expires_in) "
            f"RETURNING {_COLUMNS}",
            **{
                **key._asdict(),
                "scopes": to_text(key.scopes),
                "agents": to_text(key.agents),
            },
        )
        return _key(row)

    def _find(self, transaction: Transaction, hash: str) -> Key | None:
        row = transaction.one(f"SELECT {_COLUMNS} FROM {self._keys} WHERE hash = :hash", hash=hash)
        return None if row is None else _key(row)

    def _revoke(self, transaction: Transaction, key_id: str) -> bool:
        revoked = transaction.execute(
            f"UPDATE {self._keys} SET revoked_at = :now "
            "WHERE key_id = :key_id AND revoked_at IS NULL",
            key_id=key_id,
        )
        return revoked.rowcount > 0

    def _touch(self, transaction: Transaction, key_id: str) -> None:
        transaction.execute(
            f"UPDATE {self._keys} SET last_used_at = :now WHERE key_id = :key_id "
            f"AND coalesce(last_used_at <= :now - {TOUCHED}, true)",
            key_id=key_id,
        )

    def _list(self, transaction: Transaction, user_id: str | None) -> Sequence[Key]:
        whose = "" if user_id is None else "WHERE user_id = :user_id"
        rows = transaction.execute(
            f"SELECT {_COLUMNS} FROM {self._keys} {whose} ORDER BY created_at DESC, key_id DESC",
            user_id=user_id,
        )
        return [_key(row) for row in rows]


def _key(row: sqlite3.Row) -> Key:
    values = dict(row)
    for column in ("scopes", "agents"):
        values[column] = of_text(values[column])
    for column in ("created_at", "expires_at", "revoked_at", "last_used_at"):
        values[column] = moment(values[column])
    return Key(**values)
