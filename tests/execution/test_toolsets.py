"""Toolsets: tools that are listed once an attempt."""

from collections.abc import Sequence

import pytest
from typing_extensions import override

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunInfo
from kern.testing import Reply, ResponsesServer
from kern.tools import FunctionTool, Tool, Toolset


class Listed(Toolset):
    """Notes for which runs it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @override
    async def tools(self, run: RunInfo) -> Sequence[Tool]:
        self.asked.append(run.run_id)

        def work() -> str:
            return f"done for {run.user_id}"

        return [FunctionTool(work)]


async def test_a_toolset_is_listed_once_for_an_attempt_and_its_tools_are_called(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    toolset = Listed()
    agent = Agent("Tester", model, db=shared_db, tools=[toolset])
    calls = Reply.tool_calls(("work", {}))
    server.script += [calls, calls, Reply.text("Well.")]
    await agent.arun("Work", background=True, run_id="run", user_id="ann")
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert [each.result for each in run.tools] == ["done for ann"] * 2
    assert toolset.asked == ["run"]
    assert [each["name"] for each in server.requests[0].body["tools"]] == ["work"]


async def test_two_tools_of_one_name_are_refused(model: OpenAIResponses) -> None:
    def work() -> str:
        return "done"

    with pytest.raises(ConfigurationError, match="'work'"):
        await Agent("Tester", model, tools=[work, Listed()]).arun("Work")
