"""Threads for synchronous functions: how many there are, what waits for them, when they end."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from kern.aio import threads
from kern.aio.threads import Threads, call_in_thread, max_threads
from kern.errors import ConfigurationError, ThreadLimitError

number: ContextVar[int] = ContextVar("number")


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds that nobody tells."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 # a thread tells nobody of its end
            await asyncio.sleep(0.005)


async def test_a_call_has_its_callers_context_and_a_thread_of_its_own() -> None:
    number.set(7)
    assert await call_in_thread(lambda: number.get()) == 7
    assert await call_in_thread(threading.get_ident) != threading.get_ident()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
async def test_what_the_function_raises_comes_to_the_caller(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await call_in_thread(fail)
    assert raised.value is error


async def test_a_stop_iteration_comes_as_an_error_that_a_coroutine_may_raise() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await call_in_thread(lambda: next(iter(())))


async def test_threads_are_used_again_and_end_when_they_are_idle() -> None:
    pool = Threads(usual=4, idle=0.1)
    for _ in range(50):
        await pool.call(lambda: None)
    assert pool.count <= 4
    await until(lambda: pool.count == 0)
    assert await pool.call(lambda: "again") == "again"


async def test_a_call_waits_for_a_thread_and_is_told_when_it_begins() -> None:
    pool, gate, begun = Threads(usual=1, patience=60), threading.Event(), asyncio.Event()
    first = asyncio.create_task(pool.call(gate.wait))
    second = asyncio.create_task(pool.call(lambda: "second", begun.set))
    await asyncio.sleep(0.05)
    assert not begun.is_set()
    gate.set()
    assert await second == "second"
    assert begun.is_set()
    assert await first
    assert pool.count == 1


async def test_calls_that_wait_for_each_other_end() -> None:
    pool = Threads(usual=1, patience=0.05, idle=0.05)
    events = [threading.Event() for _ in range(20)]

    def wait_for_the_next(place: int) -> bool:
        return place == 19 or events[place + 1].wait(10)

    def call(place: int) -> bool:
        waited = wait_for_the_next(place)
        events[place].set()
        return waited

    assert all(await asyncio.gather(*(pool.call(lambda n=n: call(n)) for n in range(20))))  # type: ignore[misc] # a lambda's default
    await until(lambda: pool.count == 0)


async def test_where_no_more_threads_may_be_an_error_names_the_setting() -> None:
    pool, gate = Threads(2, usual=1, patience=0.05), threading.Event()
    busy = [asyncio.create_task(pool.call(gate.wait)) for _ in range(2)]
    await until(lambda: pool.count == 2)
    with pytest.raises(ThreadLimitError, match=r"all 2 .* busy.* raise KERN_MAX_THREADS"):
        await pool.call(lambda: "never")
    gate.set()
    assert all(await asyncio.gather(*busy))
    assert await pool.call(lambda: "room again") == "room again"


async def test_where_the_system_has_no_more_threads_the_call_fails_and_the_next_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = Threads()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ThreadLimitError, match="can't start new thread"):
            await pool.call(lambda: "never")
    assert await pool.call(lambda: "now") == "now"
    assert pool.count == 1


async def test_a_call_that_is_given_up_while_it_waits_is_never_made() -> None:
    pool, gate, made = Threads(usual=1, patience=60), threading.Event(), list[str]()
    first = asyncio.create_task(pool.call(gate.wait))
    second = asyncio.create_task(pool.call(lambda: made.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    gate.set()
    await first
    await pool.call(lambda: made.append("third"))
    assert made == ["third"]


async def test_a_call_that_is_given_up_leaves_its_thread_behind_until_it_returns() -> None:
    pool, gate, begun = (
        Threads(usual=1, patience=0.05, idle=0.05),
        threading.Event(),
        asyncio.Event(),
    )
    call = asyncio.create_task(pool.call(gate.wait, begun.set))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert pool.count == 1
    assert await pool.call(lambda: "by an extra thread") == "by an extra thread"
    gate.set()
    await until(lambda: pool.count == 0)


def test_a_call_that_outlives_its_loop_disturbs_nobody() -> None:
    pool, gate = Threads(idle=0.05), threading.Event()

    async def begin() -> None:
        begun = asyncio.Event()
        call = asyncio.create_task(pool.call(gate.wait, begun.set))
        await begun.wait()
        call.cancel()

    asyncio.run(begin())
    gate.set()
    asyncio.run(until(lambda: pool.count == 0))


def test_a_forked_child_has_threads_of_its_own() -> None:
    script = """
import asyncio, os
from kern.aio.threads import call_in_thread
assert asyncio.run(call_in_thread(os.getpid)) == os.getpid()
child = os.fork()
if child == 0:
    os._exit(asyncio.run(call_in_thread(os.getpid)) != os.getpid())
print(os.waitpid(child, 0)[1])
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("0\n", "")


@pytest.mark.parametrize("value", ["0", "many", "-1", ""])
async def test_a_limit_that_is_no_number_of_threads_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("KERN_MAX_THREADS", value)
    monkeypatch.setattr(threads, "_threads", None)
    with pytest.raises(ConfigurationError, match="KERN_MAX_THREADS must be a number of threads"):
        await call_in_thread(os.getpid)
    monkeypatch.setenv("KERN_MAX_THREADS", "12")
    assert max_threads() == 12
