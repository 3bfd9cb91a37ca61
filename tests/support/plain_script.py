"""Plain scripts without an event loop, each in a process of its own that ends as Python does."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

RunScript = Callable[..., "Script"]

_PRELUDE = """
import os, sys
from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

where, table = os.environ["TEST_DB"], os.environ["TEST_TABLE"]
db = PostgresDb(where, table) if where.startswith("postgresql") else SqliteDb(where, table)
agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), db=db)
"""


class Ended(NamedTuple):
    """How a script ended, and what it printed after the last line that was read."""

    code: int
    output: str
    errors: str


class Scripts:
    """Starts scripts, one after the other."""

    def __init__(self) -> None:
        """Start the process that they are forked from."""
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-u", "-m", "forked_scripts", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )

    def start(self, path: Path, body: str, environment: dict[str, str]) -> "Script":
        """Start a script, which has an ``agent``."""
        return Script(self._requests, path, body, environment)

    def close(self) -> None:
        """End the process that they are forked from."""
        self._requests.close()
        self._popen.wait(20)


class Script:
    """A script that the test talks to over its standard streams."""

    def __init__(
        self, requests: socket.socket, path: Path, body: str, environment: dict[str, str]
    ) -> None:
        """Have it forked."""
        self._requests = requests
        request = {
            "name": str(path),
            "script": _PRELUDE + body,
            "environment": {**os.environ, **environment},
        }
        (stdin, told), (said, stdout) = os.pipe(), os.pipe()
        self._errors = path.with_suffix(".errors")
        with self._errors.open("w") as errors:
            theirs = [stdin, stdout, errors.fileno()]
            socket.send_fds(requests, [json.dumps(request).encode()], theirs)
            self._pid = int(requests.recv(100))
        os.close(stdin)
        os.close(stdout)
        self._told, self._said = os.fdopen(told, "w"), os.fdopen(said)
        self._has_ended = False

    def said(self) -> str:
        """Return the next line that it prints."""
        return self._said.readline().strip()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self._pid, number)

    def ended(self, line: str = "", timeout: float = 80.0) -> Ended:
        """Send it a line and wait for its end."""
        with suppress(BrokenPipeError), self._told:
            self._told.write(line + "\n")
        code = self._exit_code(timeout)
        return Ended(code, self._said.read().strip(), self._errors.read_text())

    def close(self) -> None:
        """End it, if it has not ended yet."""
        if not self._has_ended:
            with suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            self._exit_code(20)
        with suppress(BrokenPipeError):
            self._told.close()
        self._said.close()

    def _exit_code(self, timeout: float) -> int:
        self._requests.settimeout(timeout)
        code = int(self._requests.recv(100))
        self._requests.settimeout(None)
        self._has_ended = True
        return code
