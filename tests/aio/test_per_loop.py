"""Resources of an event loop: opened once, shared, closed at its end."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncGenerator

import pytest

from kern.aio.per_loop import PerLoop


class Opener:
    """Opens numbers, and keeps what it did; waits for ``gate`` where there is one."""

    def __init__(self) -> None:
        self.opened: list[asyncio.AbstractEventLoop] = []
        self.closed: list[int] = []
        self.errors: list[Exception] = []
        self.begun = asyncio.Event()
        self.failed = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> AsyncGenerator[int, None]:
        self.opened.append(asyncio.get_running_loop())
        number = len(self.opened)
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            self.failed.set()
            raise self.errors.pop(0)
        try:
            yield number
        finally:
            self.closed.append(number)


async def test_many_who_ask_at_once_share_one_resource() -> None:
    opener = Opener()
    numbers = PerLoop(opener)
    opener.gate = asyncio.Event()
    asking = [asyncio.create_task(numbers.get()) for _ in range(50)]
    await opener.begun.wait()
    opener.gate.set()
    assert await asyncio.gather(*asking) == [1] * 50
    assert await numbers.get() == 1
    assert len(opener.opened) == 1


def test_it_is_closed_at_the_end_of_the_loop_after_the_tasks_ended() -> None:
    opener = Opener()
    numbers = PerLoop(opener)
    used_at_the_end: list[int] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            used_at_the_end.append(await numbers.get())
            assert opener.closed == []

    async def main() -> asyncio.Task[None]:
        await numbers.get()
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        return task

    task = asyncio.run(main())
    assert task.cancelled()
    assert used_at_the_end == [1]
    assert opener.closed == [1]


async def test_opening_is_tried_again_after_a_failure() -> None:
    opener = Opener()
    opener.errors.append(OSError("refused"))
    numbers = PerLoop(opener)
    with pytest.raises(OSError, match="refused"):
        await numbers.get()
    assert await numbers.get() == 2


async def test_all_who_wait_learn_of_a_failure() -> None:
    opener = Opener()
    opener.errors.append(OSError("refused"))
    opener.gate = asyncio.Event()
    numbers = PerLoop(opener)
    asking = [asyncio.create_task(numbers.get()) for _ in range(3)]
    await opener.begun.wait()
    opener.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["refused"] * 3


async def test_a_failure_that_nobody_waits_for_any_more_makes_no_noise() -> None:
    heard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    opener = Opener()
    opener.errors.append(OSError("refused"))
    opener.gate = asyncio.Event()
    numbers = PerLoop(opener)
    asking = asyncio.create_task(numbers.get())
    await opener.begun.wait()
    asking.cancel()
    await asyncio.wait({asking})
    del asking
    opener.gate.set()
    await opener.failed.wait()
    await asyncio.sleep(0)
    del numbers
    gc.collect()
    assert heard == []


@pytest.mark.parametrize("leaving", [0, 1])
async def test_one_who_leaves_does_not_break_the_others(leaving: int) -> None:
    opener = Opener()
    opener.gate = asyncio.Event()
    numbers = PerLoop(opener)
    asking = [asyncio.create_task(numbers.get()) for _ in range(3)]
    await opener.begun.wait()
    asking[leaving].cancel()
    await asyncio.wait({asking[leaving]})
    assert asking[leaving].cancelled()
    opener.gate.set()
    staying = [task for task in asking if task is not asking[leaving]]
    assert await asyncio.gather(*staying) == [1, 1]


def test_each_loop_has_its_own() -> None:
    opener = Opener()
    numbers = PerLoop(opener)

    async def get() -> int:
        return await numbers.get()

    assert [asyncio.run(get()) for _ in range(3)] == [1, 2, 3]
    assert len(set(opener.opened)) == 3
    assert opener.closed == [1, 2, 3]


def test_loops_in_several_threads_do_not_disturb_each_other() -> None:
    opener = Opener()
    numbers = PerLoop(opener)
    together = threading.Barrier(8)
    found: list[int] = []

    async def get() -> None:
        together.wait(10)
        found.append(await numbers.get())

    threads = [threading.Thread(target=lambda: asyncio.run(get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == len(opener.closed) == len(set(opener.opened)) == 8


def test_a_loop_that_ends_while_opening_is_in_progress_leaves_nothing_behind() -> None:
    opener = Opener()
    numbers = PerLoop(opener)

    async def main() -> None:
        opener.gate = asyncio.Event()
        opener.begun = asyncio.Event()
        asking = asyncio.create_task(numbers.get())
        await opener.begun.wait()
        assert not asking.done()

    asyncio.run(main())
    opener.gate = None

    async def get() -> int:
        return await numbers.get()

    assert asyncio.run(get()) == 2
    assert opener.closed == [2]


def test_loops_that_ended_are_forgotten() -> None:
    opener = Opener()
    numbers = PerLoop(opener)

    async def get() -> weakref.ref[asyncio.AbstractEventLoop]:
        await numbers.get()
        return weakref.ref(asyncio.get_running_loop())

    loops = [asyncio.run(get()) for _ in range(5)]
    opener.opened.clear()
    gc.collect()
    assert len([loop for loop in loops if loop() is not None]) <= 1
