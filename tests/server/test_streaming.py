"""Event streams end in good order, and close what they stream, whatever their readers do."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn_here import Client, uvicorn_here

from kern.server.problems import RequestError
from kern.server.streaming import EventStream, Streams

EVENT = b'event: said\ndata: {"sequence_number":0}\n\n'


class Source:
    """What is streamed, and whether it was closed.

    Attributes:
        made: how many pieces it has made.
        closed: set when it is at its end.
    """

    def __init__(self, pieces: Callable[["Source"], AsyncGenerator[bytes, None]]) -> None:
        self._pieces = pieces
        self.made = 0
        self.closed = asyncio.Event()

    async def read(self) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in self._pieces(self):
                self.made += 1
                yield piece
        finally:
            self.closed.set()


async def three(source: Source) -> AsyncGenerator[bytes, None]:
    for _ in range(3):
        yield EVENT


async def one_and_then_nothing(source: Source) -> AsyncGenerator[bytes, None]:
    yield EVENT
    await asyncio.Event().wait()


async def without_end(source: Source) -> AsyncGenerator[bytes, None]:
    while True:
        yield b": " + b"x" * 2**16 + b"\n\n"


async def broken(source: Source) -> AsyncGenerator[bytes, None]:
    yield EVENT
    raise RuntimeError("broken")


def app_of(source: Source, streams: Streams, *, foreground: bool = False) -> Starlette:
    async def stream(request: Request) -> Response:
        return EventStream(source.read(), streams, user_id="ada", foreground=foreground)

    async def ping(request: Request) -> Response:
        return PlainTextResponse("pong")

    return Starlette(routes=[Route("/stream", stream), Route("/ping", ping)])


async def pong(port: int) -> None:
    client = await Client.get(port, "/ping")
    assert "200 OK" in await client.head()
    await client.close()


async def test_a_stream_sends_its_pieces_as_they_are_and_says_that_it_is_complete() -> None:
    source, streams = Source(three), Streams()
    async with uvicorn_here(app_of(source, streams)) as port:
        client = await Client.get(port, "/stream")
        head = await client.head()
        assert "content-type: text/event-stream; charset=utf-8" in head
        assert "cache-control: no-store" in head
        assert await client.rest() == [EVENT] * 3
        await source.closed.wait()
        assert len(streams) == 0
        await client.close()


async def test_a_stream_without_events_gets_pings() -> None:
    source = Source(one_and_then_nothing)
    async with uvicorn_here(app_of(source, Streams(ping=0.05))) as port:
        client = await Client.get(port, "/stream")
        await client.head()
        assert [await client.chunk() for _ in range(3)] == [EVENT, b": ping\n\n", b": ping\n\n"]
        await client.close()
        await source.closed.wait()


async def test_what_is_streamed_is_closed_when_its_reader_goes_away() -> None:
    source, streams = Source(one_and_then_nothing), Streams()
    async with uvicorn_here(app_of(source, streams)) as port:
        client = await Client.get(port, "/stream")
        await client.head()
        await client.chunk()
        assert not source.closed.is_set()
        await client.close()
        await source.closed.wait()
        await streams.closed()


async def test_a_reader_that_does_not_read_is_cut_off_and_holds_up_nobody() -> None:
    source, streams = Source(without_end), Streams(ping=0.05, stall=0.3)
    async with uvicorn_here(app_of(source, streams)) as port:
        client = await Client.get(port, "/stream")
        await pong(port)
        await source.closed.wait()
        made = source.made
        # What the system buffers for it, and not more.
        assert 0 < made < 200
        await pong(port)
        assert source.made == made
        await client.close()


async def test_a_reader_that_reads_slowly_gets_everything() -> None:
    source, streams = Source(without_end), Streams(ping=0.05, stall=1.5)
    async with uvicorn_here(app_of(source, streams)) as port:
        client = await Client.get(port, "/stream", limit=2**20)
        await client.head()
        for _ in range(100):  # More than is buffered, in more time than a reader may stall.
            assert len(await client.chunk()) == 2**16 + 4
            await asyncio.sleep(0.016)
        assert not source.closed.is_set()
        await client.close()
        await source.closed.wait()


async def test_what_fails_in_the_middle_is_no_complete_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source(broken)
    async with uvicorn_here(app_of(source, Streams())) as port:
        client = await Client.get(port, "/stream")
        await client.head()
        assert await client.chunk() == EVENT
        with pytest.raises(asyncio.IncompleteReadError):
            await client.chunk()
        await client.close()
    assert "broken" in caplog.text


async def test_a_thousand_idle_streams_end_in_good_order_when_the_server_does() -> None:
    source, streams = Source(one_and_then_nothing), Streams(ping=600.0)
    async with uvicorn_here(app_of(source, streams)) as port:
        clients = [await Client.get(port, "/stream") for _ in range(1000)]
        for client in clients:
            await client.head()
            assert await client.chunk() == EVENT
        assert len(streams) == 1000
        await pong(port)
        streams.close()
        for client in clients:
            assert await client.chunk() == b""
        await streams.closed()
        late = await Client.get(port, "/stream")
        await late.head()
        assert await late.rest() in ([], [EVENT])
        for client in (*clients, late):
            await client.close()


async def test_the_stream_of_a_foreground_run_stays_open_until_the_very_end() -> None:
    source, streams = Source(one_and_then_nothing), Streams(ping=0.05)
    async with uvicorn_here(app_of(source, streams, foreground=True)) as port:
        client = await Client.get(port, "/stream")
        await client.head()
        assert await client.chunk() == EVENT
        streams.close()
        assert await client.chunk() == b": ping\n\n"
        streams.close(foreground=True)
        assert {*await client.rest()} <= {b": ping\n\n"}
        await source.closed.wait()
        await client.close()


async def test_a_server_that_cuts_its_requests_off_closes_what_they_stream() -> None:
    source = Source(one_and_then_nothing)
    async with uvicorn_here(app_of(source, Streams())) as port:
        client = await Client.get(port, "/stream")
        await client.head()
        await client.chunk()
    await source.closed.wait()
    await client.close()


async def test_a_user_has_only_so_many_streams_open() -> None:
    source, streams = Source(one_and_then_nothing), Streams(limit=1)
    async with uvicorn_here(app_of(source, streams)) as port:
        streams.check("ada")
        client = await Client.get(port, "/stream")
        await client.head()
        with pytest.raises(RequestError) as refused:
            streams.check("ada")
        assert refused.value.status == 429
        assert refused.value.headers["Retry-After"] == "5"
        streams.check("bob")
        streams.check(None)
        await client.close()
        await streams.closed()
        streams.check("ada")
