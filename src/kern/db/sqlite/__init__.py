"""SQLite: durable on one machine, with nothing to install."""

import asyncio
import re
from collections.abc import AsyncGenerator
from os import PathLike
from pathlib import Path

from typing_extensions import Unpack, override

from kern.db.awaited import AwaitedMethods
from kern.db.heart import Heart
from kern.db.methods import Methods
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.heart import SqliteHeart
from kern.db.sqlite.schema import migration_sql
from kern.db.sqlite.store import SqliteStore
from kern.db.sync import SyncMethods
from kern.db.sync_approvals import SyncApprovalMethods
from kern.db.sync_components import SyncComponentMethods
from kern.db.sync_keys import SyncKeyMethods
from kern.db.sync_memories import SyncMemoryMethods
from kern.db.sync_runs import SyncRunMethods
from kern.db.tables import OtherTables, check_tables, url_of
from kern.db.values import TablesVersion
from kern.errors import ConfigurationError

__all__ = ["AsyncSqliteDb", "SqliteDb"]

# Not the drive of a path: that is one letter.
_URL = re.compile(r"[A-Za-z][\w+.-]+:/|file:|sqlite:")
_SQLITE_URL = re.compile(r"sqlite(?:\+\w+)?://(?:/(?P<path>[^?]*))?(?:\?.*)?")


class _SqliteFileDb(Methods):
    """Sessions and runs in one file, for the processes of one machine."""

    def __init__(
        self,
        db_file: str | Path | None = None,
        session_table: str | None = None,
        *,
        db_engine: object = None,
        db_url: str | None = None,
        **tables: Unpack[OtherTables],
    ) -> None:
        """Name the file; it is made on first use, and its directory if that is missing.

        Args:
            db_file: the file's path; by default ``"kern.db"``.
            session_table: the table of the sessions, by default ``"kern_sessions"``; the others are
                named after it.
            db_engine: an engine of SQLAlchemy, whose file is used.
            db_url: ``sqlite:///`` and a path, in the place of ``db_file``.
            tables: names of other tables are taken, and change nothing.

        Raises:
            ConfigurationError: a table's name is not an identifier, or ``db_file`` no path.
        """
        check_tables(type(self).__name__, tables, _KEYWORDS)
        super().__init__("kern_sessions" if session_table is None else session_table)
        if db_engine is not None:
            db_url = url_of(db_engine)
        if db_url is not None:
            db_file = _path_of(db_url)
        db_file = "kern.db" if db_file is None else db_file
        if not isinstance(db_file, str | PathLike):
            raise ConfigurationError(
                f"db_file must be the path of a file, not {type(db_file).__name__}: write "
                "SqliteDb('kern.db')."
            )
        if not str(db_file) or _URL.match(str(db_file)):
            raise ConfigurationError(
                "db_file is the path of a file, not a URL: write SqliteDb('kern.db'), or "
                "SqliteDb(db_url='sqlite:///kern.db')."
            )
        self._file = SqliteFile(str(db_file), self.session_table)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._file.path!r}, {self.session_table!r})"

    @override
    def to_dict(self) -> dict[str, object]:
        return {**super().to_dict(), "db_file": self._file.path}

    @override
    async def version(self) -> TablesVersion:
        return await asyncio.to_thread(self._file.tables_version)

    @override
    def migration_sql(self) -> str:
        return migration_sql(self.session_table)

    @override
    def open_heart(self) -> Heart:
        return SqliteHeart(self._file)

    async def _open(self) -> AsyncGenerator[SqliteStore, None]:
        store = SqliteStore(self._file)
        await store.open()
        try:
            yield store
        finally:
            await store.aclose()


class SqliteDb(
    SyncMethods,
    SyncRunMethods,
    SyncApprovalMethods,
    SyncKeyMethods,
    SyncComponentMethods,
    SyncMemoryMethods,
    _SqliteFileDb,
):
    """Sessions and runs in one file, for the processes of one machine.

    Its methods for sessions and runs are synchronous, and have awaitable twins with a leading
    ``a``. Agents take it in both ways.

    Example:
        >>> from kern.agent import Agent
        >>> Agent("Poet", db=SqliteDb("kern.db")).db  # the file is made on first use
        SqliteDb('kern.db', 'kern_sessions')
    """


class AsyncSqliteDb(AwaitedMethods, _SqliteFileDb):
    """:class:`SqliteDb`, with methods for sessions and runs that are awaited.

    Example:
        >>> db = AsyncSqliteDb(":memory:")
        >>> asyncio.run(db.get_sessions())
        []
    """


_KEYWORDS = ("db_file", "session_table", "db_engine", "db_url")


def _path_of(url: object) -> str:
    """Return the file that a URL names."""
    found = _SQLITE_URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise ConfigurationError(
            "db_url must be sqlite:/// and the path of a file, as in "
            "SqliteDb(db_url='sqlite:///kern.db')."
        )
    return found["path"] or ":memory:"
