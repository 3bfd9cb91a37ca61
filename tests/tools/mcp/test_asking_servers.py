"""Servers that ask their user in the middle of a call, which pauses the run."""

import sys
from collections.abc import Callable
from pathlib import Path

import mcp_service
import pytest
from load import ended
from mcp_service import URL, Legacy, noted, serving_mcp
from ports import free_port
from starlette.types import ASGIApp

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.errors import ConfigurationError
from kern.run.base import RunStatus
from kern.run.output import RunOutput
from kern.testing import Reply, ScriptedModel
from kern.tools.mcp import MCPTools

BOTH = pytest.mark.parametrize("around", [lambda app: app, Legacy], ids=["newest", "older"])


def result_of(run: RunOutput) -> str:
    [result] = [each.text for each in run.messages or () if each.role == "tool"]
    return result


@pytest.fixture
def db(tmp_path: Path) -> SqliteDb:
    return SqliteDb(db_file=str(tmp_path / "runs.db"))


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    notes = tmp_path / "notes"
    monkeypatch.setenv("MCP_NOTES", str(notes))
    return notes


def booking(db: SqliteDb, tools: MCPTools, *flights: str) -> Agent:
    """Return an agent that books flights, or that goes on with a run that has."""
    script = [Reply.tool_calls(*(("book", {"flight": each}) for each in flights))]
    model = ScriptedModel(script if flights else [], default="Booked.")
    return Agent("Traveller", model, db=db, tools=[tools])


async def answered(agent: Agent, run: RunOutput, values: dict[str, object] | None) -> RunOutput:
    [asked] = run.active_requirements
    if values is None:
        asked.reject()
    else:
        asked.provide_user_input(values)
    await agent.acontinue_run(run.run_id, requirements=[asked])
    return await ended(agent, run.run_id)


async def paused(agent: Agent) -> RunOutput:
    run = await agent.arun("Book.", background=True)
    return await ended(agent, run.run_id)


async def booked(agent: Agent) -> list[str]:
    """Book two flights, the first in row 1 and the second in row 2; return what they came to."""
    run = await paused(agent)
    while run.status is RunStatus.paused:
        for each in run.active_requirements:
            message = str(each.message)
            if "Which seat" in message:
                each.provide_user_input({"row": 1 if "LH1" in message else 2})
            else:
                each.provide_user_input({"name": "Ada" if "row 1" in message else "Bob"})
        await agent.acontinue_run(run.run_id, requirements=run.requirements)
        run = await ended(agent, run.run_id)
    return [each.text for each in run.messages or () if each.role == "tool"]


@BOTH
async def test_a_question_pauses_the_run_and_the_answers_go_to_the_server(
    db: SqliteDb, notes: Path, around: Callable[[ASGIApp], ASGIApp]
) -> None:
    async with serving_mcp(around=around) as url, MCPTools(url=url) as tools:
        agent = booking(db, tools, "LH1")
        run = await paused(agent)
        assert run.status is RunStatus.paused
        [asked] = run.active_requirements
        assert (asked.kind, asked.message) == ("user_input", "Which seat on LH1?")
        fields = [
            (each.name, each.field_type, each.required) for each in asked.user_input_schema or ()
        ]
        assert fields == [("row", "int", True), ("window", "bool", False)]
        run = await answered(agent, run, {"row": 7, "window": True})
        assert run.active_requirements[0].message == "Who sits in row 7?"
        run = await answered(agent, run, {"name": "Ada"})
        assert (run.status, run.content) == (RunStatus.completed, "Booked.")
        assert result_of(run) == "LH1: row 7, window True, Ada"
        assert noted(notes) == ["book LH1"]


@BOTH
async def test_a_rejection_is_told_to_the_server_as_one(
    db: SqliteDb, notes: Path, around: Callable[[ASGIApp], ASGIApp]
) -> None:
    async with serving_mcp(around=around) as url, MCPTools(url=url) as tools:
        agent = booking(db, tools, "LH1")
        run = await answered(agent, await paused(agent), {"row": 7})
        run = await answered(agent, run, None)
        assert result_of(run) == "LH1: row 7, window False, nobody"


async def test_the_answer_reaches_a_server_that_was_started_anew_and_has_lost_its_state(
    db: SqliteDb, notes: Path
) -> None:
    port = free_port()
    async with serving_mcp(port=port) as url, MCPTools(url=url) as tools:
        agent = booking(db, tools, "LH1")
        run = await answered(agent, await paused(agent), {"row": 7})
    # What seals a server's state is a key of its process.
    async with serving_mcp(port=port) as url, MCPTools(url=url) as tools:
        agent = booking(db, tools)
        run = await answered(agent, run, {"name": "Ada"})
        assert result_of(run) == "LH1: row 7, window False, Ada"


async def test_a_call_that_may_not_be_made_once_more_is_declined_by_kern_where_the_server_is_older(
    db: SqliteDb, notes: Path
) -> None:
    async with (
        serving_mcp(around=Legacy) as url,
        MCPTools(url=url, on_interrupt="fail") as tools,
    ):
        run = await paused(booking(db, tools, "LH1"))
        assert run.status is RunStatus.completed
        assert "decline" in result_of(run).lower()


