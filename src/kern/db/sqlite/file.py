"""One SQLite file, its thread, and the listeners in this process.

SQLite allows one writer at a time, so one thread does all the work, a whole operation at a time:
an operation is atomic, and one that has begun is finished even if nobody waits for it any more.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from kern.db.base import Signal, TablesVersion
from kern.errors import DatabaseError, DatabaseUnavailableError, SchemaVersionError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Operation = Callable[Concatenate[sqlite3.Connection, Arguments], Result]

# How long a lock that another process holds is waited for, in seconds.
_PATIENCE = 30.0

# One script a version; what has been released is never changed, only added to.
_MIGRATIONS = (
    """
CREATE TABLE "{table}" (
    session_id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    user_id TEXT,
    session_state TEXT,
    metadata TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE "{table}_runs" (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    session_id TEXT,
    agent_id TEXT,
    user_id TEXT,
    parent_run_id TEXT,
    status TEXT NOT NULL CHECK (
        status IN ('PENDING', 'RUNNING', 'PAUSED', 'COMPLETED', 'ERROR', 'CANCELLED')),
    attempt INTEGER NOT NULL DEFAULT 0,
    input TEXT,
    output TEXT,
    error TEXT,
    usage TEXT,
    metadata TEXT,
    priority INTEGER NOT NULL DEFAULT 0,
    run_at REAL,
    timeout REAL,
    streamed INTEGER NOT NULL DEFAULT 0,
    lease_until REAL,
    cancel_requested_at REAL,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL
);
CREATE INDEX "{table}_runs_session" ON "{table}_runs" (session_id, position);
CREATE INDEX "{table}_runs_parent" ON "{table}_runs" (parent_run_id)
    WHERE parent_run_id IS NOT NULL;
CREATE INDEX "{table}_runs_live" ON "{table}_runs" (position)
    WHERE status IN ('PENDING', 'RUNNING');
CREATE TABLE "{table}_run_events" (
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;
""",
    """
ALTER TABLE "{table}_runs" ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "{table}_runs" ADD COLUMN max_attempts INTEGER;
ALTER TABLE "{table}_runs" ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "{table}_runs" ADD COLUMN webhook TEXT;
ALTER TABLE "{table}_runs" ADD COLUMN webhook_delivered_at REAL;
ALTER TABLE "{table}_runs" ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
CREATE INDEX "{table}_runs_turn" ON "{table}_runs" (session_id)
    WHERE turn AND status IN ('PENDING', 'RUNNING', 'PAUSED');
CREATE INDEX "{table}_runs_order" ON "{table}_runs" (session_id, position)
    WHERE ordered AND status = 'PENDING';
ALTER TABLE "{table}_runs" ADD COLUMN parked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX "{table}_runs_parked" ON "{table}_runs"
    (agent_id, user_id, priority DESC, position) WHERE status = 'PENDING' AND parked;
CREATE INDEX "{table}_runs_user" ON "{table}_runs" (agent_id, user_id)
    WHERE status = 'RUNNING' AND user_id IS NOT NULL;
CREATE INDEX "{table}_runs_untold" ON "{table}_runs" (position)
    WHERE webhook IS NOT NULL AND webhook_delivered_at IS NULL;
CREATE TABLE "{table}_schedules" (
    name TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    input TEXT NOT NULL,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    missed TEXT NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    session_id TEXT,
    user_id TEXT,
    metadata TEXT,
    paused INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    last_at REAL,
    created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX "{table}_schedules_next" ON "{table}_schedules" (next_at) WHERE NOT paused;
""",
    """
ALTER TABLE "{table}_runs" ADD COLUMN executor TEXT;
""",
)


class SqliteFile:
    """A file that every event loop of the process shares; used from any of them."""

    def __init__(self, path: str, session_table: str) -> None:
        """Prepare, without opening anything.

        Args:
            path: the file, or ``:memory:``.
            session_table: the table of the sessions.
        """
        self.path = path
        self.session_table = session_table
        self._lock = Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._users = 0
        self._listeners: list[Callable[[Signal], None]] = []

    def enter(self) -> None:
        """Count one more user; the first one starts the thread."""
        with self._lock:
            self._users += 1
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="kern-sqlite")

    async def leave(self) -> None:
        """Count one user less; the last one closes the file. Memory is kept."""
        with self._lock:
            self._users -= 1
            last = self._users == 0 and self.path != ":memory:"
            thread = self._thread
        if last and thread is not None:
            await self._submit(thread, self._close)

    async def call(
        self,
        operation: Operation[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Carry out an operation in one transaction, on the file's thread.

        Raises:
            DatabaseUnavailableError: the file cannot be opened, or stays locked.
            DatabaseError: SQLite refused.
            SchemaVersionError: the tables are newer than this version of kern.
        """

        def transaction() -> Result:
            connection = self._open()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return operation(connection, *args, **kwargs)

        assert self._thread is not None, "the file is used before enter()"
        return await self._submit(self._thread, transaction)

    async def version_seen(self) -> int:
        """Return a number that differs after another process has changed the file.

        Raises:
            Exception: what :meth:`call` raises.
        """

        def read() -> int:
            # https://www.sqlite.org/pragma.html#pragma_data_version
            version: int = self._open().execute("PRAGMA data_version").fetchone()[0]
            return version

        assert self._thread is not None, "the file is used before enter()"
        return await self._submit(self._thread, read)

    def tables_version(self) -> TablesVersion:
        """Return the version of the tables, which are neither made nor migrated for it.

        Raises:
            DatabaseUnavailableError: the file cannot be opened.
            DatabaseError: it is no database.
        """
        if self.path == ":memory:" or not Path(self.path).exists():
            return TablesVersion(None, len(_MIGRATIONS))
        with self._reporting(), closing(sqlite3.connect(self.path, _PATIENCE)) as connection:
            if not connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'kern_versions'"
            ).fetchone():
                return TablesVersion(None, len(_MIGRATIONS))
            row = connection.execute(
                "SELECT version FROM kern_versions WHERE name = ?", (self.session_table,)
            ).fetchone()
        return TablesVersion(row[0] if row else None, len(_MIGRATIONS))

    def subscribe(self, hear: Callable[[Signal], None]) -> None:
        """Have the signals of this process's other event loops; called from any thread."""
        with self._lock:
            self._listeners.append(hear)

    def unsubscribe(self, hear: Callable[[Signal], None]) -> None:
        """Have no more signals."""
        with self._lock:
            self._listeners.remove(hear)

    def tell(self, signal: Signal) -> None:
        """Signal to every listener of this process."""
        with self._lock:
            listeners = list(self._listeners)
        for hear in listeners:
            hear(signal)

    async def _submit(self, thread: ThreadPoolExecutor, call: Callable[[], Result]) -> Result:
        with self._reporting():
            try:
                future: Future[Result] = thread.submit(call)
            except RuntimeError:
                # The interpreter is closing and gives no more work to threads.
                return call()
            return await asyncio.wrap_future(future)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Turn SQLite's errors into kern's, which say which file it is and what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise DatabaseUnavailableError(
                f"SQLite file {self.path!r} cannot be used: {error}. Check that its directory "
                "exists, is writable, and that no other program holds the file locked."
            ) from error
        except sqlite3.Error as error:
            raise DatabaseError(f"SQLite file {self.path!r} refused: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            # Autocommit, so that transactions begin where the operations say.
            connection = sqlite3.connect(
                self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                self._migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        with self._lock:
            if self._users:
                return  # Another one came meanwhile, and goes on with the thread.
            thread, self._thread = self._thread, None
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if thread is not None:
            thread.shutdown(wait=False)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS kern_versions "
                "(name TEXT PRIMARY KEY, version INTEGER NOT NULL)"
            )
            row = connection.execute(
                "SELECT version FROM kern_versions WHERE name = ?", (self.session_table,)
            ).fetchone()
            version = row["version"] if row else 0
            if version > len(_MIGRATIONS):
                raise SchemaVersionError(
                    f"The tables of {self.session_table!r} in {self.path!r} have version "
                    f"{version}; this kern knows versions up to {len(_MIGRATIONS)}. Upgrade kern, "
                    "or name another session_table."
                )
            for script in _MIGRATIONS[version:]:
                for statement in script.format(table=self.session_table).split(";\n"):
                    connection.execute(statement)
            connection.execute(
                "INSERT OR REPLACE INTO kern_versions VALUES (?, ?)",
                (self.session_table, len(_MIGRATIONS)),
            )
