"""What would be without effect, or does something else than was meant, is refused in words."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
from plain import plain
from typing_extensions import override

from kern.agent import Agent
from kern.agent.serving import lifespan, serve
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, InvalidInputError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunInfo, RunStatus
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution
from kern.testing import Reply, ResponsesServer
from kern.tools import tool
from kern.tools.base import Tool
from kern.tools.toolset import Toolset

NEEDS_A_DATABASE: list[dict[str, Any]] = [
    {"add_history_to_context": True},
    {"max_attempts": 3},
    {"session_policy": "reject"},
    {"max_concurrent_runs": 1},
    {"max_concurrent_runs_per_user": 1},
    {"max_queued_runs": 1},
]


@pytest.mark.parametrize("given", NEEDS_A_DATABASE, ids=plain)
def test_what_needs_a_database_says_so_when_the_agent_is_made(
    model: OpenAIResponses, given: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Agent("Tester", model, **given)
    [name] = given
    assert f"no effect of: {name}. Give the agent one: db=SqliteDb('kern.db')" in str(raised.value)
    Agent("Tester", model, db=InMemoryDb(), **given)


class Endless(Toolset):
    """Never says which tools it has."""

    timeout = math.nan

    @override
    async def tools(self, run: RunInfo) -> Sequence[Tool]:
        return []


class Shop:
    """Has methods for a model to call."""

    def order(self, what: str) -> str:
        """Order."""
        return what

    @tool
    def pay(self, amount: int) -> int:
        """Pay."""
        return amount


DEFINITIONS: list[tuple[dict[str, Any], str]] = [
    ({"db": "postgresql://host/db"}, "db must be a database, not str. Write db=PostgresDb("),
    ({"tools": "print"}, "tools must be a list, as in tools=[search], not 'print'."),
    ({"tools": Shop.order}, "The function of tools order has a parameter 'self' that kern has no"),
    ({"tools": "search"}, "tools must be a list, as in tools=[search], not 'search'."),
    ({"middleware": [print]}, "middleware must be a list, as in middleware=[Timed()], not <built"),
    ({"instructions": 7}, "instructions must be a text, or a list of texts, not 7"),
    ({"instructions": ["Go.", 7]}, "instructions must be a text, or a list of texts, not ['Go.'"),
    ({"description": ["Kind"]}, "description must be a text, not ['Kind']."),
    ({"dependencies": ["a"]}, "dependencies must be a dict, not ['a']."),
    ({"tool_call_limit": -1}, "tool_call_limit must be a whole number from 0 on, not -1."),
    (
        {"add_history_to_context": True, "num_history_runs": True},
        "num_history_runs must be a whole number from 0 on, not True.",
    ),
    ({"live": "no"}, "live must be True or False, not 'no'."),
    ({"add_history_to_context": 1}, "add_history_to_context must be True or False, not 1."),
    ({"tools": [Shop.order]}, "The tool order is a method of a class, and a model cannot give"),
    ({"tools": [Shop.pay]}, "Give that of an object, as in tools=[shop.pay]."),
    ({"tools": [Endless]}, "A tool must be an object, not the class Endless; write Endless(...)."),
    ({"tools": [Endless()]}, "Endless.timeout must be a number of seconds above 0, not nan."),
]


def test_methods_of_an_object_are_tools(model: OpenAIResponses) -> None:
    shop = Shop()
    assert [*Agent("Tester", model, tools=[shop.order, shop.pay]).tools] == ["order", "pay"]


@pytest.mark.parametrize(("given", "error"), DEFINITIONS, ids=plain)
def test_an_agent_is_not_defined_with_what_it_cannot_use(
    model: OpenAIResponses, given: dict[str, Any], error: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Agent("Tester", model, **given)
    assert error in str(raised.value)


RUNS: list[tuple[dict[str, Any], str]] = [
    ({"stream_events": True}, "stream_events: only with stream=True."),
    ({"priority": 1}, "priority: only with background=True."),
    ({"usage_limits": {"requests": 1}}, "usage_limits must be UsageLimits(...), not {"),
    ({"timeout": 0}, "timeout must be a number of seconds above 0, not 0."),
]


@pytest.mark.parametrize(("given", "error"), RUNS, ids=plain)
async def test_a_run_is_not_asked_for_what_it_cannot_have(
    model: OpenAIResponses, server: ResponsesServer, given: dict[str, Any], error: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        await Agent("Tester", model, db=InMemoryDb()).arun("Hi", **given)
    assert error in str(raised.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (
            {"new_run_id": "new"},
            "new_run_id: only where a new run begins, with from_seq, continue_from, fork or "
            "regenerate.",
        ),
        (
            {"from_seq": 1, "results": {"call": "x"}},
            "requirements, updated_tools, results: only without from_seq.",
        ),
        ({"results": {"call": "x"}, "run_id": "other"}, "Two runs are given: 'run', and 'other'."),
    ],
    ids=plain,
)
async def test_a_run_is_not_continued_in_two_ways(
    model: OpenAIResponses, given: dict[str, Any], error: str
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    await agent.arun("Hi", run_id="run")
    with pytest.raises(InvalidInputError) as raised:
        await agent.acontinue_run("run", **given)
    assert str(raised.value) == error


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"timeout": -1}, "timeout must be a number of seconds from 0 on, not -1."),
        ({"timeout": "5"}, "timeout must be a number of seconds from 0 on, not '5'."),
        ({"timeout": math.nan}, "timeout must be a number of seconds from 0 on, not nan."),
        ({"until": "ends"}, "until must be 'pause' or 'end', not 'ends'."),
    ],
    ids=plain,
)
async def test_a_wait_is_told_when_to_end(
    model: OpenAIResponses, given: dict[str, Any], error: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        await Agent("Tester", model, db=InMemoryDb()).await_run("run", **given)
    assert str(raised.value) == error


async def test_a_wait_of_no_time_looks_once(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    await agent.arun("Hi", run_id="ended")
    ended = await agent.await_run("ended", timeout=0)
    assert ended is not None
    assert ended.status is RunStatus.completed
    assert await agent.await_run("unknown", timeout=0) is None
    server.default = Reply.hang()
    await agent.arun("Hi", run_id="going on", background=True)
    await server.wait_for_requests(2)
    with pytest.raises(TimeoutError, match=r"run going on has not ended\. It goes on"):
        await agent.await_run("going on", timeout=0)


async def test_what_a_callback_raises_is_logged_and_harms_no_run(
    model: OpenAIResponses, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    stopping = asyncio.Event()

    def ready(is_ready: bool) -> None:
        raise LookupError("no such probe")

    serving = asyncio.create_task(serve([agent], stopping=stopping, ready=ready))
    run = await agent.arun("Hi", background=True)
    ended = await agent.await_run(run.run_id, timeout=20)
    stopping.set()
    async with asyncio.timeout(20):
        await serving
    assert ended is not None
    assert ended.status is RunStatus.completed
    assert [each.getMessage() for each in caplog.records] == [
        "ready(True) raised: LookupError: no such probe",
        "ready(False) raised: LookupError: no such probe",
    ]


@pytest.mark.parametrize("timeout", [math.nan, math.inf, -1, True, "5"], ids=plain)
async def test_a_user_is_not_erased_within_no_time(timeout: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^timeout must be a number of seconds from 0 on"):
        await InMemoryDb().adelete_user("ada", timeout=timeout)


@pytest.mark.parametrize("value", [math.nan, -1, "soon"], ids=plain)
async def test_a_database_is_not_waited_for_until_a_time_that_is_none(
    model: OpenAIResponses, value: Any
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    with pytest.raises(ConfigurationError, match=r"^database_wait must be a number of seconds"):
        async with asyncio.timeout(20):
            await serve([agent], database_wait=value)


@pytest.mark.parametrize("given", [{"grace": -1}, {"grace": "5"}, {"max_threads": 0}], ids=plain)
async def test_a_process_is_not_served_with_what_it_cannot_use(
    model: OpenAIResponses, given: dict[str, Any]
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    [name] = given
    with pytest.raises(ConfigurationError, match=f"^{name} must be a "):
        async with asyncio.timeout(20):
            await serve([agent], **given)
    with pytest.raises(ConfigurationError, match=f"^{name} must be a "):
        lifespan([agent], **given)


@pytest.mark.parametrize("value", [7, {"paid": True}, b"paid"], ids=plain)
def test_a_decision_tells_the_model_a_text(value: Any) -> None:
    requirement = RunRequirement("id", "confirmation", ToolExecution("call", "pay", "{}"), {})
    with pytest.raises(InvalidInputError, match=r"^The result must be a text, not "):
        requirement.set_external_execution_result(value)
    with pytest.raises(InvalidInputError, match=r"^The note must be a text, not "):
        requirement.reject(value)
    assert not requirement.is_resolved()
