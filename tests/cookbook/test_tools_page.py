"""The programs of docs/guides/tools.md do what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from kern.agent import Agent
from kern.run.event import CustomEvent
from kern.run.message import Message
from kern.testing import Reply, ScriptedModel

PAGE = Path(__file__).parents[2] / "docs/guides/tools.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def program(word: str) -> dict[str, Any]:
    """Import the page's program with this word in it."""
    [text] = [each for each in PROGRAMS if word in each]
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(text, str(PAGE), "exec"), names)
    return names


async def test_hooks_are_around_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    agent = program("def audited")["agent"]
    script: list[Any] = [Reply.tool_calls(("weather", {"city": "Rome"})), "Sunny."]
    with agent.override(model=ScriptedModel(script * 2)):
        signed_in = await agent.arun("Weather?", user_id="ada")
        nobody = await agent.arun("Weather?")
    assert [each.result for each in signed_in.tools] == ["It is sunny in Rome."]
    assert [each.result for each in nobody.tools] == ["PermissionError: nobody is signed in"]
    assert capsys.readouterr().out == (
        "calls weather {'city': 'Rome'}\n"
        "weather gave It is sunny in Rome.\n"
        "calls weather {'city': 'Rome'}\n"
    )


async def test_a_toolkit_gives_its_tools_rules_and_instructions() -> None:
    agent = program("class Shop")["agent"]
    model = ScriptedModel([Reply.tool_calls(("price", {"article": "Bread"})), "Five euros."])
    with agent.override(model=model):
        run = await agent.arun("What is the bread?")
    assert run.tools[0].result == "Bread costs 5 euros."
    assert model.requests[0].messages[0].text == "Tell the price first."
    assert agent.tools["order"].requires_confirmation


async def test_a_generator_tells_events() -> None:
    search = program("class Found")["search"]
    agent = Agent(model=ScriptedModel([Reply.tool_calls(("search", {"query": "a"})), "Found."]))
    agent.add_tool(search)
    events = [each async for each in agent.arun("Search", stream=True, stream_events=True)]
    assert [vars(each)["title"] for each in events if isinstance(each, CustomEvent)] == ["A page"]
    told = [each.content for each in events if each.event == "ToolCallCompleted"]
    assert told == ["One page says a."]


async def test_a_client_calls_its_own_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = program("ClientTool")
    agent, own = page["agent"], page["own"]
    model = ScriptedModel([Reply.tool_calls(("open_door", {"which": "front"})), "Come in."])
    with agent.override(model=model):
        run = await agent.arun("Let me in.", overrides=own)
        [call] = run.client_calls
        given = [Message("tool", "It is open.", tool_call_id=call.tool_call_id)]
        then = await agent.acontinue_run(run.run_id, input=given, overrides=own)
    assert (call.tool_args, then.content) == ({"which": "front"}, "Come in.")
    await agent.db.aclose()
