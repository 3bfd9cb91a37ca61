"""Servers that die, before a call or in the middle of one."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import mcp_plain
import psutil
import pytest
from load import ended
from mcp_service import noted

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, ToolsetError
from kern.run.base import RunStatus
from kern.run.output import RunOutput
from kern.testing import Reply, ScriptedModel
from kern.tools.mcp import MCPTools
from kern.tools.rules import Interrupt


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def had_a_call(notes: Path) -> Path:
    notes.touch()
    return notes


def paying(notes: Path, on_interrupt: Interrupt = "retry") -> MCPTools:
    return MCPTools(
        f"{sys.executable} {mcp_plain.__file__} {notes}",
        on_interrupt=on_interrupt,
        timeout_seconds=30,
    )


async def paid(tools: MCPTools) -> tuple[Agent, RunOutput]:
    model = ScriptedModel([Reply.tool_calls(("pay", {"amount": 5})), "Done."])
    agent = Agent("Payer", model, db=InMemoryDb(), tools=[tools])
    run = await agent.arun("Pay.", background=True)
    return agent, await ended(agent, run.run_id)


def result_of(run: RunOutput) -> str:
    [result] = [each.text for each in run.messages or () if each.role == "tool"]
    return result


def servers(notes: Path) -> list[psutil.Process]:
    found = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # It has ended meanwhile.
            if str(notes) in each.cmdline():
                found.append(each)
    return found


async def test_a_server_that_dies_in_the_middle_is_started_again_and_gets_the_same_key(
    notes: Path,
) -> None:
    async with paying(notes) as tools:
        _, run = await paid(tools)
    first, second = noted(notes)
    assert first == second == f"{run.run_id}/1/0"
    assert result_of(run) == "paid 5"


async def test_where_the_rule_says_so_the_model_is_told_that_the_outcome_is_unknown(
    notes: Path,
) -> None:
    async with paying(notes, "fail") as tools:
        _, run = await paid(tools)
    assert len(noted(notes)) == 1
    assert "may have had its effect, or not" in result_of(run)


@pytest.mark.parametrize("is_confirmed", [True, False])
async def test_where_the_rule_says_so_a_person_decides_about_the_call(
    notes: Path, is_confirmed: bool
) -> None:
    async with paying(notes, "pause") as tools:
        agent, run = await paid(tools)
        assert run.status is RunStatus.paused
        [asked] = run.active_requirements
        assert asked.kind == "unknown_outcome"
        if is_confirmed:
            asked.confirm()
        else:
            asked.reject("It is paid.")
        await agent.acontinue_run(run.run_id, requirements=[asked])
        run = await ended(agent, run.run_id)
    assert len(noted(notes)) == 1 + is_confirmed
    assert result_of(run) == "paid 5" if is_confirmed else "It is paid." in result_of(run)


async def test_a_server_that_was_killed_between_calls_is_started_again_whatever_the_rule(
    had_a_call: Path,
) -> None:
    notes = had_a_call
    async with paying(notes, "fail") as tools:
        [server] = servers(notes)
        os.kill(server.pid, signal.SIGKILL)
        _, run = await paid(tools)
    assert result_of(run) == "paid 5"


async def test_no_server_outlives_its_toolset_or_its_event_loop(notes: Path) -> None:
    async with paying(notes):
        assert len(servers(notes)) == 1
    assert servers(notes) == []

    def without_close() -> None:
        tools = paying(notes)
        asyncio.run(tools.connect())

    await asyncio.to_thread(without_close)
    assert servers(notes) == []


async def test_a_command_that_is_none_fails_the_run_with_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ToolsetError, match="cannot be used: FileNotFoundError"):
        await MCPTools(f"{tmp_path}/none").connect()
    with pytest.raises(ToolsetError, match=r"MCP server true cannot be used"):
        await MCPTools("true").connect()


def test_what_cannot_be_a_server_is_refused_at_once() -> None:
    for wrong in ({}, {"command": "a", "url": "http://b"}, {"command": "'"}, {"command": ""}):
        with pytest.raises(ConfigurationError):
            MCPTools(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="not over 'stdio'"):
        MCPTools(url="http://b", transport="stdio")
    with pytest.raises(ConfigurationError, match="begin with http"):
        MCPTools(url="file:///etc/passwd")
    with pytest.raises(TypeError, match="include_tools"):
        MCPTools("a", include_tool=["b"])  # type: ignore[call-arg]


def test_nothing_secret_of_a_server_is_shown() -> None:
    shown = [
        repr(MCPTools(url="https://ann:secret@example.com/mcp?key=secret")),
        repr(MCPTools(url="https://example.com/mcp", headers={"Authorization": "secret"})),
        repr(MCPTools("serve --key secret", env={"KEY": "secret"})),
    ]
    assert not any("secret" in each for each in shown)
