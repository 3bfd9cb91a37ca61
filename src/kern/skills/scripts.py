"""Scripts of skills, executed in a process of their own: without the secrets of this one."""

import asyncio
import os
import signal
import sys
from asyncio import SubprocessProtocol
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from kern.errors import InvalidInputError

MAX_OUTPUT = 100_000
"""How many bytes a script's output is told of at most, and its errors."""

# How long what a script has printed may take to be read once it has ended, in seconds.
_REST = 1.0

# What a script is given of the environment; what else there is may be secret.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "VIRTUAL_ENV")

_BY_SUFFIX: Mapping[str, Sequence[str]] = {
    ".py": (sys.executable,),
    ".sh": ("/bin/sh",),
    ".bash": ("bash",),
    ".js": ("node",),
    ".rb": ("ruby",),
}


class Executed(NamedTuple):
    """What became of a script.

    Attributes:
        exit_code: what it ended with; below 0 the signal that ended it.
        output: what it printed.
        errors: what it printed as errors.
    """

    exit_code: int
    output: str
    errors: str


async def execute(
    script: Path,
    arguments: Sequence[str],
    *,
    folder: Path,
    timeout: float,
    environment: Mapping[str, str],
) -> Executed:
    """Execute a script, and return what it has printed.

    It is stopped, with what it has started, where it takes too long or the caller is cancelled.

    Args:
        script: the file.
        arguments: what it is given; no shell reads them.
        folder: where it begins.
        timeout: how long it may take, in seconds.
        environment: what it is given beside the path, the home and the language of this process.

    Raises:
        InvalidInputError: it cannot be executed, or takes too long.
    """
    command = [*_interpreter(script), str(script), *arguments]
    own = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    try:
        transport, output = await asyncio.get_running_loop().subprocess_exec(
            _Output,
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            env={**own, **environment},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{script.name} cannot be executed: {error}") from None
    pid, code = transport.get_pid(), None
    try:
        async with asyncio.timeout(timeout):
            await output.ended.wait()
        code = transport.get_returncode()
        _kill(pid)  # What it has left behind would hold its output open.
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST):
                await output.read.wait()
    except TimeoutError:
        raise InvalidInputError(
            f"{script.name} took longer than {timeout:g} seconds, and was stopped."
        ) from None
    finally:
        if code is None:
            _kill(pid)
            await output.ended.wait()
        transport.close()
    return Executed(code or 0, output.text(1), output.text(2))


class _Output(SubprocessProtocol):
    """The beginning of what a process prints; the rest is read, so that it does not wait.

    Attributes:
        ended: is set once the process has ended.
        read: is set once nobody can print any more.
    """

    def __init__(self) -> None:
        self.ended, self.read = asyncio.Event(), asyncio.Event()
        self._kept = {1: bytearray(), 2: bytearray()}
        self._open = {*self._kept}

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self._kept[fd]
        kept += data[: MAX_OUTPUT + 1 - len(kept)]

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open:
            self.read.set()

    @override
    def process_exited(self) -> None:
        self.ended.set()

    def text(self, fd: int) -> str:
        """Return what was printed to a descriptor."""
        text = self._kept[fd][:MAX_OUTPUT].decode("utf-8", errors="replace")
        return text if len(self._kept[fd]) <= MAX_OUTPUT else f"{text} […]"


def _interpreter(script: Path) -> Sequence[str]:
    if script.suffix in _BY_SUFFIX:
        return _BY_SUFFIX[script.suffix]
    if os.access(script, os.X_OK):
        return ()
    raise InvalidInputError(f"{script.name} cannot be executed: nothing says by what.")


def _kill(pid: int) -> None:
    """End a process and what it has started, but for what has gone to a session of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
