"""Promises 1, 4, 5 and 11 for agents as tools: a call is one run, whoever is lost meanwhile."""

import asyncio
import signal
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from deploys import Server
from elsewhere import Process, environment_of, write_script
from leases import expire
from load import ended
from mcp_client import about, over_http, text
from served import served as running

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.sqlite import SqliteDb
from kern.dispatch.opening import open_runtime
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.server import create_mcp_app
from kern.testing import FunctionModel, Reply, ResponsesServer, ScriptedModel
from kern.tools import tool
from kern.tools.mcp import MCPTools

SERVE = ("kern.cli.entry", "mcp", "site_app:agent", "--http", "--port", "{port}")

OUTER = """
from kern.tools.mcp import MCPTools
own = Agent("Tester", agent.model, db=db, tools=[MCPTools(url=os.environ["MCP_URL"])])
await own.arun("Work", background=True, run_id="run")
say("begun")
await asyncio.Event().wait()
"""


@pytest.fixture
def inner(tmp_path: Path) -> SqliteDb:
    """The database of the agents that are tools."""
    return SqliteDb(tmp_path / "inner.db")


@pytest.fixture
async def says() -> AsyncIterator[ResponsesServer]:
    """The model of the agents that are tools."""
    async with ResponsesServer() as running:
        yield running


@pytest.fixture
async def served(
    inner: SqliteDb, says: ResponsesServer, tmp_path: Path
) -> AsyncIterator[list[Server]]:
    """A server of its own process, and those that come after it."""
    servers = [await started(inner, says, tmp_path)]
    yield servers
    for each in servers:
        each.close()


async def started(db: SqliteDb, says: ResponsesServer, directory: Path) -> Server:
    server = Server(directory, "", *SERVE, environment=environment_of(db, says.base_url))
    async with asyncio.timeout(40):
        await server.begun()
    return server


async def asked(server: ResponsesServer, times: int) -> None:
    async with asyncio.timeout(30):
        while len(server.requests) < times:  # noqa: ASYNC110 # the server tells nobody
            await asyncio.sleep(0.02)


async def test_a_run_whose_server_is_killed_is_found_at_the_next_one(
    served: list[Server], inner: SqliteDb, says: ResponsesServer
) -> None:
    """Its client has lost the connection, and has the run id of the first line of progress."""
    says.script += [Reply.hang(), Reply.text("At last.")]
    lines: list[str] = []
    begun = asyncio.Event()

    async def tell(progress: float, total: float | None = None, message: str | None = None) -> None:
        lines.append(message or "")
        begun.set()

    url = f"http://127.0.0.1:{served[0].port}"

    async def lose() -> None:
        async with over_http(url) as client:
            await client.call_tool("tester", {"input": "Wait."}, progress_callback=tell)

    call = asyncio.create_task(lose())
    await asked(says, 1)
    async with asyncio.timeout(20):
        await begun.wait()
    served[0].close()
    [error] = await asyncio.gather(call, return_exceptions=True)
    assert isinstance(error, Exception)
    run_id = lines[0].rpartition(" ")[2]
    await expire(inner, run_id)
    model = OpenAIResponses("test-model", base_url=says.base_url, api_key="k", max_retries=0)
    with running(create_mcp_app([Agent("Tester", model, db=inner)])) as base:
        async with over_http(base) as client:
            result = await client.call_tool("get_run", {"run_id": run_id, "wait": 30})
    assert text(result) == "At last."
    assert about(result)["run_id"] == run_id


@pytest.mark.nightly  # tests/cli/test_mcp.py has it over pipes by default.
async def test_a_server_that_ends_gives_receipts(
    served: list[Server], inner: SqliteDb, says: ResponsesServer, tmp_path: Path
) -> None:
    says.script += [Reply.hang(), Reply.text("At last.")]
    async with over_http(f"http://127.0.0.1:{served[0].port}") as client:
        call = asyncio.create_task(client.call_tool("tester", {"input": "Wait."}))
        await asked(says, 1)
        ending = asyncio.create_task(served[0].terminate())
        receipt = await call
        assert await ending == 0
    run_id = about(receipt)["run_id"]
    assert about(receipt)["status"] in ("PENDING", "RUNNING")
    served.append(await started(inner, says, tmp_path))
    async with over_http(f"http://127.0.0.1:{served[1].port}") as client:
        result = await client.call_tool("get_run", {"run_id": run_id, "wait": 30})
    assert text(result) == "At last."


async def test_a_calling_run_whose_process_is_killed_gets_the_same_run_again(
    sqlite_db: SqliteDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    inner: SqliteDb,
    tmp_path: Path,
) -> None:
    """kern's own client names its calls, so the agent that is asked works once."""
    server.script.append(Reply.tool_calls(("clerk", {"input": "How long?"})))
    server.script.append(Reply.text("Half a day, it says."))
    asked_for, gate = asyncio.Event(), Future[None]()
    loop = asyncio.get_running_loop()

    async def answer(_: ModelRequest) -> str:
        loop.call_soon_threadsafe(asked_for.set)
        await asyncio.wrap_future(gate)
        return "Half a day."

    with running(create_mcp_app([Agent("Clerk", FunctionModel(answer), db=inner)])) as base:
        script = write_script(tmp_path / "outer.py", OUTER)
        url = f"{base}/mcp"
        settings = environment_of(sqlite_db, server.base_url) | {"MCP_URL": url}
        process = Process(script, settings)
        try:
            assert await process.said() == "begun"
            async with asyncio.timeout(20):
                await asked_for.wait()
            process.send(signal.SIGKILL)
            await process.ended()
        finally:
            process.close()
        asked_for.clear()
        await expire(sqlite_db, "run")
        async with MCPTools(url=url) as tools:
            agent = Agent("Tester", model, db=sqlite_db, tools=[tools])
            (await open_runtime(sqlite_db)).serve(agent)
            gate.set_result(None)
            run = await ended(agent, "run")
        [execution] = run.tools
        assert (run.status, execution.result) == (RunStatus.completed, "Half a day.")
        [answered] = await inner.aget_runs()
        assert (answered.status, answered.attempt) == (RunStatus.completed, 1)
    assert not asked_for.is_set()


async def test_what_the_called_run_waits_for_is_answered_at_the_calling_one(tmp_path: Path) -> None:
    """Approvals go through: both runs pause, and both go on by the one answer."""
    paid: list[int] = []

    @tool(requires_confirmation=True)
    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return f"paid {amount}"

    called = SqliteDb(tmp_path / "called.db")
    model = ScriptedModel([Reply.tool_calls(("pay", {"amount": 5})), "It is paid."])
    clerk = Agent("Clerk", model, db=called, tools=[pay])
    with running(create_mcp_app([clerk])) as url:
        async with MCPTools(url=f"{url}/mcp") as tools:
            model = ScriptedModel([Reply.tool_calls(("clerk", {"input": "Pay."})), "Done."])
            boss = Agent("Boss", model, db=InMemoryDb(), tools=[tools])
            run = await boss.arun("Have it paid.")
            assert run.status is RunStatus.paused
            [requirement] = run.active_requirements
            assert requirement.message == 'Clerk: may it call pay({"amount": 5})?'
            assert not paid
            [waiting] = await called.aget_runs()
            assert waiting.status is RunStatus.paused
            requirement.confirm()
            run = await boss.acontinue_run(run.run_id, requirements=run.requirements)
    assert (run.status, run.tools[0].result) == (RunStatus.completed, "It is paid.")
    assert paid == [5]
    [done] = await called.aget_runs()
    assert done.status is RunStatus.completed
