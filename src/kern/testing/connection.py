"""As much of HTTP/1.1 (RFC 9112) as the server needs."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

_MAX_HEAD = 64 * 1024
_MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: in upper case, as it came.
        path: without the query.
        query: the query's parameters.
        headers: by lower-case name.
        body: the content, up to 64 MB.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


Handler = Callable[[Request, "Connection"], Coroutine[None, None, None]]


class Connection(asyncio.Protocol):
    """One client's connection, its requests handled one after the other.

    When the client closes it, the handler of the request under way is cancelled.

    Attributes:
        lost: when the client closed the connection, in ``time.monotonic()`` seconds.
    """

    def __init__(self, handler: Handler, connections: set["Connection"]) -> None:
        self.lost: float | None = None
        self._handler = handler
        self._connections = connections
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str], int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection up."""
        assert isinstance(transport, asyncio.Transport)
        # So that drained means: all of it is with the operating system.
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and begin with a request once it is complete."""
        self._buffer += data
        if self._task is None:
            self._next_request()
        elif len(self._buffer) > _MAX_HEAD + _MAX_BODY:
            self._transport.abort()

    def eof_received(self) -> None:
        """Count a client that sends no more as gone."""
        self._lose()

    def connection_lost(self, error: Exception | None) -> None:
        """Let the connection go."""
        self._lose()
        self._connections.discard(self)
        self._ended.set()

    def pause_writing(self) -> None:
        """Note that bytes wait to be sent."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """Note that all bytes are sent."""
        self._drained.set()

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""
        self.write(answer_bytes(status, headers, body))

    def start_chunks(self, headers: Mapping[str, str]) -> None:
        """Send the head of an answer whose length is not known."""
        self.write(_head(200, {**headers, "transfer-encoding": "chunked"}))

    def write_chunks(self, chunks: Iterable[bytes]) -> None:
        """Send pieces of such an answer; an empty one ends it."""
        self.write(b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks))

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until all bytes are with the operating system."""
        await self._drained.wait()

    def close(self) -> None:
        """Close the connection after what was written."""
        self._transport.close()

    async def abort(self) -> None:
        """Break the connection off, and wait for the end of its request."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._transport.abort()
        await self._ended.wait()

    def _lose(self) -> None:
        if self.lost is None:
            self.lost = time.monotonic()
            if self._task:
                self._task.cancel()

    def _next_request(self) -> None:
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > _MAX_HEAD:
                    self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            try:
                self._head = _parse_head(self._buffer[:end].decode("latin-1"))
            except ValueError:
                self._refuse(HTTPStatus.BAD_REQUEST)
                return
            del self._buffer[: end + 4]
        method, target, headers, length = self._head
        if length > _MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif "transfer-encoding" in headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
        elif len(self._buffer) >= length:
            body = bytes(self._buffer[:length])
            del self._buffer[:length]
            self._head = None
            url = urlsplit(target)
            request = Request(method, url.path, dict(parse_qsl(url.query)), headers, body)
            self._task = asyncio.get_running_loop().create_task(self._handle(request))

    async def _handle(self, request: Request) -> None:
        await self._handler(request, self)
        self._task = None
        if request.headers.get("connection", "").lower() == "close":
            self.close()
        elif self._buffer and not self._transport.is_closing():
            self._next_request()

    def _refuse(self, status: HTTPStatus) -> None:
        self.answer(status, {"connection": "close"}, b"")
        self.close()


def _parse_head(head: str) -> tuple[str, str, dict[str, str], int]:
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    if length < 0:
        raise ValueError("negative content-length")
    return method, target, headers, length


def answer_bytes(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a whole answer as it is sent."""
    return _head(status, {**headers, "content-length": str(len(body))}) + body


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
