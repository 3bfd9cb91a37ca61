"""The sessions with one server that an event loop has open."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kern.aio.tasks import Tasks
from kern.tools.mcp.connection import Connection
from kern.tools.mcp.servers import Headers, Server

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp.types import LoggingLevel

# Seconds after which a session closes that has the headers of a run, and that nobody uses.
_IDLE = 60.0


class Pool:
    """Opens a session for each set of headers at its first use, and another where it was lost."""

    def __init__(
        self,
        server: Server,
        log_level: "LoggingLevel | None",
        session: "ClientSession | None",
        protocol: str = "auto",
    ) -> None:
        """Prepare, without opening anything.

        Args:
            server: the server.
            log_level: from which level on it is to tell what it logs.
            session: a session that its user has opened, which is the only one.
            protocol: ``"auto"`` or ``"legacy"``.
        """
        self._server = server
        self._log_level = log_level
        self._protocol = protocol
        self._given = None if session is None else Connection.given(server, session)
        self._open: dict[Headers, asyncio.Task[Connection]] = {}
        self._tasks = Tasks()

    @classmethod
    async def opened(
        cls,
        server: Server,
        log_level: "LoggingLevel | None",
        session: "ClientSession | None",
        protocol: str = "auto",
    ) -> AsyncGenerator["Pool", None]:
        """Yield one, whose sessions are closed after that."""
        pool = cls(server, log_level, session, protocol)
        try:
            yield pool
        finally:
            await pool.close()

    @asynccontextmanager
    async def using(self, headers: Headers, *, keeps: bool) -> AsyncIterator[Connection]:
        """Yield the session with these headers.

        Args:
            headers: what is sent with every request.
            keeps: whether it stays open for those who come later; else it closes a minute after
                the last use.

        Raises:
            ToolsetError: the server cannot be used.
        """
        connection = self._given or await self._connection(headers)
        connection.uses += 1
        try:
            yield connection
        finally:
            connection.uses -= 1
            if not keeps and not connection.uses:
                asyncio.get_running_loop().call_later(_IDLE, self._close_idle, headers, connection)

    async def close(self) -> None:
        """Close all sessions."""
        for headers in list(self._open):
            opening = self._open.pop(headers)
            await asyncio.wait({opening})
            if not opening.cancelled() and opening.exception() is None:
                await opening.result().close()

    async def _connection(self, headers: Headers) -> Connection:
        opening = self._open.get(headers)
        if opening is None or (opening.done() and _is_of_no_use(opening)):
            # A task of its own: the first one to ask may leave, and the others still wait for it.
            opening = self._open[headers] = asyncio.create_task(self._begin(headers))
            opening.add_done_callback(_is_of_no_use)
        return await asyncio.shield(opening)

    async def _begin(self, headers: Headers) -> Connection:
        connection = Connection(self._server, headers, self._log_level, self._protocol)
        await connection.open()
        return connection

    def _close_idle(self, headers: Headers, connection: Connection) -> None:
        if not connection.uses:
            self._open.pop(headers, None)
            self._tasks.start(connection.close())


def _is_of_no_use(opening: "asyncio.Task[Connection]") -> bool:
    return opening.cancelled() or opening.exception() is not None or opening.result().is_lost
