"""Which tools a client is offered, and who may ask at all."""

import asyncio
import json
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import httpx
import pytest
from mcp import MCPError
from mcp_client import about, over_http, text
from pydantic import BaseModel
from runs_api import Api, ByName, agents_on
from served import served

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.sqlite import SqliteDb
from kern.errors import MissingExtraError
from kern.server import create_app, create_mcp_app
from kern.server.caller import EVERYBODY
from kern.server.limits import Limits
from kern.server.mcp import endpoint
from kern.server.mcp.tools import AgentTools, name_of
from kern.testing import FunctionModel, ScriptedModel

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


class Trip(BaseModel):
    city: str
    nights: int


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_agent_is_a_tool_for_those_who_may_use_it(api: Api, mode: str) -> None:
    async with over_http(api.url, "ada;runs;echo,held", mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert [each.name for each in tools] == ["echo", "held", "get_run", "cancel_run"]
        [echo, *_] = tools
        assert echo.title == "echo"
        assert echo.input_schema["required"] == ["input"]
        assert {*echo.input_schema["properties"]} == {"input", "session_id"}
        assert "get_run" in (client.instructions or "")
        for name in ("hidden", "answer_run", "echo ", ""):
            with pytest.raises(MCPError, match="There is no tool"):
                await client.call_tool(name, {"input": "Hi"})
        assert text(await client.call_tool("echo", {"input": "Hi"})) == "You said: Hi"
    async with over_http(api.url, "ada;runs,approve;clerk", mode=mode) as client:
        names = [each.name for each in (await client.list_tools()).tools]
    assert names == ["clerk", "get_run", "cancel_run", "answer_run"]


def test_a_tool_has_the_name_that_models_can_call() -> None:
    assert [name_of(each) for each in ("researcher", "A-1_b")] == ["researcher", "A-1_b"]
    odd = ["get_run", "Frau Müller", "Frau_M ller", "…", "a" * 65, "\ud800"]
    odd += [name_of(each) for each in odd]  # An agent may have that as its id.
    names = [*map(name_of, odd)]
    assert len({*names}) == len(odd)
    assert all(each.isascii() and len(each) <= 64 for each in names)
    assert names == [*map(name_of, odd)], "they are the same in every process"


def test_an_agent_with_a_form_takes_that() -> None:
    agent = Agent(
        "Guide", ScriptedModel(), db=InMemoryDb(), input_schema=Trip, description="Plans trips."
    )
    [tool, *_] = AgentTools([agent]).listed(EVERYBODY, answers=False)
    assert tool.description == "Plans trips."
    assert {*tool.input_schema["properties"]} == {"city", "nights"}
    plain = Agent("Plain", ScriptedModel(), db=InMemoryDb())
    [tool, *_] = AgentTools([plain]).listed(EVERYBODY, answers=False)
    assert tool.description == "Has the agent Plain do something, and returns its answer."


def test_who_is_nobody_or_may_not_run_agents_is_refused_before_the_protocol(api: Api) -> None:
    with httpx.Client(base_url=api.url, headers=ACCEPT) as client:
        refused = client.post("/mcp", json=INITIALIZE)
        assert refused.status_code == 401
        assert refused.json()["code"] == "no_caller"
    for said in ("ada;approve;", "ada;metrics;"):
        answer = api.as_(*said.split(";")).post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    ada = api.as_("ada")
    assert ada.post("/mcp", json=INITIALIZE, headers=ACCEPT).status_code == 200
    for method in ("GET", "DELETE", "PUT"):
        answer = ada.request(method, "/mcp", headers=ACCEPT)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "mcp-session-id" not in ada.post("/mcp", json=INITIALIZE, headers=ACCEPT).headers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"[" * 100_000,
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": []}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 5}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "\\ud800"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", '
        b'"arguments": {"input": "\\ud800"}, "_meta": {"kern/idempotency-key": "\\ud800"}}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", '
        b'"arguments": {"input": "\\ud800"}}}',
        b'{"jsonrpc": "2.0", "id": 1e400, "method": "ping"}',
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28", "nonsense", None])
def test_what_is_no_request_is_answered_and_nothing_breaks(
    api: Api, body: bytes, version: str | None
) -> None:
    headers = {**ACCEPT, "Content-Type": "application/json"}
    headers |= {} if version is None else {"MCP-Protocol-Version": version}
    answer = api.as_("ada").post("/mcp", content=body, headers=headers)
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text


def test_a_body_that_does_not_come_whole_is_no_error_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent("Plain", ScriptedModel(), db=InMemoryDb())
    app = create_mcp_app([agent], limits=Limits(body=1_000))
    with served(app) as url, httpx.Client(base_url=url, headers=ACCEPT, timeout=60) as client:
        pieces = iter([b"a" * 800, b"a" * 800])  # They do not say how many there are.
        answer = client.post("/mcp", content=pieces, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
        assert client.post("/mcp", json=INITIALIZE).status_code == 200
    assert not [each.message for each in caplog.records if each.levelname == "ERROR"]


def test_a_user_may_ask_as_often_as_the_service_allows(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "kern.db")
    agents = [each for each in agents_on(db, {}) if each.id == "echo"]
    app = create_mcp_app(agents, auth=ByName(), limits=Limits(rate="2/day", body=2_000))
    with served(app) as url:
        headers = {**ACCEPT, "Authorization": "Bearer ada;runs;"}
        with httpx.Client(base_url=url, headers=headers) as client:
            large = client.post("/mcp", content=b"x" * 3_000)
            assert (large.status_code, large.json()["code"]) == (413, "request_too_large")
            answers = [client.post("/mcp", json=INITIALIZE) for _ in range(3)]
            assert [each.status_code for each in answers] == [200, 200, 429]
            assert answers[-1].headers["retry-after"]
            assert client.get("/v1/runs").status_code == 404, "there is nothing else"
            assert client.get("/healthz").status_code == 200


def test_without_keys_only_this_machine_and_no_page_of_another_origin_may_ask() -> None:
    app = create_mcp_app([Agent("Echo", ScriptedModel(), db=InMemoryDb())])
    with served(app) as url, httpx.Client(base_url=url, headers=ACCEPT) as client:
        assert client.post("/mcp", json=INITIALIZE).status_code == 200
        for strange in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert client.post("/mcp", json=INITIALIZE, headers=strange).status_code == 403


async def test_calls_that_wait_and_runs_that_queue_are_counted(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "kern.db")
    gates: dict[str, Future[None]] = {"one": Future()}
    agents = [each for each in agents_on(db, gates) if each.id in ("echo", "held")]
    app = create_mcp_app(agents, auth=ByName(), limits=Limits(streams=1, queued=1, rate=None))
    with served(app) as url:
        async with over_http(url) as client, over_http(url, "bob;runs;") as bob:
            waiting = asyncio.create_task(client.call_tool("held", {"input": "one"}))
            async with asyncio.timeout(20):
                while not await db.aget_runs():  # noqa: ASYNC110 # nobody tells the test
                    await asyncio.sleep(0.02)
            refused = await client.call_tool("echo", {"input": "Hi"})
            assert about(refused)["code"] == "too_many_streams"
            assert not (await bob.call_tool("echo", {"input": "Hi"})).is_error
            gates["one"].set_result(None)
            assert text(await waiting) == "Released."


def test_without_the_sdk_the_service_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "find_spec", lambda name: None)
    agents = [Agent("Echo", ScriptedModel(), db=SqliteDb(tmp_path / "kern.db"))]
    assert "/mcp" not in [getattr(each, "path", "") for each in create_app(agents, ui=False).routes]
    for make in (partial(create_app, mcp=True), create_mcp_app):
        with pytest.raises(MissingExtraError, match=r"kern-agents\[mcp\]"):
            make(agents)


async def test_values_go_in_and_come_out_by_their_forms(tmp_path: Path) -> None:
    model = FunctionModel(lambda request: '{"city": "Rome", "nights": 2}')
    guide = Agent(
        "Guide",
        model,
        db=SqliteDb(tmp_path / "kern.db"),
        input_schema=Trip,
        output_schema=Trip,
    )
    with served(create_mcp_app([guide], auth=ByName())) as url:
        async with over_http(url) as client:
            result = await client.call_tool("guide", {"city": "Rome", "nights": 2})
            assert about(result)["content"] == {"city": "Rome", "nights": 2}
            assert json.loads(text(result)) == about(result)["content"]
            for unfit in ({}, {"city": "Rome"}, {"city": "Rome", "nights": "many"}):
                refused = await client.call_tool("guide", unfit)
                assert about(refused)["code"] == "invalid_input", text(refused)
