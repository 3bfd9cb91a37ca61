"""What extends leases in SQLite from a thread of its own."""

from collections.abc import Sequence

from typing_extensions import override

from kern.db.heart import Heart
from kern.db.sqlite.attempts import Attempts
from kern.db.sqlite.connection import MEMORY, Connection
from kern.db.sqlite.file import SqliteFile


class SqliteHeart(Heart):
    """A connection of its own to a file; memory has only one, so there the file's is used."""

    def __init__(self, file: SqliteFile) -> None:
        """Prepare, without opening anything."""
        self._file = file
        self._attempts = Attempts(file.tables)
        self._connection = Connection(file.path)

    @override
    def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        patience = max(0.0, lease / 3)
        if self._file.path == MEMORY:
            return self._file.wait(patience, self._attempts.extend, attempts, lease)
        self._connection.patience = patience
        mine, _ = self._connection.transact(
            lambda transaction: self._attempts.extend(transaction, attempts, lease),
            self._file.clock,
        )
        return mine

    @override
    def close(self) -> None:
        self._connection.close()
