"""Plain scripts without an event loop, each in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
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


class Script:
    """A script that the test talks to over its standard streams."""

    def __init__(self, path: Path, body: str, environment: dict[str, str]) -> None:
        """Start it; it has an ``agent``."""
        path.write_text(_PRELUDE + body)
        self._popen = subprocess.Popen(
            [sys.executable, "-u", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def said(self) -> str:
        """Return the next line that it prints."""
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def ended(self, line: str = "", timeout: float = 80.0) -> Ended:
        """Send it a line and wait for its end."""
        output, errors = self._popen.communicate(line + "\n", timeout)
        return Ended(self._popen.returncode, output.strip(), errors)

    def close(self) -> None:
        """End it, if it has not ended yet."""
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.communicate()
