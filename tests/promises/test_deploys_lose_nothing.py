"""Promise 8 under the servers that people deploy with: their end releases what runs in them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from elsewhere import environment_of
from load import ended, status_of
from ports import free_port

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import ResponsesServer
from kern.testing.responses import Reply

AGENT = """
import os
from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses

db = PostgresDb(os.environ["TEST_DB"], os.environ["TEST_TABLE"])
agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), db=db)
"""

ASGI = f"""{AGENT}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({{"type": "lifespan.startup.complete"}})
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    await agent.arun("Go on", background=True, run_id="long", max_attempts=2)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"accepted"}})
"""

WSGI = f"""{AGENT}
def app(environ, start_response):
    agent.run("Go on", background=True, run_id="long", max_attempts=2)
    start_response("200 OK", [])
    return [b"accepted"]
"""

CELERY = f"""{AGENT}
from celery import Celery
from celery.signals import worker_ready

app = Celery(
    broker="filesystem://",
    broker_transport_options={{
        "data_folder_in": os.environ["TEST_QUEUE"], "data_folder_out": os.environ["TEST_QUEUE"]
    }},
    worker_hijack_root_logger=False,
)

@app.task(ignore_result=True)
def begin():
    agent.run("Go on", background=True, run_id="long", max_attempts=2)

@worker_ready.connect
def ready(**_):
    begin.delay()
"""

SERVERS = {
    "uvicorn": (ASGI, ["uvicorn", "app:app", "--log-level", "error", "--port", "{port}"]),
    "gunicorn, uvicorn": (
        ASGI,
        ["gunicorn", "app:app", "-k", "uvicorn.workers.UvicornWorker", "-b", "127.0.0.1:{port}"],
    ),
    "gunicorn, threads": (
        WSGI,
        ["gunicorn", "app:app", "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:{port}"],
    ),
    "celery": (
        CELERY,
        ["celery", "-A", "app", "worker", "-P", "prefork", "-c", "1", "-l", "ERROR"],
    ),
}


class Deployed:
    """A server with the agent in it, deployed again and again."""

    def __init__(self, name: str, directory: Path, environment: dict[str, str]) -> None:
        script, self._command = SERVERS[name]
        self._serves_http = script is not CELERY
        (directory / "app.py").write_text(script)
        (directory / "queue").mkdir()
        self._directory = directory
        self._environment = (
            os.environ
            | environment
            | {
                "TEST_QUEUE": str(directory / "queue"),
                "HOME": str(directory),
                "KERN_HEARTBEAT": "1",
                "PYTHONWARNINGS": "ignore",
                "PYTHONPATH": os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")]),
            }
        )
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and have it accept the run, or find it accepted."""
        port = free_port()
        command = [each.format(port=port) for each in self._command]
        self._process = subprocess.Popen(  # noqa: ASYNC220 # it only begins here
            [sys.executable, "-m", *command], cwd=self._directory, env=self._environment
        )
        if self._serves_http:
            await asyncio.to_thread(self._ask, port)

    def _ask(self, port: int) -> None:
        while True:
            assert self._process is not None
            assert self._process.poll() is None, "the server did not start"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
            assert answer.read() == b"accepted"

    async def stop(self) -> None:
        """Ask it to end, as a deploy does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._process.wait, 20)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)


@pytest.fixture(params=SERVERS)
def deployed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    postgres_db: PostgresDb,
    server: ResponsesServer,
) -> Iterator[Deployed]:
    pytest.importorskip(request.param.split(",")[0])
    running = Deployed(request.param, tmp_path, environment_of(postgres_db, server.base_url))
    yield running
    running.close()


@pytest.mark.timeout(120)
async def test_deploys_release_a_long_run_and_never_end_it(
    deployed: Deployed,
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.script += [Reply.hang() for _ in range(3)]
    agent = Agent("Tester", model, db=postgres_db)
    # More deploys than attempts that may be lost.
    for number in range(1, 4):
        await deployed.start()
        await server.wait_for_requests(number, timeout=20)
        await deployed.stop()
        assert await status_of(agent, "long") is RunStatus.pending
    await deployed.start()
    run = await ended(agent, "long", 20)
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    assert len(server.requests) == 4
