"""What runs do, in the log at the level DEBUG."""

import logging

import pytest

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer


def work(at: str) -> str:
    """Do it."""
    return f"done {at}"


SCRIPT = [Reply.tool_calls(("work", {"at": "night"})), Reply.text("Well.")]


async def test_debug_mode_logs_what_a_run_does(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script += SCRIPT
    agent = Agent("Tester", model, tools=[work], debug_mode=True)
    with caplog.at_level(logging.DEBUG, "kern.debug"):
        await agent.arun("Work!", run_id="run")
    told = "\n".join(each.getMessage() for each in caplog.records if each.name == "kern.debug")
    for said in ("attempt 1", "user: Work!", "tools: work", 'calls work({"at": "night"})'):
        assert said in told
    assert "work returned" in told
    assert "done night" in told
    assert "run run: COMPLETED" in told


async def test_a_run_may_say_it_against_its_agent(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.default = Reply.text("Well.")
    lines = []
    for own, of_run in [(False, None), (False, True), (True, False), (True, True)]:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "kern.debug"):
            await Agent("Tester", model, debug_mode=own).arun("Hi", debug_mode=of_run)
        lines.append(any("user: Hi" in each.getMessage() for each in caplog.records))
    assert lines == [False, True, False, True]


async def test_level_2_shows_all_messages(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.default = Reply.text("Well.")
    agent = Agent("Tester", model, instructions="Be kind.", debug_mode=True, debug_level=2)
    with caplog.at_level(logging.DEBUG, "kern.debug"):
        await agent.arun("Hi")
    assert "system: Be kind." in caplog.text
