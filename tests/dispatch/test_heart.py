"""The heart: leases are extended although an event loop is blocked, until it counts as dead."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import cast

from typing_extensions import override

from kern.db.database import Database
from kern.db.heart import Heart
from kern.db.in_memory import InMemoryDb
from kern.dispatch.heart import HeartThread, Pulse
from kern.errors import DatabaseUnavailableError

Attempts = Sequence[tuple[str, int]]


class Beats(Heart):
    """Keeps what it was asked to extend."""

    def __init__(self, failures: int = 0) -> None:
        self.extended: list[list[tuple[str, int]]] = []
        self.closed = threading.Event()
        self._failures = failures
        self._beaten = threading.Condition()

    @override
    def extend(self, attempts: Attempts, lease: float) -> dict[str, bool]:
        with self._beaten:
            self.extended.append(list(attempts))
            self._beaten.notify_all()
        if len(self.extended) <= self._failures:
            raise DatabaseUnavailableError("it is away")
        return {run_id: False for run_id, _ in attempts}

    @override
    def close(self) -> None:
        self.closed.set()

    def wait(self, count: int, timeout: float = 20.0) -> bool:
        with self._beaten:
            return self._beaten.wait_for(lambda: len(self.extended) >= count, timeout)


class Hearted:
    """A database, as far as a heart needs one."""

    def __init__(self, heart: Heart) -> None:
        self._heart = heart

    def open_heart(self) -> Heart:
        return self._heart


def beating(beats: Beats, pulse: Pulse) -> tuple[HeartThread, Hearted]:
    database = Hearted(beats)
    thread = HeartThread(cast(Database, database))
    thread.join(pulse)
    return thread, database


async def test_a_blocked_loop_loses_no_lease() -> None:
    beats, told = Beats(), asyncio.Event()
    pulse = Pulse(lambda: [("run", 1)], lambda *_: told.set(), 0.06, max_loop_block=60)
    thread, _database = beating(beats, pulse)
    assert beats.wait(10), "the loop was blocked by this very wait"
    assert beats.extended[0] == [("run", 1)]
    await asyncio.wait_for(told.wait(), 20)
    thread.leave(pulse)
    assert await asyncio.to_thread(beats.closed.wait, 20)


async def test_a_dead_loop_loses_its_leases() -> None:
    beats = Beats()
    pulse = Pulse(lambda: [("run", 1)], lambda *_: None, 0.06, max_loop_block=0.2)
    thread, _database = beating(beats, pulse)
    began = time.monotonic()
    count = -1
    while len(beats.extended) > count:  # The loop answers nothing: it is blocked here.
        count = len(beats.extended)
        beats.wait(count + 1, timeout=0.5)
        assert time.monotonic() - began < 10
    await asyncio.sleep(0.01)
    assert await asyncio.to_thread(beats.wait, count + 1), "it answers again"
    thread.leave(pulse)


async def test_a_loop_that_executes_nothing_costs_nothing() -> None:
    beats = Beats()
    asked = threading.Semaphore(0)

    def nothing() -> list[tuple[str, int]]:
        asked.release()
        return []

    pulse = Pulse(nothing, lambda *_: None, 0.03, max_loop_block=60)
    thread, _database = beating(beats, pulse)
    for _ in range(5):
        assert await asyncio.to_thread(asked.acquire, timeout=20)
    assert beats.extended == []
    thread.leave(pulse)


async def test_it_goes_on_after_an_outage() -> None:
    beats = Beats(failures=3)
    told = asyncio.Event()
    pulse = Pulse(lambda: [("run", 1)], lambda *_: told.set(), 0.03, max_loop_block=60)
    thread, _database = beating(beats, pulse)
    await asyncio.wait_for(told.wait(), 20)
    assert len(beats.extended) > 3
    thread.leave(pulse)


async def test_a_process_has_one_heart_for_a_database() -> None:
    db, other = InMemoryDb(), InMemoryDb()
    assert HeartThread.of(db) is HeartThread.of(db)
    assert HeartThread.of(db) is not HeartThread.of(other)
