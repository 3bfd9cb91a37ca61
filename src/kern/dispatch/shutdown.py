"""SIGTERM: the runs of a process are released before it ends, whatever else handles the signal.

A handler that is there already is called once the runs are released; where there is none, the
process ends by the signal then. What cannot be chained is left alone: a handler that Python does
not know, and a signal that is ignored. The handler can be installed by the main thread only.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TypeAlias

from kern.aio.portal import close_portal

logger = logging.getLogger("kern")

Release: TypeAlias = Callable[[], Awaitable[object]]
_Previous: TypeAlias = Callable[[int, FrameType | None], object] | int

# How long the signal is held back for the runs to be released, in seconds.
_PATIENCE = 10.0


@dataclass(slots=True, eq=False)
class _Entry:
    """What is to be done on an event loop, once, and how long it may take in seconds."""

    loop: asyncio.AbstractEventLoop
    release: Release
    patience: float
    has_begun: bool = False

    def begin(self) -> "Future[None]":
        self.has_begun = True
        return asyncio.run_coroutine_threadsafe(self.release_in_time(), self.loop)

    async def release_in_time(self) -> None:
        async with asyncio.timeout(self.patience):
            await self.release()


_entries: list[_Entry] = []
_charges: list[tuple[asyncio.AbstractEventLoop, _Entry | None]] = []


def on_terminate(release: Release, patience: float = _PATIENCE) -> None:
    """Have runs released on the running event loop at SIGTERM, while the loop runs.

    On a loop of another thread than the main one it takes effect once the main thread calls
    :func:`handle_sigterm`.

    Args:
        release: releases the runs; called on this loop.
        patience: seconds that it may take.
    """
    loop = asyncio.get_running_loop()
    _entries[:] = [each for each in _entries if not each.loop.is_closed()]
    _entries.append(_Entry(loop, release, patience))
    if all(of is not loop for of, _ in _charges):
        handle_sigterm()


@contextmanager
def in_charge(release: Release | None = None, patience: float = _PATIENCE) -> Iterator[None]:
    """Be in charge of how the running event loop ends, within this block.

    Meanwhile nothing that was given to :func:`on_terminate` on this loop is done at SIGTERM.

    Args:
        release: what is done instead; None where the caller learns of the end in another way.
        patience: seconds that it may take.
    """
    loop = asyncio.get_running_loop()
    charge = loop, None if release is None else _Entry(loop, release, patience)
    _charges.append(charge)
    if release is not None:
        handle_sigterm()
    try:
        yield
    finally:
        _charges.remove(charge)


def handle_sigterm() -> None:
    """Handle SIGTERM from now on, before what handles it now; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous is None or previous == signal.SIG_IGN or isinstance(previous, _Handler):
        return
    signal.signal(signal.SIGTERM, _Handler(previous))


def follow_celery() -> None:
    """Release the runs of synchronous code where Celery, if that is here, ends a pool process.

    Such a process gets no signal, and ends without Python's exit handlers.
    """
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_close_portal, weak=False, dispatch_uid="kern")


async def release_here() -> None:
    """Do now what is to be done on the running event loop at SIGTERM."""
    loop = asyncio.get_running_loop()
    for entry in [each for each in _entries if each.loop is loop]:
        await entry.release()


class _Handler:
    """Releases the runs, then hands the signal on; the next one is handed on at once."""

    def __init__(self, previous: _Previous) -> None:
        self._previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        due = _due()
        if not due:
            self._hand_on(number, frame)
            return
        releases = [each.begin() for each in due]
        patience = max(each.patience for each in due) + 1
        # Not here: the releases may need what the interrupted code has locked, or its event loop.
        threading.Thread(
            target=self._hand_on_later, args=(due, releases, patience, _main_loop()), daemon=True
        ).start()

    def _hand_on_later(
        self,
        due: list[_Entry],
        releases: "list[Future[None]]",
        patience: float,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        give_up_at = time.monotonic() + patience
        late = wait(releases, timeout=patience).not_done
        for entry, release in zip(due, releases, strict=True):
            # A loop that ends meanwhile has cancelled this, and releases its runs by itself.
            while release.cancelled() and not entry.loop.is_closed():
                if time.monotonic() > give_up_at:
                    break
                time.sleep(0.01)
        if late or any(not each.cancelled() and each.exception() for each in releases):
            logger.warning("SIGTERM: not all runs could be released; their leases will expire")
        if loop is not None and not late:
            # Not by a signal, which would reach the loop's own handlers a second time.
            with suppress(RuntimeError):  # The loop has ended by itself.
                loop.call_soon_threadsafe(self._hand_on, signal.SIGTERM, None)
                return
        main = threading.main_thread().ident
        assert main is not None, "the main thread has begun"
        signal.pthread_kill(main, signal.SIGTERM)

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        if not isinstance(self._previous, int):
            self._previous(number, frame)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


def _release_at_exit() -> None:
    """Release the runs of loops that were left as they were, as a notebook's is at its end."""
    for entry in _entries:
        if not entry.has_begun and not entry.loop.is_closed() and not entry.loop.is_running():
            try:
                entry.loop.run_until_complete(entry.release_in_time())
            except Exception as error:
                logger.warning("exit: not all runs could be released, %r", error)


# An ordinary exit handler comes too late: the threads that it needs have ended before it.
threading._register_atexit(_release_at_exit)  # type: ignore[attr-defined] # no public name


def _close_portal(**_: object) -> None:
    close_portal()


def _due() -> list[_Entry]:
    """Return what is to be done on the loops that run."""
    charged = [loop for loop, _ in _charges]
    due = [each for each in _entries if each.loop not in charged]
    due += [each for _, each in _charges if each is not None]
    return [each for each in due if each.loop.is_running() and not each.has_begun]


def _main_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _forget() -> None:
    """A forked child has none of the parent's loops."""
    _entries.clear()
    _charges.clear()


os.register_at_fork(after_in_child=_forget)
