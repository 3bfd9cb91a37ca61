"""Work in the background of an event loop, with an owner."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from typing_extensions import override

from kern.aio.survived import survived

logger = logging.getLogger("kern")


class Tasks:
    """Tasks that live until they have ended, and whose failures are logged."""

    def __init__(self) -> None:
        """Own nothing yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Begin work, in a context of its own: it serves more than who happened to begin it."""
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            survived(logger, error, "work in the background failed")


@asynccontextmanager
async def together() -> AsyncGenerator[asyncio.TaskGroup, None]:
    """Have tasks that end together, of whose failures the first is raised as it is.

    Example:
        >>> async def divide(one: int, other: int) -> float:
        ...     return one / other
        >>> async def main() -> None:
        ...     async with together() as group:
        ...         group.create_task(divide(1, 0))
        >>> asyncio.run(main())
        Traceback (most recent call last):
        ZeroDivisionError: division by zero
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


# How long a task that was cancelled may clean up before it is cancelled once more, in seconds.
_CLEAN_UP = 30.0


def see_out(task: "asyncio.Task[Any]", what: str) -> None:
    """Cancel a task, and own it until it has ended; its caller does not wait for it any more.

    One that has not ended after half a minute is cancelled once more, and a warning says so. What
    it fails of is logged; nobody gets what it returns.

    Args:
        task: the task. Where it returns an exception, it has failed of that.
        what: what it does, for the log.
    """
    if not task.cancelling():  # Once more would interrupt what it does to clean up.
        task.cancel()
    _leaving.start(_see_out(task, what))


_leaving = Tasks()


async def _see_out(task: "asyncio.Task[Any]", what: str) -> None:
    await asyncio.wait({task}, timeout=_CLEAN_UP)
    if not task.done():
        logger.warning(
            "%s goes on %g s after it was stopped; it is stopped once more", what, _CLEAN_UP
        )
        task.cancel()
        await asyncio.wait({task})
    failure = None if task.cancelled() else task.exception() or task.result()
    if isinstance(failure, Exception):
        logger.warning("%s failed while it cleaned up: %r", what, failure)


# How long work goes on that ``asyncio.run`` finds at its end, in seconds.
_AT_THE_END = 60.0


class _Outliving(asyncio.Task[None]):
    """A task that ``asyncio.run`` waits for at its end, for a time, where it cancels all others.

    It does so from outside of its loop; whatever cancels a task from inside, as a time limit within
    it does, is heard as ever.
    """

    @override
    def cancel(self, msg: Any | None = None) -> bool:
        if self.get_loop().is_running():
            return super().cancel(msg)
        self.get_loop().call_later(_AT_THE_END, self.cancel)
        return False


_outliving: WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[None]]] = (
    WeakKeyDictionary()
)


def outlive(work: Coroutine[Any, Any, None], name: str) -> None:
    """Begin work that nobody waits for before the running loop ends; it sees to its own failures.

    Args:
        work: the work.
        name: what it does, for those who look at the loop's tasks.
    """
    loop = asyncio.get_running_loop()
    tasks = _outliving.setdefault(loop, set())
    task = _Outliving(work, loop=loop, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def outlived(timeout: float) -> None:
    """Wait until the running loop's work has ended that outlives its caller.

    Args:
        timeout: seconds after which it is cancelled.
    """
    tasks = _outliving.get(asyncio.get_running_loop(), set())
    ends = asyncio.get_running_loop().time() + timeout
    while tasks and (left := ends - asyncio.get_running_loop().time()) > 0:
        await asyncio.wait(tasks, timeout=left)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)