async def test_a_call_that_may_not_be_made_once_more_pauses_where_the_server_is_of_the_newest(
    db: SqliteDb, notes: Path
) -> None:
    async with serving_mcp() as url, MCPTools(url=url, on_interrupt="fail") as tools:
        agent = booking(db, tools, "LH1")
        run = await answered(agent, await paused(agent), {"row": 7})
        run = await answered(agent, run, {"name": "Ada"})
        assert result_of(run) == "LH1: row 7, window False, Ada"


BOOKED = ["LH1: row 1, window False, Ada", "LH2: row 2, window False, Bob"]


async def test_calls_side_by_side_are_answered_each_for_itself(db: SqliteDb, notes: Path) -> None:
    async with serving_mcp() as url, MCPTools(url=url) as tools:
        assert await booked(booking(db, tools, "LH1", "LH2")) == BOOKED


@pytest.mark.parametrize("era", [pytest.param("newest", marks=pytest.mark.nightly), "legacy"])
async def test_a_process_that_does_not_say_which_call_it_asks_for_is_answered(
    db: SqliteDb, notes: Path, era: str
) -> None:
    service = Path(mcp_service.__file__)
    command = f"{sys.executable} {service} {era}"
    env = {"MCP_NOTES": str(notes), "PYTHONPATH": str(service.parent)}
    async with MCPTools(command, env=env, timeout_seconds=30) as tools:
        assert await booked(booking(db, tools, "LH1", "LH2")) == BOOKED
    assert sorted(noted(notes)) == ["book LH1", "book LH2"]


async def test_a_tool_that_asks_only_in_the_older_protocol_is_called_in_that(
    db: SqliteDb, notes: Path
) -> None:
    async with serving_mcp() as url:
        async with MCPTools(url=url) as tools:
            run = await paused(calling(db, tools, "guess"))
            assert "no back-channel" in result_of(run)
        async with MCPTools(url=url, protocol="legacy") as tools:
            agent = calling(db, tools, "guess")
            run = await answered(agent, await paused(agent), {"row": 42})
            assert result_of(run) == "right, the 1. time"
    with pytest.raises(ConfigurationError, match="protocol must be 'auto' or 'legacy'"):
        MCPTools(url=url, protocol="2025")  # type: ignore[arg-type]


def calling(db: SqliteDb, tools: MCPTools, name: str) -> Agent:
    model = ScriptedModel([Reply.tool_calls((name, {}))], default="Done.")
    return Agent("Traveller", model, db=db, tools=[tools])


@BOTH
async def test_an_address_that_has_to_be_visited_pauses_the_run_until_a_person_says_so(
    db: SqliteDb, notes: Path, around: Callable[[ASGIApp], ASGIApp]
) -> None:
    async with serving_mcp(around=around) as url, MCPTools(url=url, on_interrupt="fail") as tools:
        agent = calling(db, tools, "login")
        run = await paused(agent)
        [asked] = run.active_requirements
        assert (asked.kind, asked.message) == ("confirmation", f"Log in: {URL}")
        visit(notes)
        asked.confirm()
        await agent.acontinue_run(run.run_id, requirements=[asked])
        assert result_of(await ended(agent, run.run_id)) == "logged in"


async def test_an_address_that_nobody_wants_to_visit_fails_the_call(
    db: SqliteDb, notes: Path
) -> None:
    async with serving_mcp() as url, MCPTools(url=url) as tools:
        agent = calling(db, tools, "login")
        run = await paused(agent)
        [asked] = run.active_requirements
        asked.reject()
        await agent.acontinue_run(run.run_id, requirements=[asked])
        assert "elicitation required" in result_of(await ended(agent, run.run_id))


@BOTH
@pytest.mark.parametrize("values", [{}, {"size": "large"}])
async def test_what_nobody_has_changed_of_a_form_has_its_default(
    db: SqliteDb,
    notes: Path,
    around: Callable[[ASGIApp], ASGIApp],
    values: dict[str, object],
) -> None:
    async with serving_mcp(around=around) as url, MCPTools(url=url) as tools:
        agent = calling(db, tools, "order")
        run = await paused(agent)
        [asked] = run.active_requirements
        assert asked.kind == "confirmation"
        assert asked.user_input_schema is not None
        size, count = asked.user_input_schema
        assert (size.description, count.field_type) == (
            "One of: small, large. By default small",
            "int",
        )
        asked.provide_user_input(values)
        asked.confirm()
        await agent.acontinue_run(run.run_id, requirements=[asked])
        assert result_of(await ended(agent, run.run_id)) == f"{values.get('size', 'small')} x 1"


async def test_a_server_that_is_not_content_with_an_answer_gets_another(
    db: SqliteDb, notes: Path
) -> None:
    async with serving_mcp(around=Legacy) as url, MCPTools(url=url) as tools:
        agent = calling(db, tools, "guess")
        run = await paused(agent)
        for row in (1, 2, 42):
            assert run.status is RunStatus.paused
            run = await answered(agent, run, {"row": row})
        assert result_of(run) == "right, the 3. time"


def visit(notes: Path) -> None:
    Path(f"{notes}.visited").touch()
