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
from kern.testing import ResponsesServer

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
    _check("submit a run", count.instructions, 1760)


async def test_to_submit_and_execute_at_once(agent: Agent) -> None:
    await _run(agent)
    with counting() as count:
        for _ in range(_RUNS):
            await _run(agent)
    _check("submit, execute and settle a run", count.instructions, 8260)


async def test_to_claim_and_execute(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    await _run(agent)
    monkeypatch.setattr(Worker, "has_slot", lambda *_: False)
    with counting() as count:
        for _ in range(_RUNS):
            await _run(agent)
    _check("submit, claim, execute and settle a run", count.instructions, 12800)


async def test_to_poll(agent: Agent) -> None:
    run_id = await _run(agent)
    with counting() as count:
        for _ in range(_RUNS):
            await agent.aget_run_output(run_id)
    _check("poll a run", count.instructions, 1390)
