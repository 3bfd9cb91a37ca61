"""What extends leases in PostgreSQL, from a thread beside every event loop."""

import asyncio
from collections.abc import Sequence

import asyncpg
from typing_extensions import override

from kern.db.heart import Heart
from kern.db.postgres.connector import Connector
from kern.db.postgres.names import Names
from kern.db.postgres.reporting import reporting
from kern.db.postgres.rows import columns
from kern.db.postgres.statements.steps import extend


class PostgresHeart(Heart):
    """One connection, driven by an event loop of its own that only runs while it beats."""

    def __init__(self, connector: Connector, names: Names) -> None:
        """Prepare, without opening anything.

        Args:
            connector: opens a connection.
            names: the tables.
        """
        self._connector = connector
        self._statement = extend(names)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: asyncpg.Connection | None = None

    @override
    def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        with reporting(str(self._connector.address), sent=True):
            return self._loop.run_until_complete(self._extend(attempts, lease))

    @override
    def close(self) -> None:
        self._disconnect()
        if self._loop is not None:
            # Not as asyncio.Runner does, which starts a thread to wait for those that look names
            # up: Python 3.12.1 starts none at its end.
            self._loop.run_until_complete(self._end())
            self._loop.close()
            self._loop = None

    async def _extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        try:
            async with asyncio.timeout(lease / 3):
                if self._connection is None:
                    self._connection = await self._connector.connect()
                rows = await self._connection.fetch(self._statement, *columns(attempts, 2), lease)
        except BaseException:
            self._disconnect()
            raise
        return {row["run_id"]: row["cancelled"] for row in rows}

    async def _end(self) -> None:
        """Wait for connections that came too late for their beat: they are closed as they come."""
        await asyncio.sleep(0)  # One that has come as this begins is closed in the next round.
        if opening := asyncio.all_tasks() - {asyncio.current_task()}:
            _, late = await asyncio.wait(opening, timeout=self._connector.connect_timeout)
            for each in late:
                each.cancel()
            await asyncio.wait(opening)
        await asyncio.get_running_loop().shutdown_asyncgens()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
