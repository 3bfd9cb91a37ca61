"""Agents in several databases, behind a server that is mounted and knows no callers."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from runs_api import ByName, agents_on, ended, ok, problem
from served import served
from starlette.applications import Starlette
from starlette.routing import Mount

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.sqlite import SqliteDb
from kern.server import create_app
from kern.server.limits import Limits
from kern.testing import ScriptedModel


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Two agents in a file, by two objects, and one in memory."""
    file = tmp_path / "kern.db"
    echo, *_, hidden = agents_on(SqliteDb(file), {})
    clerk = next(each for each in agents_on(SqliteDb(file), {}) if each.id == "clerk")
    apart = Agent("apart", ScriptedModel(), db=InMemoryDb())
    inner = create_app([echo, clerk, hidden, apart])
    app = Starlette(routes=[Mount("/kern", inner)], lifespan=inner.router.lifespan_context)
    with served(app) as url:
        yield f"{url}/kern"


def test_what_is_in_each_database_is_found_and_listed_by_agent(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        response = client.post("/v1/runs", json={"agent": "apart", "input": "Hi"})
        assert response.headers["location"] == f"/kern/v1/runs/{ok(response, 202)['run_id']}"
        runs = {
            name: ended(client, name, "send" if name == "clerk" else "Hi", session_id=name)[
                "run_id"
            ]
            for name in ("echo", "clerk", "apart")
        }
        for name, run_id in runs.items():
            assert ok(client.get(f"/v1/runs/{run_id}"))["agent_id"] == name
            assert ok(client.get(f"/v1/sessions/{name}"))["agent_id"] == name
            listed = ok(client.get(f"/v1/runs?agent={name}&session={name}"))["data"]
            assert [each["run_id"] for each in listed] == [run_id]
            assert ok(client.get(f"/v1/sessions?agent={name}"))["data"]
        for path in ("/v1/runs", "/v1/sessions", "/v1/approvals"):
            assert problem(client.get(path), 400, "agent_required")["param"] == "agent"
        problem(client.get("/v1/runs/unknown"), 404, "run_not_found")


def test_what_came_before_is_not_counted_again(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "kern.db")
    [echo, *_] = agents_on(db, {})
    app = create_app([echo], auth=ByName(), limits=Limits(queued=1))
    with served(app) as url:
        headers = {"Authorization": "Bearer ada;runs;", "Idempotency-Key": "one"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            body = {"agent": "echo", "input": "Hi", "run_at": "2090-01-01T00:00:00Z"}
            run_id = ok(client.post("/v1/runs", json=body), 202)["run_id"]
            assert ok(client.post("/v1/runs", json=body), 202)["run_id"] == run_id
            for key in ("two", "three"):
                response = client.post("/v1/runs", json=body, headers={"Idempotency-Key": key})
            assert response.headers["retry-after"]
            problem(response, 429, "queue_full")


def test_where_nobody_is_known_a_decision_is_nobodys(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        run = ended(client, "clerk", "pay")
        path = f"/v1/approvals/{run['requirements'][0]['approval_id']}/resolve"
        decided = ok(client.post(path, json={"status": "approved"}))
        assert (decided["status"], decided["resolved_by"]) == ("approved", "anonymous")
        assert "pay" in ok(client.get("/v1/approvals?agent=clerk"))["data"][0]["tool_name"]
