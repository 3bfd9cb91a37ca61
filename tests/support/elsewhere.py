"""Processes beside the test's own, which use the same database and the same model."""

import asyncio
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TextIO, cast

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


processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.support.preloaded"])


async def joined(process: BaseProcess, timeout: float) -> int | None:
    """Return the exit code of a process once it has ended; None if that takes longer.

    No other thread joins it: to start a process asks all others for their codes, and each is told
    once.
    """
    await asyncio.to_thread(wait, [process.sentinel], timeout)
    process.join(0)
    return process.exitcode


class Process:
    """A Python process that the test talks to over its standard streams, a line at a time.

    It is forked from one that has everything imported.
    """

    def __init__(self, script: Path, environment: dict[str, str]) -> None:
        """Start it."""
        stdin, telling = processes.Pipe(duplex=False)
        saying, stdout = processes.Pipe(duplex=False)
        self._process = processes.Process(
            target=_execute, args=(str(script), {**os.environ, **environment}, stdin, stdout)
        )
        self._process.start()
        stdin.close()
        stdout.close()
        self._stdin, self._stdout = _file(telling, "w"), _file(saying, "r")

    async def said(self, timeout: float = 20.0) -> str:
        """Return the next line that it prints."""
        line = asyncio.to_thread(self._stdout.readline)
        return (await asyncio.wait_for(line, timeout)).strip()

    def tell(self, line: str) -> None:
        """Send it a line."""
        self._stdin.write(line + "\n")
        self._stdin.flush()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def ended(self, timeout: float = 20.0) -> int:
        """Wait for its end and return its exit code."""
        if (exit_code := await joined(self._process, timeout)) is None:
            raise TimeoutError
        return exit_code

    def close(self) -> None:
        """End it, if it has not ended yet."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._stdin.close()
        self._stdout.close()


def _file(connection: Connection, mode: str) -> TextIO:
    """Return a file in place of a connection."""
    file = os.fdopen(os.dup(connection.fileno()), mode)
    connection.close()
    return cast(TextIO, file)


def _execute(
    script: str, environment: dict[str, str], stdin: Connection, stdout: Connection
) -> None:
    """Do in a forked process what ``python -u SCRIPT`` does in a new one."""
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout = _file(stdin, "r"), _file(stdout, "w")
    try:
        runpy.run_path(script, run_name="__main__")
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


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
