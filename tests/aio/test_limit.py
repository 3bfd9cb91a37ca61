"""A time limit that a blocked event loop does not use up."""

import asyncio
import time

import pytest

from kern.aio.limit import answered_within


async def test_what_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with answered_within(0.2):
            await asyncio.Event().wait()
    assert 0.2 <= time.monotonic() - began < 2


async def test_what_is_done_in_time_is_left_alone() -> None:
    async with answered_within(0.2):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)


async def test_a_blocked_loop_uses_up_no_time() -> None:
    ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()
        ended.set()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with answered_within(0.2):
            for _ in range(3):
                writer.write(b"Alive?\n")
                asyncio.get_running_loop().call_soon(time.sleep, 0.3)
                assert await reader.readline() == b"Alive?\n"
        writer.close()
        await ended.wait()
        await asyncio.sleep(0)


async def test_a_cancel_is_passed_on() -> None:
    async def wait() -> None:
        async with answered_within(5):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
