"""Promise 16: nothing is unbounded. A user's budget ends the user's runs, and refuses more."""

import logging
from datetime import UTC, datetime

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.errors import BudgetExceededError, ConfigurationError, InvalidInputError
from kern.models.openai import OpenAIResponses
from kern.models.prices import Price
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.budget import Budget
from kern.testing import Reply, ResponsesServer, Usage

# A call of 10 tokens in and 5 out costs two cents.
PRICE = Price(input=1000, output=2000)

CALL = Reply.tool_calls(("work", {})).counting(Usage(10, 5))

DONE = Reply.text("Done.").counting(Usage(10, 5))


def work() -> str:
    """Do it."""
    return "done"


@pytest.fixture
def agent(shared_db: Database, model: OpenAIResponses, server: ResponsesServer) -> Agent:
    """An agent whose model has a price and asks for tool calls without end."""
    server.default = CALL
    model.price = PRICE
    return Agent("Tester", model, db=shared_db, tools=[work])


async def ended(agent: Agent, run_id: str = "run") -> RunOutput:
    run = await agent.await_run(run_id, timeout=20)
    assert run is not None
    return run


async def cost_of(db: Database, user_id: str = "alice") -> float:
    [spending] = await db.aget_spending(user_id)
    return spending.cost


async def test_a_run_ends_where_its_user_has_used_up_a_budget(
    shared_db: Database, agent: Agent, server: ResponsesServer
) -> None:
    await shared_db.aset_budget(Budget("alice", cost=0.05))
    await agent.arun("Work", background=True, run_id="run", user_id="alice")
    run = await ended(agent)
    assert (run.status, run.error_kind) == (RunStatus.error, "BudgetExceededError")
    for text in ("'alice'", "$0.06", "cost=0.05 per day", "00:00 UTC", "retry"):
        assert text in (run.error or "")
    assert len(server.requests) == 3, "the call that passes the limit is the last one"
    assert (run.metrics.cost, await cost_of(shared_db)) == (0.06, 0.06)


async def test_then_the_users_submits_are_refused_and_others_are_not(
    shared_db: Database, agent: Agent, server: ResponsesServer
) -> None:
    await shared_db.aset_budget(Budget(cost=0.02))
    server.default = DONE
    await agent.arun("Work", user_id="alice")
    for options in ({"background": True}, {}):
        with pytest.raises(BudgetExceededError, match=r"refused; nothing was stored") as raised:
            await agent.arun("Work", user_id="alice", run_id="refused", **options)  # type: ignore[call-overload]
        assert raised.value.user_id == "alice"
        assert raised.value.resets_at is not None
        assert raised.value.resets_at > datetime.now(UTC)
    assert await agent.aget_run_output("refused") is None
    assert (await agent.arun("Work", user_id="bob")).status is RunStatus.completed
    assert (await agent.arun("Work")).status is RunStatus.completed


async def test_a_retry_goes_on_once_there_is_room(
    shared_db: Database, agent: Agent, server: ResponsesServer
) -> None:
    await shared_db.aset_budget(Budget("alice", cost=0.02))
    server.script += [CALL, DONE]
    await agent.arun("Work", background=True, run_id="run", user_id="alice")
    assert (await ended(agent)).error_kind == "BudgetExceededError"
    await shared_db.aset_budget(Budget("alice", cost=1))
    await agent.aretry_run("run")
    assert (await ended(agent)).status is RunStatus.completed
    assert len(server.requests) == 2
    assert await cost_of(shared_db) == 0.04


