"""Agents that answer by script behind the runs API, its callers, and what these ask."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import httpx
from fastapi import Request
from served import Event, events_in
from typing_extensions import override

from kern.agent import Agent
from kern.approval import approval
from kern.db.database import Database
from kern.models.base import ModelRequest
from kern.server.caller import Authenticator, Caller, Scope
from kern.server.problems import RequestError
from kern.testing import FunctionModel, Reply
from kern.tools import tool
from kern.tools.user_feedback import UserFeedbackTools


class ByName(Authenticator):
    """Believes what a caller says: a user, its scopes, and the agents that it may see."""

    @override
    async def authenticate(self, request: Request) -> Caller:
        kind, _, said = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or said.count(";") != 2:
            raise RequestError(401, "Say who you are.", code="no_caller")
        user, scopes, agents = said.split(";")
        return Caller(
            user,
            frozenset(map(Scope, scopes.split(","))),
            frozenset(agents.split(",")) if agents else None,
        )


class Api:
    """The server, with one client for each caller.

    Attributes:
        url: where it is.
        gates: what holds the agent ``held`` back, by the text of its input.
    """

    def __init__(self, url: str, gates: dict[str, "Future[None]"]) -> None:
        self.url = url
        self.gates = gates
        self._clients: dict[str, httpx.Client] = {}

    def as_(self, user: str, scopes: str = "runs", agents: str = "") -> httpx.Client:
        """Return the client of a caller."""
        said = f"{user};{scopes};{agents}"
        if said not in self._clients:
            headers = {"Authorization": f"Bearer {said}"}
            self._clients[said] = httpx.Client(base_url=self.url, headers=headers, timeout=60)
        return self._clients[said]

    def close(self) -> None:
        """Close the clients, and release what is held back."""
        for gate in self.gates.values():
            if not gate.done():
                gate.set_result(None)
        for each in self._clients.values():
            each.close()


def _last(request: ModelRequest) -> str:
    return next(each.text for each in reversed(request.messages) if each.role == "user")


@approval
@tool(requires_confirmation=True)
def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


@tool(requires_confirmation=True)
def send(to: str) -> str:
    """Send a letter."""
    return f"sent to {to}"


@tool(requires_user_input=True, user_input_fields=["city"])
def book(nights: int, city: str) -> str:
    """Book a room."""
    return f"booked {nights} nights in {city}"


@tool(external_execution=True)
def fetch(url: str) -> str:
    """Fetch a page."""
    raise AssertionError("it is made elsewhere")


ARGUMENTS: dict[str, dict[str, Any]] = {
    "pay": {"amount": 5},
    "send": {"to": "ada"},
    "book": {"nights": 2},
    "fetch": {"url": "https://example.com"},
    "ask_user": {"questions": [{"question": "Where?", "options": [{"label": "Sea"}]}]},
}


def _clerk(request: ModelRequest) -> Reply | str:
    last = request.messages[-1]
    if last.role == "tool":
        return f"The call says: {last.text}"
    return Reply.tool_calls((_last(request), ARGUMENTS[_last(request)]))


def agents_on(db: Database, gates: dict[str, "Future[None]"]) -> list[Agent[Any, Any]]:
    """Return the agents of the server."""
    failed: set[str] = set()

    def fragile(request: ModelRequest) -> Reply | str:
        if (text := _last(request)) in failed:
            return f"At last: {text}"
        failed.add(text)
        return Reply.http_error(400, "Not today.")

    async def held(request: ModelRequest) -> str:
        await asyncio.wrap_future(gates[_last(request)])
        return "Released."

    def echo(request: ModelRequest) -> str:
        return f"You said: {_last(request)}"

    def story(_: ModelRequest) -> Reply:
        return Reply.text(*(f"Once {number}. " for number in range(5))).slow(pause=0.04)

    def agent(name: str, model: Callable[[ModelRequest], Any], **options: Any) -> Agent[Any, Any]:
        return Agent(name, FunctionModel(model, id=f"model-{name}"), db=db, **options)

    return [
        agent("echo", echo, instructions="A secret.", add_history_to_context=True, timeout=600),
        agent("story", story),
        agent("held", held),
        agent("hasty", lambda _: Reply.hang(), timeout=0.3),
        agent("fragile", fragile),
        agent("clerk", _clerk, tools=[pay, send, book, fetch, UserFeedbackTools()]),
        agent("typed", lambda _: '{"a": 5}'),
        agent("hidden", echo),
    ]


def ok(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    """Return the body of a response that has this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    return body


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem that a request was refused with."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["code"] == code, body
    assert body["title"]
    assert body["detail"]
    return body


def submitted(client: httpx.Client, agent: str = "echo", input: Any = "Hi", **more: Any) -> str:
    """Submit a run, and return its id."""
    run = ok(client.post("/v1/runs", json={"agent": agent, "input": input, **more}), 202)
    return str(run["run_id"])


def told(events: Sequence[Event]) -> list[Event]:
    """Return events without their moments, which a reader is told by other clocks later."""
    return [each._replace(data={**each.data, "created_at": None}) for each in events]


def streamed(client: httpx.Client, run_id: str, after: int | None = None) -> list[Event]:
    """Return the events of a run up to its end or pause."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    response = client.get(f"/v1/runs/{run_id}/events", headers=headers)
    assert response.status_code in (200, 204), response.text
    return told(events_in(response.text))


def ended(client: httpx.Client, agent: str = "echo", input: Any = "Hi", **more: Any) -> Any:
    """Submit a run, wait for its end or pause, and return it."""
    run_id = submitted(client, agent, input, **more)
    streamed(client, run_id)
    return ok(client.get(f"/v1/runs/{run_id}"))
