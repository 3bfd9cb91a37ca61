"""One request and the ways to answer it, recorded."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping

from kern.extras import extra
from kern.testing.protocols import Frame, Json, Protocol, responses
from kern.testing.record import RequestRecord
from kern.testing.reply import ErrorAnswer, RawAnswer

with extra("testing"):
    from aiohttp import web

_JSON = {"content-type": "application/json"}
_EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Exchange:
    """A request that is to be answered.

    Attributes:
        protocol: what the client speaks.
        record: what the server knows of the request; kept up to date by the answers.
        response: what was sent.
        trickle: seconds after each byte of the answer, and of a stream after each event.
        trickles_head: whether the headers trickle too.
    """

    response: web.StreamResponse

    def __init__(self, request: web.BaseRequest, changed: Callable[[], None]) -> None:
        """Begin.

        Args:
            request: what to answer, its body already read.
            changed: is called after changes to the record.
        """
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.protocol: Protocol = responses
        self.record: RequestRecord = RequestRecord(
            request.method, request.path, request.query, headers, time.monotonic()
        )
        self.trickle: float = 0.0
        self.trickles_head = False
        self._request = request
        self._changed = changed

    async def send(self, answer: Json, drop: object = None) -> None:
        """Answer with an object, cut in the middle of its body if it is to be dropped."""
        body = json.dumps(answer).encode()
        self._identify(answer)
        self._start()
        if drop is None:
            await self._send(200, _JSON, body)
        else:
            await self._open({**_JSON, "content-length": str(len(body))})
            await self.response.write(body[: len(body) // 2])
            self.hang_up()

    async def send_raw(self, raw: RawAnswer | ErrorAnswer) -> None:
        """Answer with what is no answer of the model."""
        if isinstance(raw, ErrorAnswer):
            body = json.dumps(self.protocol.error(raw.status, raw.message, raw.code)).encode()
            raw = RawAnswer(raw.status, body, {**_JSON, **raw.headers})
        self._start()
        await self._send(raw.status, raw.headers, raw.body)

    async def send_error(self, status: int, message: str) -> None:
        """Answer with an error in the protocol's form."""
        await self.send_raw(ErrorAnswer(status, message, None, {}))

    async def send_stream(
        self, batches: AsyncGenerator[list[Frame], None], drop: object = None
    ) -> None:
        """Answer with events, closing the connection after ``drop`` deltas."""
        deltas = 0
        async with contextlib.aclosing(batches):
            async for batch in batches:
                if self.record.started is None:
                    if batch:
                        self._identify(batch[0].data)
                    await self._open(_EVENTS)
                    self._start()
                frames = []
                for frame in batch:
                    if drop == 0 and frame.kind == "delta":
                        break
                    frames.append(frame.encode())
                    deltas += frame.kind == "delta"
                    if deltas == drop:
                        break
                await self._write_frames(frames)
                if deltas == drop:
                    self.hang_up()
                    return
        if self.record.started is None:
            await self._open(_EVENTS)
        await self.response.write_eof()

    def break_off(self, within_headers: bool) -> None:
        """Close the connection with no answer, or with a part of its headers."""
        if within_headers:
            self._start()
            self._write_past(b"HTTP/1.1 200 OK\r\ncontent-type: applica")
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection after what was sent."""
        if self._request.transport:
            self._request.transport.close()
        self.response = web.Response()  # The library wants one; on a closed connection it drops it.

    async def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if not self.trickle:
            self.record.sent = time.monotonic()
            self.response = web.Response(status=status, headers=headers, body=body)
            await self.response.prepare(self._request)
            await self.response.write_eof()
        elif self.trickles_head:
            # The library sends its headers in one piece, so these go past it.
            given = {**headers, "content-length": str(len(body)), "connection": "close"}
            lines = [f"HTTP/1.1 {status} ", *(f"{name}: {given[name]}" for name in given), "", ""]
            for byte in "\r\n".join(lines).encode("latin-1") + body:
                self._write_past(bytes([byte]))
                await asyncio.sleep(self.trickle)
            self.hang_up()
        else:
            await self._open({**headers, "content-length": str(len(body))}, status)
            for byte in body:
                await self.response.write(bytes([byte]))
                await asyncio.sleep(self.trickle)
            await self.response.write_eof()

    async def _open(self, headers: Mapping[str, str], status: int = 200) -> None:
        self.response = web.StreamResponse(status=status, headers=headers)
        await self.response.prepare(self._request)

    async def _write_frames(self, frames: list[bytes]) -> None:
        self.record.sent = time.monotonic()
        if not self.trickle:
            await self.response.write(b"".join(frames))
            return
        for frame in frames:
            await self.response.write(frame)
            await asyncio.sleep(self.trickle)

    def _write_past(self, data: bytes) -> None:
        if self._request.transport:
            self._request.transport.write(data)

    def _identify(self, answer: Json | str) -> None:
        if self.record.response_id is None and isinstance(answer, dict):
            self.record.response_id = self.protocol.id_of(answer)

    def _start(self) -> None:
        self.record.started = time.monotonic()
        self._changed()
