"""Media as tests give it, and where its bytes must not be."""

import base64
import random
import struct
import zlib

from kern.db.base import Store
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.store import SqliteStore


def png(seed: int, side: int = 40) -> bytes:
    """Return an image of its own for each seed, which no compression makes small."""
    pixels = random.Random(seed)
    rows = b"".join(b"\0" + pixels.randbytes(3 * side) for _ in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks))


def _chunk(chunk: tuple[bytes, bytes]) -> bytes:
    name, data = chunk
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encoded(data: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(data).decode()


def holds(text: str, data: bytes) -> bool:
    """Say whether a text holds a piece of data in any usual form."""
    piece = data[600:660]
    return any(
        form in text
        for form in (encoded(data)[800:840], piece.hex(), repr(piece)[2:-1], str([*piece])[1:-1])
    )


async def rows_of(store: Store) -> str:
    """Return every row of every table, but for the blobs, as text."""
    if isinstance(store, PostgresStore):
        prefix = store.names.session_table
        found = await store.pool.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE (tablename = $1 OR starts_with(tablename, $1 || '_')) "
            "AND NOT tablename = $1 || '_blobs'",
            prefix,
        )
        rows = [
            row["row"]
            for table in found
            for row in await store.pool.fetch(f"SELECT t::text AS row FROM {table['name']} AS t")
        ]
        assert len(found) > 4
        return "\n".join(rows)
    assert isinstance(store, SqliteStore)

    def fetch(transaction: Transaction) -> list[str]:
        names = [
            str(row["name"])
            for row in transaction.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not str(row["name"]).endswith("_blobs")
        ]
        assert len(names) > 4
        return [
            repr([*row])
            for name in names
            for row in transaction.execute(f'SELECT * FROM "{name}"').fetchall()
        ]

    return "\n".join(await store._file.write(fetch))
