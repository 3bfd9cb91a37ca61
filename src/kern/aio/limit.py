"""A time limit for answers from outside, which a blocked event loop does not use up."""

import asyncio
from types import TracebackType

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
