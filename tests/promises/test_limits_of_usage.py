"""Promise 16: nothing is unbounded. A run ends with an error that names the limit it reached."""

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.errors import ConfigurationError, UsageLimitError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.usage import UsageLimits
from kern.testing import Reply, ResponsesServer, Usage


def work() -> str:
    """Do it."""
    return "done"


async def ended(agent: Agent, run_id: str = "run") -> RunOutput:
    run = await agent.await_run(run_id, timeout=20)
    assert run is not None
    return run


async def test_a_model_that_goes_on_calling_is_stopped_by_the_limit_of_tool_calls(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.tool_calls(("work", {}))
    agent = Agent("Tester", model, db=shared_db, tools=[work], tool_call_limit=3)
    await agent.arun("Work", background=True, run_id="run")
    run = await ended(agent)
    assert (run.status, run.error_kind) == (RunStatus.error, "UsageLimitError")
    assert "tool_call_limit=3" in (run.error or "")
    assert len(server.requests) == 5, "three calls, one that is told, and one too many"
    assert [each.result for each in run.tools][:3] == ["done"] * 3
    assert "may make 3 tool calls" in (run.tools[3].result or "")


async def test_a_model_that_was_told_of_the_limit_may_finish(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    calls = Reply.tool_calls(("work", {}))
    server.script += [calls, calls, Reply.text("Well.")]
    run = await Agent("Tester", model, tools=[work], tool_call_limit=1).arun("Work")
    assert (run.status, run.content) == (RunStatus.completed, "Well.")


async def test_a_run_asks_its_model_a_hundred_times_by_default(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.tool_calls(("work", {}))
    with pytest.raises(UsageLimitError, match="max_turns=100"):
        await Agent("Tester", model, tools=[work]).arun("Work")
    assert len(server.requests) == 100


@pytest.mark.parametrize(
    ("limits", "requests"),
    [
        (UsageLimits(requests=2), 2),
        (UsageLimits(tool_calls=2), 3),
        (UsageLimits(input_tokens=21), 3),
        (UsageLimits(output_tokens=5), 1),
        (UsageLimits(total_tokens=30), 2),
    ],
    ids=["requests", "tool_calls", "input_tokens", "output_tokens", "total_tokens"],
)
async def test_a_run_ends_at_its_limit_and_names_it(
    model: OpenAIResponses, server: ResponsesServer, limits: UsageLimits, requests: int
) -> None:
    server.default = Reply.tool_calls(("work", {})).counting(Usage(10, 5))
    name = next(each for each in UsageLimits.__slots__ if getattr(limits, each))
    with pytest.raises(UsageLimitError, match=name):
        await Agent("Tester", model, tools=[work], usage_limits=limits).arun("Work")
    assert len(server.requests) == requests


async def test_runs_that_its_tools_start_count_too(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    child = Agent("Child", model, db=shared_db)

    async def ask() -> str:
        run = await child.arun("Think")
        return str(run.content)

    parent = Agent("Parent", model, db=shared_db, tools=[ask], usage_limits=UsageLimits(requests=2))
    server.script += [Reply.tool_calls(("ask", {})), Reply.text("A thought.")]
    with pytest.raises(UsageLimitError, match="requests=2"):
        await parent.arun("Ask", run_id="run")
    assert len(server.requests) == 2


SCRIPT = """
import signal
def work() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
dying = Agent("Tester", agent.model, db=db, tools=[work])
await dying.arun("Work", background=True, run_id="run")
await asyncio.Event().wait()
"""


async def test_what_a_lost_attempt_has_used_counts(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.tool_calls(("work", {})))
    assert await elsewhere(SCRIPT).ended() == -9
    await expire(shared_db, "run")
    agent = Agent("Tester", model, db=shared_db, tools=[work], usage_limits=UsageLimits(requests=1))
    (await open_runtime(shared_db)).serve(agent)
    run = await ended(agent)
    assert (run.status, run.error_kind) == (RunStatus.error, "UsageLimitError")
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
def test_a_limit_is_a_whole_number(value: object) -> None:
    with pytest.raises(ConfigurationError, match="requests"):
        UsageLimits(requests=value)  # type: ignore[arg-type] # what is tested


async def test_a_run_may_have_limits_of_its_own_wherever_it_executes(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.tool_calls(("work", {}))
    agent = Agent("Tester", model, db=shared_db, tools=[work], usage_limits=UsageLimits(requests=9))
    runtime = await open_runtime(shared_db)
    runtime.serve(agent)
    await agent.arun("Work", background=True, run_id="run", usage_limits=UsageLimits(requests=2))
    run = await ended(agent)
    assert (run.status, run.error_kind) == (RunStatus.error, "UsageLimitError")
    assert "requests=2" in (run.error or "")
    assert len(server.requests) == 2
