"""Threads for the synchronous functions of users, which may block for any time.

There are a few dozen threads. A call that has waited a second for one gets an extra one, so that
calls which wait for each other end; at a hard ceiling an error names the setting. The threads of
event loops and of other libraries are left to these.
"""

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TypeVar, cast

from kern.errors import ConfigurationError, ThreadLimitError

Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Call:
    """A function that is to be called, and the event loop that waits for its result."""

    function: Callable[[], object]
    begun: Callable[[], object]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[object]
    context: Context = field(default_factory=copy_context)

    def make(self) -> None:
        """Call the function, in the thread that was found for it."""
        self._report(self.begun)
        try:
            result = self.context.run(self.function)
        except StopIteration as error:  # A future cannot hold it.
            self._report(self.future.set_exception, RuntimeError(f"StopIteration: {error}"))
        except BaseException as error:
            self._report(self.future.set_exception, error)
        else:
            self._report(self.future.set_result, result)

    def _report(self, report: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # The loop is closed, so nobody waits any more.
            self.loop.call_soon_threadsafe(self._take, report, *values)

    def _take(self, report: Callable[..., object], *values: object) -> None:
        if not self.future.done():
            report(*values)


class Threads:
    """Calls functions in threads, which begin when they are needed and end when they are idle."""

    def __init__(
        self, most: int = 1000, *, usual: int = 40, patience: float = 1.0, idle: float = 10.0
    ) -> None:
        """Start no thread yet.

        Args:
            most: how many threads there may ever be.
            usual: how many there are before a call waits for one.
            patience: seconds that a call waits before it gets an extra thread.
            idle: seconds without a call after which a thread ends.
        """
        self.most = most
        self._usual = usual
        self._patience = patience
        self._idle = idle
        self._changed = threading.Condition()
        self._waiting: OrderedDict[_Call, None] = OrderedDict()
        self._count = 0
        self._free = 0

    @property
    def count(self) -> int:
        """How many threads there are."""
        return self._count

    async def call(
        self, function: Callable[[], Result], begun: Callable[[], object] = lambda: None
    ) -> Result:
        """Return what the function returns, called in a thread with the caller's context.

        Where this is cancelled, a function that waits for its thread is not called, and one that
        was called is left behind: its thread is free again once it returns.

        Args:
            function: the function.
            begun: called on the event loop when a thread begins with the function.

        Raises:
            ThreadLimitError: as many threads as there may be were busy.
            Exception: what the function raised.
        """
        loop = asyncio.get_running_loop()
        call = _Call(function, begun, loop, loop.create_future())
        timer = loop.call_later(self._patience, self._extend, call)
        try:
            self._put(call)
            return cast(Result, await call.future)
        finally:
            timer.cancel()
            with self._changed:
                self._waiting.pop(call, None)

    def _put(self, call: _Call) -> None:
        with self._changed:
            is_new = self._free <= len(self._waiting) and self._count < min(self._usual, self.most)
            if is_new:
                self._count += 1
            else:
                self._waiting[call] = None
                self._changed.notify()
        if is_new:
            self._start(call)

    def _extend(self, call: _Call) -> None:
        """Start an extra thread for a call that has waited too long."""
        with self._changed:
            if call not in self._waiting:
                return
            del self._waiting[call]
            is_new = self._count < self.most
            self._count += is_new
        if is_new:
            self._start(call)
        else:
            self._refuse(call, f"all {self.most} that there may be are busy")

    def _start(self, call: _Call) -> None:
        thread = threading.Thread(target=self._serve, args=(call,), name="kern-tool", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            with self._changed:
                self._count -= 1
            self._refuse(call, f"{error}, beside {self._count}")

    def _refuse(self, call: _Call, why: str) -> None:
        if not call.future.done():
            call.future.set_exception(
                ThreadLimitError(
                    f"There is no thread for a synchronous function: {why}. Let fewer runs "
                    "execute at once, make the function asynchronous, or raise KERN_MAX_THREADS."
                )
            )

    def _serve(self, call: _Call | None) -> None:
        while call is not None:
            call.make()
            call = None  # What it holds is not kept while the thread is idle.
            call = self._next()

    def _next(self) -> _Call | None:
        """Wait for a call; None where the thread is to end."""
        with self._changed:
            self._free += 1
            self._changed.wait_for(lambda: self._waiting, self._idle)
            self._free -= 1
            if self._waiting:
                return self._waiting.popitem(last=False)[0]
            self._count -= 1
            return None


_threads: Threads | None = None


async def call_in_thread(
    function: Callable[[], Result], begun: Callable[[], object] = lambda: None
) -> Result:
    """Return what the function returns, called in one of the process's threads.

    See :meth:`Threads.call`.

    Raises:
        ConfigurationError: ``KERN_MAX_THREADS`` is no number of threads.
    """
    global _threads
    if _threads is None:
        _threads = Threads(max_threads())
    return await _threads.call(function, begun)


def max_threads() -> int:
    """Return how many threads the environment allows (``KERN_MAX_THREADS``, default 1,000).

    Raises:
        ConfigurationError: it is no number of threads.
    """
    value = os.environ.get("KERN_MAX_THREADS", "1000")
    if not value.isdecimal() or not int(value):
        raise ConfigurationError(
            f"KERN_MAX_THREADS must be a number of threads from 1 on, not {value!r}."
        )
    return int(value)


def limit_threads(most: int) -> None:
    """Have at most so many threads in this process; those that are busy go on."""
    global _threads
    if _threads is None:
        _threads = Threads(most)
    _threads.most = most


def _forget() -> None:
    """A forked child has the parent's count of threads, but none of them."""
    global _threads
    if _threads is not None:
        _threads = Threads(_threads.most)


os.register_at_fork(after_in_child=_forget)
