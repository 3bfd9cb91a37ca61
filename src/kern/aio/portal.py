"""The event loop behind the synchronous methods: one for the process, in a thread of its own."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from typing import Generic, ParamSpec, TypeVar

from typing_extensions import override

from kern.aio.guard import guarded
from kern.aio.survived import survived
from kern.aio.tasks import outlived

logger = logging.getLogger("kern")

P = ParamSpec("P")
Result = TypeVar("Result")

# How long an interrupted caller waits for its work to end, in seconds.
_PATIENCE = 10.0

# How often a caller makes sure that the loop is there, in seconds.
_LOOK_AGAIN = 1.0

_ENDED = (
    "The process ends, and with it what this call waited for. A background run goes on in another "
    "process, or at the next start."
)


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
        # loop can resolve no more names, and so make no connection to release its runs. Those
        # threads' own end was registered when ThreadPoolExecutor was imported, and comes after.
        threading._register_atexit(self.close)  # type: ignore[attr-defined] # no public name

    @property
    def is_here(self) -> bool:
        """Whether the current thread is that of the loop."""
        return threading.current_thread() is self._thread

    def call(self, work: Coroutine[object, object, Result]) -> Result:
        """Return what the coroutine returns.

        An interrupt of the caller, such as Ctrl-C, cancels it, and passes on once it has ended; a
        second one does not wait for that.

        Raises:
            concurrent.futures.CancelledError: the loop ended first.
            BaseException: what the coroutine raised.
        """
        call = _Call(work, self._loop)
        try:
            self._loop.call_soon_threadsafe(call.begin)
            while not call.ended.wait(_LOOK_AGAIN):
                if self._loop.is_closed():
                    raise CancelledError(_ENDED)
        except BaseException:
            self._cancel(call)
            raise
        return call.result()

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
            if not self._loop.is_closed():  # Else the generator has ended with the loop.
                self.call(generator.aclose())

    def close(self) -> None:
        """End the loop, if it has not ended yet; its runs in flight are released."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def _cancel(self, call: "_Call[Result]") -> None:
        if self._loop.is_closed():
            call.work.close()
            return
        self._loop.call_soon_threadsafe(call.cancel)
        if not call.ended.wait(_PATIENCE):
            logger.warning("what was interrupted has not ended in %g s, and is left", _PATIENCE)

    def _serve(self, started: threading.Event) -> None:
        # Not asyncio.run, which waits for the loop's threads in a thread that it starts: Python
        # 3.12.1 starts none at its end, and waits for these threads anyway.
        with closing(asyncio.new_event_loop()) as loop:
            loop.set_default_executor(_Executor(thread_name_prefix="kern-loop"))
            loop.run_until_complete(self._until_stopped(started))
            loop.run_until_complete(loop.shutdown_asyncgens())

    async def _until_stopped(self, started: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        with guarded():
            await self._stopped.wait()
            await outlived(_PATIENCE)
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    survived(logger, ended, "work failed at the end of its loop")


class _Executor(ThreadPoolExecutor):
    """Looks names up, and does what else the loop gives to threads.

    What comes when Python starts no thread any more is done at once: runs are released over
    connections, and to make one takes a name.
    """

    @override
    def submit(
        self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[Result]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            done: Future[Result] = Future()
            try:
                done.set_result(fn(*args, **kwargs))
            except Exception as error:
                done.set_exception(error)
            return done


class _Call(Generic[Result]):
    """A coroutine that a thread waits for."""

    def __init__(
        self, work: Coroutine[object, object, Result], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.work = work
        self.ended = threading.Event()
        self._loop = loop
        self._task: asyncio.Task[Result] | None = None

    def begin(self) -> None:
        self._task = self._loop.create_task(self.work)
        self._task.add_done_callback(lambda _: self.ended.set())

    def cancel(self) -> None:
        if self._task is None:  # The interrupt came before the call was handed to the loop.
            self.work.close()
            self.ended.set()
        else:
            self._task.cancel()

    def result(self) -> Result:
        assert self._task is not None, "it has begun"
        try:
            return self._task.result()
        except asyncio.CancelledError:
            raise CancelledError(_ENDED) from None


_lock = threading.Lock()
_portal: Portal | None = None
_inner: Portal | None = None


def portal() -> Portal:
    """Return the process's portal, started on first use."""
    global _portal
    with _lock:
        if _portal is None:
            _portal = Portal()
        return _portal


def on_portal() -> bool:
    """Say whether the current thread is that of the process's portal."""
    return _portal is not None and _portal.is_here


def finished(work: Coroutine[object, object, Result]) -> Result:
    """Return what the coroutine returns, also to code on an event loop, which stands still then.

    On the portal's own loop it has another one, so that none waits for itself.

    Raises:
        concurrent.futures.CancelledError: the loop ended first.
        BaseException: what the coroutine raised.
    """
    global _inner
    outer = portal()
    if not outer.is_here:
        return outer.call(work)
    with _lock:
        if _inner is None:
            _inner = Portal()
        inner = _inner
    return inner.call(work)


def close_portal() -> None:
    """End the process's portal, if it has one; the next use starts another."""
    global _portal, _inner
    with _lock:
        for each in (_portal, _inner):
            if each is not None:
                each.close()
        _portal = _inner = None


def _forget() -> None:
    """A forked child has the parent's portal, but not its thread."""
    global _portal, _inner, _lock
    _portal = _inner = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
