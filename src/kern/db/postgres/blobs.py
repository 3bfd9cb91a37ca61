"""What is too large for a row, in PostgreSQL."""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
from typing_extensions import override

from kern.db.blobs import CHUNKS, Blobs
from kern.db.erasing import IS_SEEN
from kern.db.postgres.names import Names

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


class PostgresBlobs(Blobs):
    """The blobs beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        # A stale attempt writes none for a run that is erased.
        self._insert = f"""
WITH run AS MATERIALIZED (
    SELECT {IS_SEEN} AS is_seen FROM {names.runs} WHERE run_id = $1 FOR SHARE
)
INSERT INTO {names.blobs} (run_id, hash, chunk, data)
SELECT $1, $2, $3::integer + number - 1, data
FROM unnest($4::bytea[]) WITH ORDINALITY AS chunk (data, number)
WHERE NOT EXISTS (SELECT FROM run WHERE NOT is_seen)
ON CONFLICT DO NOTHING"""
        self._delete = f"DELETE FROM {names.blobs} WHERE run_id = $1 AND hash = ANY ($2::text[])"
        self._select = f"""
SELECT data FROM {names.blobs}
WHERE run_id = $1 AND hash = $2 AND chunk >= $3::integer AND chunk < $3::integer + {CHUNKS}
ORDER BY chunk"""

    @override
    async def drop(self, run_id: str, hashes: Sequence[str]) -> None:
        await self._fetch(self._delete, run_id, hashes)

    @override
    async def _write(self, run_id: str, hash: str, first: int, chunks: Sequence[bytes]) -> None:
        await self._fetch(self._insert, run_id, hash, first, chunks)

    @override
    async def _read(self, run_id: str, hash: str, first: int) -> list[bytes]:
        return [row["data"] for row in await self._fetch(self._select, run_id, hash, first)]
