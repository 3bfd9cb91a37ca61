"""A web server that webhooks are sent to."""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

from kern.testing.listener import Handler, Listener


@dataclass(frozen=True, slots=True)
class Request:
    """A webhook as it came; the names of its headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


def status(code: int, **headers: str) -> Handler:
    """Answer with a status, and headers whose names are written with underscores."""

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(
            status=code, headers={name.replace("_", "-"): headers[name] for name in headers}
        )

    return answer


async def hang(_: web.BaseRequest) -> web.Response:
    """Do not answer."""
    await asyncio.Event().wait()
    raise AssertionError


def transport_of(request: web.BaseRequest) -> asyncio.Transport:
    """Return where to write what is no HTTP."""
    assert request.transport
    return request.transport


class Receiver:
    """Listens on loopback, keeps what it is sent, and answers by script.

    Attributes:
        requests: what came, in order.
        answers: the next answers; 204 when there are none.
        ended: is set when a client has left before its answer was complete.
    """

    def __init__(self, *answers: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.answers = deque(answers)
        self.ended = asyncio.Event()
        self._came = asyncio.Event()
        self._tls = tls
        self._listener = Listener(self._handle)

    @property
    def url(self) -> str:
        """Where to send webhooks to."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hooks?of=kern"

    async def __aenter__(self) -> Self:
        self.port = await self._listener.start(tls=self._tls)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._listener.close()

    async def wait_for_requests(self, count: int, timeout: float = 10.0) -> None:
        """Wait until so many requests have come since it began."""
        async with asyncio.timeout(timeout):
            while len(self.requests) < count:
                self._came.clear()
                await self._came.wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        self.requests.append(Request(request.method, request.path, request.query, headers, body))
        self._came.set()
        answer = self.answers.popleft() if self.answers else status(204)
        try:
            return await answer(request)
        except (asyncio.CancelledError, ConnectionError):
            self.ended.set()
            raise
