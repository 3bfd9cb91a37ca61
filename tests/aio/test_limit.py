"""A time limit that a blocked event loop does not use up."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from kern.aio.limit import Allowance, answered_within


async def test_what_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with answered_within(0.2):
            await asyncio.Event().wait()
    assert time.monotonic() - began >= 0.2


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


async def test_several_waits_share_an_allowance() -> None:
    async def wait() -> None:
        with Allowance(0.2) as allowance:
            for number in range(100):
                await allowance.wait(asyncio.sleep(0.03))
                waited.append(number)

    waited: list[int] = []
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await wait()
    assert time.monotonic() - began >= 0.2
    assert len(waited) <= 8, "a fifth of the time more, where something has blocked the loop"


async def test_what_is_done_between_waits_is_not_counted() -> None:
    with Allowance(0.2) as allowance:
        await allowance.wait(asyncio.sleep(0.05))
        await asyncio.sleep(0.3)
        await allowance.wait(asyncio.sleep(0.05))
        await asyncio.sleep(0.3)
        with pytest.raises(TimeoutError):
            await allowance.wait(asyncio.Event().wait())


async def test_an_allowance_that_is_used_up_ends_the_next_wait_too() -> None:
    with Allowance(0.05) as allowance:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await allowance.wait(asyncio.Event().wait())
        assert (task := asyncio.current_task()) is not None
        assert not task.cancelling()


async def test_a_blocked_loop_uses_up_no_allowance() -> None:
    arrived = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.02, arrived.set_result, "here")
    with Allowance(0.05) as allowance:
        asyncio.get_running_loop().call_soon(time.sleep, 0.2)
        assert await allowance.wait(arrived) == "here"


async def test_a_cancel_during_an_allowance_is_passed_on() -> None:
    async def wait() -> None:
        with Allowance(5) as allowance:
            await allowance.wait(asyncio.Event().wait())

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_what_comes_one_by_one_shares_an_allowance() -> None:
    async def drip() -> AsyncIterator[int]:
        for number in range(100):
            await asyncio.sleep(0.03)
            yield number

    async def read() -> None:
        with Allowance(0.2) as allowance:
            async for number in allowance.each(drip()):
                seen.append(number)

    seen: list[int] = []
    with pytest.raises(TimeoutError):
        await read()
    assert 0 < len(seen) <= 8
