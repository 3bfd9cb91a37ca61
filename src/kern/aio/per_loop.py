"""Resources that belong to one event loop: connections, clients."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Generic, TypeAlias, TypeVar

from kern.errors import ConfigurationError

Resource = TypeVar("Resource")

_Opened: TypeAlias = tuple[Resource, AsyncGenerator[Resource, None]]


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
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Task[_Opened[Resource]]] = {}

    async def get(self) -> Resource:
        """Return the running loop's resource, opened on first use.

        Raises:
            Exception: whatever opening raised; the next call tries again.
        """
        loop = asyncio.get_running_loop()
        opening = self._opening.get(loop)
        if (
            opening is None
            or not opening.done()
            or opening.cancelled()
            or opening.exception() is not None
        ):
            opening = await self._opened(loop, opening)
        return opening.result()[0]

    @property
    def opened(self) -> Resource | None:
        """The running loop's resource, if it is open; None also where no loop runs."""
        try:
            opening = self._opening.get(asyncio.get_running_loop())
        except RuntimeError:
            return None
        if opening is None or not opening.done() or _failed(opening):
            return None
        return opening.result()[0]

    async def aclose(self) -> None:
        """Close the running loop's resource, if it is open; the next use opens another."""
        opening = self._opening.pop(asyncio.get_running_loop(), None)
        if opening is None:
            return
        await asyncio.wait({opening})
        if not _failed(opening):
            _, generator = opening.result()
            await generator.aclose()

    def close(self) -> None:
        """Close the resource of every loop that runs in another thread, and wait for that.

        Raises:
            ConfigurationError: it was called on a loop that has the resource open.
        """
        with suppress(RuntimeError):
            if asyncio.get_running_loop() in self._opening:
                raise ConfigurationError("close() would block its own loop: await aclose().")
        for loop in self.loops:
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(self.aclose(), loop).result()

    @property
    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """The loops that have the resource open, or are opening it."""
        self._forget_closed_loops()
        return [*self._opening]

    async def _opened(
        self, loop: asyncio.AbstractEventLoop, opening: asyncio.Task[_Opened[Resource]] | None
    ) -> asyncio.Task[_Opened[Resource]]:
        if opening is None or opening.done():
            self._forget_closed_loops()
            # A task of its own: the first one to ask may leave, and the others still wait for it.
            opening = self._opening[loop] = loop.create_task(self._begin())
            opening.add_done_callback(_failed)
        if not opening.done():
            await asyncio.shield(opening)
        return opening

    async def _begin(self) -> _Opened[Resource]:
        generator = self._open()
        return await anext(generator), generator

    def _forget_closed_loops(self) -> None:
        for loop in list(self._opening):
            if loop.is_closed():
                self._opening.pop(loop, None)


def _failed(opening: asyncio.Task[_Opened[Resource]]) -> bool:
    return opening.cancelled() or opening.exception() is not None
