"""What the contenders share: one PostgreSQL and one stand-in model, both on the loopback."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import psutil

from bench.contenders.contender import IDLE
from kern.local.postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[2]


class Services:
    """The two servers, for the time of a ``with`` statement.

    Attributes:
        postgres: the process id of PostgreSQL.
        version: the version of PostgreSQL.
        model: the base URL of the stand-in model.
        channel: the port on which it tells what it saw.
    """

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            data = stack.enter_context(tempfile.TemporaryDirectory(prefix="kern-bench-"))
            self._server = EmbeddedPostgres(Path(data), _free_port())
            stack.callback(self._server.stop)
            self._server.start()
            self.postgres, self.version = asyncio.run(self._look())
            model = subprocess.Popen(
                [sys.executable, "-m", "bench.driver.model"],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            stack.callback(end, model)
            assert model.stdout is not None
            self.model, channel = model.stdout.readline().split()
            self.channel = int(channel)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def new_database(self, name: str) -> str:
        """Make an empty database, and return its URL."""
        asyncio.run(self._execute(f'CREATE DATABASE "{name}" OWNER {self._server.user}'))
        return f"{self._server.url.rpartition('/')[0]}/{name}"

    def drop_database(self, name: str) -> None:
        """Remove a database, and the connections to it that are left."""
        asyncio.run(self._execute(f'DROP DATABASE "{name}" WITH (FORCE)', "CHECKPOINT"))

    def commits(self, count: int) -> list[float]:
        """Return how long single-row commits took, in seconds, each after the pause of a submit."""
        return asyncio.run(self._commits(count))

    async def _look(self) -> tuple[int, str]:
        connection = await asyncpg.connect(self._server.url)
        row = await connection.fetchrow("SELECT pg_backend_pid() AS pid, version() AS version")
        assert row is not None
        server = psutil.Process(row["pid"]).ppid()
        await connection.close()
        return server, " ".join(row["version"].split()[:2])

    async def _execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._server.superuser_url)
        for statement in statements:
            await connection.execute(statement, timeout=120)
        await connection.close()

    async def _commits(self, count: int) -> list[float]:
        connection = await asyncpg.connect(self._server.url)
        await connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (number bigint)")
        times = []
        for number in range(count):
            await asyncio.sleep(IDLE)
            began = time.perf_counter()
            await connection.execute("INSERT INTO bench_commits VALUES ($1)", number)
            times.append(time.perf_counter() - began)
        await connection.close()
        return times


def end(process: subprocess.Popen[str]) -> None:
    """End a process and all that it has started."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    for each in family:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def python_of(environment: str) -> Path:
    """Return the interpreter of a virtual environment of the benchmarks."""
    return ROOT / ".venvs" / f"bench-{environment}" / "bin" / "python"


def surroundings() -> dict[str, str]:
    """Return the environment variables of a contender: nothing is told to the outside."""
    return os.environ | {
        "OPENAI_API_KEY": "none",
        # As installed: source is compiled once, not at every import.
        "PYTHONDONTWRITEBYTECODE": "",
        "AGNO_TELEMETRY": "false",
        "DO_NOT_TRACK": "1",
        "LANGSMITH_TRACING": "false",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
