"""The event loop in virtual time keeps what asyncio promises, and repeats itself."""

import asyncio
import time
from collections.abc import AsyncGenerator
from random import Random

import pytest

from tests.simulation.loop import BusyLoopError, Universe


def test_time_jumps_to_the_next_timer() -> None:
    universe, began = Universe(Random(1)), time.monotonic()

    async def sleep() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert universe.run(sleep()) == 3600
    assert time.monotonic() - began < 1


def _order(seed: int) -> list[str]:
    universe, order = Universe(Random(seed)), []

    async def write(name: str) -> None:
        for number in range(3):
            order.append(f"{name}{number}")
            await asyncio.sleep(0)

    async def write_all() -> None:
        async with asyncio.TaskGroup() as group:
            for name in "abcdef":
                group.create_task(write(name))

    universe.run(write_all())
    return order


def test_the_order_of_what_is_ready_depends_on_the_seed_alone() -> None:
    assert _order(1) == _order(1)
    assert len({tuple(_order(seed)) for seed in range(10)}) == 10


def test_what_becomes_ready_runs_after_what_is_ready() -> None:
    numbers = [int(each[1:]) for each in _order(3)]
    assert numbers == sorted(numbers)


def test_a_set_of_tasks_has_the_same_order_each_time() -> None:
    async def names() -> list[str]:
        tasks = {asyncio.create_task(asyncio.sleep(0), name=f"{n}") for n in range(50)}
        await asyncio.wait(tasks)
        return [task.get_name() for task in tasks]

    first = Universe(Random(1)).run(names())
    garbage = [object() for _ in range(1001)]
    second = Universe(Random(1)).run(names())
    assert len(garbage) == 1001
    assert first == second


def test_loops_have_clocks_of_their_own_and_share_time() -> None:
    universe = Universe(Random(1))
    late = universe.loop("late", offset=-100.0)
    seen: list[float] = []

    async def look() -> None:
        await asyncio.sleep(10)
        seen.append(asyncio.get_running_loop().time())

    late.create_task(look())
    universe.run(asyncio.sleep(20))
    assert seen == [-90.0]
    assert universe.now == 20
    late.close()


def test_a_frozen_loop_runs_nothing_until_it_is_thawed() -> None:
    universe = Universe(Random(1))
    frozen = universe.loop("frozen")
    seen: list[float] = []

    async def look() -> None:
        await asyncio.sleep(1)
        seen.append(universe.now)

    async def thaw() -> None:
        await asyncio.sleep(0.5)
        frozen.frozen = True
        await asyncio.sleep(9.5)
        frozen.frozen = False
        await asyncio.sleep(0.1)

    frozen.create_task(look())
    universe.run(thaw())
    assert seen == [10.0]
    frozen.close()


def test_timeouts_events_and_other_loops_work_as_ever() -> None:
    universe = Universe(Random(1))
    other = universe.loop("other")

    async def work() -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        elsewhere = asyncio.run_coroutine_threadsafe(asyncio.sleep(2, "done"), other)
        return await asyncio.wrap_future(elsewhere)

    assert universe.run(work()) == "done"
    assert universe.now == 7
    other.close()


def test_functions_for_threads_run_in_place() -> None:
    async def work() -> int:
        return await asyncio.to_thread(lambda: 7)

    assert Universe(Random(1)).run(work()) == 7


def test_an_asynchronous_generator_that_is_left_is_closed() -> None:
    universe, closed = Universe(Random(1)), []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(1)
            closed.append(universe.now)

    async def work() -> None:
        async for _ in numbers():
            break
        kept = numbers()
        await anext(kept)
        await asyncio.sleep(5)
        assert closed == [1.0]
        await asyncio.get_running_loop().shutdown_asyncgens()

    universe.run(work())
    assert closed == [1.0, 6.0]


def test_a_wait_for_what_never_comes_is_an_error() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="will never come"):
        Universe(Random(1)).run(wait())


def test_turning_without_waiting_is_an_error() -> None:
    async def turn() -> None:
        while True:  # noqa: ASYNC110 # that is the error
            await asyncio.sleep(0)

    with pytest.raises(BusyLoopError):
        Universe(Random(1)).run(turn())
