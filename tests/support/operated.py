"""``kern serve`` in a process of its own, its callers, and a model that says what it is told."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from kern.cli.database import open_database
from kern.db.methods import Methods
from kern.testing import ProtocolServer, Reply

Result = TypeVar("Result")

_KERN = str(Path(sys.executable).with_name("kern"))

# A busy machine takes seconds to start a process.
_PATIENCE = 60.0


class Operated:
    """The service of :mod:`operated_agents`, which knows its callers by API keys.

    Attributes:
        url: where it is.
        model: what its agents ask.
        log: the file that it writes to.
    """

    def __init__(self, database: str, table: str, directory: Path, *arguments: str) -> None:
        """Prepare it.

        Args:
            database: the URL of a PostgreSQL.
            table: the session table.
            directory: where its log is.
            arguments: more of the command's.
        """
        self.url = ""
        self.log = directory / "service.log"
        self.model = ProtocolServer(default=self._answer)
        self._scripts: dict[str, deque[Reply | Callable[[dict[str, Any]], Reply]]] = {}
        self._where = database, table
        self._thread = ThreadPoolExecutor(1)
        self._arguments = arguments
        self._environment = os.environ | {
            "TEST_DB": database,
            "TEST_TABLE": table,
            "OPENAI_API_KEY": "sk-test",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]),
        }
        self._clients: dict[str, httpx.Client] = {}

    def __enter__(self) -> Self:
        self.model.__enter__()
        self._environment["OPENAI_BASE_URL"] = self.model.base_url
        self.ask(Methods.store)
        command = [_KERN, "serve", "operated_agents:agents", "--port", "0", "--auth", "keys"]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, "--log", "json", *self._arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self.log.parent,
            )
        until(self._listens, _PATIENCE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for each in self._clients.values():
            each.close()
        self._thread.shutdown()
        self._process.terminate()
        self._process.wait(30)
        self.model.__exit__(kind, error, traceback)

    def ask(self, work: Callable[[Methods], Awaitable[Result]]) -> Result:
        """Return what comes of work with the database."""

        async def main() -> Result:
            async with open_database(*self._where) as db:
                return await work(db)

        # In a thread: Playwright's event loop runs in this one.
        return self._thread.submit(asyncio.run, main()).result()

    def key(self, user: str, *scopes: str) -> str:
        """Return a new API key of a user."""
        given = scopes or ("runs", "approve")
        return self.ask(lambda db: db.acreate_key(user, scopes=given))[1]

    def client(self, key: str) -> httpx.Client:
        """Return the client of a caller."""
        if key not in self._clients:
            headers = {"Authorization": f"Bearer {key}"}
            self._clients[key] = httpx.Client(base_url=self.url, headers=headers, timeout=60)
        return self._clients[key]

    def says(self, marker: str, *replies: Reply | str) -> None:
        """Have the model answer the requests that hold a text with these, one after another."""
        self._scripts[marker] = deque(
            Reply.text(each) if isinstance(each, str) else each for each in replies
        )

    def submit(self, key: str, agent: str, text: str, **more: object) -> str:
        """Submit a run, and return its id."""
        answer = self.client(key).post("/v1/runs", json={"agent": agent, "input": text, **more})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["run_id"])

    def run(self, key: str, run_id: str) -> Mapping[str, Any]:
        """Return a run as it stands."""
        answer = self.client(key).get(f"/v1/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        found: Mapping[str, Any] = answer.json()
        return found

    def wait(self, key: str, run_id: str, *statuses: str) -> Mapping[str, Any]:
        """Wait until a run has one of these statuses, COMPLETED by default, and return it."""
        wanted = statuses or ("COMPLETED",)
        until(lambda: self.run(key, run_id)["status"] in wanted, 30, lambda: self.run(key, run_id))
        return self.run(key, run_id)

    def _answer(self, body: dict[str, Any]) -> Reply:
        asked = json.dumps(body["input"])
        for marker, replies in self._scripts.items():
            if replies and marker in asked:
                reply = replies.popleft()
                return reply if isinstance(reply, Reply) else reply(body)
        return Reply.text("Hello.")

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        said = self.log.read_text()
        found = re.search(r'"url": ?"(http[^"]+)"', said)
        if not found:
            return False
        self.url = found[1]
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


def until(
    holds: Callable[[], bool], seconds: float, told: Callable[[], object] = lambda: ""
) -> None:
    """Wait until something holds that nobody tells of.

    Args:
        holds: whether it does.
        seconds: how long to wait.
        told: what to say where it never does.
    """
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at, told()
        time.sleep(0.05)
