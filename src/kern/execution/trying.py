"""How the function of a step is called: in which thread, how often, and for how long."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent import futures
from functools import partial
from itertools import count
from typing import TypeAlias, TypeVar

from kern.aio.threads import call_in_thread
from kern.errors import AgentRunException, InvalidInputError, StepError, ThreadLimitError, described
from kern.run.codec import ID_LIMIT
from kern.run.numbers import check_count, check_seconds
from kern.run.printable import in_log

logger = logging.getLogger("kern")

Result = TypeVar("Result")

Call: TypeAlias = Callable[[], Awaitable[object]]

PASSED_ON = (ThreadLimitError, StepError, AgentRunException)
"""What says something else than that a step's function has failed."""

# How long a step waits before it is tried again, in seconds, however often that was doubled.
_LONGEST_DELAY = 300.0


def check_step(name: str, retries: int, delay: float, timeout: float | None) -> None:
    """Make sure that a step is asked for with what it can have.

    Raises:
        InvalidInputError: it is not, and why.
    """
    if not isinstance(name, str) or not 0 < len(name) <= ID_LIMIT:
        raise InvalidInputError(
            f"A step's name must be a text of 1 to {ID_LIMIT} characters, not {name!r:.50}."
        )
    check_count("retries", retries, least=0)
    check_seconds("delay", delay, from_zero=True)
    if timeout is not None:
        check_seconds("timeout", timeout)


async def called(
    function: Callable[..., object], arguments: tuple[object, ...], timeout: float | None
) -> object:
    """Call a step's function, in a thread unless it is asynchronous, within its time limit."""
    limit = asyncio.timeout(None)

    def begin() -> None:  # The wait for a thread is not counted.
        if timeout is not None:
            limit.reschedule(asyncio.get_running_loop().time() + timeout)

    try:
        async with limit:
            if inspect.iscoroutinefunction(inspect.unwrap(function)):
                begin()
                result = function(*arguments)
            else:
                result = await call_in_thread(partial(function, *arguments), begin)
            return await result if inspect.isawaitable(result) else result
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"it did not return within {timeout:g} s") from None
        raise


async def tried(call: Call, retries: int, delay: float, shown: str) -> object:
    """Call a step's function until it does not raise, or was tried often enough.

    Args:
        call: calls it.
        retries: how often it is tried again.
        delay: seconds before that, doubled each time.
        shown: which step it is, for the log.

    Raises:
        Exception: what it raised at its last try, or what is :data:`PASSED_ON`.
    """
    for tries in count():
        try:
            return await call()
        except PASSED_ON:
            raise
        except Exception as error:
            if tries >= retries:
                raise
            told = in_log(described(error))
            logger.warning("%s failed and is tried again: %s", shown, told)
        await asyncio.sleep(min(delay * 2 ** min(tries, 20), _LONGEST_DELAY))
    raise AssertionError("it has returned or raised")


def fulfil(calling: futures.Future[object], call: Callable[[], object]) -> None:
    """Call a step's function in this thread, for who waits for it on the event loop."""
    if not calling.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except StopIteration as error:  # A future of asyncio cannot hold it.
        calling.set_exception(RuntimeError(f"StopIteration: {error}"))
    except BaseException as error:
        calling.set_exception(error)
    else:
        calling.set_result(result)


def waited(future: futures.Future[Result]) -> Result:
    """Return what came of something on the event loop; a cancel ends the thread's code, too."""
    try:
        return future.result()
    except futures.CancelledError:
        raise asyncio.CancelledError from None
