"""Tests of an application that uses kern, with no network and no key.

python -m pytest test_app.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import researcher
from fastapi.testclient import TestClient
from fastapi_app import app

from kern import SqliteDb
from kern.agent.serving import lifespan
from kern.testing import ProtocolServer, Reply


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ProtocolServer]:
    """A server that speaks for the model; the agent's runs are kept in a file of the test."""
    with ProtocolServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setattr(researcher, "db", SqliteDb(tmp_path / "kern.db"))
        yield server


def submit(client: TestClient, text: str, **task: Any) -> str:
    return str(client.post("/runs", json={"text": text, **task}).json()["run_id"])


def ended(client: TestClient, run_id: str) -> Any:
    """Wait for the end, as a client does: the stream ends with the run."""
    client.get(f"/runs/{run_id}/events")
    return client.get(f"/runs/{run_id}").json()


def test_a_run_is_answered(model: ProtocolServer) -> None:
    model.script.append(Reply.text("Paris."))
    with TestClient(app) as client:
        run = ended(client, submit(client, "What is the capital of France?"))
    assert run == {"status": "COMPLETED", "content": "Paris.", "error": None}
    assert model.requests[0].body["input"][-1]["content"] == "What is the capital of France?"


def test_a_failure_is_shown(model: ProtocolServer) -> None:
    model.script.append(Reply.http_error(400, "No such tool."))
    with TestClient(app) as client:
        run = ended(client, submit(client, "Hi"))
    assert run["status"] == "ERROR"
    assert "No such tool." in run["error"]


def test_two_requests_share_no_conversation(model: ProtocolServer) -> None:
    with TestClient(app) as client:
        for text in ("My name is Ada.", "What is my name?"):
            ended(client, submit(client, text))
        for text in ("My name is Bo.", "What is my name?"):
            ended(client, submit(client, text, session_id="bo"))
    assert ["Ada" in str(each.body) for each in model.requests] == [True, False, False, False]
    assert "Bo" in str(model.requests[3].body)


def test_a_run_outlives_a_deploy(model: ProtocolServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.router, "lifespan_context", lifespan([researcher], grace=0))
    model.script += [Reply.hang(), Reply.text("Paris.")]
    with TestClient(app) as client:
        run_id = submit(client, "What is the capital of France?")
        model.wait_for_requests_sync(1)
    with TestClient(app) as client:
        assert ended(client, run_id)["content"] == "Paris."
