"""HTTP on loopback by aiohttp, with handlers that end when their client goes away."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from kern.extras import extra

with extra("testing"):
    from aiohttp import web

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# A timer comes after what was accepted in the same step of the loop, in seconds.
_MOMENT = 0.0001

# So many steps of the loop after it was accepted, the server knows of a connection.
_STEPS = 3


class Listener:
    """Listens on 127.0.0.1; a handler is cancelled when its client closes the connection.

    Attributes:
        closing: whether it is not the client that ends a handler that is cancelled now.
    """

    def __init__(self, handler: Handler) -> None:
        """Prepare, without listening yet.

        Args:
            handler: answers a request. To break a connection off it closes the transport of the
                request; what it returns is not sent then.
        """
        self.closing = False
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many connections are open, idle ones included."""
        return len(self._server.connections)

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> int:
        """Listen on a port, or on a free one, and return which.

        Raises:
            OSError: the port is in use.
        """
        self._server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._listener = await asyncio.get_running_loop().create_server(
            self._server, "127.0.0.1", port, backlog=1024, ssl=tls
        )
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Break every connection off, and wait for the end of the handlers."""
        self.closing = True
        # What was accepted by now becomes a connection first, which asyncio would lose otherwise.
        await asyncio.sleep(_MOMENT)
        self._listener.close()
        for _ in range(_STEPS):
            await asyncio.sleep(0)
        for connection in self._server.connections:
            if connection.transport:
                connection.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.shutdown()
        await self._listener.wait_closed()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.task not in self._tasks:
            self._tasks.add(request.task)
            request.task.add_done_callback(self._tasks.discard)
        return await self._handler(request)
