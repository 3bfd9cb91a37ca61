"""The recipes hold under the servers that they are for: uvicorn, gunicorn, Celery and Jupyter."""

import asyncio
import importlib.util
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from recipes import RECIPES, Recipes, Server

from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

UVICORN = "uvicorn fastapi_app:app --port {port} --timeout-graceful-shutdown 1"
GUNICORN = "gunicorn --preload -b 127.0.0.1:{port} -c " + str(RECIPES / "gunicorn.conf.py")
FLASK = f"{GUNICORN} --workers 2 --worker-class gthread --threads 8 flask_app:app"
DJANGO = f"{GUNICORN} django_app:application"

CELERY = """
import os
from celery_app import app

for folder in ("messages", "control"):
    os.makedirs(folder, exist_ok=True)
folders = {"data_folder_in": "messages", "data_folder_out": "messages", "control_folder": "control"}
app.conf.update(broker_transport_options=folders)
"""


def needs(*modules: str) -> list[pytest.MarkDecorator]:
    """Skip a test where one of the modules is not installed."""
    missing = [each for each in modules if importlib.util.find_spec(each) is None]
    return [pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")]


WEB = [
    pytest.param(UVICORN, id="fastapi, uvicorn", marks=needs("fastapi", "uvicorn")),
    pytest.param(FLASK, id="flask, gunicorn, gthread", marks=needs("flask", "gunicorn")),
    pytest.param(DJANGO, id="django, gunicorn, sync", marks=needs("django", "gunicorn")),
]


@pytest.fixture
async def recipes(tmp_path: Path, server: ResponsesServer) -> AsyncIterator[Recipes]:
    started = Recipes(tmp_path, server)
    yield started
    started.close()


async def ended(web: Server, run_id: str) -> Any:
    """Ask until a run has ended, as a client does."""
    async with asyncio.timeout(30):
        while True:
            status, run = await asyncio.to_thread(web.ask, "GET", f"/runs/{run_id}")
            assert status == 200, web.log()
            if run["status"] in ("COMPLETED", "ERROR", "CANCELLED"):
                return run
            await asyncio.sleep(0.02)


async def check_conversations(web: Server, server: ResponsesServer, *, answers: bool) -> None:
    """Look that requests share no conversation, unless they name it."""
    before = len(server.requests)
    names = [f"name-{number}" for number in range(6)]
    submitted = (asyncio.to_thread(web.submit, f"I am {name}.") for name in names)
    for run_id in await asyncio.gather(*submitted):
        await ended(web, run_id)
    if answers:  # Threads, and processes, serve request after request.
        for name in names:
            task = {"text": f"I am {name}."}
            answer = await asyncio.to_thread(web.ask, "POST", "/answers", task)
            assert answer == (200, {"content": "Hello."}), web.log()
    shown = [json.dumps(each.body["input"]) for each in server.requests[before:]]
    assert len(shown) == len(names) * (2 if answers else 1)
    assert [len({*re.findall(r"name-\d", each)}) for each in shown] == [1] * len(shown)
    for text in ("I am Ada.", "Who am I?"):
        await ended(web, await asyncio.to_thread(web.submit, text, session_id="ada"))
    assert "I am Ada." in json.dumps(server.requests[-1].body["input"])


async def check_stream(web: Server, run_id: str) -> None:
    """Look that the stream of an ended run goes on from any event."""
    events = await asyncio.to_thread(lambda: [*web.events(run_id)])
    assert [int(each["id"]) for each in events] == [*range(1, len(events) + 1)]
    assert events[-1]["event"] == "RunCompleted"
    for event in events[:-1]:
        rest = await asyncio.to_thread(lambda last: [*web.events(run_id, last)], event["id"])
        assert [each["id"] for each in rest] == [each["id"] for each in events[int(event["id"]) :]]
    assert (await asyncio.to_thread(web.ask, "GET", "/runs/unknown/events"))[0] == 404


async def check_cancel(web: Server, server: ResponsesServer) -> None:
    """Look that a run is cancelled in the middle of its model call."""
    server.script.append(Reply.hang())
    before = len(server.requests)
    run_id = await asyncio.to_thread(web.submit, "Write a book.")
    await server.wait_for_requests(before + 1, timeout=20)
    answer = await asyncio.to_thread(web.ask, "DELETE", f"/runs/{run_id}")
    assert answer == (200, {"cancelled": True}), web.log()
    assert (await ended(web, run_id))["status"] == "CANCELLED"


@pytest.mark.parametrize("command", WEB)
async def test_a_web_application_serves_runs_and_releases_them_at_a_deploy(
    recipes: Recipes, server: ResponsesServer, command: str
) -> None:
    streams = command is not DJANGO
    web = await asyncio.to_thread(recipes.serve(*command.split()).ready)
    server.script.append(Reply.text("Pa", "ris."))
    run_id = await asyncio.to_thread(web.submit, "What is the capital of France?")
    assert await ended(web, run_id) == {"status": "COMPLETED", "content": "Paris.", "error": None}
    assert (await asyncio.to_thread(web.ask, "GET", "/runs/unknown"))[0] == 404
    if streams:
        await check_stream(web, run_id)
    await check_conversations(web, server, answers=command is not UVICORN)
    await check_cancel(web, server)

    server.script += [Reply.text("Once", " upon").held(after=1), Reply.text("The end.")]
    before = len(server.requests)
    run_id = await asyncio.to_thread(web.submit, "Tell me a story.")
    events = web.events(run_id) if command is UVICORN else iter(())
    first = await asyncio.to_thread(next, events, None)  # Its connection stays open.
    await server.wait_for_requests(before + 1, timeout=20)
    await asyncio.to_thread(web.terminate)
    assert await recipes.status_of(run_id) is RunStatus.pending, web.log()
    if first is None:  # What uvicorn cuts off it logs as an error.
        assert "Traceback" not in web.log(), web.log()

    web = recipes.serve(*command.split())
    await recipes.until(run_id, RunStatus.completed)  # Though nobody asks this server for it.
    await asyncio.to_thread(web.ready)
    assert (await ended(web, run_id))["content"] == "The end."
    if first is not None:
        rest = await asyncio.to_thread(lambda: [*web.events(run_id, first["id"])])
        assert int(rest[0]["id"]) == int(first["id"]) + 1
        assert rest[-1]["event"] == "RunCompleted"


async def test_celery_submits_a_task_once_and_its_runs_outlive_a_deploy(
    recipes: Recipes, server: ResponsesServer
) -> None:
    pytest.importorskip("celery", reason="not installed: celery")
    (recipes.directory / "here.py").write_text(CELERY)
    recipes.environment["CELERY_BROKER_URL"] = "filesystem://"
    command = ["celery", "-A", "here", "worker", "--pool", "prefork", "-c", "1", "-l", "WARNING"]
    worker = recipes.serve(*command)
    server.script.append(Reply.hang())
    send = "app.send_task('celery_app.research', ['What is tea?'], task_id='tea')"
    await asyncio.to_thread(recipes.python, f"from here import app; {send}; {send}")
    await server.wait_for_requests(1, timeout=30)
    async with asyncio.timeout(20):  # The second message is acknowledged as well.
        while [*(recipes.directory / "messages").iterdir()]:  # noqa: ASYNC110 # another's files
            await asyncio.sleep(0.05)
    assert await asyncio.to_thread(worker.terminate) == 0, worker.log()
    assert await recipes.status_of("tea") is RunStatus.pending, worker.log()
    assert len(server.requests) == 1

    server.script.append(Reply.text("Leaves."))
    recipes.serve(*command)
    await recipes.until("tea", RunStatus.completed)
    assert len(server.requests) == 2


@contextmanager
def kernel(recipes: Recipes) -> Iterator[Any]:
    """Start a Jupyter kernel, and shut it down in good order."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        kernel_name="python3", env=recipes.environment, cwd=str(recipes.directory)
    )
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def execute(client: Any, code: str) -> str:
    """Execute a cell, and return what it shows."""
    shown: list[str] = []

    def show(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            shown.append(content["text"])
        elif message["msg_type"] == "execute_result":
            shown.append(content["data"]["text/plain"])
        elif message["msg_type"] == "error":
            shown.append(f"{content['ename']}: {content['evalue']}")

    client.execute_interactive(code, timeout=30, output_hook=show)
    return "".join(shown)


def test_a_notebook_shows_what_it_says_and_its_runs_outlive_the_kernel(recipes: Recipes) -> None:
    pytest.importorskip("ipykernel", reason="not installed: ipykernel")
    cells = json.loads((RECIPES / "notebook.ipynb").read_text())["cells"]
    with ResponsesServer(default=Reply.text("Paris", ".")) as server:
        recipes.environment["OPENAI_BASE_URL"] = server.base_url
        with kernel(recipes) as client:
            for cell in cells:
                if cell["cell_type"] == "code":
                    outputs = [
                        each.get("text") or each["data"]["text/plain"] for each in cell["outputs"]
                    ]
                    expected = "".join("".join(each) for each in outputs)
                    assert execute(client, "".join(cell["source"])).strip() == expected.strip()
            blocking = execute(client, "researcher.run('Hi')")
            assert blocking.startswith("SyncInLoopError")
            server.script.append(Reply.hang())
            before = len(server.requests)
            execute(client, "await researcher.arun('Hi', background=True, run_id='hi')")
            server.wait_for_requests_sync(before + 1)
        run = recipes.agent.get_run_output("hi")
        assert run is not None
        assert run.status is RunStatus.pending


async def test_the_tests_of_an_application_pass() -> None:
    pytest.importorskip("fastapi", reason="not installed: fastapi")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"),
        cwd=RECIPES,
        env={name: value for name, value in os.environ.items() if "OPENAI" not in name},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _error = await process.communicate()
    assert process.returncode == 0, printed.decode()
    assert b"4 passed" in printed
