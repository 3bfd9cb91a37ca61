"""What becomes of a service's runs and streams when its process is asked to end, or is killed."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deploys import Server
from elsewhere import environment_of
from load import ended, status_of
from uvicorn_here import Client

from kern.agent import Agent
from kern.db.database import Database
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

Deploy = Callable[..., Server]

SERVICE = """
from fastapi import Request
from fastapi.responses import PlainTextResponse
from kern.errors import KernError
from kern.server import create_app
from kern.server.service import service_of
from kern.server.streaming import EventStream

app = create_app([agent], grace=float(os.environ["TEST_GRACE"]))

@app.get("/")
async def begin() -> PlainTextResponse:
    return PlainTextResponse((await agent.arun("Go on", background=True)).run_id)

@app.get("/events/{run_id}")
async def events(run_id: str, request: Request) -> EventStream:
    async def pieces():
        async for event in agent.astream_run(run_id):
            yield f"data: {event.event}\\n\\n".encode()
    return EventStream(pieces(), service_of(request).streams)

@app.get("/foreground/{run_id}")
async def foreground(run_id: str, request: Request) -> EventStream:
    async def pieces():
        try:
            async for event in agent.arun("Go on", run_id=run_id, stream=True):
                yield f"data: {event.content}\\n\\n".encode()
        except KernError as error:
            yield f"data: {type(error).__name__}\\n\\n".encode()
    return EventStream(pieces(), service_of(request).streams, foreground=True)
"""
MOUNTED = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.routing import Mount

kern = app

@asynccontextmanager
async def within(site):
    async with kern.router.lifespan_context(kern):
        yield

app = Starlette(routes=[Mount("/", kern)], lifespan=within)
"""

UVICORN = ("uvicorn", "--port", "{port}", "site_app:app")
GUNICORN = (
    *("gunicorn", "-b", "127.0.0.1:{port}", "--graceful-timeout", "20", "-w", "2"),
    *("-k", "uvicorn.workers.UvicornWorker", "site_app:app"),
)
KERN = ("kern.cli.entry", "serve", "site_app:agent", "--port", "{port}", "--grace", "1")


@pytest.fixture
def shared_db(sqlite_db: Database) -> Database:
    """One kind of database: what a server does at its end is the same for all."""
    return sqlite_db


@pytest.fixture
def deploy(shared_db: Database, server: ResponsesServer, tmp_path: Path) -> Iterator[Deploy]:
    """Start servers of the service."""
    started: list[Server] = []

    def start(*command: str, code: str = SERVICE, grace: float = 0.2) -> Server:
        environment = environment_of(shared_db, server.base_url) | {"TEST_GRACE": str(grace)}
        started.append(Server(tmp_path, code, *command, environment=environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


async def stream(server: Server, path: str) -> Client:
    """Open a stream, as soon as the server listens, and read until its events begin."""
    client = await Client.get(server.port, path)
    assert "200 OK" in await client.head(), server.log()
    return client


@pytest.mark.parametrize(
    ("command", "code", "exit_code"),
    [
        (UVICORN, SERVICE, -15),
        pytest.param(UVICORN, SERVICE + MOUNTED, -15, marks=pytest.mark.nightly),
        pytest.param((*UVICORN, "--loop", "uvloop"), SERVICE, -15, marks=pytest.mark.nightly),
        pytest.param((*UVICORN, "--workers", "2"), SERVICE, 0, marks=pytest.mark.nightly),
        pytest.param(GUNICORN, SERVICE, 0, marks=pytest.mark.nightly),
    ],
    ids=["uvicorn", "mounted", "uvloop", "uvicorn-2", "gunicorn-2"],
)
async def test_at_its_end_background_runs_are_released_and_their_streams_are_complete(
    agent: Agent,
    server: ResponsesServer,
    deploy: Deploy,
    command: tuple[str, ...],
    code: str,
    exit_code: int,
) -> None:
    server.script += [Reply.hang()] * 4  # Another process may go on with it at once.
    deployed = deploy(*command, code=code)
    run_id = await deployed.begin_run()
    await server.wait_for_requests(1, timeout=40)
    clients = [await stream(deployed, f"/events/{run_id}") for _ in range(4)]
    for client in clients:
        assert await client.chunk() == b"data: RunStarted\n\n"
    assert await deployed.terminate() == exit_code, deployed.log()
    for client in clients:
        assert b"data: RunCancelled\n\n" not in await client.rest()
        await client.close()
    assert await status_of(agent, run_id) is RunStatus.pending, deployed.log()
    assert "Traceback" not in deployed.log()


async def test_foreground_runs_have_their_grace_and_then_fail_as_a_shutdown(
    agent: Agent, server: ResponsesServer, deploy: Deploy
) -> None:
    soon, never = Reply.text("Soon").held(), Reply.hang()
    server.script += [soon, never]
    deployed = deploy(*UVICORN, grace=4.0)
    clients = []
    async with asyncio.timeout(40):
        await deployed.begun()
    for number, run_id in enumerate(("soon", "never"), start=1):
        clients.append(await stream(deployed, f"/foreground/{run_id}"))
        await server.wait_for_requests(number, timeout=40)
    ending = asyncio.create_task(deployed.terminate())
    async with asyncio.timeout(20):
        await deployed.closed()
    soon.release()
    assert b"data: Soon\n\n" in await clients[0].rest()
    assert (await clients[1].rest())[-1] == b"data: ServerShutdownError\n\n"
    assert await ending == -15
    assert await status_of(agent, "soon") is RunStatus.completed
    failed = await agent.aget_run_output("never")
    assert failed is not None
    assert (failed.status, failed.error_kind) == (RunStatus.error, "ServerShutdownError")
    for client in clients:
        await client.close()


async def test_kern_serve_exits_with_0_and_what_it_released_goes_on_at_the_next_start(
    agent: Agent, server: ResponsesServer, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script += [Reply.hang(), Reply.text("Done.")]
    deployed = deploy(*KERN)
    await ready(deployed)
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    run = await agent.arun("Go on", background=True)
    await server.wait_for_requests(1, timeout=40)
    assert await deployed.terminate() == 0, deployed.log()
    assert await status_of(agent, run.run_id) is RunStatus.pending, deployed.log()
    again = deploy(*KERN)
    assert (await ended(agent, run.run_id, 40)).content == "Done."
    assert await again.terminate(signal.SIGINT) == 0, again.log()
    assert "Traceback" not in deployed.log() + again.log()


@pytest.mark.nightly
async def test_a_killed_server_loses_neither_run_nor_event(
    agent: Agent, server: ResponsesServer, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    server.script += [Reply.text("a", "b").held(1), Reply.text("c")]
    deployed = deploy(*UVICORN)
    run_id = await deployed.begin_run()
    client = await stream(deployed, f"/events/{run_id}")
    assert await client.chunk() == b"data: RunStarted\n\n"
    await server.wait_for_requests(1, timeout=40)
    deployed.close()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.rest()
    await client.close()
    again = deploy(*UVICORN)
    async with asyncio.timeout(40):
        await again.begun()
    client = await stream(again, f"/events/{run_id}")
    assert (await client.rest())[-1] == b"data: RunCompleted\n\n"
    await client.close()
    assert (await ended(agent, run_id, 40)).content == "c"


async def ready(deployed: Server) -> None:
    """Wait until a server says that it is ready."""
    async with asyncio.timeout(40):
        await deployed.begun()
        head = ""
        while "200 OK" not in head:
            client = await Client.get(deployed.port, "/readyz")
            head = await client.head()
            await client.close()
