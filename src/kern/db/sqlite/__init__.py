"""SQLite: durable on one machine, with nothing to install."""

import asyncio
import re
from collections.abc import AsyncGenerator
from os import PathLike
from pathlib import Path

from typing_extensions import override

from kern.db.database import Database
from kern.db.heart import Heart
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.heart import SqliteHeart
from kern.db.sqlite.schema import migration_sql
from kern.db.sqlite.store import SqliteStore
from kern.db.values import TablesVersion
from kern.errors import ConfigurationError
from kern.keywords import explained

__all__ = ["SqliteDb"]

# Not the drive of a path: that is one letter.
_URL = re.compile(r"[A-Za-z][\w+.-]+:/|file:|sqlite:")


class SqliteDb(Database):
    """Sessions and runs in one file, for the processes of one machine."""

    @explained
    def __init__(
        self, db_file: str | Path = "kern.db", session_table: str = "kern_sessions"
    ) -> None:
        """Name the file; it is made on first use, and its directory if that is missing.

        Args:
            db_file: the file's path.
            session_table: the table of the sessions; the others are named after it.

        Raises:
            ConfigurationError: ``session_table`` is not an identifier, or ``db_file`` no path.
        """
        super().__init__(session_table)
        if not isinstance(db_file, str | PathLike):
            raise ConfigurationError(
                f"db_file must be the path of a file, not {type(db_file).__name__}: write "
                "SqliteDb('kern.db')."
            )
        if not str(db_file) or _URL.match(str(db_file)):
            raise ConfigurationError(
                "db_file is the path of a file, not a URL: write SqliteDb('kern.db')."
            )
        self._file = SqliteFile(str(db_file), session_table)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._file.path!r}, {self.session_table!r})"

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
