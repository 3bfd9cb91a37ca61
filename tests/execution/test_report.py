"""What fails is logged once, with what it is about; what a run survives is no error there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from kern.agent import Agent
from kern.agent.serving import serve
from kern.compression import Compaction, CompressionManager
from kern.db.in_memory import InMemoryDb
from kern.db.sqlite import SqliteDb
from kern.errors import ModelError
from kern.execution.middleware import CallTool, Middleware
from kern.memory import MemoryManager
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunInfo, RunStatus
from kern.run.input import RunInput
from kern.run.record import NewRun
from kern.run.tool import ToolCall
from kern.session import SessionSummaryManager
from kern.testing import Reply, ResponsesServer, ScriptedModel
from kern.tools import ToolResult

WAIT = 20.0


async def work(step: int) -> str:
    if step:
        raise ExceptionGroup("two at once", [LookupError("no such step"), ValueError(step)])
    return "done"


class Around(Middleware):
    async def tool_call(self, run: RunInfo, call: ToolCall, make: CallTool) -> ToolResult:
        raise KeyError("around")


class Broken(Middleware):
    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        raise ValueError("not today")


def at_least(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    """Return what was logged of the run of a test."""
    found = [each for each in caplog.records if each.levelno >= level]
    return [each for each in found if each.getMessage().startswith("run run ")]


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO])
@pytest.mark.parametrize("background", [True, False])
async def test_a_failed_run_is_logged_once_as_an_error_that_says_why(
    model: OpenAIResponses,
    server: ResponsesServer,
    caplog: pytest.LogCaptureFixture,
    level: int,
    background: bool,
) -> None:
    server.script.append(Reply.http_error(401, "It is wrong"))
    agent = Agent("Tester", model, db=InMemoryDb())
    with caplog.at_level(level, "kern"):
        if background:
            await agent.arun("Hi", background=True, run_id="run")
            await agent.await_run("run", timeout=WAIT)
        else:
            with pytest.raises(ModelError):
                await agent.arun("Hi", run_id="run")
    [told] = at_least(caplog, logging.WARNING)
    assert (told.name, told.levelno, told.exc_info) == ("kern.runs", logging.ERROR, None)
    assert told.getMessage().startswith("run run failed (agent tester, attempt 1): ")
    assert "answered 401: It is wrong." in told.getMessage()
    assert told.__dict__["event"] == "error"
    assert "It is wrong" in told.__dict__["error"]
    assert told.__dict__["seconds"] > 0
    events = [each.__dict__["event"] for each in caplog.records if each.name == "kern.runs"]
    assert events == (["started", "error"] if level == logging.INFO else ["error"])


async def test_what_is_no_error_of_kern_is_logged_with_its_traceback(
    model: OpenAIResponses, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match="not today"):
        await Agent("Tester", model, middleware=[Broken()]).arun("Hi", run_id="run")
    [told] = at_least(caplog, logging.WARNING)
    assert told.getMessage() == "run run failed (agent tester, attempt 1): ValueError: not today"
    assert told.exc_info is not None


@pytest.mark.parametrize(
    ("name", "arguments", "middleware", "said"),
    [
        (
            "work",
            {"step": 1},
            [],
            "ExceptionGroup: two at once (2 sub-exceptions); LookupError: no such step; "
            "ValueError: 1",
        ),
        ("work", {"step": "x"}, [], "The arguments do not fit work: step: Input should be"),
        ("wrok", {"step": 0}, [], "There is no tool 'wrok'. Did you mean 'work'?"),
        ("work", {"step": 0}, [Around()], "KeyError: 'around'"),
    ],
)
async def test_a_call_that_failed_is_a_warning_and_its_traceback_is_for_those_who_look_for_it(
    model: OpenAIResponses,
    server: ResponsesServer,
    caplog: pytest.LogCaptureFixture,
    name: str,
    arguments: dict[str, object],
    middleware: list[Middleware],
    said: str,
) -> None:
    server.script.append(Reply.tool_calls((name, arguments)))
    agent = Agent("Tester", model, tools=[work], middleware=middleware)
    with caplog.at_level(logging.DEBUG, "kern"):
        run = await agent.arun("Hi", run_id="run")
    assert run.status is RunStatus.completed
    [told] = at_least(caplog, logging.WARNING)
    assert told.levelno == logging.WARNING
    assert told.getMessage().startswith(f"run run (agent tester): the tool {name} failed: {said}")
    assert run.tools[0].result is not None
    assert run.tools[0].result.startswith(said)
    about = told.__dict__["run_id"], told.__dict__["agent_id"], told.__dict__["tool"]
    assert about == ("run", "tester", name)
    shown = [each for each in caplog.records if each.exc_info]
    assert [each.levelno for each in shown] == ([logging.DEBUG] if "Error" in said else [])


@pytest.mark.parametrize("attempts", [1, 2])
async def test_the_loss_of_a_runs_process_is_logged_where_it_is_found(
    sqlite_db: SqliteDb,
    model: OpenAIResponses,
    caplog: pytest.LogCaptureFixture,
    attempts: int,
) -> None:
    store = await sqlite_db.store()
    await store.submit(
        NewRun(
            run_id="run",
            session_id="session",
            agent_id="tester",
            user_id=None,
            input=RunInput.of("Hi").to_json(),
            executor="gone",
            lease=0.01,
            max_attempts=attempts,
        )
    )
    agent = Agent("Tester", model, db=sqlite_db)
    serving = asyncio.create_task(serve([agent], heartbeat=0.5, grace=0))
    ended = await agent.await_run("run", timeout=WAIT)
    async with asyncio.timeout(WAIT):
        while not at_least(caplog, logging.WARNING):  # noqa: ASYNC110 # a log has no event
            await asyncio.sleep(0.01)
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving

    assert ended is not None
    [told] = at_least(caplog, logging.WARNING)
    if attempts == 1:
        assert ended.status is RunStatus.error
        assert told.levelno == logging.ERROR
        assert told.getMessage().startswith("run run failed (agent tester, attempt 1): The workers")
    else:
        assert ended.status is RunStatus.completed
        assert told.getMessage().startswith("run run lost (agent tester, attempt 1): its process")


HOSTILE = "no\n2026-01-01 run other failed\x1b[31m\ud800"


async def test_what_goes_wrong_beside_an_answer_stays_in_its_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> ScriptedModel:
        return ScriptedModel(default=Reply.failed("server_error", HOSTILE))

    def look() -> str:
        """Look."""
        return "long " * 100

    def find(query: str) -> list[str]:
        raise RuntimeError(HOSTILE)

    calls = Reply.tool_calls(("look", {}))
    odd = Reply.tool_calls(("odd\nrun other failed", {}), ("add_memory", {"memory": ""}))
    agent = Agent(
        "Tester",
        ScriptedModel([calls, calls, "Done."]),
        db=InMemoryDb(),
        tools=[look],
        reasoning_model=fail(),
        compression_manager=CompressionManager(fail(), compress_tool_results_limit=1),
        compaction=Compaction(None, 2, 1, fail()),
        followups=True,
        followup_model=fail(),
        enable_session_summaries=True,
        session_summary_manager=SessionSummaryManager(fail()),
        memory_manager=MemoryManager(ScriptedModel([odd])),
        update_memory_on_run=True,
        knowledge_retriever=find,
        add_knowledge_to_context=True,
        dependencies={"who": lambda: find("")},
    )
    assert (await agent.arun("Hi", run_id="run")).content == "Done."
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert len([line for line in told if "run other failed" in line]) >= 8, told
    assert [line for line in told if not line.isprintable()] == []


async def test_what_models_and_tools_have_written_stays_in_its_line_of_the_log(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down() -> ToolResult:
        """Break down."""
        return ToolResult(HOSTILE, is_error=True)

    calls = Reply.tool_calls(("break_down", {}), ("odd\nname", {}))
    server.script += [calls, Reply.failed("server_error", HOSTILE)]
    agent = Agent("Tester", model, tools=[break_down], db=InMemoryDb())
    with caplog.at_level(logging.INFO, "kern"), pytest.raises(ModelError):
        await agent.arun("Hi", run_id="run")
    told = [each.getMessage() for each in caplog.records]
    assert len([line for line in told if "run other failed" in line]) >= 2
    assert [line for line in told if not line.isprintable()] == []
