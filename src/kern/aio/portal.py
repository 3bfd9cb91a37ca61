"""The event loop behind the synchronous methods: one for the process, in a thread of its own."""

import asyncio
import concurrent.futures.thread  # noqa: F401 # registers its end, which must come after ours
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import TypeVar

from kern.aio.guard import guarded

Result = TypeVar("Result")


class Portal:
    """Runs coroutines for threads that have no event loop of their own.

    The loop lives until the interpreter ends; then its runs in flight are released, as at the end
    of ``asyncio.run``.
    """

    def __init__(self) -> None:
        """Start the thread and its loop."""
        started: threading.Event = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(started,), name="kern", daemon=True
        )
        self._thread.start()
        started.wait()
        # An ordinary exit handler comes too late: without the threads that end before it, the
        # loop can resolve no more names, and so make no connection to release its runs.
        threading._register_atexit(self.close)  # type: ignore[attr-defined]

    def call(self, work: Coroutine[object, object, Result]) -> Result:
        """Return what the coroutine returns; an interrupt of the caller cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, generator: AsyncGenerator[Result, None]) -> Iterator[Result]:
        """Yield what the asynchronous generator yields."""

        async def advance() -> tuple[Result] | None:
            async for item in generator:
                return (item,)
            return None

        try:
            while (found := self.call(advance())) is not None:
                yield found[0]
        finally:
            self.call(generator.aclose())

    def close(self) -> None:
        """End the loop, if it has not ended yet; its runs in flight are released."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def _serve(self, started: threading.Event) -> None:
        async def until_stopped() -> None:
            self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
            started.set()
            with guarded():
                await self._stopped.wait()

        asyncio.run(until_stopped())


_lock = threading.Lock()
_portal: Portal | None = None


def portal() -> Portal:
    """Return the process's portal, started on first use."""
    global _portal
    with _lock:
        if _portal is None:
            _portal = Portal()
        return _portal


def close_portal() -> None:
    """End the process's portal, if it has one; the next use starts another."""
    global _portal
    with _lock:
        if _portal is not None:
            _portal.close()
        _portal = None


def _forget() -> None:
    """A forked child has the parent's portal, but not its thread."""
    global _portal, _lock
    _portal, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
