"""The programs of docs/guides/context.md do what the page says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kern.testing import ProtocolServer, Reply

PAGE = Path(__file__).parents[2] / "docs/guides/context.md"


@pytest.fixture
def programs(server: ProtocolServer, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The page's programs, imported, with the server as their model."""
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    found = []
    for text in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(text, str(PAGE), "exec"), names)
        found.append(names)
    return found


async def test_what_an_agent_says(programs: list[dict[str, Any]], server: ProtocolServer) -> None:
    concierge = programs[0]["concierge"]
    await concierge.arun("When does the bar open?", user_id="ada")
    body = server.requests[0].body
    told: str = body["instructions"]
    assert told.startswith(
        "You are the concierge of a small hotel.\n\n"
        "- Answer in one sentence.\n- Call the guest Ada.\n- She knows the house.\n\n"
        "The time is "
    )
    assert "(Europe/Vienna)." in told
    assert told.endswith("names a place and a time.\n</expected_output>")
    assert len(body["input"]) == 3
    shown = await concierge.aget_system_message()
    assert "Call the guest Guest." in shown.text


async def test_dependencies(
    programs: list[dict[str, Any]], server: ProtocolServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script += [Reply.tool_calls(("discount", {})), Reply.text("80 EUR.")]
    await programs[1]["main"]()
    assert capsys.readouterr().out == "80 EUR.\n"
    first, second = server.requests
    assert first.body["instructions"] == (
        'The customer has the plan gold, and this profile: {"id": "ada", "plan": "gold"}.'
    )
    assert '"currency": "EUR", "plan": "gold"}' in first.body["input"][0]["content"]
    assert second.body["input"][-1]["output"] == "20"


async def test_knowledge(programs: list[dict[str, Any]], server: ProtocolServer) -> None:
    server.script += [
        Reply.tool_calls(("search_knowledge_base", {"query": "bar"})),
        Reply.text("At six."),
        Reply.text("At six."),
    ]
    run = await programs[2]["porter"].arun("When does the bar open?")
    assert [each.query for each in run.references] == ["bar"]
    run = await programs[2]["reader"].arun("Bar")
    assert run.references[0].references == [programs[2]["HOUSE"][1]]
    assert "- title: Bar\n" in json.dumps(server.requests[-1].body["input"]).replace("\\n", "\n")


async def test_the_request_is_seen_and_changed(
    programs: list[dict[str, Any]], server: ProtocolServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run = await programs[3]["open_agent"].arun("Hello!")
    assert capsys.readouterr().out == "user: Hello!\n"
    assert server.requests[0].body["instructions"] == f"This is run {run.run_id}."
