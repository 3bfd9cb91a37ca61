"""API keys in PostgreSQL."""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
from typing_extensions import override

from kern.db.keys import TOUCHED, Key, Keys, NewKey, of_text, to_text
from kern.db.postgres.names import Names

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]

_COLUMNS = """key_id, user_id, name, scopes, agents, created_at, expires_at, revoked_at,
    last_used_at"""


class PostgresKeys(Keys):
    """The keys beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        table = names.keys
        self._create = f"""
INSERT INTO {table} (key_id, hash, user_id, name, scopes, agents, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) RETURNING {_COLUMNS}"""
        self._find = f"SELECT {_COLUMNS} FROM {table} WHERE hash = $1"
        self._list = f"SELECT {_COLUMNS} FROM {table} ORDER BY created_at DESC, key_id DESC"
        self._list_of = f"""
SELECT {_COLUMNS} FROM {table} WHERE user_id = $1 ORDER BY created_at DESC, key_id DESC"""
        self._revoke = f"""
UPDATE {table} SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL RETURNING key_id"""
        self._touch = f"""
UPDATE {table} SET last_used_at = now()
WHERE key_id = $1 AND coalesce(last_used_at <= now() - interval '{TOUCHED} s', true)"""

    @override
    async def create(self, key: NewKey) -> Key:
        scopes, agents = to_text(key.scopes), to_text(key.agents)
        values = (key.key_id, key.hash, key.user_id, key.name, scopes, agents, key.expires_in)
        return _key((await self._fetch(self._create, *values))[0])

    @override
    async def find(self, hash: str) -> Key | None:
        rows = await self._fetch(self._find, hash)
        return _key(rows[0]) if rows else None

    @override
    async def revoke(self, key_id: str) -> bool:
        return bool(await self._fetch(self._revoke, key_id))

    @override
    async def touch(self, key_id: str) -> None:
        await self._fetch(self._touch, key_id)

    @override
    async def list(self, user_id: str | None = None) -> Sequence[Key]:
        if user_id is None:
            return [_key(row) for row in await self._fetch(self._list)]
        return [_key(row) for row in await self._fetch(self._list_of, user_id)]


def _key(row: asyncpg.Record) -> Key:
    values = dict(row)
    for column in ("scopes", "agents"):
        values[column] = of_text(values[column])
    return Key(**values)
