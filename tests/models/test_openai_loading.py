"""The SDK is loaded at the first call, beside the event loop."""

import os
import subprocess
import sys

from kern.testing import ResponsesServer

LOADING = """
import asyncio, importlib.abc, sys, threading
from kern import Agent
from kern.aio.portal import portal
from kern.models.openai import OpenAIResponses

agent = Agent("Any", OpenAIResponses("any"))

class Watched(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "openai":
            found()

sys.meta_path.insert(0, Watched())
"""

WITH_A_LOOP = """
asked, went_on = threading.Event(), threading.Event()

def found():
    asked.set()
    print("the loop went on:", went_on.wait(10))

async def main():
    run = asyncio.create_task(agent.arun("Hi"))
    while not asked.is_set():
        await asyncio.sleep(0)
    went_on.set()
    print((await run).content)

asyncio.run(main())
"""

AT_THE_END = """
def found():
    pass

def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")

portal()
threading.Thread.start = refuse
print(agent.run("Hi").content)
"""


def told_by(program: str) -> tuple[str, str]:
    """Run a program that calls a model, and return its output and its errors."""
    with ResponsesServer() as server:
        ended = subprocess.run(
            [sys.executable, "-c", LOADING + program],
            env={**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test"},
            capture_output=True,
            text=True,
            timeout=50,
        )
    return ended.stdout, ended.stderr


def test_the_event_loop_goes_on_while_the_sdk_is_loaded() -> None:
    assert told_by(WITH_A_LOOP) == ("the loop went on: True\nHello.\n", "")


def test_a_call_needs_no_thread_where_python_starts_none_any_more() -> None:
    """As Python 3.12.1 does at its end."""
    assert told_by(AT_THE_END) == ("Hello.\n", "")
