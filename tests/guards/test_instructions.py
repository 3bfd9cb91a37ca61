"""What the steps of a run cost in kern's own code, so that no change makes them dearer unseen.

Counted in bytecode instructions, which no noise of a machine changes, and without the libraries,
whose next versions are not ours to answer for.
"""

import sys

import pytest
from instructions import counting

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.dispatch.worker import Worker
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

_RUNS = 20

# The figures are those of CPython 3.11; other versions count a little differently.
_ROOM = 1.15 if sys.version_info[:2] == (3, 11) else 1.5


@pytest.fixture
def agent(postgres_db: PostgresDb, server: ResponsesServer) -> Agent:
    """An agent whose model answers at once."""
    model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
    return Agent("Counted", model, db=postgres_db)


async def _run(agent: Agent) -> str:
    run = await agent.arun("Hello?", background=True)
    ended = await agent.await_run(run.run_id, timeout=30)
    assert ended is not None
    assert ended.status is RunStatus.completed
    return run.run_id


def _check(what: str, instructions: int, expected: int) -> None:
    each = instructions / _RUNS
    assert each <= expected * _ROOM, (
        f"To {what} takes {each:.0f} instructions of kern's own, {each / expected - 1:+.0%} "
        f"against {expected}. Find what has become dearer, or say in docs/decisions/ why it is "
        "worth it, and put the new figure here."
    )
    assert each >= expected / _ROOM, (
        f"To {what} takes {each:.0f} instructions by now: put that in place of {expected} here."
    )


async def test_to_submit(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    await agent.arun("Hello?", background=True)
    with counting() as count:
        for _ in range(_RUNS):
            await agent.arun("Hello?", background=True)
    _check("submit a run", count.instructions, 2070)


async def test_to_submit_and_execute_at_once(agent: Agent) -> None:
    await _run(agent)
    with counting() as count:
        for _ in range(_RUNS):
            await _run(agent)
    _check("submit, execute and settle a run", count.instructions, 10050)


async def test_to_claim_and_execute(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    await _run(agent)
    monkeypatch.setattr(Worker, "has_slot", lambda *_: False)
    with counting() as count:
        for _ in range(_RUNS):
            await _run(agent)
    _check("submit, claim, execute and settle a run", count.instructions, 14750)


async def test_to_poll(agent: Agent) -> None:
    run_id = await _run(agent)
    with counting() as count:
        for _ in range(_RUNS):
            await agent.aget_run_output(run_id)
    _check("poll a run", count.instructions, 1700)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_to_call_a_tool(server: ResponsesServer) -> None:
    model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
    agent = Agent("Counted", model, tools=[add])

    async def instructions(calls: int) -> int:
        asked = Reply.tool_calls(*[("add", {"a": 1, "b": each}) for each in range(calls)])
        server.script += [asked, Reply.text("Added.")]
        with counting() as count:
            run = await agent.arun("Add.")
        assert len(run.tools) == calls
        return count.instructions

    await instructions(1)
    # What a turn takes by itself is no part of it: two calls in one and all others besides.
    _check("call a tool", await instructions(_RUNS + 2) - await instructions(2), 2440)


def test_to_make_an_agent(postgres_db: PostgresDb) -> None:
    model = OpenAIResponses("any", api_key="none")
    with counting() as count:
        for _ in range(_RUNS):
            Agent("Counted", model, instructions="Be brief.", db=postgres_db)
    _check("make an agent", count.instructions, 830)


def test_to_make_an_agent_with_a_tool() -> None:
    model = OpenAIResponses("any", api_key="none")
    Agent("Counted", model, tools=[add])
    with counting() as count:
        for _ in range(_RUNS):
            Agent("Counted", model, tools=[add])
    _check("make an agent with a tool", count.instructions, 2020)
