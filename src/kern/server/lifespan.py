"""How a service begins and ends: who executes its runs, and what becomes of what is under way."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType

from kern.agent import serving
from kern.dispatch.opening import configure, runtimes_here
from kern.dispatch.settings import Settings
from kern.errors import ConfigurationError
from kern.execution.report import ended
from kern.run.numbers import check_seconds
from kern.server.metrics import count_attempt, forget_process
from kern.server.readiness import AWAY, ENDING, READY
from kern.server.service import Service

logger = logging.getLogger("kern.server")

# How long the last events of foreground runs may take to reach their readers, in seconds.
_FAREWELL = 2.0


@asynccontextmanager
async def lifespan(service: Service, *, worker: bool, grace: float) -> AsyncIterator[None]:
    """Serve within this block, which the server enters before it listens.

    At SIGTERM or SIGINT, or else at the end of the block: background runs are released, and go on
    elsewhere or at the next start; streams end, but for those of foreground runs; foreground runs
    have a time to end, and then end in ERROR as ServerShutdownError.

    Args:
        service: what is served.
        worker: whether it executes background runs, those of others too.
        grace: seconds that foreground runs have to end.

    Raises:
        ConfigurationError: an agent cannot be served, or a setting cannot be used.
        SchemaVersionError: the tables of a database are newer than this version of kern.
    """
    check_seconds("grace", grace, ConfigurationError, from_zero=True)
    stopping = asyncio.Event()
    end = _End(service, stopping, grace)
    ended.append(count_attempt)
    try:
        async with serving.lifespan()(service):
            working = await _begin(service, stopping) if worker else None
            if not worker:
                _only_submit(service)
            try:
                with _at_signals(end.begin):
                    yield
            finally:
                await end.begin()
                if working is not None:
                    await asyncio.wait({working})
    finally:
        ended.remove(count_attempt)
        forget_process()


def _only_submit(service: Service) -> None:
    for each in service.databases:
        configure(each, Settings.of(in_process_worker=False))
    service.readiness.state = READY


async def _begin(service: Service, stopping: asyncio.Event) -> asyncio.Task[None]:
    """Execute background runs from now on, or as soon as the databases can be reached."""
    told = asyncio.Event()

    def ready(is_ready: bool) -> None:
        if not stopping.is_set():
            service.readiness.state = READY if is_ready else AWAY
        told.set()

    agents = list(service.agents.values())
    work = serving.serve(agents, grace=0, stopping=stopping, ready=ready, database_wait=None)
    working = asyncio.create_task(work, name="kern worker")
    telling = asyncio.create_task(told.wait())
    await asyncio.wait({working, telling}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if working.done():
        working.result()
    working.add_done_callback(lambda task: _ended(service, task))
    return working


def _ended(service: Service, working: asyncio.Task[None]) -> None:
    if not working.cancelled() and (error := working.exception()) is not None:
        service.readiness.state = "background runs are not executed; the log says why"
        logger.error("Background runs are not executed: %s", error)


class _End:
    """The end of a service, which begins once."""

    def __init__(self, service: Service, stopping: asyncio.Event, grace: float) -> None:
        self._service = service
        self._stopping = stopping
        self._grace = grace
        self._ending: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name="kern shutdown")
        return self._ending

    async def _end(self) -> None:
        service = self._service
        service.readiness.state = ENDING
        service.streams.close()
        self._stopping.set()
        await asyncio.gather(*(each.end_foreground(self._grace) for each in runtimes_here()))
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await service.streams.closed()
        service.streams.close(foreground=True)


@contextmanager
def _at_signals(begin: Callable[[], object]) -> Iterator[None]:
    """Call ``begin`` on the running loop at a signal to end, before what handles it already.

    A server tells an application of its end only when all responses have ended, which streams
    would not do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    found = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin)
        handler = found[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number, handler in found.items():
        if callable(handler):
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in found.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)
