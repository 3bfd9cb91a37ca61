"""``kern worker`` in a process of its own, which the test listens to."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psutil

StartWorker = Callable[..., "WorkerCommand"]
Line = dict[str, object]

# A busy machine takes seconds to start a process, and some tests start six.
_PATIENCE = 60.0

KERN = str(Path(sys.executable).with_name("kern"))

APP = """
import logging, os, time
from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

async def block() -> str:
    \"\"\"Block the event loop.\"\"\"
    logging.getLogger("app").warning("blocking")
    time.sleep(60)
    return "done"

where, table = os.environ["TEST_DB"], os.environ["TEST_TABLE"]
db = PostgresDb(where, table) if where.startswith("postgresql") else SqliteDb(where, table)
agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), tools=[block], db=db)
print("imported")
"""


class WorkerCommand:
    """A worker that serves ``app:agent``.

    Attributes:
        lines: the JSON objects that it has printed.
        others: the lines that are no JSON.
    """

    def __init__(
        self, directory: Path, environment: dict[str, str], *arguments: str, app: str = APP
    ) -> None:
        """Start it.

        Args:
            directory: where it works.
            environment: its settings.
            arguments: of the command.
            app: the source of its agent.
        """
        (directory / "app.py").write_text(app)
        self._errors = directory / "errors.txt"
        self._mark = uuid4().hex
        with self._errors.open("w") as errors:
            self._popen = subprocess.Popen(
                [KERN, "worker", "app:agent", *arguments],
                cwd=directory,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | environment | {"TEST_WORKER": self._mark},
            )
        self.lines: list[Line] = []
        self.others: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def errors(self) -> str:
        """What it has written to the standard error stream."""
        return self._errors.read_text()

    @property
    def url(self) -> str:
        """Where its health checks are."""
        return str(next(line["health"] for line in self.lines if "health" in line))

    @property
    def children(self) -> list[psutil.Process]:
        """The processes that it has started."""
        return psutil.Process(self._popen.pid).children()

    async def told(
        self, event: str | None = None, *, times: int = 1, **fields: object
    ) -> list[Line]:
        """Return the lines with this event and these fields, as soon as there are so many."""
        if event is not None:
            fields["event"] = event

        def found() -> list[Line]:
            return [line for line in self.lines if fields.items() <= line.items()]

        await asyncio.to_thread(self._wait, lambda: len(found()) >= times or self._ended)
        assert len(found()) >= times, f"{fields} is not in {self.lines}\n{self.errors}"
        return found()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end of it and its output, and return its exit code."""
        await asyncio.to_thread(self._wait, lambda: self._ended)
        return self._popen.wait(10)

    def close(self) -> None:
        """End it with its processes, those included that have outlived it."""
        self._popen.kill()
        self._popen.wait(10)
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("TEST_WORKER") == self._mark:
                process.kill()
        self._reader.join()

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, _PATIENCE), f"{self.lines}\n{self.errors}"

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as lines:
            for line in lines:
                with self._changed:
                    try:
                        self.lines.append(json.loads(line))
                    except ValueError:
                        self.others.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
