"""Scripts of skills, executed in a process of their own: without the secrets of this one."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kern.errors import InvalidInputError

MAX_OUTPUT = 100_000
"""How many bytes a script's output is told of at most, and its errors."""

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
        process = await asyncio.create_subprocess_exec(
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
    try:
        async with asyncio.timeout(timeout):
            output, errors, code = await asyncio.gather(
                _read(process.stdout), _read(process.stderr), process.wait()
            )
    except TimeoutError:
        raise InvalidInputError(
            f"{script.name} took longer than {timeout:g} seconds, and was stopped."
        ) from None
    finally:
        await _stop(process)
    return Executed(code, output, errors)


def _interpreter(script: Path) -> Sequence[str]:
    if script.suffix in _BY_SUFFIX:
        return _BY_SUFFIX[script.suffix]
    if os.access(script, os.X_OK):
        return ()
    raise InvalidInputError(f"{script.name} cannot be executed: nothing says by what.")


async def _read(stream: asyncio.StreamReader | None) -> str:
    """Return the beginning of an output; the rest is read, so that its writer does not wait."""
    assert stream is not None, "it is a pipe"
    kept = bytearray()
    while piece := await stream.read(65_536):
        kept += piece[: max(0, MAX_OUTPUT + 1 - len(kept))]
    text = kept[:MAX_OUTPUT].decode("utf-8", errors="replace")
    return text if len(kept) <= MAX_OUTPUT else f"{text} […]"


async def _stop(process: Process) -> None:
    """End a process and what it has started: also what has outlived it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        await process.wait()
