"""No route serves nobody, the wrong user, or a key of too little scope.

The routes are found in the application itself, so that one that is added without rules fails here.
"""

import re
from typing import NamedTuple

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from probes import asking, shows

from kern.agent import Agent
from kern.approval import approval
from kern.db.in_memory import InMemoryDb
from kern.run.base import RunStatus
from kern.server import create_app
from kern.server.caller import Scope
from kern.testing import Reply, ScriptedModel

# What everybody may read: whether the service lives, and what it offers.
PUBLIC = {"GET /healthz", "GET /readyz", "GET /openapi.json"}

# The scopes of which a request needs one, where that is not ``runs``.
NEEDS = {
    "GET /metrics": {Scope.metrics},
    "POST /v1/approvals/{approval_id}/resolve": {Scope.approve},
}

# The runs API shows itself also to those who only answer, or only read.
LOOKS = re.compile("GET /v1/(agents|runs|approvals|sessions)")

# What is sent to a route that needs a body; what stands in braces is filled in as in paths.
BODIES: dict[str, list[object]] = {
    # Whose runs its tools find is in tests/server/mcp/test_calls.py.
    "POST /mcp": [{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}],
    "POST /v1/responses": [
        {"model": "{model}", "input": "Hi"},
        {"model": "clerk", "input": "Hi", "previous_response_id": "{response_id}"},
        {"model": "clerk", "input": "Hi", "conversation": "{conversation_id}"},
        {
            "model": "clerk",
            "input": [
                {
                    "type": "mcp_approval_response",
                    "approval_request_id": "mcpr_{requirement_id}",
                    "approve": True,
                }
            ],
        },
    ],
    "POST /v1/conversations/{conversation_id}": [{"metadata": {"of": "bob"}}],
    "POST /v1/chat/completions": [
        {"model": "{model}", "messages": [{"role": "user", "content": "Hi"}]}
    ],
    "POST /v1/runs": [{"agent": "{agent_id}", "input": "Hi"}],
    "POST /v1/runs/{run_id}/continue": [
        {"input": "And then?"},
        {"requirements": [{"id": "{requirement_id}", "confirmed": True}]},
    ],
    "POST /v1/runs/{run_id}/fork": [{"input": "And then?"}],
    "POST /v1/runs/{run_id}/regenerate": [{"additional_instructions": "Be brief."}],
    "POST /v1/approvals/{approval_id}/resolve": [{"status": "approved"}],
    "PATCH /v1/sessions/{session_id}": [{"name": "Bob's"}],
    "PATCH /v1/sessions/{session_id}/state": [{"of": "bob"}],
}


class Door(NamedTuple):
    """A request to a route."""

    route: str
    method: str
    path: str
    body: object

    async def ask(
        self, client: httpx.AsyncClient, ids: dict[str, str], secret: str | None
    ) -> tuple[int, str, httpx.Headers]:
        """Send the request with these ids; return the status, the text, and the headers."""
        headers = {"Accept": "application/json, text/event-stream"}
        headers |= {} if secret is None else shows(secret)
        async with client.stream(
            self.method, str(filled(self.path, ids)), json=filled(self.body, ids), headers=headers
        ) as response:
            # A stream of what goes on would not end.
            is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
            text = "" if is_stream else (await response.aread()).decode()
            return response.status_code, text, response.headers

    @property
    def needs(self) -> set[Scope]:
        """The scopes of which it needs one."""
        if isinstance(self.body, dict) and "requirements" in self.body:
            return {Scope.approve}
        if LOOKS.match(self.route):
            return {Scope.runs, Scope.approve, Scope.read_all}
        return NEEDS.get(self.route, {Scope.runs})

    def names(self, ids: dict[str, str]) -> set[str]:
        """Return the ids that it names."""
        return {name for name in ids if f"{{{name}}}" in f"{self.path} {self.body}"}


def filled(given: object, ids: dict[str, str]) -> object:
    """Return a path or a body with ids in the place of their names."""
    if isinstance(given, str):
        return re.sub(r"{(\w+)}", lambda found: ids[found[1]], given)
    if isinstance(given, list):
        return [filled(each, ids) for each in given]
    if isinstance(given, dict):
        return {name: filled(value, ids) for name, value in given.items()}
    return given


class World:
    """A service, and what a user has there."""

    def __init__(self) -> None:
        """Serve three agents."""

        @approval
        async def pay(amount: int) -> str:
            return f"paid {amount}"

        self.db = InMemoryDb()
        call = Reply.tool_calls(("pay", {"amount": 7}))
        self.clerk = Agent("Clerk", ScriptedModel(default=call), tools=[pay], db=self.db)
        writer = Agent("Writer", ScriptedModel(), db=self.db)
        hidden = Agent("Hidden", ScriptedModel(), db=self.db)
        # Of pages there is as much in tests/server/ui/test_access.py.
        agents = [self.clerk, writer, hidden]
        self.app = create_app(agents, auth="keys", worker=False, ui=False)

    async def key(self, user_id: str, *scopes: str, agents: list[str] | None = None) -> str:
        """Return a new key of a user."""
        _, secret = await self.db.acreate_key(user_id, scopes=scopes or ("runs",), agents=agents)
        return secret

    async def something(self, user_id: str) -> dict[str, str]:
        """Have a user begin something; return the ids of it, by the names that paths have."""
        run = await self.clerk.arun("Pay, my friend.", user_id=user_id)
        assert run.status is RunStatus.paused
        records, _ = await self.db.aget_approvals(run_id=run.run_id)
        return {
            "agent_id": "hidden",
            "approval_id": records[0]["id"],
            "conversation_id": f"conv_{run.session_id}",
            "item_id": f"msg_{run.run_id}_0",
            "model": "hidden",
            "requirement_id": run.requirements[0].id,
            "response_id": f"resp_{run.run_id}",
            "run_id": run.run_id,
            "session_id": run.session_id,
        }

    def doors(self) -> list[Door]:
        """Return a request to each route; several where there are several bodies."""
        found = []
        for each in iter_route_contexts(self.app.routes):
            # What is no plain route (a mounted application, a web socket) needs rules of its own.
            assert each.methods is not None, each.path
            assert each.path is not None
            path = re.sub(r":\w+}", "}", each.path)
            for method in sorted(each.methods - {"HEAD", "OPTIONS"}):
                route = f"{method} {path}"
                for body in BODIES.get(route, [None]):
                    found.append(Door(route, method, path, body))
        assert len(found) >= len(PUBLIC)
        return [each for each in found if each.route not in PUBLIC]


