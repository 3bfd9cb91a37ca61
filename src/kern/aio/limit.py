"""Time limits for answers from outside, which a blocked event loop does not use up."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from types import TracebackType
from typing import Self, TypeVar

Answer = TypeVar("Answer")

_SLICES = 5


class answered_within:  # noqa: N801 # used as asyncio.timeout is
    """Limits the time for which the loop waits, as :func:`asyncio.timeout` does.

    The time is counted in slices, between which the loop takes in what has arrived. So code that
    blocks the loop uses up one slice, however long it takes, and an answer that lies in the
    socket by then is read first. When the time is up, TimeoutError is raised.
    """

    __slots__ = ("_limit", "_slice", "_timer")

    def __init__(self, seconds: float) -> None:
        """Prepare.

        Args:
            seconds: how long to wait.
        """
        self._slice = seconds / _SLICES
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._count(asyncio.get_running_loop(), _SLICES)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._limit.__aexit__(kind, error, traceback)

    def _count(self, loop: asyncio.AbstractEventLoop, left: int) -> None:
        if left:
            self._timer = loop.call_later(self._slice, self._count, loop, left - 1)
        else:
            self._limit.reschedule(loop.time())


class Allowance:
    """The time for which one thing may be waited for in all, over any number of waits.

    What is done between the waits does not count. A wait costs next to nothing: there is one timer
    for all of them. If it fires late, for something has blocked the loop, it allows another fifth
    of the time, once, so that what has arrived meanwhile is read first.
    """

    def __init__(self, seconds: float | None) -> None:
        """Prepare; use it in a ``with`` block.

        Args:
            seconds: how long to wait in all; None for any time.
        """
        self._left = math.inf if seconds is None else seconds
        self._slice = self._left / _SLICES
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._since = 0.0
        self._is_up = self._has_cancelled = False

    def __enter__(self) -> Self:
        if self._left < math.inf:
            self._count(self._left)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def wait(self, answer: Awaitable[Answer]) -> Answer:
        """Return what is awaited.

        Raises:
            TimeoutError: the time is up.
        """
        task = asyncio.current_task()
        assert task is not None, "only a task can be interrupted"
        cancels = task.cancelling()
        self._waiting, self._since = task, self._loop.time()
        if self._is_up:
            self._count(0.0)
        try:
            return await answer
        except asyncio.CancelledError:
            if self._has_cancelled and task.cancelling() <= cancels + 1:
                raise TimeoutError from None
            raise
        finally:
            self._waiting = None
            self._left -= self._loop.time() - self._since
            if self._has_cancelled:
                self._has_cancelled = False
                task.uncancel()

    async def each(self, answers: AsyncIterable[Answer]) -> AsyncGenerator[Answer, None]:
        """Yield what comes, waiting for each.

        Raises:
            TimeoutError: the time is up.
        """
        coming = aiter(answers)
        while True:
            try:
                answer = await self.wait(anext(coming))
            except StopAsyncIteration:
                return
            yield answer

    def _count(self, seconds: float) -> None:
        self._is_up = False
        self._timer = self._loop.call_later(seconds, self._look, self._loop.time() + seconds)

    def _look(self, due: float) -> None:
        now = self._loop.time()
        left = self._left - (now - self._since if self._waiting is not None else 0.0)
        if left > 0:
            self._count(left)
        elif now - due > self._slice:
            self._left += self._slice - left
            self._count(self._slice)
            self._slice = math.inf
        else:
            self._is_up = True
            if self._waiting is not None:
                self._has_cancelled = True
                self._waiting.cancel()
