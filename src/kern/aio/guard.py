"""Event loops that must not be blocked: those on which others wait for what is done there."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

_guards: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


def guard() -> None:
    """Have the running event loop count as one that must not be blocked, until it ends."""
    loop = asyncio.get_running_loop()
    _guards[loop] = _guards.get(loop, 0) + 1


@contextmanager
def guarded() -> Iterator[None]:
    """Have the running event loop count as one that must not be blocked, within this block."""
    guard()
    try:
        yield
    finally:
        _guards[asyncio.get_running_loop()] -= 1


def is_guarded() -> bool:
    """Say whether who blocks the current thread would block such a loop."""
    try:
        return _guards.get(asyncio.get_running_loop(), 0) > 0
    except RuntimeError:  # No loop runs in this thread.
        return False
