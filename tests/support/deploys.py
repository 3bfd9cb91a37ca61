"""Real servers, each with an agent, in processes of their own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from groups import end_group
from ports import free_port

_AGENT = """
import os
from kern.agent import Agent
from kern.agent.serving import handle_sigterm, lifespan, release
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

where, table = os.environ["TEST_DB"], os.environ["TEST_TABLE"]
db = PostgresDb(where, table) if where.startswith("postgresql") else SqliteDb(where, table)
agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), db=db)
"""


class Server:
    """A server whose answer to any request is the id of a background run that it has begun."""

    def __init__(
        self, directory: Path, code: str, *command: str, environment: dict[str, str]
    ) -> None:
        """Start it.

        Args:
            directory: where to put the module ``site_app`` with an ``agent`` and this code.
            code: the application.
            command: what to start, with ``{port}`` for the port.
            environment: its settings.
        """
        (directory / "site_app.py").write_text(_AGENT + code)
        self.port = free_port()
        self._directory = directory
        self._environment = os.environ | environment | {"HOME": str(directory)}
        self._log = directory / "server.log"
        with self._log.open("w") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *(each.format(port=self.port) for each in command)],
                cwd=directory,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._environment,
            )

    async def begin_run(self) -> str:
        """Wait until it answers, and return the id of the run that it has begun."""
        async with asyncio.timeout(40):
            await self.begun()
            return await asyncio.to_thread(self._get)

    async def begun(self) -> None:
        """Wait until it takes connections."""
        while not self.listens():
            assert self._popen.poll() is None, self.log()
            await asyncio.sleep(0.1)

    async def closed(self) -> None:
        """Wait until it takes no connections any more."""
        while self.listens():  # noqa: ASYNC110 # nobody tells of that
            await asyncio.sleep(0.05)

    def python(self, statement: str) -> None:
        """Have another process import the module and do something."""
        subprocess.run(
            [sys.executable, "-c", f"import site_app; {statement}"],
            cwd=self._directory,
            env=self._environment,
            check=True,
        )

    async def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal to end, and return its exit code."""
        self._popen.send_signal(number)
        return await asyncio.to_thread(self._popen.wait, 60)

    def log(self) -> str:
        """Return what it has printed."""
        return self._log.read_text()

    def close(self) -> None:
        """End what is left of it."""
        end_group(self._popen)

    def listens(self) -> bool:
        """Say whether it takes connections."""
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def _get(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=30) as answer:
            text: str = answer.read().decode()
            return text
