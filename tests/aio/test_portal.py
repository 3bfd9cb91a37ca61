"""The loop of synchronous methods needs no thread where Python starts none any more."""

import os
import subprocess
import sys

from kern.testing import ResponsesServer

# A first call has threads load what it needs. Python 3.12.1 and later start none at their end.
PROGRAM = """
import threading
from kern import Agent
from kern.aio.portal import portal
from kern.models.openai import OpenAIResponses

def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")

portal()
threading.Thread.start = refuse
print(Agent("Any", OpenAIResponses("any")).run("Hi").content)
"""


def test_a_call_needs_no_thread_where_python_starts_none_any_more() -> None:
    with ResponsesServer() as server:
        url = server.base_url.replace("127.0.0.1", "localhost")
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-test"},
            capture_output=True,
            text=True,
            timeout=50,
        )
    assert (ended.stdout, ended.stderr) == ("Hello.\n", "")
