"""``kern mcp`` speaks with the program that has started it, and says nothing else on that pipe."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from elsewhere import environment_of
from mcp.types import ElicitResult
from mcp_client import about, over_pipes, text
from typer.testing import CliRunner
from worker_command import APP

from kern.cli.main import app
from kern.db.sqlite import SqliteDb
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

ASKING = (
    APP
    + """
from kern.tools import tool

@tool(requires_confirmation=True)
def pay(amount: int) -> str:
    \"\"\"Pay.\"\"\"
    print("paying", flush=True)
    os.system("echo paying")
    return f"paid {amount}"

agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), tools=[pay], db=db)
"""
)

SLOW = (
    APP
    + """
from anyio import AsyncFile, sleep

write = AsyncFile.write

async def slowly(self, line):  # As on a busy machine.
    await sleep(0.3)
    return await write(self, line)

AsyncFile.write = slowly
"""
)


@pytest.fixture
def settings(sqlite_db: SqliteDb, server: ResponsesServer) -> Mapping[str, str]:
    return environment_of(sqlite_db, server.base_url) | {"KERN_MCP_WAIT": "1"}


@pytest.mark.parametrize("mode", ["auto", pytest.param("legacy", marks=pytest.mark.nightly)])
async def test_nothing_but_the_protocol_is_on_the_pipe(
    tmp_path: Path, settings: Mapping[str, str], server: ResponsesServer, mode: str
) -> None:
    (tmp_path / "app.py").write_text(ASKING)
    server.script += [Reply.tool_calls(("pay", {"amount": 5})), Reply.text("It is paid.")]
    asked: list[str] = []

    async def person(context: object, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={})

    errors = tmp_path / "errors.txt"
    opened = over_pipes(
        tmp_path, settings, "app:agent", mode=mode, errors=errors, elicitation_callback=person
    )
    async with opened as client:
        names = [each.name for each in (await client.list_tools()).tools]
        assert names == ["tester", "get_run", "cancel_run"]
        result = await client.call_tool("tester", {"input": "Pay."})
        assert text(result) == "It is paid."
        process = _kern_mcp()
    assert process.wait(10) in (0, None)
    assert asked == ['Tester: may it call pay({"amount": 5})?']
    said = errors.read_text()
    assert said.count("paying") == 2
    assert "imported" in said
    assert "agents tester" in said
    assert said.splitlines()[-1].endswith("stopped")
    assert "Traceback" not in said


async def test_a_call_that_is_cancelled_stops_its_run(
    tmp_path: Path, settings: Mapping[str, str], server: ResponsesServer, sqlite_db: SqliteDb
) -> None:
    (tmp_path / "app.py").write_text(APP)
    server.script += [Reply.hang(), Reply.hang()]
    async with over_pipes(tmp_path, settings, "app:agent", "--user", "ada") as client:
        run_id = about(await client.call_tool("tester", {"input": "Wait."}))["run_id"]
        call = asyncio.create_task(client.call_tool("tester", {"input": "Wait, too."}))
        await _asked(server, 2)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        async with asyncio.timeout(10):
            while True:
                runs = await sqlite_db.aget_runs()
                if {each.status for each in runs} == {RunStatus.running, RunStatus.cancelled}:
                    break
                await asyncio.sleep(0.02)
        [kept] = [each for each in runs if each.status is RunStatus.running]
        assert kept.run_id == run_id, "that call had returned a receipt"
        assert kept.user_id == "ada"


async def test_at_its_end_calls_get_a_receipt_and_runs_go_on_at_the_next_start(
    tmp_path: Path, settings: Mapping[str, str], server: ResponsesServer
) -> None:
    (tmp_path / "app.py").write_text(SLOW)
    server.script += [Reply.hang(), Reply.text("At last.")]
    patient = {**settings, "KERN_MCP_WAIT": "60"}
    async with over_pipes(tmp_path, patient, "app:agent") as client:
        await client.list_tools()  # Else it does after the receipt, to check its form.
        call = asyncio.create_task(client.call_tool("tester", {"input": "Wait."}))
        await _asked(server, 1)
        _kern_mcp().send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            receipt = await call
    assert about(receipt)["status"] in ("PENDING", "RUNNING")
    async with over_pipes(tmp_path, patient, "app:agent") as client:
        result = await client.call_tool("get_run", {"run_id": about(receipt)["run_id"]})
    assert text(result) == "At last."


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "--host: only with --http"),
        (["--port", "80", "--insecure"], "--port, --insecure: only with --http"),
        (["--http", "--user", "ada"], "--user: not with --http"),
        (["--http", "--host", "0.0.0.0"], "can be reached from other machines"),
        ([], "There is no module named 'nowhere'"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["mcp", "nowhere:agent", *arguments])
    assert done.exit_code == 1
    assert says in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [("KERN_MCP_WAIT", "soon"), ("KERN_MCP_WAIT", "-1"), ("KERN_MCP_ANSWERS", "yes")],
)
def test_a_setting_that_cannot_be_used_is_named(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("TEST_DB", "kern.db")
    monkeypatch.setenv("TEST_TABLE", "kern")
    (tmp_path / "settled.py").write_text(APP)
    done = CliRunner().invoke(app, ["mcp", "settled:agent", "--http"])
    assert done.exit_code == 1
    assert name in done.stderr


async def _asked(server: ResponsesServer, times: int) -> None:
    async with asyncio.timeout(30):
        while len(server.requests) < times:  # noqa: ASYNC110 # the server tells nobody
            await asyncio.sleep(0.02)


def _kern_mcp() -> psutil.Process:
    """Return the process that a client of this test has started."""
    [found] = [each for each in psutil.Process().children() if "mcp" in each.cmdline()]
    return found
