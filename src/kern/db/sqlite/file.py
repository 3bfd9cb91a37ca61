"""One SQLite file, its thread, and who listens to it in this process.

SQLite allows one writer at a time, so one thread does all the work, a whole operation at a time:
an operation is atomic, and one that has begun is finished even if nobody waits for it any more.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from weakref import WeakSet

from kern.db.database import log_tables
from kern.db.sqlite.connection import MEMORY, Connection, Transaction
from kern.db.sqlite.schema import MIGRATIONS, found_version, migrate
from kern.db.sqlite.tables import Tables
from kern.db.values import Signal, TablesVersion
from kern.errors import DatabaseUnavailableError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Operation = Callable[Concatenate[Transaction, Arguments], Result]


class Subscriber(Protocol):
    """Who is notified of what a committed operation says; called from any thread."""

    def notify(self, signals: Sequence[Signal], due: bool) -> None:
        """Take the signals, and whether a run has become due, or will."""


class SqliteFile:
    """A file that every event loop of the process shares; used from any of them.

    Attributes:
        path: where it is, or ``:memory:``.
        session_table: the table of the sessions.
        tables: the names of all tables.
        clock: says the time, in seconds since 1970; all that is written goes by it.
        threaded: whether operations are carried out on a thread.
    """

    def __init__(self, path: str, session_table: str, *, threaded: bool = True) -> None:
        """Prepare, without opening anything.

        Args:
            path: the file, or ``:memory:``.
            session_table: the table of the sessions.
            threaded: whether operations are carried out on a thread; if not, where they are
                called, which blocks the loop and happens in an order that repeats.
        """
        self.path = path
        self.session_table = session_table
        self.tables = Tables(session_table)
        self.clock: Callable[[], float] = time.time
        self.threaded = threaded
        self._connection = Connection(path, self._prepare)
        self._lock = Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._users = 0
        self._subscribers: list[Subscriber] = []
        _files.add(self)

    def enter(self) -> None:
        """Count one more user."""
        with self._lock:
            self._users += 1

    async def leave(self) -> None:
        """Count one user less; the last one closes the file. Memory is kept."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last and self.path != MEMORY:
            await self._perform(self._close)

    async def write(
        self,
        operation: Operation[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Carry out an operation in a transaction of its own, and notify of what it says.

        The listeners are notified where it is carried out, so also of what nobody waits for
        any more.

        Raises:
            DatabaseUnavailableError: the file cannot be used now.
            DatabaseError: SQLite refused.
            SchemaVersionError: the tables are newer than this version of kern.
        """
        call = bound(operation, *args, **kwargs)
        return await self._perform(partial(self._transact, call, writes=True))

    async def read(
        self,
        operation: Operation[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Carry out an operation that changes nothing, and raises as :meth:`write` does."""
        call = bound(operation, *args, **kwargs)
        return await self._perform(partial(self._transact, call, writes=False))

    def wait(
        self,
        timeout: float,
        operation: Operation[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Carry out an operation from a thread that may be blocked.

        Raises:
            DatabaseUnavailableError: it was not done in ``timeout`` seconds.
            DatabaseError: SQLite refused.
        """
        call = bound(operation, *args, **kwargs)
        begun = self._begin(partial(self._transact, call, writes=True))
        try:
            return begun.result(timeout)
        except FutureTimeoutError:
            begun.cancel()
            raise DatabaseUnavailableError(
                f"SQLite database {self.path!r} did not answer in {timeout:g} s: it is busy."
            ) from None

    async def version_seen(self) -> tuple[int, int]:
        """Return what differs after another process has changed the file.

        Raises:
            DatabaseError: as :meth:`write` does.
        """

        def version(connection: sqlite3.Connection) -> tuple[int, int]:
            # https://www.sqlite.org/pragma.html#pragma_data_version
            [number] = connection.execute("PRAGMA data_version").fetchone()
            return self._connection.times_opened, number

        return await self._perform(partial(self._connection.look, version))

    def tables_version(self) -> TablesVersion:
        """Return the version of the tables, which are neither made nor migrated for it.

        Raises:
            DatabaseUnavailableError: the file cannot be opened.
            DatabaseError: it is no database.
        """
        found = None
        if self.path != MEMORY and Path(self.path).exists():
            connection = Connection(self.path)
            try:
                found = connection.look(lambda raw: found_version(raw, self.session_table))
            finally:
                connection.close()
        return TablesVersion(found, len(MIGRATIONS))

    def subscribe(self, subscriber: Subscriber) -> None:
        """Notify a subscriber of what the event loops of this process do."""
        with self._lock:
            self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Notify a subscriber no more."""
        with self._lock:
            if subscriber in self._subscribers:  # Not in the child of a fork.
                self._subscribers.remove(subscriber)

    def notify(self, signals: Sequence[Signal], due: bool) -> None:
        """Notify every event loop of this process that listens."""
        if signals or due:
            with self._lock:
                subscribers = list(self._subscribers)
            for subscriber in subscribers:
                subscriber.notify(signals, due)

    def reset(self) -> None:
        """Begin anew in the child of a fork, which has neither the thread nor the loops."""
        self._lock = Lock()
        self._thread = None
        self._users = 0
        self._subscribers = []

    def _transact(self, call: Callable[[Transaction], Result], *, writes: bool) -> Result:
        result, transaction = self._connection.transact(call, self.clock, writes=writes)
        self.notify(transaction.signals, transaction.makes_due)
        return result

    async def _perform(self, work: Callable[[], Result]) -> Result:
        if not self.threaded:
            return work()
        return await asyncio.wrap_future(self._begin(work))

    def _begin(self, work: Callable[[], Result]) -> "Future[Result]":
        if self.threaded:
            with self._lock:
                if self._thread is None:
                    self._thread = ThreadPoolExecutor(1, thread_name_prefix="kern-sqlite")
                thread = self._thread
                # An interpreter that is closing gives no more work to threads.
                with suppress(RuntimeError):
                    return thread.submit(work)
        done: Future[Result] = Future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        return done

    def _prepare(self, connection: sqlite3.Connection) -> None:
        _write_ahead(connection, self._connection.patience)
        connection.execute("PRAGMA synchronous = FULL")
        found = found_version(connection, self.session_table)
        migrate(connection, self.session_table)
        if self.path != MEMORY:
            log_tables(repr(self.path), TablesVersion(found, len(MIGRATIONS)))

    def _close(self) -> None:
        with self._lock:
            if self._users:
                return  # Another one came meanwhile, and goes on with the thread.
            thread, self._thread = self._thread, None
        self._connection.close()
        if thread is not None:
            thread.shutdown(wait=False)


def bound(
    operation: Operation[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Callable[[Transaction], Result]:
    """Return an operation with its arguments, which takes only a transaction."""
    return lambda transaction: operation(transaction, *args, **kwargs)


def _write_ahead(connection: sqlite3.Connection, patience: float) -> None:
    """Have a log written ahead of the file.

    Of processes that open a new file at once, SQLite refuses some without waiting.
    """
    end = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


_files: WeakSet[SqliteFile] = WeakSet()


def _reset_files() -> None:
    for file in list(_files):
        file.reset()


os.register_at_fork(after_in_child=_reset_files)
