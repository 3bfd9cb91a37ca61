"""A service says whether it lives and is ready, and what it counts."""

import asyncio
import json
from collections.abc import Callable

import aiohttp
import pytest
from load import ended, status_of
from uvicorn_here import uvicorn_here

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.server import create_app, readiness
from kern.testing import Reply, ResponsesServer

Found = tuple[int, str]


async def get(port: int, path: str) -> Found:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}{path}") as response,
    ):
        return response.status, await response.text()


async def until(port: int, path: str, is_it: Callable[[Found], bool]) -> Found:
    """Return what a path answers, as soon as it is what is waited for."""
    async with asyncio.timeout(30):
        while not is_it(found := await get(port, path)):  # noqa: ASYNC110 # it is another's
            await asyncio.sleep(0.05)
    return found


async def test_a_service_is_ready_and_counts_runs_and_requests(
    agent: Agent, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Paris"))
    async with uvicorn_here(create_app([agent])) as port:
        assert await get(port, "/healthz") == (200, '{"status":"ok"}')
        await until(port, "/readyz", lambda found: found[0] == 200)
        run = await agent.arun("Where?", background=True)
        await ended(agent, run.run_id)
        done = f'kern_runs_total{{agent="{agent.id}",status="completed"}}'
        status, text = await until(port, "/metrics", lambda found: done in found[1])
        assert status == 200
        assert f'kern_run_seconds_count{{agent="{agent.id}"}} ' in text
        assert 'kern_runs_unfinished{state="due"} 0.0' in text
        assert 'kern_requests_total{method="GET",route="/healthz",status="200"} ' in text
        assert "kern_database_up 1.0" in text
        assert "kern_streams_open 0.0" in text
        assert "python_info" not in text
        assert (await get(port, "/nowhere"))[0] == 404
        text = (await get(port, "/metrics"))[1]
        assert 'kern_requests_total{method="GET",route="",status="404"} ' in text
        assert "nowhere" not in text


async def test_a_service_without_its_database_lives_and_is_not_ready(
    unused_tcp_port: int, model: OpenAIResponses
) -> None:
    db = PostgresDb(f"postgresql://ai:ai@127.0.0.1:{unused_tcp_port}/ai")
    async with uvicorn_here(create_app([Agent("Tester", model, db=db)])) as port:
        assert (await get(port, "/healthz"))[0] == 200
        status, text = await get(port, "/readyz")
        assert (status, json.loads(text)["reason"]) == (503, "the database is away")
        assert "kern_database_up 0.0" in (await get(port, "/metrics"))[1]


async def test_a_service_without_a_worker_accepts_runs_and_leaves_them_to_others(
    agent: Agent, server: ResponsesServer
) -> None:
    async with uvicorn_here(create_app([agent], worker=False)) as port:
        assert (await get(port, "/readyz"))[0] == 200
        run = await agent.arun("Where?", background=True)
        text = (await get(port, "/metrics"))[1]
        assert 'kern_runs_unfinished{state="due"} 1.0' in text
        assert await status_of(agent, run.run_id) is RunStatus.pending
    assert server.requests == []


async def test_an_application_whose_lifespan_was_not_entered_says_so(agent: Agent) -> None:
    app = create_app([agent])

    async def without_lifespan(scope, receive, send):  # type: ignore[no-untyped-def] # as ASGI
        if scope["type"] == "http":
            await app(scope, receive, send)

    async with uvicorn_here(without_lifespan) as port:
        status, text = await get(port, "/readyz")
        assert (status, json.loads(text)["status"]) == (503, "unavailable")
        assert "lifespan" in json.loads(text)["reason"]


@pytest.mark.parametrize("shared_db", ["sqlite"], indirect=True)
async def test_many_who_look_at_once_ask_the_database_once(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "600")  # The worker asks, too.
    monkeypatch.setattr(readiness, "_KEPT", 600.0)
    assert agent.db is not None
    store = await agent.db.store()
    asked = 0

    async def ping() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.05)

    monkeypatch.setattr(store, "ping", ping)
    app = create_app([agent])
    async with uvicorn_here(app) as port:
        await until(port, "/readyz", lambda found: found[0] == 200)
        before = asked
        app.state.kern.readiness._pings._until = 0.0
        found = await asyncio.gather(*(get(port, "/readyz") for _ in range(20)))
        assert {status for status, _ in found} == {200}
        assert asked == before + 1
