"""Clients in JavaScript, of a server that is killed in mid-stream: OpenAI's own, and the AI SDK."""

import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from api import until
from deploys import Server
from elsewhere import environment_of
from javascript import SOURCES, packages, run

from kern.db.sqlite import SqliteDb
from kern.testing import ProtocolServer, Reply

PROGRAMS = ("openai.test.mjs", "ai-sdk.test.mjs")
SERVE = ("kern.cli.entry", "serve", "site_app:agents", "--port")
AGENTS = """
from kern.tools import tool

@tool
def look_up(city: str) -> str:
    '''Look the weather up.'''
    return f"sunny in {city}"

@tool(requires_confirmation=True)
def refund(order: str) -> str:
    '''Refund an order.'''
    return f"refunded {order}"

model = agent.model
agents = [
    Agent("Plain", model, db=db),
    Agent("Researcher", model, db=db, tools=[look_up]),
    Agent("Clerk", model, db=db, tools=[refund]),
]
"""


MID_STREAM = "in mid-stream"
"""What a program prints when its stream has begun: now its server can be killed."""


class Parrot:
    """A model that does what the user says.

    Attributes:
        is_slow: whether it stops in the middle where it is asked to be slow.
    """

    def __init__(self) -> None:
        self.is_slow = True

    def __call__(self, body: dict[str, Any]) -> Reply:
        """Answer a request."""
        items = body["input"]
        said = next(_text(each) for each in reversed(items) if each.get("role") == "user")
        word, _, rest = said.partition(" ")
        match word:
            case "Say":
                return Reply.text(*re.findall(r"\S+\s*", rest))
            case "Call":
                return _calls(rest, _outputs(items, said))
            case "Count":
                return Reply.text(*(f"{each} " for each in range(30))).slow(pause=0.005)
            case "Recall":
                return Reply.text(" | ".join(f"{each['role']}: {_text(each)}" for each in items))
            case "Slowly":
                if self.is_slow:
                    return Reply.text("This is ", "lost.").held(1)
                return Reply.text("This is ", "kept.")
            case "Hang":
                return Reply.text("Once ", "upon").held(1)
            case "Fail":
                return Reply.failed()
        return Reply.text("What?")


def _calls(wanted: str, outputs: list[str]) -> Reply:
    """Make the calls of the next step, or tell what has come of all."""
    done = len(outputs)
    for step in wanted.split(" then "):
        calls = re.findall(r"(\w+) (\{.*?\})", step)
        if done == 0:
            return Reply.tool_calls(*calls)
        done -= len(calls)
    return Reply.text("It is ", ", ".join(outputs))


def _outputs(items: list[Any], said: str) -> list[str]:
    """Return the results of calls since something was said first; clients may say it again."""
    begin = next(n for n, each in enumerate(items) if "role" in each and _text(each) == said)
    return [each["output"] for each in items[begin:] if each.get("type") == "function_call_output"]


def _text(item: Any) -> str:
    content = item["content"]
    if isinstance(content, str):
        return content
    return "".join(each.get("text", "") for each in content)


@pytest.mark.timeout(180)  # It installs the packages where they are not.
def test_what_a_service_does_holds_for_clients_in_javascript(
    sqlite_db: SqliteDb, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(packages())
    for each in SOURCES.glob("*.mjs"):
        shutil.copy(each, tmp_path)
    logs = {name: tmp_path / f"{name}.log" for name in PROGRAMS}
    parrot = Parrot()
    with ProtocolServer(default=parrot) as model, ThreadPoolExecutor() as pool:
        environment = environment_of(sqlite_db, model.base_url) | {"KERN_HEARTBEAT": "1"}
        server = Server(tmp_path, AGENTS, *SERVE, "{port}", environment=environment)
        settings = {"KERN_URL": f"http://127.0.0.1:{server.port}/v1"}
        running = [pool.submit(run, tmp_path / name, logs[name], settings, 50) for name in PROGRAMS]
        try:
            until(lambda: all(map(_is_in_mid_stream, running, logs.values())), 50)
        finally:
            server.close()  # It is killed.
        parrot.is_slow = False
        again = Server(tmp_path, AGENTS, *SERVE, str(server.port), environment=environment)
        try:
            codes = [each.result() for each in running]
        finally:
            again.close()
    told = "\n".join(log.read_text() for log in logs.values())
    assert codes == [0, 0], told + again.log()
    assert "Traceback" not in again.log()


def _is_in_mid_stream(running: Future[int], log: Path) -> bool:
    """Say whether a program waits for the end of its server, or has failed before."""
    return running.done() or (log.exists() and MID_STREAM in log.read_text())
