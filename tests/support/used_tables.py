"""Tables in PostgreSQL that earlier tests have left, which take a tenth of new ones to empty."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import asyncpg

from kern.db.postgres.names import Names
from kern.db.postgres.schema import tables_version

T = TypeVar("T")

# So many tests later nothing of the test that has left them is at work any more.
_REST = 8

# Dead rows are left where a test wrote much; new tables are better then, in bytes.
_LARGE = 2_000_000

_FOUND = """
SELECT
    format('%I.%I', schemaname, tablename) AS name,
    pg_table_size(format('%I.%I', schemaname, tablename)::regclass) AS size
FROM pg_tables
WHERE schemaname = $1 AND (tablename = $2 OR starts_with(tablename, $2 || '_'))"""


class UsedTables:
    """The session tables of tests that have ended, in one server."""

    def __init__(self, url: str) -> None:
        """Look for them at this address."""
        self._url = url
        self._left = deque[str]()
        self._runner = asyncio.Runner()
        # A test may ask for a database while its own loop runs.
        self._thread = ThreadPoolExecutor(1)
        self._connection: asyncpg.Connection | None = None

    def take(self) -> str | None:
        """Return a session table that is as new, if there is one."""
        if len(self._left) < _REST:
            return None
        table = self._left.popleft()
        try:
            return table if self._run(lambda: self._emptied(table)) else None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return None  # Somebody still holds it, or has ended the connection.

    def leave(self, table: str) -> None:
        """Have a session table be used again."""
        self._left.append(table)

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._run(self._connection.close)
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def _run(self, function: Callable[[], Coroutine[object, object, T]]) -> T:
        return self._thread.submit(lambda: self._runner.run(function())).result()

    async def _emptied(self, table: str) -> bool:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url, server_settings={"lock_timeout": "1s", "application_name": "tests"}
            )
        names = Names("kern", table)
        version = await tables_version(self._connection, names)
        if version.found != version.known:
            return False
        found = await self._connection.fetch(_FOUND, names.schema, table)
        if sum(each["size"] for each in found) > _LARGE:
            return False
        await self._connection.execute(
            "".join(f"DELETE FROM {each['name']};" for each in found)
            + f"INSERT INTO {names.tick} DEFAULT VALUES;"
            + f"SELECT setval('{names.positions}', 1, false);"
            + f"DELETE FROM {names.queue} WHERE starts_with(entrypoint, '{table}/')"
            + f" OR starts_with(entrypoint, '{table}>')"
        )
        return True
