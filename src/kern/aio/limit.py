"""A time limit for answers from outside, which a blocked event loop does not use up."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_SLICES = 5


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncGenerator[None, None]:
    """Limit the time for which the loop waits, as :func:`asyncio.timeout` does.

    The time is counted in slices, between which the loop takes in what has arrived. So code that
    blocks the loop uses up one slice, however long it takes, and an answer that lies in the
    socket by then is read first.

    Args:
        seconds: how long to wait.

    Raises:
        TimeoutError: the time was up.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def count(left: int) -> None:
        nonlocal timer
        if left:
            timer = loop.call_later(seconds / _SLICES, count, left - 1)
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        count(_SLICES)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
