"""Whose conversation a run without a session id belongs to.

Such a run begins a conversation of its own, with one exception: an agent that is made in
``__main__``, a script or a notebook, continues in the foreground the one that it began in the same
line of execution. That is the synchronous code of the script, the cells of the notebook, or one
task. A server imports its agents; where its requests reach an agent of ``__main__`` all the same,
its own code is between them and the script, or they are in a thread, and nothing is remembered.
"""

import asyncio
import os
import sys
import threading
from contextvars import ContextVar
from types import FrameType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from kern.aio.portal import on_portal

# What runs a script's own functions and tasks, and waits for nobody else's requests.
_LAUNCHERS = {"anyio", "click", "fire", "nest_asyncio", "typer"}

_SERVERS = {"http", "socketserver", "wsgiref", "xmlrpc"}

_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Line(NamedTuple):
    """A line of execution.

    Attributes:
        task: the task that it is; None for the script's synchronous code and a notebook's cells.
        within: the task in which it is, where the caller awaits the run itself.
    """

    task: "asyncio.Task[Any] | None"
    within: "asyncio.Task[Any] | None"


class Remembered:
    """The conversations that an agent of ``__main__`` has begun, one a line of execution."""

    def __init__(self) -> None:
        """Remember none yet."""
        self._process = os.getpid()
        self._main: tuple[str, str | None] | None = None
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], tuple[str, str | None]] = (
            WeakKeyDictionary()
        )

    def known(self, line: Line) -> tuple[str, str | None] | None:
        """Return the conversation of a line, with its user."""
        if os.getpid() != self._process:  # The script's own line goes on in the parent.
            return None
        return self._main if line.task is None else self._tasks.get(line.task)

    def continued(self, line: Line, session_id: str, user_id: str | None) -> str:
        """Return the conversation that a run of a line belongs to.

        Args:
            line: the line.
            session_id: a new one, which is remembered where the line has none with the user.
            user_id: the user of the run.
        """
        if line.within is not None and asyncio.current_task() is not line.within:
            return session_id  # Its caller has put it beside others.
        known = self.known(line)
        if known is not None and known[1] == user_id:
            return known[0]
        if line.task is None:
            self._process, self._main = os.getpid(), (session_id, user_id)
        else:
            self._tasks[line.task] = session_id, user_id
        return session_id


_asked_from: ContextVar[Line | None] = ContextVar("asked_from", default=None)
_are_any = False


def remembered() -> Remembered | None:
    """Return where an agent that is just made keeps conversations; None outside ``__main__``."""
    global _are_any
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != "kern" and not name.startswith("kern."):
            if name != "__main__":
                return None
            _are_any = True
            return Remembered()
        frame = frame.f_back
    return None


def note_line() -> None:
    """Have the loop for synchronous code know from which line the next work on it is asked for."""
    if _are_any:
        _asked_from.set(current_line())


def current_line() -> Line | None:
    """Return the line of execution of who calls kern, or None where it may serve several users."""
    if threading.current_thread() is not threading.main_thread():
        return _asked_from.get() if on_portal() else None
    try:
        running = asyncio.current_task()
    except RuntimeError:
        running = None
    waits = True
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name, code = frame.f_globals.get("__name__", ""), frame.f_code
        room = name.partition(".")[0]
        if name.startswith("kern.agent.sync."):
            waits = False
        elif name == "__main__" and code.co_name == "<module>":
            # What comes before it has launched the script, or it is a cell of a notebook.
            outer = frame.f_back
            is_cell = outer and outer.f_globals.get("__name__", "").startswith("IPython.core.")
            return Line(None if is_cell else running, running if waits else None)
        elif room not in _LAUNCHERS and (
            room in _SERVERS or any(each in code.co_filename for each in _INSTALLED)
        ):
            return None
        frame = frame.f_back
    return None
