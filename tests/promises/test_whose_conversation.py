"""Whose conversation is it? A run without a session id begins its own; scripts continue theirs."""

import asyncio
import http.client
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_port

from kern.agent import Agent
from kern.errors import InvalidInputError
from kern.testing import ScriptedModel

AGENT = """
import asyncio
from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.testing import ScriptedModel

agent = Agent("Tester", ScriptedModel(), db=InMemoryDb())
"""

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "36")])
    return [agent.run("Hi").session_id.encode()]
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    session = (await agent.arun("Hi")).session_id.encode()
    headers = [(b"content-length", str(len(session)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": session})
"""

FLASK = """
from flask import Flask
app = Flask("site_app")

@app.get("/")
def ask():
    return agent.run("Hi").session_id
"""

FASTAPI = """
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
app = FastAPI()

@app.get("/", response_class=PlainTextResponse)
async def ask():
    return (await agent.arun("Hi")).session_id
"""

AIOHTTP = """
from aiohttp import web

async def ask(request):
    return web.Response(text=(await agent.arun("Hi")).session_id)

app = web.Application()
app.add_routes([web.get("/", ask)])
"""

HTTP_SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        session = agent.run("Hi").session_id.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(session)))
        self.end_headers()
        self.wfile.write(session)
"""

MAIN = 'if __name__ == "__main__":\n    agent.run("Warm up")\n    '

GUNICORN = ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "site_app:app")

SERVERS = {
    "uvicorn": (ASGI, ("-m", "uvicorn", "--port", "{port}", "site_app:app")),
    "uvicorn, FastAPI": (FASTAPI, ("-m", "uvicorn", "--port", "{port}", "site_app:app")),
    "gunicorn, sync": (WSGI, GUNICORN),
    "gunicorn, threads": (WSGI, (*GUNICORN, "-k", "gthread", "--threads", "1")),
    "Flask": (FLASK, ("-m", "flask", "--app", "site_app", "run", "--port", "{port}")),
    "Flask, a script": (FLASK + MAIN + "app.run(port={port})", ("site_app.py",)),
    "Flask, a script without threads": (
        FLASK + MAIN + "app.run(port={port}, threaded=False)",
        ("site_app.py",),
    ),
    "uvicorn, a script": (
        FASTAPI + MAIN + "import uvicorn; uvicorn.run(app, port={port})",
        ("site_app.py",),
    ),
    "aiohttp, a script": (
        AIOHTTP + MAIN + "web.run_app(app, host='127.0.0.1', port={port})",
        ("site_app.py",),
    ),
    "http.server, a script": (
        HTTP_SERVER + MAIN + "HTTPServer(('127.0.0.1', {port}), Handler).serve_forever()",
        ("site_app.py",),
    ),
}


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """The port of a server, of those in ``SERVERS``."""
    code, command = SERVERS[request.param]
    package = request.param.partition(",")[0].lower()
    if package != "http.server" and importlib.util.find_spec(package) is None:
        pytest.skip(f"not installed: {package}")
    port = free_port()
    (tmp_path / "site_app.py").write_text(AGENT + code.replace("{port}", str(port)))
    process = subprocess.Popen(
        [sys.executable, *(each.format(port=port) for each in command)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    yield port
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(port: int, count: int) -> list[str]:
    """Return what a server answers to so many requests of one connection, once it listens."""
    give_up_at = time.monotonic() + 40
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.connect()
            break
        except OSError:
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
    found = []
    for _ in range(count):
        connection.request("GET", "/")
        found.append(connection.getresponse().read().decode())
    connection.close()
    return found


@pytest.mark.parametrize("site", SERVERS, indirect=True)
def test_two_requests_to_a_server_never_share_a_conversation(site: int) -> None:
    sessions = answers(site, 2) + answers(site, 2)
    assert all(len(each) == 36 for each in sessions), sessions
    assert len(set(sessions)) == 4


def said_by(script: str, tmp_path: Path) -> list[str]:
    """Return the lines that a script prints."""
    path = tmp_path / "script.py"
    path.write_text(AGENT + script)
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=50, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_script_continues_the_conversation_that_it_began(tmp_path: Path) -> None:
    script = """
print(agent.session_id)
runs = [agent.run("One")]

def again():
    return agent.run("Two")

runs.append(again())
for event in agent.run("Three", stream=True):
    last = event
print(len({run.session_id for run in runs} | {last.session_id, agent.session_id}))
print(len(agent.get_chat_history()))
print(agent.run("Four", session_id="other").session_id)
print(agent.run("Five").session_id == runs[0].session_id)
print(agent.run("Six", user_id="eve").session_id == runs[0].session_id)
"""
    assert said_by(script, tmp_path) == ["None", "1", "6", "other", "True", "False"]


def test_tasks_side_by_side_and_background_runs_begin_their_own(tmp_path: Path) -> None:
    script = """
async def main():
    first, second = await agent.arun("One"), await agent.arun("Two")
    print(first.session_id == second.session_id == agent.session_id)
    async for event in agent.arun("Three", stream=True):
        last = event
    print(last.session_id == first.session_id)
    beside = await asyncio.gather(*(agent.arun("Hi") for _ in range(3)))
    background = await agent.arun("Hi", background=True)
    print(len({first.session_id, background.session_id, *(run.session_id for run in beside)}))
    print((await agent.arun("Four")).session_id == first.session_id)
    in_thread = await asyncio.to_thread(lambda: agent.run("Five"))
    print(in_thread.session_id == first.session_id)

asyncio.run(main())
"""
    assert said_by(script, tmp_path) == ["True", "True", "5", "True", "False"]


def test_a_notebook_continues_the_conversation_from_cell_to_cell(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    cells = """
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.autoawait = True
for cell in (
    CODE,
    "one = agent.run('One')",
    "two = await agent.arun('Two')",
    "three = agent.run('Three')",
    "beside = await asyncio.gather(agent.arun('Hi'), agent.arun('Hi'))",
    "print(len({run.session_id for run in (one, two, three)}))",
    "print(len({run.session_id for run in (one, *beside)}))",
):
    shell.run_cell(cell).raise_error()
"""
    script = cells.replace("CODE", repr(AGENT))
    (tmp_path / "notebook.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "notebook.py"],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["1", "3"]


async def test_an_agent_that_is_imported_remembers_none_and_asks_for_an_id() -> None:
    from kern.db.in_memory import InMemoryDb

    agent = Agent("Tester", ScriptedModel(), db=InMemoryDb())
    first, second = await agent.arun("One"), await agent.arun("Two")
    assert first.session_id != second.session_id
    assert agent.session_id is None
    with pytest.raises(InvalidInputError, match=r"Which session.*agent\.conversation\(\)"):
        await agent.aget_chat_history()


async def test_a_conversation_is_carried_explicitly() -> None:
    from kern.db.in_memory import InMemoryDb

    agent = Agent("Tester", ScriptedModel(), db=InMemoryDb(), user_id="ada")
    mine, others = agent.conversation(), agent.conversation(user_id="eve")
    await asyncio.gather(mine.arun("One"), others.arun("Other"))
    async for _ in mine.arun("Two", stream=True):
        pass
    history = await agent.aget_chat_history(mine.session_id)
    assert [each.text for each in history if each.role == "user"] == ["One", "Two"]
    assert others.user_id == "eve"
    assert await agent.aget_session(others.session_id) is None, "it is another user's"
    with pytest.raises(InvalidInputError, match="this conversation has its own"):
        await mine.arun("Three", session_id="other")


def test_an_agent_with_a_session_has_all_its_runs_there() -> None:
    from kern.db.in_memory import InMemoryDb

    agent = Agent("Tester", ScriptedModel(), db=InMemoryDb(), session_id="one")
    agent.run("One")
    agent.run("Two")
    assert len(agent.get_chat_history()) == 4
    agent.session_id = "two"
    agent.run("Three")
    assert len(agent.get_chat_history()) == 2


def test_what_a_script_prints_is_said_in_its_conversation(tmp_path: Path) -> None:
    script = """
agent.print_response("One")
agent.print_response("Two", stream=True)
agent.conversation().print_response("Elsewhere")

async def main():
    await agent.aprint_response("Three")
    await agent.aprint_response("Four", stream=True)
    print(len(await agent.aget_chat_history()))

print(len(agent.get_chat_history()))
asyncio.run(main())
"""
    assert [each for each in said_by(script, tmp_path) if each.isdigit()] == ["4", "4"]
