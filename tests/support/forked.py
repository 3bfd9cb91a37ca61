"""Modules that are run as programs, in processes forked from one that has everything imported."""

import atexit
import os
import runpy
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from signal import Signals

from elsewhere import processes


class Program:
    """What ``python -m MODULE ARGUMENTS`` starts, up to its end."""

    def __init__(
        self, command: Sequence[str], directory: Path, log: Path, environment: Mapping[str, str]
    ) -> None:
        """Start it.

        Args:
            command: the module and its arguments.
            directory: where it runs.
            log: the file that has what it prints.
            environment: all of its variables.
        """
        log.write_text("")
        self._process = processes.Process(
            target=_execute, args=(list(command), directory, log, dict(environment))
        )
        self._process.start()

    def poll(self) -> int | None:
        """Return its exit code; None while it has none."""
        return self._process.exitcode

    def send(self, number: Signals) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self, timeout: float) -> int:
        """Wait for its end and return its exit code.

        Raises:
            TimeoutError: it has not ended in so many seconds.
        """
        wait([self._process.sentinel], timeout)
        if (code := self.poll()) is None:
            raise TimeoutError
        return code

    def close(self) -> None:
        """End it, if it has not ended yet."""
        self._process.kill()
        self._process.join()


@contextmanager
def entered(
    directory: Path, out: Path, errors: Path, environment: Mapping[str, str]
) -> Iterator[None]:
    """Have a forked process be as a new one within this block, and end as such a one.

    Args:
        directory: where it runs.
        out: the file for its standard output.
        errors: the file for its standard error.
        environment: all of its variables.
    """
    os.chdir(directory)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, file in enumerate((out, errors), 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.stdin = open(0)  # noqa: SIM115 # as long as the process lives
    sys.stdout = open(1, "w", buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115
    try:
        yield
    finally:
        # The end of a forked process leaves out what the end of an interpreter does.
        threading._shutdown()  # type: ignore[attr-defined] # there is no other way to it
        atexit._run_exitfuncs()


def _execute(command: list[str], directory: Path, log: Path, environment: dict[str, str]) -> None:
    """Do in a forked process what ``python -m`` does in a new one."""
    with entered(directory, log, log, environment):
        paths = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:1] = [str(directory), *filter(None, paths)]
        sys.argv = command
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
