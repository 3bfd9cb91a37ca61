"""Handing off session locks where the statement that ended a run could not."""

from collections.abc import Sequence
from contextlib import suppress

import asyncpg

from kern.db.postgres.connections import Connections
from kern.db.postgres.names import Names
from kern.db.postgres.statements import SessionLock
from kern.errors import DatabaseUnavailableError


class HandOff:
    """Hands the lock of a session that an ended run holds to the next one that is live."""

    def __init__(self, connections: Connections, names: Names) -> None:
        """Send statements over ``connections``."""
        self._connections = connections
        self._statement = SessionLock(names).hand_off

    async def finish(self, rows: Sequence[asyncpg.Record]) -> None:
        """Do what a statement that ended runs has left ``unfinished`` in its rows."""
        for row in rows:
            if row["unfinished"] is not None:
                await self.of(row["unfinished"], row["holder"])

    async def of(self, session_id: str, holder: str | None) -> None:
        """Hand off the lock of a session, if the holder has ended."""
        with suppress(DatabaseUnavailableError):  # The sweep will find it.
            while rows := await self._connections.fetch(self._statement, session_id, holder):
                holder = rows[0]["holder"]
