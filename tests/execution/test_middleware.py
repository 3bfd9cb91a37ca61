"""Middleware: around runs, model calls and tool calls, the first outermost."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from kern.agent import Agent
from kern.agent.definition import runtime_of
from kern.db.database import Database
from kern.errors import DatabaseError, DatabaseUnavailableError, RunStateError
from kern.execution.middleware import AskModel, CallTool, Middleware
from kern.models.base import ModelRequest, ModelResponse
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunInfo, RunStatus
from kern.run.record import RunRecord, Settlement
from kern.run.tool import ToolCall
from kern.testing import Reply, ResponsesServer
from kern.tools import ToolResult


class Noted(Middleware):
    """Notes what it is around."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        self.notes.append(f"{self.name}: run {run.run_id}, attempt {run.attempt}")
        output = await proceed()
        self.notes.append(f"{self.name}: {output.status}")
        return output

    async def model_call(self, run: RunInfo, request: ModelRequest, ask: AskModel) -> ModelResponse:
        self.notes.append(f"{self.name}: model")
        return await ask(request)

    async def tool_call(self, run: RunInfo, call: ToolCall, make: CallTool) -> ToolResult:
        self.notes.append(f"{self.name}: {call.name}")
        result = await make(call)
        return replace(result, content=f"{result.content} by {self.name}")


def work() -> str:
    """Do it."""
    return "done"


async def test_the_first_one_is_the_outermost(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    notes: list[str] = []
    around = [Noted("a", notes), Noted("b", notes)]
    agent = Agent("Tester", model, db=shared_db, tools=[work], middleware=around)
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Well.")]
    await agent.arun("Work", background=True, run_id="run")
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert run.tools[0].result == "done by b by a"
    assert notes == [
        *("a: run run, attempt 1", "b: run run, attempt 1"),
        *("a: model", "b: model", "a: work", "b: work", "a: model", "b: model"),
        *("b: COMPLETED", "a: COMPLETED"),
    ]


async def test_it_may_answer_in_place_of_what_it_is_around(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    class Guard(Middleware):
        async def tool_call(self, run: RunInfo, call: ToolCall, make: CallTool) -> ToolResult:
            return ToolResult("not here", is_error=True)

    server.script += [Reply.tool_calls(("work", {})), Reply.text("Well.")]
    run = await Agent("Tester", model, tools=[work], middleware=[Guard()]).arun("Work")
    assert (run.tools[0].result, run.tools[0].tool_call_error) == ("not here", True)


async def test_what_it_raises_around_a_tool_is_that_calls_error(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    class Broken(Middleware):
        async def tool_call(self, run: RunInfo, call: ToolCall, make: CallTool) -> ToolResult:
            raise KeyError("key")

    server.script += [Reply.tool_calls(("work", {})), Reply.text("Well.")]
    run = await Agent("Tester", model, tools=[work], middleware=[Broken()]).arun("Work")
    assert (run.tools[0].result, run.tools[0].tool_call_error) == ("KeyError: 'key'", True)
    assert run.status is RunStatus.completed


async def test_the_log_of_starts_and_ends_is_one(
    model: OpenAIResponses, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "kern.runs"):
        await Agent("Tester", model).arun("Hi", run_id="run")
    assert [record.__dict__["event"] for record in caplog.records] == ["started", "completed"]
    assert {record.__dict__["run_id"] for record in caplog.records} == {"run"}


class Refusing(Middleware):
    """Raises around the run, before it or after it."""

    def __init__(self, before: bool) -> None:
        self.before = before

    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        if self.before:
            raise ValueError("not today")
        await proceed()
        raise ValueError("too late")


async def test_what_it_raises_before_a_run_is_what_the_run_fails_of(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db, middleware=[Refusing(before=True)])
    await agent.arun("Work", background=True, run_id="run")
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.error) == (RunStatus.error, "ValueError: not today")
    assert server.requests == []


async def test_what_it_raises_after_a_run_changes_nothing(
    shared_db: Database, model: OpenAIResponses
) -> None:
    agent = Agent("Tester", model, db=shared_db, middleware=[Refusing(before=False)])
    await agent.arun("Work", background=True, run_id="run")
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.attempt) == (RunStatus.completed, 1)


async def test_a_run_with_middleware_that_does_not_proceed_fails(model: OpenAIResponses) -> None:
    class Lazy(Middleware):
        async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
            return RunOutput(run.run_id, run.session_id, run.agent_id)

    with pytest.raises(RunStateError, match="did not proceed"):
        await Agent("Tester", model, middleware=[Lazy()]).arun("Work")


class Swallowing(Middleware):
    """Takes whatever comes out of a run for its own business."""

    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        try:
            return await proceed()
        except Exception:
            return RunOutput(run.run_id, run.session_id, run.agent_id)


async def test_an_end_that_could_not_be_stored_is_told_through_middleware(
    shared_db: Database, model: OpenAIResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("Tester", model, db=shared_db, middleware=[Swallowing()])

    async def settle(_: object) -> None:
        raise DatabaseError("The table is gone.")

    monkeypatch.setattr((await runtime_of(agent)).store, "settle", settle)
    with pytest.raises(DatabaseError, match="table is gone"):
        await agent.arun("Work")


async def test_a_stale_attempt_waits_for_the_database_to_say_how_the_run_stands(
    shared_db: Database, model: OpenAIResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("Tester", model, db=shared_db, middleware=[Noted("a", [])])
    store = (await runtime_of(agent)).store
    settle, get, asked = store.settle, store.get, list[str]()

    async def settle_before(settlement: Settlement) -> None:
        """Be refused, as where others have carried the run to its end."""
        await settle(settlement)

    async def get_at_last(run_id: str, *, with_input: bool = False) -> RunRecord | None:
        asked.append(run_id)
        if len(asked) == 1:
            raise DatabaseUnavailableError("The connection was lost.")
        return await get(run_id, with_input=with_input)

    monkeypatch.setattr(store, "settle", settle_before)
    monkeypatch.setattr(store, "get", get_at_last)
    run = await agent.arun("Work")
    assert (run.status, asked) == (RunStatus.completed, [run.run_id] * 2)
