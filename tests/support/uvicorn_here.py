"""uvicorn on the test's own event loop, and a client that reads as slowly as the test wants."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp


@asynccontextmanager
async def uvicorn_here(app: ASGIApp) -> AsyncIterator[int]:
    """Serve an application, and yield the port; its connections are cut at the end."""
    # asyncio sends without delay only over sockets that say that they are of TCP.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=1, loop="asyncio"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    async with asyncio.timeout(20):
        while not server.started:
            assert not serving.done(), serving.result()
            await asyncio.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


class Client:
    """A connection on which one request was sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use the two ends of a connection."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def get(cls, port: int, path: str, *, limit: int = 2**16) -> "Client":
        """Ask for a path; nothing is read yet.

        Args:
            port: of this machine.
            path: the path.
            limit: bytes that are taken although nobody reads them.
        """
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limit)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=made, limit=limit)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        return cls(reader, writer)

    async def head(self) -> str:
        """Read the head of the response."""
        return (await self._reader.readuntil(b"\r\n\r\n")).decode()

    async def chunk(self) -> bytes:
        """Read the next piece of the response; an empty one says that it is complete.

        Raises:
            IncompleteReadError: the connection ended before that.
        """
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def rest(self) -> list[bytes]:
        """Read all pieces up to the end of the response."""
        found = []
        while piece := await self.chunk():
            found.append(piece)
        return found

    async def close(self) -> None:
        """Go away."""
        self._writer.close()
        await self._writer.wait_closed()
