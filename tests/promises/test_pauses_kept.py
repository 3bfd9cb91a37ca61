"""What a stored run waits for is asked again as it was, and decided once by what is known."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kern.agent import Agent
from kern.agent.definition import runtime_of
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.errors import RequirementExpiredError, RunStateError
from kern.exceptions import ApprovalRequired
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.tool import ToolSchema
from kern.testing import Reply, ResponsesServer
from kern.tools import Tool, ToolResult, tool

made: list[str] = []
"""What the tools have done."""


async def pay(amount: int) -> str:
    """Pay."""
    made.append(f"paid {amount}")
    return "paid"


async def order(run_context: RunContext) -> str:
    """Order."""
    price = await run_context.step("price", pay, 1)
    if not run_context.is_approved:
        raise ApprovalRequired(f"{price}?", expires_in=60)
    return f"ordered by {run_context.answers[0].confirmation}"


class Counter:
    """An agent with a database that every process may serve."""

    def __init__(self, db: Database, model: OpenAIResponses, server: ResponsesServer) -> None:
        self.db, self.model, self.server = db, model, server
        made.clear()
        self.agent = Agent("Counter", model, db=db)

    async def paused(self, tools: Sequence[Any], *calls: tuple[str, dict[str, Any]]) -> RunOutput:
        self.agent = Agent("Counter", self.model, db=self.db, tools=tools)
        self.server.script += [Reply.tool_calls(*calls), Reply.text("Well.")]
        await self.agent.arun("Do it.", run_id="run", background=True)
        return await self.again()

    async def again(self) -> RunOutput:
        run = await self.agent.await_run("run", timeout=20)
        assert run is not None
        return run

    async def wake(self) -> RunOutput:
        """Have the run begin, as who decides without an answer to the run does."""
        store = (await runtime_of(self.agent)).store
        record = await store.get("run")
        assert record is not None
        assert await store.resume("run", RunStatus.paused, record.attempt, [])
        return await self.again()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no sweep wake what has expired before a test does."""
    monkeypatch.setenv("KERN_HEARTBEAT", "600")


@pytest.fixture
async def counter(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
) -> Counter:
    return Counter(shared_db, model, server)


async def expired(run: RunOutput) -> None:
    until = run.requirements[0].expires_at
    assert until is not None
    await asyncio.sleep(until - time.time() + 0.01)


async def test_a_run_that_wakes_without_an_answer_waits_for_the_same(counter: Counter) -> None:
    asking = tool(requires_confirmation=True)(pay)
    first = await counter.paused([asking], ("pay", {"amount": 5}))
    second = await counter.wake()
    assert (second.is_paused, second.attempt) == (True, first.attempt + 1)
    assert second.requirements == first.requirements
    second.requirements[0].confirm()
    await counter.agent.acontinue_run("run", requirements=second.requirements)
    assert (await counter.again()).status is RunStatus.completed
    assert made == ["paid 5"]


async def test_who_has_not_been_answered_in_time_counts_as_rejected(counter: Counter) -> None:
    asking = tool(requires_confirmation=True, expires_in=0.05)(pay)
    run = await counter.paused([asking], ("pay", {"amount": 5}))
    await expired(run)
    run.requirements[0].confirm()
    with pytest.raises(RunStateError, match="expired"):
        await counter.agent.acontinue_run("run", requirements=run.requirements)
    ended = await counter.wake()
    assert (ended.status, ended.content, made) == (RunStatus.completed, "Well.", [])
    assert "Nobody has answered in time" in (ended.tools[0].result or "")


async def test_a_run_ends_with_what_nobody_has_answered_and_asks_anew_when_it_is_retried(
    counter: Counter,
) -> None:
    asking = tool(requires_confirmation=True, expires_in=0.05, on_expiry="fail")(pay)
    run = await counter.paused([asking], ("pay", {"amount": 5}))
    await expired(run)
    failed = await counter.wake()
    assert (failed.status, failed.error_kind) == (RunStatus.error, "RequirementExpiredError")
    with pytest.raises(RequirementExpiredError, match="in time"):
        await counter.agent.arun("Do it.", run_id="run")
    with pytest.raises(RequirementExpiredError, match="in time"):
        async for _ in counter.agent.arun("Do it.", run_id="run", stream=True, background=True):
            pass
    await counter.agent.aretry_run("run")
    again = await counter.again()
    assert again.is_paused
    assert (again.requirements[0].expires_at or 0) > (run.requirements[0].expires_at or 0)
    assert made == []


