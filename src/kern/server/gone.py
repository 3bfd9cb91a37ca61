"""Work for a client that waits for it: where the client leaves, the work is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

Result = TypeVar("Result")


async def unless_gone(request: Request, work: Coroutine[object, object, Result]) -> Result:
    """Return what becomes of work for a client; where that leaves, the work is cancelled.

    Args:
        request: the client's request, whose body has been read.
        work: the work.

    Raises:
        ClientDisconnect: it has left.
        Exception: what the work fails of.
    """
    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
