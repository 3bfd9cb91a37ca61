"""The recipes of the cookbook, under the servers that they are for."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from groups import end_group
from ports import free_port

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import ResponsesServer

RECIPES = Path(__file__).parents[2] / "cookbook" / "04_recipes"
_PATIENCE = 60.0


class Recipes:
    """A directory of a test in which servers with the recipes' applications are started."""

    def __init__(self, directory: Path, model: ResponsesServer) -> None:
        """Start nothing yet.

        Args:
            directory: where the servers run, and where their runs are kept.
            model: what answers for the model.
        """
        self.directory = directory
        self.agent = Agent(
            "Researcher",
            OpenAIResponses("gpt-5-mini", base_url=model.base_url, api_key="none"),
            db=SqliteDb(directory / "kern.db"),
        )
        path = os.pathsep.join([str(RECIPES), str(directory), os.environ.get("PYTHONPATH", "")])
        self.environment = os.environ | {
            "PYTHONPATH": path,
            "HOME": str(directory),
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "none",
            "RECIPES_DB": str(directory / "kern.db"),
            "GRACE": "0",
        }
        self._servers: list[Server] = []

    def serve(self, *command: str) -> "Server":
        """Start a module as a command, with ``{port}`` for a free port."""
        server = Server(self, *command)
        self._servers.append(server)
        return server

    def python(self, code: str) -> str:
        """Execute code in a process of its own, and return what it has printed."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        return done.stdout

    async def status_of(self, run_id: str) -> RunStatus | None:
        """Return where a run is; None where it is not known."""
        run = await self.agent.aget_run_output(run_id)
        return None if run is None else run.status

    async def until(self, run_id: str, status: RunStatus) -> None:
        """Look at a run, which this process does not execute, until it has a status."""
        async with asyncio.timeout(_PATIENCE):
            while await self.status_of(run_id) is not status:  # noqa: ASYNC110 # another's run
                await asyncio.sleep(0.05)

    def close(self) -> None:
        """End what has not ended yet."""
        for each in self._servers:
            each.close()


class Server:
    """A server in a process of its own."""

    def __init__(self, recipes: Recipes, *command: str) -> None:
        """Start it."""
        self._url = f"http://127.0.0.1:{(port := free_port())}"
        self._log = recipes.directory / f"server_{port}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *(each.format(port=port) for each in command)],
                cwd=recipes.directory,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=recipes.environment,
            )

    def ready(self) -> Self:
        """Wait until it answers."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self.ask("GET", "/")
            except (urllib.error.URLError, ConnectionError):
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < end, self.log()
                time.sleep(0.05)
            else:
                return self

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status of an answer and its JSON, or None where it is something else."""
        try:
            with self._open(method, path, body) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                content = error.read()
            try:
                return error.code, json.loads(content)
            except ValueError:
                return error.code, None

    def submit(self, text: str, **more: str) -> str:
        """Submit a run, and return its id."""
        status, run = self.ask("POST", "/runs", {"text": text, **more})
        assert status == 202, self.log()
        run_id: str = run["run_id"]
        return run_id

    def events(self, run_id: str, last: str | None = None) -> Iterator[dict[str, str]]:
        """Yield the events of a run as a browser reads them, from the last one that it has on.

        The stream says that it has ended; where it was cut off instead, that is an error.
        """
        headers = {} if last is None else {"Last-Event-ID": last}
        with self._open("GET", f"/runs/{run_id}/events", None, headers) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            event: dict[str, str] = {}
            for line in answer:
                name, _, value = line.decode().rstrip("\n").partition(":")
                if name:
                    event[name] = value.strip()
                elif event["event"] == "end":
                    return
                else:
                    yield event
                    event = {}
        raise EOFError(run_id)

    def terminate(self) -> int:
        """Send it SIGTERM, as a deploy does, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_PATIENCE)

    def log(self) -> str:
        """Return what it has printed."""
        return self._log.read_text()

    def close(self) -> None:
        """End what is left of it."""
        end_group(self._process)

    def _open(
        self, method: str, path: str, body: object, headers: dict[str, str] | None = None
    ) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path,
            data,
            {"Content-Type": "application/json", **(headers or {})},
            method=method,
        )
        return urllib.request.urlopen(request, timeout=_PATIENCE)
