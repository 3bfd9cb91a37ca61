"""Promise 16: nothing is unbounded. A run's cost is known, and ends at its limit."""

import logging

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.db.values import Claim
from kern.dispatch.opening import open_runtime
from kern.errors import ConfigurationError, NewerJournalError, UsageLimitError
from kern.models.openai import OpenAIResponses
from kern.models.prices import Price, prices
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.usage import UsageLimits
from kern.testing import Reply, ResponsesServer, ScriptedModel, Usage

# A call of 10 tokens in and 5 out costs two cents.
PRICE = Price(input=1000, output=2000)


def work() -> str:
    """Do it."""
    return "done"


@pytest.fixture
def priced(model: OpenAIResponses, server: ResponsesServer) -> OpenAIResponses:
    """A model that has a price and asks for tool calls."""
    server.default = Reply.tool_calls(("work", {})).counting(Usage(10, 5))
    model.price = PRICE
    return model


async def ended(agent: Agent, run_id: str = "run") -> RunOutput:
    run = await agent.await_run(run_id, timeout=20)
    assert run is not None
    return run


async def test_what_a_run_cost_is_stored_with_it(
    shared_db: Database, priced: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.tool_calls(("work", {})).counting(Usage(10, 5)))
    server.default = Reply.text("Done.").counting(Usage(20, 10))
    agent = Agent("Tester", priced, db=shared_db, tools=[work])
    await agent.arun("Work", background=True, run_id="run")
    assert (await ended(agent)).metrics.cost == 0.06
    stored = await agent.aget_run_output("run")
    assert stored is not None
    assert (stored.metrics.cost, stored.metrics.unpriced_calls) == (0.06, 0)
    [listed] = await agent.alist_runs()
    assert listed.metrics.cost == 0.06


