"""How many statements a run takes, so that no change adds round trips unseen."""

from typing import Any

import pytest
from msgspec.structs import replace
from stores import CLAIM, ending, new_run

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.db.postgres.connections import Connections
from kern.db.postgres.store import PostgresStore
from kern.dispatch.worker import Worker
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.run.budget import Budget
from kern.run.record import JournalRow
from kern.run.state import StatePatch

_RUNS = 20

# What is sent meanwhile for no run: by the sweep, and by what begins with the first run.
_DUTIES = 10


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent to PostgreSQL; a machine that is slow has no time for sweeps."""
    monkeypatch.setenv("KERN_HEARTBEAT", "3600")
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


async def _run(agent: Agent, user_id: str | None = None) -> None:
    run = await agent.arun("Hello?", background=True, user_id=user_id)
    ended = await agent.await_run(run.run_id, timeout=30)
    assert ended is not None
    assert ended.status is RunStatus.completed


async def test_a_run_that_begins_at_once_takes_two(agent: Agent, sent: list[str]) -> None:
    await _run(agent)
    sent.clear()
    for _ in range(_RUNS):
        await _run(agent)
    assert len(sent) <= 2 * _RUNS + _DUTIES


async def test_only_a_run_whose_user_has_a_budget_takes_one_more(
    agent: Agent, sent: list[str], postgres_db: PostgresDb
) -> None:
    await postgres_db.aset_budget(Budget("alice", cost=100, tokens=1_000_000))
    for user_id, statements in (("alice", 3), ("bob", 2)):
        await _run(agent, user_id)
        sent.clear()
        for _ in range(_RUNS):
            await _run(agent, user_id)
        assert len(sent) <= statements * _RUNS + _DUTIES


async def test_a_run_from_the_queue_takes_seven(
    agent: Agent, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is submitted, watched, dequeued, claimed, acknowledged and settled.

    And the worker asks when the next one is due, if none comes for a while.
    """
    await _run(agent)
    monkeypatch.setattr(Worker, "has_slot", lambda *_: False)
    sent.clear()
    for _ in range(_RUNS):
        await _run(agent)
    assert len(sent) <= 7 * _RUNS + _DUTIES


def _changing(run_id: str, seq: int) -> JournalRow:
    """Return a row that changes the state of a session."""
    state = StatePatch({"key": 1}, begin={"other": 1})
    return JournalRow(run_id, seq, seq, "A", False, "{}", state=state)


async def test_a_run_that_uses_no_state_asks_nothing_of_it(
    agent: Agent, sent: list[str], model: OpenAIResponses, postgres_db: PostgresDb
) -> None:
    def look(context: RunContext) -> None:
        """Look at the context, which has the state of a session that was made with the run."""

    await _run(agent)
    await _run(Agent("Looking", model, db=postgres_db, tools=[look]))
    assert sent
    assert not [each for each in sent if "_states" in each]


async def test_a_run_with_a_state_reads_it_once_and_writes_it_with_its_steps(
    agent: Agent, sent: list[str]
) -> None:
    agent.session_state = {"visits": 0}
    for _ in range(2):
        await agent.arun("Hello?", session_id="s")
    sent.clear()
    for _ in range(_RUNS):
        await agent.arun("Hello?", session_id="s")
    assert len(sent) <= 3 * _RUNS + _DUTIES


async def test_only_a_run_that_is_not_stored_takes_one_more(agent: Agent, sent: list[str]) -> None:
    for store, statements in ((True, 2), (False, 3)):
        await agent.arun("Hello?", session_id="s", store=store)
        sent.clear()
        for _ in range(_RUNS):
            await agent.arun("Hello?", session_id="s", store=store)
        assert len(sent) <= statements * _RUNS + _DUTIES
        assert any("hidden" in each or "wholly" in each for each in sent) is not store


async def test_the_statements_of_a_run_are_planned_once(postgres_db: PostgresDb) -> None:
    """PostgreSQL plans the first five anew; whether it does later depends on the tables."""
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    await store.pool.execute(
        f"INSERT INTO {store.names.runs} (run_id, session_id, status) "
        "SELECT 'run-' || n, 'session-' || n, 'COMPLETED' FROM generate_series(1, 20000) AS n"
    )
    await store.pool.execute(f"VACUUM ANALYZE {store.names.runs}")
    await store.pool.execute(
        f"INSERT INTO {store.names.states} (session_id, key, position) "
        "SELECT 'session-' || n, 'key', n FROM generate_series(1, 20000) AS n"
    )
    await store.pool.execute(f"VACUUM ANALYZE {store.names.states}")
    for number in range(_RUNS):
        run_id = f"new-{number}"
        await store.submit(new_run(run_id, session_id=run_id, ordered=True))
        await store.watch(run_id)
        await store.claim(run_id, CLAIM)
        await store.append(run_id, 1, [JournalRow(run_id, 1, 1, "A", False, "{}")], True)
        await store.append(run_id, 1, [_changing(run_id, 2)], True)
        await store.get(run_id)
        await store.states.of(run_id)
        settlement = ending(run_id)
        if number % 2:
            settlement = replace(settlement, journal=(_changing(run_id, 3),))
        await store.settle(settlement)
    plans = await store.pool.fetch(
        "SELECT left(statement, 300) AS statement, custom_plans FROM pg_prepared_statements "
        "WHERE generic_plans + custom_plans >= $1",
        _RUNS // 2,
    )
    assert len(plans) == 9
    assert [row["statement"] for row in plans if row["custom_plans"] > 5] == []
