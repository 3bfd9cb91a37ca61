"""A web server that webhooks are sent to."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

from kern.testing.connection import Connection, Request

Answer = Callable[[Connection], Coroutine[None, None, None]]


def status(code: int, **headers: str) -> Answer:
    """Answer with a status, and headers whose names are written with underscores."""

    async def answer(connection: Connection) -> None:
        connection.answer(code, {name.replace("_", "-"): headers[name] for name in headers}, b"")

    return answer


async def hang(connection: Connection) -> None:
    """Do not answer."""
    await asyncio.Event().wait()


class Receiver:
    """Listens on loopback, keeps what it is sent, and answers by script.

    Attributes:
        requests: what came, in order.
        answers: the next answers; 204 when there are none.
        ended: is set when a client has left before its answer was complete.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.answers = deque(answers)
        self.ended = asyncio.Event()
        self._came = asyncio.Event()
        self._tls = tls
        self._connections: set[Connection] = set()

    @property
    def url(self) -> str:
        """Where to send webhooks to."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hooks?of=kern"

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._handle, self._connections), "127.0.0.1", ssl=self._tls
        )
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        await asyncio.gather(*(each.abort() for each in self._connections))
        await self._listener.wait_closed()

    async def wait_for_requests(self, count: int, timeout: float = 10.0) -> None:
        """Wait until so many requests have come since it began."""
        async with asyncio.timeout(timeout):
            while len(self.requests) < count:
                self._came.clear()
                await self._came.wait()

    async def _handle(self, request: Request, connection: Connection) -> None:
        self.requests.append(request)
        self._came.set()
        answer = self.answers.popleft() if self.answers else status(204)
        try:
            await answer(connection)
        except asyncio.CancelledError:
            self.ended.set()
            raise
