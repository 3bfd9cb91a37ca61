"""A connection to a SQLite file, its transactions, and what a fork does to it."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TypeVar
from weakref import WeakSet, finalize

from kern.db.values import Kind, Signal
from kern.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError

Result = TypeVar("Result")

MEMORY = ":memory:"
"""The path of a database that no file holds."""

# What passes by itself, or once somebody has made room, by SQLite's primary result codes.
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PASSING = _LOCKED | {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}


class Transaction:
    """One operation on a file: its statements, its time, and what it will notify of.

    Attributes:
        now: when it began, in seconds since 1970; its statements know it as ``:now``.
        signals: what this process's event loops are notified of once it is committed.
        makes_due: whether it has made a run due, now or later.
    """

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        """Begin at ``now``."""
        self.now = now
        self.signals: list[Signal] = []
        self.makes_due = False
        self._connection = connection

    def execute(self, statement: str, **values: object) -> sqlite3.Cursor:
        """Send a statement with named values."""
        return self._connection.execute(statement, {**values, "now": self.now})

    def execute_many(self, statement: str, values: Sequence[dict[str, object]]) -> None:
        """Send a statement once for each set of named values."""
        self._connection.executemany(statement, [{**each, "now": self.now} for each in values])

    def one(self, statement: str, **values: object) -> sqlite3.Row | None:
        """Return the first row of the answer to a statement, if it has any."""
        row: sqlite3.Row | None = self.execute(statement, **values).fetchone()
        return row

    def sole(self, statement: str, **values: object) -> sqlite3.Row:
        """Return the only row of the answer to a statement that always has one."""
        row: sqlite3.Row = self.execute(statement, **values).fetchone()
        return row

    def notify(self, kind: Kind, run_id: str = "") -> None:
        """Notify of something once the transaction is committed."""
        self.signals.append(Signal(kind, run_id))


class Connection:
    """A connection that is opened when it is needed; used from any thread, one at a time.

    SQLite keeps its locks in the memory of a process, so a child that inherits an open file
    believes to hold locks that it has not, and loses what it writes. Therefore nothing is open
    while a process forks, and both go on with a connection of their own. Only a database in
    memory stays open; the child begins with an empty one.

    Attributes:
        path: the file, or :data:`MEMORY`.
        lock: held by who uses the connection.
        times_opened: how often it was opened.
        patience: how long a lock that another process holds is waited for, in seconds.
    """

    def __init__(
        self, path: str, prepare: Callable[[sqlite3.Connection], None] | None = None
    ) -> None:
        """Prepare, without opening anything.

        Args:
            path: the file, whose directory is made if it is missing, or :data:`MEMORY`.
            prepare: is given the connection when it was opened.
        """
        self.path = path
        self.lock = Lock()
        self.times_opened = 0
        self.patience = self._set_patience = 30.0
        self._prepare = prepare
        self._raw: sqlite3.Connection | None = None
        self._closing: finalize[[], Connection] | None = None
        with _forking:
            _connections.add(self)

    def transact(
        self,
        work: Callable[[Transaction], Result],
        clock: Callable[[], float],
        *,
        writes: bool = True,
    ) -> tuple[Result, Transaction]:
        """Carry out an operation in one transaction.

        Args:
            work: the operation.
            clock: says the time, in seconds since 1970.
            writes: whether the file is locked for it; if not, it only reads.

        Returns:
            What the operation has returned, and the committed transaction.

        Raises:
            DatabaseUnavailableError: the file cannot be used now.
            DatabaseError: SQLite refused.
            SchemaVersionError: the tables are newer than this version of kern.
        """
        with self.lock, self._reporting():
            raw = self._open()
            with raw:
                raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                transaction = Transaction(raw, clock())
                return work(transaction), transaction

    def look(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Carry out what needs no transaction, and raises as :meth:`transact` does."""
        with self.lock, self._reporting():
            return work(self._open())

    @property
    def is_open(self) -> bool:
        """Whether a file is open."""
        return self._raw is not None and self.path != MEMORY

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self.lock:
            self.close_locked()

    def close_locked(self) -> None:
        """Close the connection where the caller holds :attr:`lock`."""
        self._raw = None
        if self._closing is not None:
            self._closing()

    def _open(self) -> sqlite3.Connection:
        if self._raw is None:
            if self.path != MEMORY and os.path.realpath(self.path) in _kept_apart:
                raise ConfigurationError(_together(self.path))
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            # Autocommit, so that transactions begin where the operations say.
            raw = sqlite3.connect(
                self.path, timeout=self.patience, isolation_level=None, check_same_thread=False
            )
            try:
                raw.row_factory = sqlite3.Row
                if self._prepare is not None:
                    self._prepare(raw)
            except BaseException:
                raw.close()
                raise
            self._raw, self._set_patience = raw, self.patience
            # One in memory is closed by nobody else, and Python 3.13 warns of it.
            self._closing = finalize(self, raw.close)
            self._closing.atexit = False
            self.times_opened += 1
        if self.patience != self._set_patience:
            self._raw.execute(f"PRAGMA busy_timeout = {round(self.patience * 1000)}")
            self._set_patience = self.patience
        return self._raw

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Turn SQLite's errors into kern's, which say which file it is and what to do."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            code = getattr(error, "sqlite_errorcode", None)
            passes = isinstance(error, OSError) or (code is not None and code & 0xFF in _PASSING)
            if passes and code not in _LOCKED and self.path != MEMORY:
                # What is wrong with the open file may be right with the next one.
                self.close_locked()
            if passes:
                raise DatabaseUnavailableError(
                    f"SQLite file {self.path!r} cannot be used: {error}. Check that it may be "
                    "written in its directory, that the disk works and has room, and that no "
                    "other program holds the file locked."
                ) from error
            raise DatabaseError(f"SQLite file {self.path!r} refused: {error}") from error


def keep_apart(path: str) -> None:
    """Leave a file to another library with a SQLite of its own: no connection opens it any more.

    What one of two has locked in a process is unlocked when the other one closes the file.

    Args:
        path: the file.

    Raises:
        ConfigurationError: a connection has it open.
    """
    real = os.path.realpath(path)
    if any(each.is_open and os.path.realpath(each.path) == real for each in list(_connections)):
        raise ConfigurationError(_together(path))
    _kept_apart.add(real)


def _together(path: str) -> str:
    return (
        f"SQLite file {path!r} cannot hold runs and vectors: two SQLites in one process would undo "
        "each other's locks. Name a file of its own for each."
    )


_kept_apart: set[str] = set()

_forking = Lock()
_connections: WeakSet[Connection] = WeakSet()
_held: list[Connection] = []


def _before_fork() -> None:
    _forking.acquire()
    for connection in list(_connections):
        connection.lock.acquire()
        _held.append(connection)
        if connection.path != MEMORY:
            connection.close_locked()


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()
    _forking.release()


def _after_fork_in_child() -> None:
    for connection in _held:
        connection.close_locked()
    _after_fork()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)
