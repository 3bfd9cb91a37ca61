"""The contents of knowledge bases in PostgreSQL."""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
from typing_extensions import override

from kern.db.contents import Content, Contents, content_of, details_of
from kern.db.postgres.names import Names

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]

_COLUMNS = "content_id, name, status, details, created_at, updated_at"


class PostgresContents(Contents):
    """The contents beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        table = names.contents
        self._put = f"""
INSERT INTO {table} (knowledge, content_id, name, status, details) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (knowledge, content_id) DO UPDATE SET name = excluded.name,
    status = excluded.status, details = excluded.details, updated_at = now()"""
        self._find = f"SELECT {_COLUMNS} FROM {table} WHERE knowledge = $1 AND content_id = $2"
        self._list = f"""
SELECT {_COLUMNS} FROM {table} WHERE knowledge = $1 AND content_id > $3
ORDER BY content_id LIMIT $2"""
        self._delete = f"""
WITH gone AS (DELETE FROM {table} WHERE knowledge = $1 AND content_id = coalesce($2, content_id)
    RETURNING 1) SELECT count(*) FROM gone"""

    @override
    async def put(self, knowledge: str, content: Content) -> None:
        values = (content.id, content.name, content.status.value, details_of(content))
        await self._fetch(self._put, knowledge, *values)

    @override
    async def find(self, knowledge: str, content_id: str) -> Content | None:
        rows = await self._fetch(self._find, knowledge, content_id)
        return content_of(*rows[0]) if rows else None

    @override
    async def list(self, knowledge: str, limit: int, after: str = "") -> Sequence[Content]:
        return [content_of(*row) for row in await self._fetch(self._list, knowledge, limit, after)]

    @override
    async def delete(self, knowledge: str, content_id: str | None = None) -> int:
        return int((await self._fetch(self._delete, knowledge, content_id))[0][0])
