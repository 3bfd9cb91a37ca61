"""Server-sent events: a response that ends in good order, and cannot be held up by its reader."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from kern.server.metrics import count_stream
from kern.server.problems import RequestError

logger = logging.getLogger("kern.server")

PING = 15.0
"""Seconds after which a stream without an event is given a comment, which keeps proxies patient."""

STALL = 30.0
"""Seconds for which a reader may take nothing of what is sent; then its connection is closed."""

# How long the end of a stream may take to be sent, in seconds.
_LAST_WORD = 1.0

# How many pieces a stream may send before others have their turn.
_TURN = 100

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_PING = b": ping\n\n"


class End(StrEnum):
    """Why a stream has ended.

    Attributes:
        finished: it has come to its last event.
        gone: the client has closed the connection.
        stalled: the client did not read.
        shutdown: the server ends; what is read can be read on from elsewhere.
        failed: what it streams has raised.
    """

    finished = "finished"
    gone = "gone"
    stalled = "stalled"
    shutdown = "shutdown"
    failed = "failed"


class Open(Protocol):
    """What a client holds open: an event stream, or a call that waits for a run.

    Attributes:
        user_id: whose it is.
        foreground: whether what it is about ends when it does.
    """

    user_id: str | None
    foreground: bool

    def end(self, why: End) -> None:
        """Have it end."""


class Streams:
    """The open event streams of an application.

    Attributes:
        limit: how many a user may have open at once; None for any number.
        closing: whether the server ends: no stream stays open then but those of foreground runs.
    """

    def __init__(
        self, limit: int | None = None, *, ping: float = PING, stall: float = STALL
    ) -> None:
        """Have none open.

        Args:
            limit: how many a user may have open at once.
            ping: seconds without an event after which a comment is sent.
            stall: seconds for which a reader may take nothing.
        """
        self.limit = limit
        self.ping = ping
        self.stall = stall
        self.closing = False
        self._open: set[Open] = set()
        self._none = asyncio.Event()
        self._by_user: Counter[str | None] = Counter()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def check(self, user_id: str | None) -> None:
        """Check that a user may open one more; before anything is begun for it.

        Args:
            user_id: the user; None, which is nobody's, may have any number.

        Raises:
            RequestError: as many are open as may be (429).
        """
        if user_id is None or self.limit is None:
            return
        if self._by_user[user_id] >= self.limit:
            raise RequestError(
                429,
                f"You have {self.limit} event streams open, and may not have more. Close one.",
                code="too_many_streams",
                headers={"Retry-After": "5"},
            )

    def close(self, *, foreground: bool = False) -> None:
        """End the streams in good order, and those that are opened from now on at once.

        Args:
            foreground: also those of foreground runs, which else end with their run.
        """
        self.closing = True
        for stream in list(self._open):
            if foreground or not stream.foreground:
                stream.end(End.shutdown)

    async def closed(self) -> None:
        """Wait until none is open."""
        while self._open:
            self._none.clear()
            await self._none.wait()

    @contextmanager
    def opened(self, stream: Open) -> Iterator[None]:
        """Count a stream as open within this block."""
        self._open.add(stream)
        self._by_user[stream.user_id] += 1
        try:
            if self.closing and not stream.foreground:
                stream.end(End.shutdown)
            yield
        finally:
            self._open.discard(stream)
            if not self._open:
                self._none.set()
            self._by_user[stream.user_id] -= 1
            if self._by_user[stream.user_id] == 0:
                del self._by_user[stream.user_id]


class EventStream(Response):
    """A response of server-sent events.

    It closes what it streams, however it ends: after the last event, when the client goes away,
    when the client does not read, and when the server ends.

    Attributes:
        user_id: whose it is.
        foreground: whether what it streams ends when the stream does.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        streams: Streams,
        *,
        user_id: str | None = None,
        foreground: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        r"""Stream nothing yet.

        Args:
            events: the events, encoded: each piece is one or several whole events with the empty
                line after them, such as ``b"event: x\ndata: {}\n\n"``. It is closed at the end.
            streams: the open streams of the application.
            user_id: whose it is.
            foreground: whether it is the stream of a foreground run. When the server ends, such a
                stream stays open until its run has ended; all others end at once.
            headers: further headers of the response.
        """
        self.status_code = 200
        self.background = None
        self.user_id = user_id
        self.foreground = foreground
        self.init_headers(_HEADERS | dict(headers or {}))
        self._events = events
        self._streams = streams
        self._limit = asyncio.timeout(None)
        self._why: End | None = None
        self._sending = False
        self._last = 0.0

    def end(self, why: End) -> None:
        """Have an open stream end."""
        if self._why is None:
            self._why = why
            self._limit.reschedule(0.0)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they or the client are at an end."""
        why = End.failed
        count_stream(1)
        try:
            await self._pass_on(receive, send)
            why = self._why or End.finished
        except Exception:  # Also what becomes of an interruption on its way out.
            if self._why is None:
                raise
            why = self._why
        finally:
            count_stream(-1, why)
            # Interrupted where it waits for an event it is closed by that; else it is done here.
            if (close := getattr(self._events, "aclose", None)) is not None:
                await close()
        if why is End.stalled:
            logger.warning("a client took nothing of an event stream for %g s", self._streams.stall)
        elif why is not End.gone:
            await self._complete(send)

    async def _pass_on(self, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        clock = asyncio.get_running_loop().time
        async with self._limit:
            with self._streams.opened(self):
                async with self._looked_after(receive, send):
                    await send(start)
                    sent = 0
                    async for piece in self._events:
                        self._last = clock()
                        self._sending = True
                        await send(_body(piece))
                        self._sending = False
                        sent += 1
                        if sent % _TURN == 0:  # Neither the events nor the server have to wait.
                            await asyncio.sleep(0)

    async def _complete(self, send: Send) -> None:
        """Tell the client that the stream is complete, if it reads that."""
        try:
            async with asyncio.timeout(_LAST_WORD):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            logger.warning("a client did not read the end of an event stream")

    @asynccontextmanager
    async def _looked_after(self, receive: Receive, send: Send) -> AsyncIterator[None]:
        """Watch the client within this block, and give it pings."""
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        tasks = {"watch": loop.create_task(self._watch(receive))}
        timer: asyncio.TimerHandle

        def beat() -> None:
            nonlocal timer
            idle = loop.time() - self._last
            longest = self._streams.stall if self._sending else self._streams.ping
            if idle >= longest and self._sending:
                return self.end(End.stalled)
            if idle >= longest:
                self._last = loop.time()
                tasks["ping"] = loop.create_task(self._ping(send))
                idle = 0.0
            timer = loop.call_later(max(longest - idle, 0.01), beat)

        timer = loop.call_later(self._streams.ping, beat)
        try:
            yield
        finally:
            timer.cancel()
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _ping(self, send: Send) -> None:
        self._sending = True
        await send(_body(_PING))
        self._sending = False

    async def _watch(self, receive: Receive) -> None:
        """End the stream when the client closes the connection."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end(End.gone)


def _body(piece: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": piece, "more_body": True}
