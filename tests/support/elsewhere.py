"""Processes beside the test's own, which use the same database and the same model."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb

Elsewhere = Callable[..., "Process"]

_PRELUDE = """
import asyncio, os, sys
from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run.cancel import acancel_run, cancel_run

where, table = os.environ["TEST_DB"], os.environ["TEST_TABLE"]
db = PostgresDb(where, table) if where.startswith("postgresql") else SqliteDb(where, table)
agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), db=db)

def say(*words):
    print(*words, flush=True)

async def hear():
    return (await asyncio.to_thread(sys.stdin.readline)).strip()

async def main():
"""


class Process:
    """A Python process that the test talks to over its standard streams, a line at a time."""

    def __init__(self, script: Path, environment: dict[str, str]) -> None:
        """Start it."""
        self._popen = subprocess.Popen(
            [sys.executable, "-u", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    async def said(self, timeout: float = 20.0) -> str:
        """Return the next line that it prints."""
        assert self._popen.stdout is not None
        line = asyncio.to_thread(self._popen.stdout.readline)
        return (await asyncio.wait_for(line, timeout)).strip()

    def tell(self, line: str) -> None:
        """Send it a line."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    async def ended(self, timeout: float = 20.0) -> int:
        """Wait for its end and return its exit code."""
        return await asyncio.wait_for(asyncio.to_thread(self._popen.wait), timeout)

    def close(self) -> None:
        """End it, if it has not ended yet."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait(10)
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                stream.close()


def write_script(path: Path, body: str) -> Path:
    """Write a script that does ``body`` with an ``agent`` of its own, and return its path."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    path.write_text(f"{_PRELUDE}{lines}\n\nasyncio.run(main())\n")
    return path


def environment_of(db: Database, base_url: str) -> dict[str, str]:
    """Return what tells another process where the database and the model are."""
    assert isinstance(db, PostgresDb | SqliteDb)
    where = db._dsn if isinstance(db, PostgresDb) else db._file.path
    return {
        "TEST_DB": where,
        "TEST_TABLE": db.session_table,
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": "sk-test",
    }


def set_environment(environment: dict[str, str]) -> None:
    """Give a forked process these settings, and none that its forkserver was started with."""
    for name in [*os.environ]:
        if name.startswith("KERN_"):
            del os.environ[name]
    os.environ.update(environment, SSL_CERT_DIR=os.devnull)
