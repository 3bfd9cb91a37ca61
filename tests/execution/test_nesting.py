"""Whether all open calls of an attempt wait for other runs."""

import asyncio
import threading

from kern.execution.nesting import OpenCalls, waiting_for_a_run


class Changes:
    """Keeps what it was called with."""

    def __init__(self) -> None:
        self.said: list[bool] = []
        self._changed = asyncio.Event()

    def __call__(self, all_wait: bool) -> None:
        self.said.append(all_wait)
        self._changed.set()

    async def are(self, *expected: bool) -> None:
        async with asyncio.timeout(20):
            while self.said != [*expected]:
                self._changed.clear()
                await self._changed.wait()


async def test_a_call_waits_once_however_often_it_waits_at_a_time() -> None:
    changes = Changes()
    calls = OpenCalls(changes)
    with calls.opened():
        with waiting_for_a_run(), waiting_for_a_run():
            await changes.are(True)
        await changes.are(True, False)
    await asyncio.sleep(0)
    assert changes.said == [True, False]


async def test_all_calls_have_to_wait() -> None:
    changes = Changes()
    calls = OpenCalls(changes)
    busy = calls.opened()
    busy.__enter__()
    with calls.opened(), waiting_for_a_run():
        await asyncio.sleep(0)
        assert changes.said == []
        busy.__exit__(None, None, None)
        await changes.are(True)
    await changes.are(True, False)


async def test_a_call_in_a_thread_waits_as_well() -> None:
    changes = Changes()
    calls = OpenCalls(changes)
    loop, go_on = asyncio.get_running_loop(), threading.Event()

    def wait() -> None:
        with waiting_for_a_run():
            go_on.wait(20)

    with calls.opened():
        waiting = loop.create_task(asyncio.to_thread(wait))
        await changes.are(True)
        go_on.set()
        await waiting
        await changes.are(True, False)


async def test_what_waits_outside_of_a_call_counts_nowhere() -> None:
    with waiting_for_a_run():
        pass
