"""What is too large for a row, in SQLite."""

from collections.abc import Sequence

from typing_extensions import override

from kern.db.blobs import CHUNKS, Blobs
from kern.db.erasing import IS_SEEN
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile


class SqliteBlobs(Blobs):
    """The blobs beside one session table."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._blobs, self._runs = file.tables.blobs, file.tables.runs

    @override
    async def drop(self, run_id: str, hashes: Sequence[str]) -> None:
        await self._file.write(self._delete, run_id, hashes)

    @override
    async def _write(self, run_id: str, hash: str, first: int, chunks: Sequence[bytes]) -> None:
        await self._file.write(self._insert, run_id, hash, first, chunks)

    @override
    async def _read(self, run_id: str, hash: str, first: int) -> list[bytes]:
        return await self._file.read(self._select, run_id, hash, first)

    def _insert(
        self, transaction: Transaction, run_id: str, hash: str, first: int, chunks: Sequence[bytes]
    ) -> None:
        # A stale attempt writes none for a run that is erased.
        if transaction.one(
            f"SELECT 1 FROM {self._runs} WHERE run_id = :run_id AND NOT ({IS_SEEN})", run_id=run_id
        ):
            return
        transaction.execute_many(
            f"INSERT OR IGNORE INTO {self._blobs} (run_id, hash, chunk, data) "
            "VALUES (:run_id, :hash, :chunk, :data)",
            [
                {"run_id": run_id, "hash": hash, "chunk": number, "data": data}
                for number, data in enumerate(chunks, first)
            ],
        )

    def _delete(self, transaction: Transaction, run_id: str, hashes: Sequence[str]) -> None:
        transaction.execute_many(
            f"DELETE FROM {self._blobs} WHERE run_id = :run_id AND hash = :hash",
            [{"run_id": run_id, "hash": hash} for hash in hashes],
        )

    def _select(self, transaction: Transaction, run_id: str, hash: str, first: int) -> list[bytes]:
        rows = transaction.execute(
            f"SELECT data FROM {self._blobs} WHERE run_id = :run_id AND hash = :hash "
            "AND chunk >= :first AND chunk < :end ORDER BY chunk",
            run_id=run_id,
            hash=hash,
            first=first,
            end=first + CHUNKS,
        )
        return [row["data"] for row in rows]
