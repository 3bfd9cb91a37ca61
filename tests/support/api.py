"""The service in the process of a test: on a thread of its own, asked over HTTP."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import openai
import uvicorn
from ports import free_port

from kern.agent import Agent
from kern.server import create_app
from kern.testing import ProtocolServer, Reply
from kern.tools import tool

WEATHER: list[str] = []
"""The cities that were looked up, by the agent's own tool."""

DELETED: list[str] = []
"""What was deleted, by the agent's own tool."""


@tool
def look_up(city: str) -> str:
    """Look the weather up."""
    WEATHER.append(city)
    return f"sunny in {city}"


@tool(requires_confirmation=True)
def delete(path: str) -> str:
    """Delete a file."""
    DELETED.append(path)
    return f"{path} is gone"


class Served(NamedTuple):
    """A service, and the model that answers its agents.

    Attributes:
        url: where the service is.
        says: the model: its script is what it says next.
        client: the official client.
        http: a client that sends what it is told.
    """

    url: str
    says: ProtocolServer
    client: openai.OpenAI
    http: httpx.Client

    def script(self, *replies: Reply | str) -> None:
        """Have the model say these next."""
        self.says.script.extend(
            Reply.text(each) if isinstance(each, str) else each for each in replies
        )

    def told(self) -> list[Any]:
        """Return what the model was told last."""
        found: list[Any] = self.says.requests[-1].body["input"]
        return found


@contextmanager
def service(agents: Sequence[Agent[Any, Any]], **options: Any) -> Iterator[str]:
    """Serve agents on a port of this machine; yields where.

    Args:
        agents: the agents.
        **options: of :func:`create_app`.
    """
    port = free_port()
    config = uvicorn.Config(
        create_app(agents, **options), port=port, log_level="warning", timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="service")
    thread.start()
    try:
        _wait_for(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the service has not ended"


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: it is not after so many seconds.
    """
    _wait_for(what, seconds)


def leave(url: str, body: dict[str, Any], asked: Callable[[], bool], **headers: str) -> None:
    """Ask for a response, and close the connection once something is so, without its answer."""
    found = urlsplit(url)
    with closing(HTTPConnection(found.netloc)) as connection:
        told = {"content-type": "application/json", **headers}
        connection.request("POST", f"{found.path}/responses", json.dumps(body), told)
        until(asked)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the error in an answer, in OpenAI's form."""
    body = answer.json()
    assert set(body) == {"error"}, body
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    return error


def _wait_for(what: Callable[[], bool], seconds: float = 20.0) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if what():
            return
        pause.wait(0.01)
    raise AssertionError(f"not within {seconds:g} s")
