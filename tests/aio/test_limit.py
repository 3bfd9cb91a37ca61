"""A time limit that a blocked event loop does not use up."""

import asyncio
import time
from collections.abc import AsyncIterator
from random import Random

import pytest

from kern.aio.limit import Allowance, answered_within
from tests.simulation.loop import Universe


@pytest.fixture
def universe() -> Universe:
    """A time of its own, in which nothing takes longer than it says."""
    return Universe(Random(0))


def test_what_takes_too_long_is_ended(universe: Universe) -> None:
    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with answered_within(0.2):
                await asyncio.Event().wait()

    universe.run(wait())
    assert universe.now == pytest.approx(0.2)


def test_what_is_done_in_time_is_left_alone(universe: Universe) -> None:
    async def wait() -> None:
        async with answered_within(0.2):
            await asyncio.sleep(0.19)
        await asyncio.sleep(0.3)

    universe.run(wait())


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
            for _ in range(2):
                writer.write(b"Alive?\n")
                asyncio.get_running_loop().call_soon(time.sleep, 0.25)
                assert await reader.readline() == b"Alive?\n"
        writer.close()
        await ended.wait()
        await asyncio.sleep(0)


async def test_a_cancel_is_passed_on() -> None:
    async def wait() -> None:
        async with answered_within(60):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


def test_several_waits_share_an_allowance(universe: Universe) -> None:
    async def wait() -> None:
        with Allowance(0.2) as allowance:
            for number in range(100):
                await allowance.wait(asyncio.sleep(0.03))
                waited.append(number)

    waited: list[int] = []
    with pytest.raises(TimeoutError):
        universe.run(wait())
    assert universe.now == pytest.approx(0.2, abs=0.001)
    assert len(waited) == 6


def test_what_is_done_between_waits_is_not_counted(universe: Universe) -> None:
    async def wait() -> None:
        with Allowance(0.2) as allowance:
            await allowance.wait(asyncio.sleep(0.05))
            await asyncio.sleep(0.3)
            await allowance.wait(asyncio.sleep(0.05))
            await asyncio.sleep(0.3)
            with pytest.raises(TimeoutError):
                await allowance.wait(asyncio.Event().wait())

    universe.run(wait())
    assert universe.now == pytest.approx(0.8, abs=0.001)


def test_an_allowance_that_is_used_up_ends_the_next_wait_too(universe: Universe) -> None:
    async def wait() -> None:
        with Allowance(0.05) as allowance:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await allowance.wait(asyncio.Event().wait())
            assert (task := asyncio.current_task()) is not None
            assert not task.cancelling()

    universe.run(wait())


def test_a_blocked_loop_uses_up_no_allowance(universe: Universe) -> None:
    def block() -> None:
        universe.now += 0.2

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        loop.call_later(0.02, arrived.set_result, "here")
        with Allowance(0.05) as allowance:
            loop.call_soon(block)
            assert await allowance.wait(arrived) == "here"

    universe.run(wait())


async def test_a_cancel_during_an_allowance_is_passed_on() -> None:
    async def wait() -> None:
        with Allowance(60) as allowance:
            await allowance.wait(asyncio.Event().wait())

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


def test_what_comes_one_by_one_shares_an_allowance(universe: Universe) -> None:
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
        universe.run(read())
    assert len(seen) == 6