def nobodys(ids: dict[str, str]) -> dict[str, str]:
    """Return ids of the same form that nobody has."""
    named = {ids[name]: ids[name][::-1] for name in ("run_id", "session_id", "approval_id")}
    named["hidden"] = "nobody"
    found = {}
    for name, each in ids.items():
        for there, other in named.items():
            each = each.replace(there, other)
        found[name] = each
    return found


def without(text: str, ids: dict[str, str]) -> str:
    """Return a text without ids, to compare it with one about others."""
    for each in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(each, "ID")
    return text


@pytest.fixture
def world() -> World:
    return World()


async def test_every_route_refuses_nobody(world: World) -> None:
    ids = await world.something("ada")
    secret = await world.key("ada")
    async with asking(world.app) as client:
        for door in world.doors():
            for shown in (None, secret[:-1]):
                status, text, headers = await door.ask(client, ids, shown)
                assert status == 401, (door, text)
                assert headers["www-authenticate"] == "Bearer", door
                assert not [each for each in ids.values() if each in text], door
        for route in PUBLIC:
            assert (await client.get(route.partition(" ")[2])).status_code in (200, 503), route


async def test_every_route_needs_its_scope(world: World) -> None:
    ids = nobodys(await world.something("ada"))
    async with asking(world.app) as client:
        for door in world.doors():
            others = await world.key("ada", *(set(Scope) - door.needs - {Scope.admin}))
            status, text, _ = await door.ask(client, ids, others)
            assert status == 403, (door, text)
            assert "insufficient_scope" in text, door
            for enough in (*door.needs, Scope.admin):
                status, text, _ = await door.ask(client, ids, await world.key("ada", enough))
                if "mcp_approval_response" in str(door.body) and enough is Scope.runs:
                    assert status == 403, (door, text)  # To answer needs both.
                    assert "approve" in text, (door, text)
                else:
                    assert status not in (401, 403), (door, text)


@pytest.mark.parametrize(("user_id", "agents"), [("bob", ["clerk", "writer"]), ("ada", ["writer"])])
async def test_what_is_anothers_or_an_agents_out_of_reach_is_as_if_it_had_never_been(
    world: World, user_id: str, agents: list[str]
) -> None:
    ids = await world.something("ada")
    others = nobodys(ids)
    key = await world.key(user_id, "runs", "approve", "metrics", agents=agents)
    async with asking(world.app) as client:
        for door in world.doors():
            status, text, _ = await door.ask(client, ids, key)
            if not door.names(ids):
                assert not [each for each in ids.values() if each in text], door
                continue
            again, same, _ = await door.ask(client, others, key)
            # A body may name what is not there; a path may not.
            allowed = (404,) if door.path != filled(door.path, ids) else (400, 404)
            assert status in allowed, (door, text)
            assert again == status, (door, text, same)
            assert without(text, ids) == without(same, others), door


async def test_what_is_ones_own_is_found_at_every_route(world: World) -> None:
    key = await world.key("ada", "runs", "approve", "metrics")
    async with asking(world.app) as client:
        for door in world.doors():
            ids = await world.something("ada")
            if "item_id" in door.names(ids):
                items = filled("/v1/conversations/{conversation_id}/items", ids)
                found = (await client.get(str(items), headers=shows(key))).json()["data"]
                ids["item_id"] = found[0]["id"]
            status, text, _ = await door.ask(client, ids, key)
            assert status < 500, (door, text)
            assert status not in (401, 403, 404, 405), (door, text)


async def test_a_user_in_a_body_or_a_query_changes_nothing(world: World) -> None:
    ids = await world.something("ada")
    key = await world.key("bob", "runs", "approve", "metrics")
    async with asking(world.app) as client:
        for door in world.doors():
            if door.names(ids) - {"model", "agent_id"}:
                continue
            asks = door._replace(path=f"{door.path}?user=ada&user_id=ada")
            _, text, _ = await asks.ask(client, ids, key)
            assert not [each for each in ids.values() if len(each) > 8 and each in text], door
        for user in ("user", "safety_identifier", "user_id"):
            body = {"model": "writer", "input": "Hi", user: "ada"}
            response = await client.post("/v1/responses", json=body, headers=shows(key))
            if response.status_code == 200:
                run_id = response.json()["id"].removeprefix("resp_")
                assert await world.clerk.aget_run_output(run_id, user_id="ada") is None
