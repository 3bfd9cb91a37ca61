"""One request and the ways to answer it, recorded."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping

from kern.testing.responses.connection import Connection, Request, answer_bytes
from kern.testing.responses.record import RequestRecord
from kern.testing.responses.reply import RawAnswer, Reply
from kern.testing.responses.wire import Json

_JSON = {"content-type": "application/json"}
_EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Exchange:
    """A request on its connection.

    Attributes:
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
        self.trickle = 0.0
        self.trickles_head = False
        self._connection = connection
        self._changed = changed

    async def send(self, response: Json, drop: object = None) -> None:
        """Answer with a response object, cut in the middle of its body if it is to be dropped."""
        body = json.dumps(response).encode()
        self._start()
        if drop is None:
            await self._answer(200, _JSON, body)
        else:
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            self._connection.write(head + body[: len(body) // 2])
            self._connection.close()

    async def send_raw(self, raw: RawAnswer) -> None:
        """Answer with what is no response object."""
        self._start()
        await self._answer(raw.status, raw.headers, raw.body)

    async def send_error(self, status: int, message: str) -> None:
        """Answer with an error in OpenAI's form."""
        raw = Reply.http_error(status, message).raw
        assert raw
        await self.send_raw(raw)

    async def send_stream(
        self, batches: AsyncGenerator[list[Json], None], drop: object = None
    ) -> None:
        """Answer with events, closing the connection after ``drop`` deltas."""
        deltas = 0
        async with contextlib.aclosing(batches):
            async for batch in batches:
                if self.record.started is None:
                    self._connection.start_chunks(_EVENTS)
                    self._start()
                frames = []
                for event in batch:
                    frames.append(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                    deltas += event["type"].endswith(".delta")
                    if deltas == drop:
                        break
                for frame in frames if self.trickle else ():
                    self._connection.write_chunks([frame])
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

    def _start(self) -> None:
        self.record.started = time.monotonic()
        self._changed()