@pytest.mark.parametrize("apart", [-1000.0, 1000.0], ids=["behind", "ahead"])
@pytest.mark.parametrize("by", ["tool", "call"])
async def test_a_person_has_the_time_that_was_given_on_machines_whose_clocks_are_apart(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
    apart: float,
) -> None:
    right = time.time
    asking: Any = order if by == "call" else tool(requires_confirmation=True, expires_in=60)(order)
    late = tool(requires_confirmation=True, expires_in=0.05)(pay)
    monkeypatch.setattr(time, "time", lambda: right() + apart)
    counter = Counter(postgres_db, model, server)
    run = await counter.paused([asking, late], (order.__name__, {}), ("pay", {"amount": 5}))
    waiting, expiring = run.requirements
    assert 50 < (waiting.expires_at or 0) - right() <= 60
    while right() <= (expiring.expires_at or 0):  # noqa: ASYNC110 # a moment has no event
        await asyncio.sleep(0.01)
    expiring.confirm()
    with pytest.raises(RunStateError, match="expired"):
        await counter.agent.acontinue_run("run", requirements=[expiring])
    assert (await counter.wake()).requirements == [waiting]
    waiting.confirm()
    await counter.agent.acontinue_run("run", requirements=[waiting])
    ended = await counter.again()
    assert (ended.status, ended.content) == (RunStatus.completed, "Well.")
    assert "Nobody has answered in time" in (ended.tools[1].result or "")


async def test_what_a_call_asks_for_outlives_its_attempt_with_its_steps(counter: Counter) -> None:
    run = await counter.paused([order], ("order", {}))
    assert (run.requirements[0].expires_at or 0) > time.time() + 30
    await counter.wake()
    run.requirements[0].confirm()
    await counter.agent.acontinue_run("run", requirements=run.requirements)
    ended = await counter.again()
    assert (ended.tools[0].result, made) == ("ordered by True", ["paid 1"])


@pytest.mark.parametrize("note", ["Not \0 now.", "Not \ud800 now.", "x" * 900_000])
async def test_a_note_of_any_text_is_kept(counter: Counter, note: str) -> None:
    asking = tool(requires_confirmation=True)(pay)
    run = await counter.paused([asking], ("pay", {"amount": 5}))
    run.requirements[0].reject(note)
    await counter.agent.acontinue_run("run", requirements=run.requirements)
    ended = await counter.again()
    assert ended.status is RunStatus.completed
    assert note in (ended.tools[0].result or "")


async def test_a_long_result_of_a_call_made_elsewhere_is_what_the_model_is_told(
    counter: Counter, server: ResponsesServer
) -> None:
    asking = tool(external_execution=True)(pay)
    run = await counter.paused([asking], ("pay", {"amount": 5}))
    result = "z" * 3_000_000
    results: Mapping[str, str] = {run.tools[0].tool_call_id: result}
    await counter.agent.acontinue_run("run", results=results)
    assert (await counter.again()).status is RunStatus.completed
    told = [item for item in server.requests[-1].body["input"] if "output" in item]
    assert told[0]["output"] == result


class Raw(Tool):
    """A tool that takes whatever it is given."""

    def unfit(self, arguments: str) -> str | None:
        return None

    async def execute(self, arguments: str, context: RunContext, limit: object) -> ToolResult:
        return ToolResult(f"took {len(arguments)}")


@pytest.mark.parametrize(
    "text", ['{"a": "\0"}', '{"a": "\ud800"}', "not JSON at all", '{"a": 1e999}']
)
async def test_a_call_with_any_arguments_can_be_waited_for(counter: Counter, text: str) -> None:
    raw = Raw(ToolSchema("raw", "Take it.", {"type": "object"}), requires_confirmation=True)
    counter.agent = Agent("Counter", counter.model, db=counter.db, tools=[raw])
    counter.server.script += [Reply.tool_calls(("raw", text)), Reply.text("Well.")]
    await counter.agent.arun("Do it.", run_id="run", background=True)
    run = await counter.again()
    assert run.is_paused
    run.requirements[0].confirm()
    await counter.agent.acontinue_run("run", requirements=run.requirements)
    assert (await counter.again()).status is RunStatus.completed


async def test_two_calls_of_one_id_are_two(counter: Counter) -> None:
    asking = tool(requires_confirmation=True)(pay)
    counter.agent = Agent("Counter", counter.model, db=counter.db, tools=[asking])
    call = {"type": "function_call", "name": "pay", "arguments": '{"amount": 5}', "call_id": "1"}
    counter.server.script += [
        Reply.output({"id": "fc_1", **call}, {"id": "fc_2", **call}),
        Reply.text("Well."),
    ]
    await counter.agent.arun("Do it.", run_id="run", background=True)
    run = await counter.again()
    run.requirements[0].confirm()
    run.requirements[1].reject()
    await counter.agent.acontinue_run("run", requirements=run.requirements)
    await counter.again()
    assert made == ["paid 5"]
