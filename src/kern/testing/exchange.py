"""One request and the ways to answer it, recorded."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping

from kern.testing.connection import Connection, Request, answer_bytes
from kern.testing.protocols import Frame, Json, Protocol, responses
from kern.testing.record import RequestRecord
from kern.testing.reply import ErrorAnswer, RawAnswer

_JSON = {"content-type": "application/json"}
_EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Exchange:
    """A request on its connection.

    Attributes:
        protocol: what the client speaks.
        record: what the server knows of the request; kept up to date by the answers.
        trickle: seconds after each byte of the answer, and of a stream after each event.
        trickles_head: whether the headers trickle too.
    """

    def __init__(
        self, request: Request, connection: Connection, changed: Callable[[], None]
    ) -> None:
        """Begin.

        Args:
            request: what to answer.
            connection: where to send the answer.
            changed: is called after changes to the record.
        """
        self.record = RequestRecord(
            request.method, request.path, request.query, request.headers, time.monotonic()
        )
        self.protocol: Protocol = responses
        self.trickle = 0.0
        self.trickles_head = False
        self._connection = connection
        self._changed = changed

    async def send(self, response: Json, drop: object = None) -> None:
        """Answer with an object, cut in the middle of its body if it is to be dropped."""
        body = json.dumps(response).encode()
        self._identify(response)
        self._start()
        if drop is None:
            await self._answer(200, _JSON, body)
        else:
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            self._connection.write(head + body[: len(body) // 2])
            self._connection.close()

    async def send_raw(self, raw: RawAnswer | ErrorAnswer) -> None:
        """Answer with what is no answer of the model."""
        if isinstance(raw, ErrorAnswer):
            body = json.dumps(self.protocol.error(raw.status, raw.message, raw.code)).encode()
            raw = RawAnswer(raw.status, body, {**_JSON, **raw.headers})
        self._start()
        await self._answer(raw.status, raw.headers, raw.body)

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
                    self._connection.start_chunks(_EVENTS)
                    self._start()
                frames = []
                for frame in batch:
                    frames.append(frame.encode())
                    deltas += frame.kind == "delta"
                    if deltas == drop:
                        break
                for each in frames if self.trickle else ():
                    self._connection.write_chunks([each])
                    await asyncio.sleep(self.trickle)
                self._connection.write_chunks([] if self.trickle else frames)
                if deltas == drop:
                    self._connection.close()
                    return
                await self._connection.drain()
        if self.record.started is None:
            self._connection.start_chunks(_EVENTS)
        self._connection.write_chunks([b""])
        await self._connection.drain()

    def break_off(self, within_headers: bool) -> None:
        """Close the connection with no answer, or with a part of its headers."""
        if within_headers:
            self._start()
            self._connection.write(b"HTTP/1.1 200 OK\r\ncontent-type: applica")
        self._connection.close()

    async def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if not self.trickle:
            self._connection.answer(status, headers, body)
        else:
            answer = answer_bytes(status, headers, body)
            begin = 0 if self.trickles_head else len(answer) - len(body)
            self._connection.write(answer[:begin])
            for place in range(begin, len(answer)):
                self._connection.write(answer[place : place + 1])
                await asyncio.sleep(self.trickle)
        await self._connection.drain()

    def _identify(self, answer: Json | str) -> None:
        if self.record.response_id is None and isinstance(answer, dict):
            self.record.response_id = self.protocol.id_of(answer)

    def _start(self) -> None:
        self.record.started = time.monotonic()
        self._changed()
