"""How many statements a run takes, so that no change adds round trips unseen."""

from typing import Any

import pytest

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.db.postgres.connections import Connections
from kern.dispatch.worker import Worker
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus

_RUNS = 20

# What is sent meanwhile for no run: by the sweep, and by what begins with the first run.
_DUTIES = 10


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent to PostgreSQL."""
    statements: list[str] = []
    fetch = Connections.fetch

    async def counted(self: Connections, statement: str, *values: object) -> Any:
        statements.append(statement)
        return await fetch(self, statement, *values)

    monkeypatch.setattr(Connections, "fetch", counted)
    return statements


@pytest.fixture
def agent(sent: list[str], postgres_db: PostgresDb, model: OpenAIResponses) -> Agent:
    """An agent whose statements are counted."""
    return Agent("Counted", model, db=postgres_db)


async def _run(agent: Agent) -> None:
    run = await agent.arun("Hello?", background=True)
    ended = await agent.await_run(run.run_id, timeout=30)
    assert ended is not None
    assert ended.status is RunStatus.completed


async def test_a_run_that_begins_at_once_takes_two(agent: Agent, sent: list[str]) -> None:
    await _run(agent)
    sent.clear()
    for _ in range(_RUNS):
        await _run(agent)
    assert len(sent) <= 2 * _RUNS + _DUTIES


async def test_a_run_from_the_queue_takes_eight(
    agent: Agent, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is submitted, watched, looked at, dequeued, claimed, acknowledged and settled.

    And the worker asks when the next one is due.
    """
    await _run(agent)
    monkeypatch.setattr(Worker, "has_slot", lambda *_: False)
    sent.clear()
    for _ in range(_RUNS):
        await _run(agent)
    assert len(sent) <= 8 * _RUNS + _DUTIES
