"""Promise 8: shutdown is not cancel. Whatever server ends it, a process releases its runs."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deploys import Server
from elsewhere import environment_of
from load import ended, status_of

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

Deploy = Callable[..., Server]

ASGI = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    run = await agent.arun("Go on", background=True)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": run.run_id.encode()})
"""

WSGI = """
def app(environ, start_response):
    run = agent.run("Go on", background=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [run.run_id.encode()]
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def begin(request):
    return PlainTextResponse(agent.run("Go on", background=True).run_id)

app = Starlette(routes=[Route("/", begin)], lifespan=lifespan(grace=0.1))
"""

CELERY = """
from celery import Celery

for folder in ("messages", "control"):
    os.makedirs(folder, exist_ok=True)
folders = {"data_folder_in": "messages", "data_folder_out": "messages", "control_folder": "control"}
app = Celery("site_app", broker="filesystem://")
app.conf.update(broker_transport_options=folders, task_ignore_result=True)

@app.task
def begin(run_id):
    agent.run("Go on", background=True, run_id=run_id)
"""

GUNICORN = ("gunicorn", "-b", "127.0.0.1:{port}", "--graceful-timeout", "20", "site_app:app")
UVICORN = ("uvicorn", "--port", "{port}", "site_app:app")


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skip a test where one of the modules is not installed."""
    missing = [each for each in modules if importlib.util.find_spec(each) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def shared_db(sqlite_db: Database) -> Database:
    """One kind of database: what a server does at its end is the same for all."""
    return sqlite_db


@pytest.fixture
def deploy(shared_db: Database, server: ResponsesServer, tmp_path: Path) -> Iterator[Deploy]:
    """Start servers with an application each."""
    started: list[Server] = []

    def start(code: str, *command: str, db: Database = shared_db, **settings: str) -> Server:
        environment = environment_of(db, server.base_url) | settings
        started.append(Server(tmp_path, code, *command, environment=environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


async def released(agent: Agent, server: ResponsesServer, deployed: Server) -> int:
    """Have a run begun, the server ended, and look that the run is released; return the exit."""
    server.script.append(Reply.hang())
    run_id = await deployed.begin_run()
    await server.wait_for_requests(1, timeout=40)
    code = await deployed.terminate()
    run = await agent.aget_run_output(run_id)
    assert run is not None
    assert run.status is RunStatus.pending, deployed.log()
    assert "Traceback" not in deployed.log()
    return code


@pytest.mark.nightly
@needs("uvicorn", "uvloop")
async def test_uvicorn_over_uvloop_ends_with_the_runs_released(
    agent: Agent, server: ResponsesServer, deploy: Deploy
) -> None:
    deployed = deploy(ASGI, *UVICORN, "--lifespan", "off", "--loop", "uvloop")
    assert await released(agent, server, deployed) == -15


@pytest.mark.nightly
@needs("uvicorn")
async def test_uvicorn_with_several_workers_ends_with_the_runs_released(
    agent: Agent, server: ResponsesServer, deploy: Deploy
) -> None:
    deployed = deploy(ASGI, *UVICORN, "--lifespan", "off", "--workers", "2")
    await released(agent, server, deployed)


@needs("uvicorn", "starlette")
async def test_a_lifespan_releases_the_runs_of_synchronous_endpoints(
    agent: Agent, server: ResponsesServer, deploy: Deploy
) -> None:
    assert await released(agent, server, deploy(STARLETTE, *UVICORN)) == -15


@needs("uvicorn")
async def test_where_there_is_no_lifespan_the_main_thread_can_ask_for_sigterm_to_be_handled(
    agent: Agent, server: ResponsesServer, deploy: Deploy
) -> None:
    code = STARLETTE.replace(", lifespan=lifespan(grace=0.1)", "") + "handle_sigterm()\n"
    # uvicorn raises the signal once it has ended: the process may be gone before it is handed on.
    assert await released(agent, server, deploy(code, *UVICORN)) in (-15, 0)


@needs("uvicorn", "gunicorn")
async def test_gunicorn_with_uvicorn_workers_ends_with_the_runs_released(
    agent: Agent, server: ResponsesServer, deploy: Deploy
) -> None:
    deployed = deploy(ASGI, *GUNICORN, "-k", "uvicorn.workers.UvicornWorker")
    assert await released(agent, server, deployed) == 0


@needs("gunicorn")
@pytest.mark.parametrize("worker", ["gthread", pytest.param("sync", marks=pytest.mark.nightly)])
async def test_gunicorn_ends_with_the_runs_released(
    agent: Agent, server: ResponsesServer, deploy: Deploy, worker: str
) -> None:
    deployed = deploy(WSGI, *GUNICORN, "-k", worker, "--threads", "1")
    assert await released(agent, server, deployed) == 0


@needs("celery")
async def test_celerys_prefork_workers_end_with_the_runs_released(
    agent: Agent, server: ResponsesServer, deploy: Deploy
) -> None:
    deployed = deploy(CELERY, "celery", "-A", "site_app", "worker", "-c", "1", "--pool", "prefork")
    server.script.append(Reply.hang())
    deployed.python("site_app.begin.delay('run-1')")
    await server.wait_for_requests(1, timeout=40)
    assert await deployed.terminate() == 0
    run = await agent.aget_run_output("run-1")
    assert run is not None
    assert run.status is RunStatus.pending, deployed.log()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("code", "command", "ends_with"),
    [
        pytest.param(
            ASGI, (*UVICORN, "--lifespan", "off"), -15, id="uvicorn", marks=needs("uvicorn")
        ),
        pytest.param(
            ASGI,
            (*GUNICORN, "-k", "uvicorn.workers.UvicornWorker"),
            0,
            id="gunicorn, uvicorn",
            marks=[needs("gunicorn", "uvicorn"), pytest.mark.nightly],
        ),
        pytest.param(
            WSGI,
            (*GUNICORN, "-k", "gthread"),
            0,
            id="gunicorn, threads",
            marks=[needs("gunicorn"), pytest.mark.nightly],
        ),
    ],
)
async def test_a_long_run_outlives_more_deploys_than_attempts_that_may_be_lost(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    deploy: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    command: tuple[str, ...],
    ends_with: int,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    code = code.replace("background=True", 'background=True, run_id="long", max_attempts=1')

    def deploy_again() -> Server:
        return deploy(code, *command, db=postgres_db, KERN_IN_PROCESS_WORKER="1")

    server.script += [Reply.hang() for _ in range(2)]
    agent = Agent("Tester", model, db=postgres_db)
    for number in range(1, 3):
        deployed = deploy_again()
        assert await deployed.begin_run() == "long"
        await server.wait_for_requests(number, timeout=20)
        assert await deployed.terminate() == ends_with
        assert "Traceback" not in deployed.log()
        assert await status_of(agent, "long") is RunStatus.pending, deployed.log()
    assert await deploy_again().begin_run() == "long"
    run = await ended(agent, "long", 20)
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    assert len(server.requests) == 3
