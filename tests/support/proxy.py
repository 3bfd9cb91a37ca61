"""A TCP proxy before a server, which can freeze, cut and refuse what passes through it."""

import asyncio
from contextlib import suppress
from typing import Self


class Proxy:
    """Forwards connections to a port of this machine, as long as it is told to."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._is_frozen = False
        self.accepted = 0

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()

    async def accept(self) -> None:
        """Take connections, again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut every connection, and take no more."""
        if self._server is not None:
            self._server.close()
        self.cut()
        while self._links:  # noqa: ASYNC110 # each ends by itself
            await asyncio.sleep(0.01)

    def cut(self) -> None:
        """Reset every connection."""
        for link in [*self._links]:
            link.cut()

    def freeze(self, *, only_open: bool = False) -> None:
        """Let nothing pass any more.

        Args:
            only_open: new connections pass, as when a NAT has forgotten the old ones.
        """
        self._is_frozen = not only_open
        for link in self._links:
            link.passes.clear()

    def thaw(self) -> None:
        """Let everything pass again, also what was sent in the meantime."""
        self._is_frozen = False
        for link in self._links:
            link.passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(writer)
        if not self._is_frozen:
            link.passes.set()
        self._links.add(link)
        try:
            await link.forward(reader, self._target)
        finally:
            self._links.discard(link)


class _Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.passes = asyncio.Event()
        self._writers = [client]
        self._ended = asyncio.Event()

    async def forward(self, client: asyncio.StreamReader, target: int) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            self.cut()
            return
        self._writers.append(writer)
        pumps = [
            asyncio.create_task(self._pump(client, writer)),
            asyncio.create_task(self._pump(reader, self._writers[0])),
        ]
        await self._ended.wait()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for each in self._writers:
            each.transport.abort()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._ended.set()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.passes.wait()
                writer.write(data)
                await writer.drain()
        self._ended.set()
