"""Event loops in virtual time: nothing waits, and what is ready runs in an order of chance.

Each simulated process has a loop of its own, and one :class:`Universe` steps through them all in
one thread. Where nothing is ready its time jumps to the next timer.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, copy_context
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, TypeVar, TypeVarTuple
from weakref import ref

from typing_extensions import override

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

# So many callbacks at one moment are a loop that turns without waiting for anything.
_BUSY = 100_000

_NEVER = float("inf")

# What every wait takes at least, in seconds: by rounding, a short one could take nothing.
_TICK = 1e-6


class BusyLoopError(Exception):
    """Something turns in circles without waiting."""


class Universe:
    """The time that all loops share, and the chance that orders what happens in them.

    Attributes:
        now: the virtual time, in seconds.
        random: where all chance comes from.
        steps: how many callbacks have run.
        numbers: tell its tasks apart.
    """

    def __init__(self, random: Random) -> None:
        """Begin at time 0, with no loop."""
        self.now = 0.0
        self.random = random
        self.steps = 0
        self.numbers = count()
        self._loops: list[Loop] = []
        self._at_once = 0

    def loop(self, name: str, offset: float = 0.0) -> "Loop":
        """Return a new loop.

        Args:
            name: for who reads the trace.
            offset: by how many seconds its clock differs.
        """
        loop = Loop(self, name, offset)
        self._loops.append(loop)
        return loop

    def forget(self, loop: "Loop") -> None:
        """Step through a loop no more."""
        self._loops.remove(loop)

    def step(self) -> "Loop | None":
        """Run one callback of one loop; return the loop, or None where nothing will ever come.

        Raises:
            BusyLoopError: too many callbacks ran without any time passing.
        """
        moments = [loop.ready_at for loop in self._loops]
        soonest = min(moments, default=_NEVER)
        if soonest == _NEVER:
            return None
        if soonest > self.now:
            self.now = soonest
            self._at_once = 0
        ready = [loop for loop, at in zip(self._loops, moments, strict=True) if at <= self.now]
        self._at_once += 1
        if self._at_once > _BUSY:
            raise BusyLoopError(f"{_BUSY} callbacks ran at {self.now:.3f}, and no time passed.")
        self.steps += 1
        loop = ready[0] if len(ready) == 1 else self.random.choice(ready)
        loop.step()
        return loop

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        """Run work on a loop of its own, and all other loops beside it, until it is done.

        Raises:
            RuntimeError: it waits for something that will never come.
        """
        loop = self.loop("main")
        task = loop.create_task(work)
        try:
            while not task.done():
                if self.step() is None:
                    raise RuntimeError(f"{task} waits for what will never come.")
            return task.result()
        finally:
            task.cancel()
            loop.run_ready(100)
            self.forget(loop)
            loop.close()


class Loop(asyncio.BaseEventLoop):
    """The event loop of one simulated process.

    Attributes:
        name: the process.
        frozen: whether it is stopped for now, as by SIGSTOP.
        owner: the simulated process, for who finds only its loop.
    """

    def __init__(self, universe: Universe, name: str, offset: float) -> None:
        """Make it; only a universe does."""
        super().__init__()
        self.name = name
        self.frozen = False
        self.owner: object = None
        self._universe = universe
        self._offset = offset
        self._soon: list[_Callback] = []
        self._batch: list[_Callback] = []
        self._timers: list[tuple[float, int, _Callback]] = []
        self._generators: list[ref[AsyncGenerator[object, object]]] = []
        self.set_task_factory(self._new_task)

    def __repr__(self) -> str:
        return f"<loop of {self.name}>"

    @property
    def ready_at(self) -> float:
        """From when on it has something to run, in the universe's time."""
        if self.frozen:
            return _NEVER
        if self._batch or self._soon:
            return self._universe.now
        while self._timers and self._timers[0][2][0].cancelled():
            heappop(self._timers)
        return self._timers[0][0] if self._timers else _NEVER

    def step(self) -> None:
        """Run one callback; what it makes ready runs after all that is ready by now."""
        if not self._batch:
            while self._timers and self._timers[0][0] <= self._universe.now:
                self._soon.append(heappop(self._timers)[2])
            self._batch, self._soon = self._soon, []
            self._universe.random.shuffle(self._batch)
        handle, callback, args, context = self._batch.pop()
        if handle.cancelled():
            return
        before, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(self._generator_begins, self._generator_is_left)
        try:
            context.run(callback, *args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.call_exception_handler(
                {"message": f"{callback!r} failed", "exception": error, "handle": handle}
            )
        finally:
            asyncio._set_running_loop(before)
            sys.set_asyncgen_hooks(*hooks)

    def run_ready(self, most: int = 10_000) -> None:
        """Run what is ready, and what that makes ready, without any time passing."""
        while most and self.ready_at <= self._universe.now:
            self.step()
            most -= 1

    def _generator_begins(self, generator: AsyncGenerator[object, object]) -> None:
        self._generators.append(ref(generator))

    def _generator_is_left(self, generator: AsyncGenerator[object, object]) -> None:
        if not self.is_closed():
            self.create_task(_close(generator))

    def _new_task(
        self,
        _loop: asyncio.AbstractEventLoop,
        work: Any,
        *,
        context: Context | None = None,
    ) -> asyncio.Future[Any]:
        return _Task(next(self._universe.numbers), work, self, context)

    @override
    def time(self) -> float:
        return self._universe.now + self._offset

    @override
    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        if not self.is_closed():
            self._soon.append((handle, callback, args, context))
        return handle

    @override
    def call_soon_threadsafe(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        return self.call_soon(callback, *args, context=context)

    @override
    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        entry = (handle, callback, args, context)
        moment = max(when - self._offset, self._universe.now + _TICK)
        heappush(self._timers, (moment, next(self._universe.numbers), entry))
        return handle

    @override
    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*Arguments], Result],
        *args: *Arguments,
    ) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    @override
    def add_signal_handler(
        self, sig: int, callback: Callable[[*Arguments], object], *args: *Arguments
    ) -> None:
        """Do nothing: no signal comes to a simulated process."""

    @override
    def remove_signal_handler(self, sig: int) -> bool:
        return False

    @override
    async def shutdown_asyncgens(self) -> None:
        generators = [each() for each in self._generators]
        self._generators.clear()
        for generator in generators:
            if generator is not None:
                await generator.aclose()

    @override
    def close(self) -> None:
        self._soon, self._batch, self._timers = [], [], []
        super().close()


_Callback = tuple[asyncio.Handle, Callable[..., object], tuple[Any, ...], Context]


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    def __init__(
        self, number: int, work: Coroutine[Any, Any, Any], loop: Loop, context: Context | None
    ) -> None:
        self._number = number
        super().__init__(work, loop=loop, context=context)

    @override
    def __hash__(self) -> int:
        return self._number


async def _close(generator: AsyncGenerator[object, object]) -> None:
    await generator.aclose()