async def test_runs_at_once_pass_it_by_the_calls_in_flight_at_most(
    shared_db: Database, agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    await shared_db.aset_budget(Budget("alice", cost=0.30))
    other = elsewhere(WORKER)
    assert await other.said() == "ready"
    ids = [f"run {number}" for number in range(6)]
    for run_id in ids:
        await agent.arun("Work", background=True, run_id=run_id, user_id="alice")
    runs = [await ended(agent, run_id) for run_id in ids]
    assert {run.error_kind for run in runs} == {"BudgetExceededError"}
    spent = round(sum(run.metrics.cost or 0 for run in runs), 6)
    assert await cost_of(shared_db) == spent
    assert 0.30 <= spent <= 0.30 + len(ids) * 0.02


WORKER = """
from kern import Price
from kern.dispatch.opening import open_runtime
def work() -> str:
    return "done"
agent.model.price = Price(1000, 2000)
served = Agent("Tester", agent.model, db=db, tools=[work])
(await open_runtime(db)).serve(served)
say("ready")
await asyncio.Event().wait()
"""


async def test_a_lost_attempt_is_counted_once(
    shared_db: Database, agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    await shared_db.aset_budget(Budget("alice", cost=1))
    server.script.append(CALL)
    server.default = DONE
    assert await elsewhere(SCRIPT).ended() == -9
    assert await cost_of(shared_db) == 0.02
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(agent)
    run = await ended(agent)
    assert (run.status, run.metrics.cost) == (RunStatus.completed, 0.04)
    assert await cost_of(shared_db) == 0.04


SCRIPT = """
import signal
from kern import Price
def work() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
agent.model.price = Price(1000, 2000)
dying = Agent("Tester", agent.model, db=db, tools=[work])
await dying.arun("Work", background=True, run_id="run", user_id="alice")
await asyncio.Event().wait()
"""


async def test_what_children_use_counts_towards_it(
    shared_db: Database, agent: Agent, model: OpenAIResponses, server: ResponsesServer
) -> None:
    await shared_db.aset_budget(Budget("alice", cost=0.04))
    child = Agent("Child", model, db=shared_db)

    async def ask() -> str:
        """Ask."""
        return str((await child.arun("Think")).content)

    parent = Agent("Parent", model, db=shared_db, tools=[ask])
    server.script += [Reply.tool_calls(("ask", {})).counting(Usage(10, 5)), DONE]
    await parent.arun("Ask", background=True, run_id="run", user_id="alice")
    assert (await ended(parent)).error_kind == "BudgetExceededError"
    assert await cost_of(shared_db) == 0.04


async def test_a_budget_of_tokens_needs_no_prices(
    shared_db: Database, agent: Agent, model: OpenAIResponses, server: ResponsesServer
) -> None:
    model.price = None
    await shared_db.aset_budget(Budget("alice", per="hour", tokens=30))
    await agent.arun("Work", background=True, run_id="run", user_id="alice")
    run = await ended(agent)
    assert "30 tokens this hour" in (run.error or "")
    assert len(server.requests) == 2


async def test_an_unknown_price_passes_no_budget_in_silence(
    shared_db: Database, model: OpenAIResponses, caplog: pytest.LogCaptureFixture
) -> None:
    await shared_db.aset_budget(Budget("alice", cost=1))
    agent = Agent("Tester", model, db=shared_db)
    with caplog.at_level(logging.WARNING, "kern"):
        await agent.arun("Hello?", user_id="alice")
    assert [each for each in caplog.messages if "costs is not known" in each]


async def test_a_fork_counts_only_what_it_uses_itself(
    shared_db: Database, agent: Agent, server: ResponsesServer
) -> None:
    await shared_db.aset_budget(Budget("alice", cost=1))
    server.script += [CALL, DONE]
    server.default = DONE
    await agent.arun("Work", background=True, run_id="run", user_id="alice")
    await ended(agent)
    fork = await agent.acontinue_run("run", from_seq=6, new_run_id="fork")
    assert (await ended(agent, fork.run_id)).status is RunStatus.completed
    assert len(server.requests) == 3, "the first answer is copied"
    assert await cost_of(shared_db) == 0.06


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"cost": 0},
        {"cost": -1.0},
        {"cost": float("inf")},
        {"tokens": 0},
        {"tokens": 1.5},
        {"cost": 1, "per": "year"},
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Budget("alice", **wrong)  # type: ignore[arg-type] # what is tested


def test_a_budget_is_of_somebody_or_everybody() -> None:
    with pytest.raises(InvalidInputError):
        Budget("", cost=1)
    assert Budget(cost=1).user_id is None


async def test_without_a_budget_nobody_is_asked(
    shared_db: Database, agent: Agent, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await shared_db.store()
    monkeypatch.setattr(type(store.budgets), "spending", None)
    server.default = DONE
    assert (await agent.arun("Work", user_id="alice")).status is RunStatus.completed