async def test_what_a_session_cost_is_the_sum_of_its_runs(
    db: Database, priced: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.text("Done.").counting(Usage(10, 5, cached_tokens=4))
    agent = Agent("Tester", priced, db=db)
    other = Agent("Other", priced, db=db)
    assert await agent.aget_session_metrics("session") is None
    for each in (agent, other, agent):
        await each.arun("Work", session_id="session", user_id="alice")
    await agent.arun("Work", session_id="another")
    found = await agent.aget_session_metrics("session", user_id="alice")
    assert found is not None
    assert (found.cost, found.model_calls, found.input_tokens) == (0.06, 3, 30)
    assert (found.cached_tokens, found.unpriced_calls) == (12, 0)
    assert found.duration is not None
    assert await agent.aget_session_metrics("session", user_id="bob") is None
    priced.price = None
    await agent.arun("Work", session_id="another")
    found = await agent.aget_session_metrics("another")
    assert found is not None
    assert (found.cost, found.unpriced_calls) == (0.02, 1)


async def test_a_later_price_changes_nothing_of_what_was_journaled(
    shared_db: Database, priced: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.tool_calls(("work", {})).counting(Usage(10, 5)))
    assert await elsewhere(SCRIPT).ended() == -9
    await expire(shared_db, "run")
    server.default = Reply.text("Done.").counting(Usage(10, 5))
    priced.price = Price(input=0, output=1_000_000)
    agent = Agent("Tester", priced, db=shared_db, tools=[work])
    (await open_runtime(shared_db)).serve(agent)
    assert (await ended(agent)).metrics.cost == 5.02


SCRIPT = """
import signal
from kern import Price
def work() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
agent.model.price = Price(1000, 2000)
dying = Agent("Tester", agent.model, db=db, tools=[work])
await dying.arun("Work", background=True, run_id="run")
await asyncio.Event().wait()
"""


async def test_a_run_ends_at_its_limit_of_cost_and_names_it(
    priced: OpenAIResponses, server: ResponsesServer
) -> None:
    limits = UsageLimits(cost=0.05)
    with pytest.raises(UsageLimitError, match=r"cost=0\.05"):
        await Agent("Tester", priced, tools=[work], usage_limits=limits).arun("Work")
    assert len(server.requests) == 3, "the call that passes the limit is the last one"


async def test_what_a_lost_attempt_has_cost_counts(
    shared_db: Database, priced: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.tool_calls(("work", {})).counting(Usage(10, 5)))
    assert await elsewhere(SCRIPT).ended() == -9
    await expire(shared_db, "run")
    limits = UsageLimits(cost=0.02)
    agent = Agent("Tester", priced, db=shared_db, tools=[work], usage_limits=limits)
    (await open_runtime(shared_db)).serve(agent)
    run = await ended(agent)
    assert (run.status, run.error_kind) == (RunStatus.error, "UsageLimitError")
    assert len(server.requests) == 1


async def test_what_children_have_cost_counts(
    shared_db: Database, priced: OpenAIResponses, server: ResponsesServer
) -> None:
    child = Agent("Child", priced, db=shared_db)

    async def ask() -> str:
        return str((await child.arun("Think")).content)

    limits = UsageLimits(cost=0.04)
    parent = Agent("Parent", priced, db=shared_db, tools=[ask], usage_limits=limits)
    cheap = Usage(10, 5)
    server.script += [
        Reply.tool_calls(("ask", {})).counting(cheap),
        Reply.text("A thought.").counting(cheap),
    ]
    with pytest.raises(UsageLimitError, match="cost"):
        await parent.arun("Ask", run_id="run")
    assert len(server.requests) == 2


async def test_a_run_may_have_a_limit_of_its_own_wherever_it_executes(
    shared_db: Database, priced: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", priced, db=shared_db, tools=[work])
    await agent.arun("Work", background=True, run_id="run", usage_limits=UsageLimits(cost=0.03))
    run = await ended(agent)
    assert run.error_kind == "UsageLimitError"
    assert len(server.requests) == 2


@pytest.mark.parametrize(("limits", "refused"), [({"cost": 1}, True), ({"requests": 9}, False)])
async def test_an_older_kern_which_does_not_know_such_limits_leaves_it_to_others(
    db: Database, limits: dict[str, int], refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    agent = Agent("Tester", ScriptedModel(), db=db)
    await agent.arun("Work", background=True, run_id="run", usage_limits=UsageLimits(**limits))
    store = await db.store()
    older = Claim("executor", 60.0, journal_version=1)
    if refused:
        with pytest.raises(NewerJournalError):
            await store.claim("run", older)
    else:
        assert await store.claim("run", older) is not None


async def test_an_unknown_price_passes_no_limit_in_silence(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent("Tester", model, usage_limits=UsageLimits(cost=1))
    with caplog.at_level(logging.WARNING, "kern"):
        run = await agent.arun("Hello?")
        await agent.arun("Hello?")
    assert (run.metrics.cost, run.metrics.unpriced_calls) == (None, 1)
    warnings = [each for each in caplog.messages if "costs is not known" in each]
    assert len(warnings) == 1
    assert "price=Price(" in warnings[0]


async def test_where_the_extra_is_missing_the_log_names_it(
    model: OpenAIResponses, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "is_missing", True)
    agent = Agent("Tester", model, usage_limits=UsageLimits(cost=1))
    with caplog.at_level(logging.WARNING, "kern"):
        await agent.arun("Hello?")
    assert "pip install 'kern-agents[prices]'" in caplog.text


async def test_without_a_limit_nothing_is_said_of_an_unknown_price(
    model: OpenAIResponses, caplog: pytest.LogCaptureFixture
) -> None:
    await Agent("Tester", model).arun("Hello?")
    assert caplog.messages == []


async def test_the_known_part_is_shown_where_another_is_unknown(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.tool_calls(("work", {})).counting(Usage(10, 5)))

    def work() -> str:
        """Do it."""
        model.price = PRICE
        return "done"

    server.default = Reply.text("Done.").counting(Usage(10, 5))
    run = await Agent("Tester", model, tools=[work]).arun("Work")
    assert (run.metrics.cost, run.metrics.unpriced_calls) == (0.02, 1)


async def test_a_model_of_a_test_costs_nothing_unless_its_price_is_set() -> None:
    model = ScriptedModel([Reply.text("Hello.").counting(Usage(10, 5))])
    assert (await Agent("Tester", model).arun("Hello?")).metrics.cost == 0
    model.script.append(Reply.text("Hello.").counting(Usage(10, 5)))
    model.price = PRICE
    assert (await Agent("Tester", model).arun("Hello?")).metrics.cost == 0.02


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "2"])
def test_a_limit_of_cost_is_a_number_above_0(value: object) -> None:
    with pytest.raises(ConfigurationError, match="cost"):
        UsageLimits(cost=value)  # type: ignore[arg-type] # what is tested
