"""Promise 14: the child of a process that has used kern can use it as well, as can its parent."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elsewhere import Process, environment_of

from kern.db.database import Database
from kern.testing import Reply, ResponsesServer

Run = Callable[[str], Process]

PRELUDE = """
import asyncio, os, sys, time, warnings
from crash import open_database
from kern.agent import Agent
from kern.models.openai import OpenAIResponses

warnings.simplefilter("ignore", DeprecationWarning)
db = open_database(os.environ["TEST_DB"], os.environ["TEST_TABLE"])
agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), db=db)

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


@pytest.fixture
def run(shared_db: Database, server: ResponsesServer, tmp_path: Path) -> Iterator[Run]:
    """Have a process do what a script says."""
    started: list[Process] = []

    def start(text: str) -> Process:
        script = tmp_path / "script.py"
        script.write_text(text)
        started.append(Process(script, environment_of(shared_db, server.base_url)))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.mark.parametrize("script", [SYNCHRONOUS, ASYNCHRONOUS], ids=["threads", "loops"])
async def test_the_child_of_a_fork_uses_the_database_of_its_parent(run: Run, script: str) -> None:
    process = run(script)
    said = [await process.said(100) for _ in range(6)]
    assert said == [f"{who} Hello." for who in ("parent", "child", "parent") for _ in range(2)]
    assert await process.ended() == 0


async def test_a_fork_in_the_middle_of_a_run_leaves_it_to_the_parent(
    run: Run, server: ResponsesServer
) -> None:
    held = Reply.text("Held.").held()
    server.script.append(held)
    process = run(IN_FLIGHT)
    await server.wait_for_requests(1, timeout=60)
    process.tell("go")
    assert await process.said(40) == "child Hello."
    assert await process.said() == "forked"
    held.release()
    assert await process.said(40) == "parent Held."
    assert await process.ended() == 0
    assert len(server.requests) == 2
