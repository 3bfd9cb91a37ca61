"""What models are told of agents in the background, and such tools as JSON values."""

import asyncio
from typing import Any

import pytest
from in_background import child_of, reports_in

from kern.agent import Agent
from kern.agent.background import AT_ONCE, BackgroundAgents, StartTool
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError
from kern.models.base import ModelRequest
from kern.registry import Registry
from kern.testing import FunctionModel, Reply
from kern.tools.collect import AnyTool


def answer(_: object) -> str:
    """Answer anything."""
    return "Yes."


MODEL = FunctionModel(answer)
REGISTRY = Registry(models=[MODEL], dbs=[InMemoryDb()])


def made() -> Agent:
    return Agent("Researcher", MODEL, description="Finds figures.")


def test_a_start_is_told_to_return_at_once() -> None:
    tool = made().as_tool(background=True)
    assert isinstance(tool, StartTool)
    assert (tool.name, tool.schema.description) == ("start_researcher", f"Finds figures. {AT_ONCE}")
    own = made().as_tool("look_up", "Looks up.", background=True, call_limit=2)
    assert (own.name, own.call_limit) == ("look_up", 2)
    assert own.schema.description == f"Looks up. {AT_ONCE}"


def test_what_a_model_is_told_of_the_tools_names_their_parameters() -> None:
    toolkit = BackgroundAgents([made()], exclude_tools=["list_runs"])
    assert [*toolkit.functions] == [
        *("start_researcher", "look_at_run", "wait_for_run", "cancel_run"),
    ]
    wait = toolkit.functions["wait_for_run"].schema.parameters
    assert wait["required"] == ["run_id"]
    assert Agent("Boss", MODEL, db=InMemoryDb(), tools=[toolkit]).starts_runs
    assert not Agent("Boss", MODEL, tools=[made().as_tool()]).starts_runs


def test_the_tools_are_kept_as_what_they_are() -> None:
    [db] = REGISTRY.dbs
    tools: list[AnyTool] = [
        BackgroundAgents([made()]),
        made().as_tool("look_up", "Looks up.", background=True),
        made().as_tool(),
    ]
    boss = Agent("Boss", MODEL, db=db, tools=tools)
    again = Agent.from_dict(boss.to_dict(REGISTRY), REGISTRY)
    assert {name: type(each) for name, each in again.tools.items()} == {
        name: type(each) for name, each in boss.tools.items()
    }
    assert [each.schema for each in again.tools.values()] == [
        each.schema for each in boss.tools.values()
    ]
    assert again.to_dict(REGISTRY) == boss.to_dict(REGISTRY)


def test_a_class_is_no_agent() -> None:
    given: Any = [Agent]
    with pytest.raises(ConfigurationError, match=r"takes agents.*, not the class Agent; write"):
        BackgroundAgents(given)


async def test_a_run_in_the_background_does_not_wait_for_itself() -> None:
    own: list[str] = []
    results: list[str] = []

    async def research(request: ModelRequest) -> Reply | str:
        results[:] = [each.text for each in request.messages if each.role == "tool"]
        if results:
            return "Found."
        while not own:  # noqa: ASYNC110 # its id comes with the receipt
            await asyncio.sleep(0.01)
        waits = ("wait_for_run", {"run_id": own[0]})
        return Reply.tool_calls(("list_runs", {}), waits, ("cancel_run", {"run_id": own[0]}))

    def direct(request: ModelRequest) -> Reply | str:
        if reports_in(request) or request.messages[-1].role == "tool":
            return "Started."
        return Reply.tool_calls(("start_researcher", {"input": "Go"}))

    db = InMemoryDb()
    researcher = Agent(
        "Researcher", FunctionModel(research), db=db, tools=[BackgroundAgents([made()])]
    )
    boss = Agent("Boss", FunctionModel(direct), db=db, tools=[BackgroundAgents([researcher])])
    run = await boss.arun("Go")
    own += [each.child_run_id or "" for each in run.tools]
    assert (await child_of(await db.store(), run.run_id)).status.is_terminal
    assert results[0] == "There are none."
    assert all("there is no run" in each for each in results[1:])
