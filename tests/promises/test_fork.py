"""Promise 14: the child of a process that has used kern can use it as well, as can its parent."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kern.local.postgres import EmbeddedPostgres
from kern.testing import Reply, ResponsesServer

Spawn = Callable[..., "subprocess.Popen[str]"]

PRELUDE = """
import asyncio, os, sys, time, warnings
from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

warnings.simplefilter("ignore", DeprecationWarning)
url, where, table = sys.argv[1:]
db = PostgresDb(where, table) if "://" in where else SqliteDb(where, table)
model = OpenAIResponses("test-model", base_url=url, api_key="sk-test", max_retries=0)
agent = Agent("Tester", model, db=db)

def in_child(work):
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    deadline = time.monotonic() + 30
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            print("the child hung", flush=True)
            return
        time.sleep(0.02)
"""

SYNCHRONOUS = f"""{PRELUDE}
def use(name):
    print(name, agent.run("Hi").content, flush=True)
    run = agent.run("Hi", background=True)
    print(name, agent.wait_run(run.run_id, 30).content, flush=True)

use("parent")
in_child(lambda: use("child"))
use("parent")
"""

ASYNCHRONOUS = f"""{PRELUDE}
async def use(name):
    print(name, (await agent.arun("Hi")).content, flush=True)
    run = await agent.arun("Hi", background=True)
    print(name, (await agent.await_run(run.run_id, 30)).content, flush=True)

asyncio.run(use("parent"))
in_child(lambda: asyncio.run(use("child")))
asyncio.run(use("parent"))
"""

IN_FLIGHT = f"""{PRELUDE}
run = agent.run("Take long", background=True)
sys.stdin.readline()
in_child(lambda: print("child", agent.run("Hi").content, flush=True))
print("forked", flush=True)
print("parent", agent.wait_run(run.run_id, 30).content, flush=True)
"""


@pytest.fixture(params=["postgres", "sqlite"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "kern.db")
    postgres: EmbeddedPostgres = request.getfixturevalue("postgres")
    return postgres.url


@pytest.mark.parametrize("script", [SYNCHRONOUS, ASYNCHRONOUS], ids=["threads", "loops"])
async def test_the_child_of_a_fork_uses_the_database_of_its_parent(
    server: ResponsesServer, spawn: Spawn, where: str, table: str, script: str
) -> None:
    process = spawn(script, server.base_url, where, table)
    output, _ = await asyncio.to_thread(process.communicate, timeout=100)
    assert output.splitlines() == [
        f"{who} Hello." for who in ("parent", "child", "parent") for _ in range(2)
    ]


async def test_a_fork_in_the_middle_of_a_run_leaves_it_to_the_parent(
    server: ResponsesServer, spawn: Spawn, where: str, table: str
) -> None:
    held = Reply.text("Held.").held()
    server.script.append(held)
    process = spawn(IN_FLIGHT, server.base_url, where, table)
    await server.wait_for_requests(1, timeout=60)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert (await asyncio.to_thread(process.stdout.readline)).strip() == "child Hello."
    assert (await asyncio.to_thread(process.stdout.readline)).strip() == "forked"
    held.release()
    assert (await asyncio.to_thread(process.stdout.readline)).strip() == "parent Held."
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert len(server.requests) == 2
