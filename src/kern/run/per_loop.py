"""Resources that belong to one event loop: connections, clients."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Resource = TypeVar("Resource")


class PerLoop(Generic[Resource]):
    """Opens a resource once for each event loop, and closes it when the loop ends.

    The resource lives inside an asynchronous generator. ``asyncio.run`` and everything built on
    ``asyncio.Runner`` close the generators of a loop after its tasks have ended, so the tasks
    can use the resource to the last.
    """

    def __init__(self, open_resource: Callable[[], AsyncGenerator[Resource, None]]) -> None:
        """Prepare, without opening anything.

        Args:
            open_resource: yields the resource once, and closes it after that.
        """
        self._open = open_resource
        self._opening: WeakKeyDictionary[
            asyncio.AbstractEventLoop, asyncio.Future[tuple[Resource, object]]
        ] = WeakKeyDictionary()

    async def get(self) -> Resource:
        """Return the running loop's resource, opened on first use.

        Raises:
            Exception: whatever opening raised; the next call tries again.
        """
        loop = asyncio.get_running_loop()
        opening = self._opening.get(loop)
        if opening is not None and not (opening.done() and _failed(opening)):
            return (await asyncio.shield(opening))[0]
        opening = self._opening[loop] = loop.create_future()
        generator = self._open()
        try:
            resource = await anext(generator)
        except BaseException as error:
            if isinstance(error, Exception):
                opening.set_exception(error)
                opening.exception()  # Seen here; others who wait see it as well.
            else:
                opening.cancel()
            raise
        opening.set_result((resource, generator))
        return resource

    async def close(self) -> None:
        """Close the running loop's resource now; a later :meth:`get` opens it again."""
        opening = self._opening.pop(asyncio.get_running_loop(), None)
        if opening is not None and opening.done() and not _failed(opening):
            _, generator = opening.result()
            assert isinstance(generator, AsyncGenerator)
            await generator.aclose()


def _failed(opening: asyncio.Future[tuple[Resource, object]]) -> bool:
    return opening.cancelled() or opening.exception() is not None
