"""A SQLite file with the extension ``sqlite-vec``, and its thread.

Python's own SQLite often cannot load extensions, so this is another one, of the package ``apsw``.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from kern.db.sqlite.connection import keep_apart
from kern.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError
from kern.extras import extra

with extra("sqlite-vec"):
    import apsw
    import sqlite_vec  # pyright: ignore[reportMissingTypeStubs]

Result = TypeVar("Result")

# How long a lock of another process is waited for, in milliseconds.
_PATIENCE = 30_000

_PASSING = (
    *(apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.IOError, apsw.CantOpenError),
    *(apsw.ReadOnlyError, apsw.NoMemError),
)


_inherited: list[apsw.Connection | None] = []


class Transaction:
    """What work on a file is given: it sends statements, and no types of the driver come back."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Send by this connection."""
        self._connection: Any = connection

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows that a statement gives.

        Args:
            statement: the statement, whose parameters are ``?1``, ``?2``, …
            values: what they stand for.
        """
        found: list[tuple[Any, ...]] = self._connection.execute(statement, values).fetchall()
        return found

    @property
    def changes(self) -> int:
        """How many rows the last statement has changed."""
        return int(self._connection.changes())


class VectorFile:
    """A file; one thread does all the work, so that none waits for another's within it."""

    def __init__(self, path: str) -> None:
        """Prepare, without opening anything.

        Args:
            path: the file, or ``:memory:``.
        """
        self.path = path
        self._process = os.getpid()
        self._thread: ThreadPoolExecutor | None = None
        self._connection: apsw.Connection | None = None

    async def do(self, work: Callable[[Transaction], Result], *, writes: bool = True) -> Result:
        """Carry out work in a transaction, to the end although nobody waits for it any more.

        Args:
            work: is given the transaction.
            writes: whether the file is locked for it; if not, it only reads.

        Raises:
            ConfigurationError: the file is one of runs.
            DatabaseUnavailableError: the file cannot be used now.
            DatabaseError: SQLite refused.
        """
        return await asyncio.wrap_future(self._executor().submit(self._transact, work, writes))

    async def aclose(self) -> None:
        """Close the file; the next use opens it again. What is in memory is kept."""
        if self._connection is not None and self.path != ":memory:":
            await asyncio.wrap_future(self._executor().submit(self._close))

    def _executor(self) -> ThreadPoolExecutor:
        if self._process != os.getpid():  # A forked child has neither the thread nor the locks,
            _inherited.append(self._connection)  # and must not even close what it has inherited.
            self._process, self._thread, self._connection = os.getpid(), None, None
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="kern-vectors")
        return self._thread

    def _transact(self, work: Callable[[Transaction], Result], writes: bool) -> Result:
        try:
            transaction = Transaction(self._connection or self._open())
            transaction.rows("BEGIN IMMEDIATE" if writes else "BEGIN")
            try:
                done = work(transaction)
            except BaseException:
                transaction.rows("ROLLBACK")
                raise
            transaction.rows("COMMIT")
            return done
        except (apsw.Error, OSError) as error:
            where = f"SQLite file {self.path!r}"
            if isinstance(error, (OSError, *_PASSING)):
                raise DatabaseUnavailableError(
                    f"{where} cannot be used: {error}. Check that it may be written in its "
                    "directory, that the disk works and has room, and that no other program holds "
                    "the file locked."
                ) from error
            raise DatabaseError(f"{where} refused: {error}") from error

    def _open(self) -> apsw.Connection:
        if self.path != ":memory:":
            keep_apart(self.path)
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        connection = apsw.Connection(self.path)
        connection.set_busy_timeout(_PATIENCE)
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.enable_load_extension(False)
        at_first = Transaction(connection)
        at_first.rows("PRAGMA journal_mode = WAL")
        if at_first.rows("SELECT 1 FROM sqlite_master WHERE name LIKE '%!_run!_events' ESCAPE '!'"):
            connection.close()
            raise ConfigurationError(
                f"SQLite file {self.path!r} holds runs: name another one for vectors."
            )
        self._connection = connection
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
