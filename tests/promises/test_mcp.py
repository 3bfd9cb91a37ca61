"""Promises 4, 5 and 6 for tools of MCP servers: in whichever process their runs go on."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from elsewhere import Elsewhere
from leases import expire
from load import ended
from mcp_service import noted, serving_mcp

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools.mcp import MCPTools

SCRIPT = """
from kern.tools.mcp import MCPTools
own = Agent("Tester", agent.model, db=db, tools=[MCPTools(url=os.environ["MCP_URL"])])
await own.arun("Work", background=True, run_id="run")
say((await own.await_run("run")).status.value)
await asyncio.Event().wait()
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MCP_NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


@pytest.fixture
async def url(notes: Path) -> AsyncIterator[str]:
    async with serving_mcp() as url:
        yield url


async def test_a_call_whose_process_is_killed_is_made_again_by_another(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    url: str,
    notes: Path,
) -> None:
    server.script.append(Reply.tool_calls(("slow", {"seconds": 60})))
    process = elsewhere(SCRIPT, MCP_URL=url)
    async with asyncio.timeout(20):
        while "slow began" not in noted(notes):  # noqa: ASYNC110 # the server tells nobody else
            await asyncio.sleep(0.01)
    process.send(signal.SIGKILL)
    await process.ended()
    await expire(shared_db, "run")
    async with MCPTools(url=url) as tools:
        agent = Agent("Tester", model, db=shared_db, tools=[tools])
        (await open_runtime(shared_db)).serve(agent)
        run = await ended(agent, "run")
    [execution] = run.tools
    assert (run.status, execution.result) == (RunStatus.completed, "slept")
    assert "slow once more" in noted(notes)


async def test_a_question_is_answered_where_the_process_that_was_asked_is_gone(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    url: str,
    notes: Path,
) -> None:
    server.script.append(Reply.tool_calls(("book", {"flight": "LH1"})))
    process = elsewhere(SCRIPT, MCP_URL=url)
    assert await process.said() == "PAUSED"
    process.send(signal.SIGKILL)
    await process.ended()
    async with MCPTools(url=url) as tools:
        agent = Agent("Tester", model, db=shared_db, tools=[tools])
        (await open_runtime(shared_db)).serve(agent)
        for values in ({"row": 7}, {"name": "Ada"}):
            run = await ended(agent, "run")
            [asked] = run.active_requirements
            asked.provide_user_input(values)
            await agent.acontinue_run("run", requirements=[asked])
        run = await ended(agent, "run")
    [execution] = run.tools
    assert execution.result == "LH1: row 7, window False, Ada"
    assert noted(notes) == ["book LH1"]
    assert len(server.requests) == 2


async def test_a_cancel_ends_the_call_at_the_server(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, url: str, notes: Path
) -> None:
    server.script.append(Reply.tool_calls(("slow", {"seconds": 60})))
    async with MCPTools(url=url) as tools:
        agent = Agent("Tester", model, db=shared_db, tools=[tools])
        run = await agent.arun("Work", background=True)
        async with asyncio.timeout(20):
            while "slow began" not in noted(notes):  # noqa: ASYNC110 # nobody else is told
                await asyncio.sleep(0.01)
        await agent.acancel_run(run.run_id)
        assert (await ended(agent, run.run_id)).status is RunStatus.cancelled
        async with asyncio.timeout(20):
            while "slow cancelled" not in noted(notes):  # noqa: ASYNC110 # nor here
                await asyncio.sleep(0.01)
