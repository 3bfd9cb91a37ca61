"""Promise 5: the step that was under way when the process died follows the rule of its tool."""

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.errors import RunStateError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import tool
from kern.tools.rules import Interrupt

SCRIPT = """
import signal
from kern.run.base import RunContext
from kern.tools import FunctionTool
def work(context: RunContext) -> str:
    say(context.idempotency_key)
    os.kill(os.getpid(), signal.SIGKILL)
dying = Agent("Tester", agent.model, db=db, tools=[FunctionTool(work, on_interrupt={rule!r})])
await dying.arun("Work", background=True, run_id="run")
await asyncio.Event().wait()
"""


class Interrupted:
    """A run whose process died inside its tool, and the agent that takes it up."""

    def __init__(self, db: Database, model: OpenAIResponses, rule: Interrupt) -> None:
        self.keys: list[str] = []

        @tool(on_interrupt=rule)
        def work(context: RunContext) -> str:
            self.keys.append(context.idempotency_key)
            return "done"

        self.db = db
        self.agent = Agent("Tester", model, db=db, tools=[work])

    async def die(self, server: ResponsesServer, elsewhere: Elsewhere, rule: str) -> None:
        server.script.append(Reply.tool_calls(("work", {})))
        process = elsewhere(SCRIPT.format(rule=rule))
        assert await process.said() == "run/1/0"
        assert await process.ended() == -9
        await expire(self.db, "run")
        (await open_runtime(self.db)).serve(self.agent)

    async def stands(self) -> RunOutput:
        """Return the run once it has paused."""
        async for _ in self.agent.astream_run("run"):
            pass
        run = await self.agent.aget_run_output("run")
        assert run is not None
        return run

    async def ended(self) -> RunOutput:
        run = await self.agent.await_run("run", timeout=20)
        assert run is not None
        return run


@pytest.mark.parametrize("rule", ["retry", "fail"])
async def test_a_call_under_way_is_made_again_or_told_as_unknown(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    rule: Interrupt,
) -> None:
    case = Interrupted(shared_db, model, rule)
    await case.die(server, elsewhere, rule)
    run = await case.ended()
    assert run.status is RunStatus.completed
    [execution] = run.tools
    if rule == "retry":
        assert case.keys == ["run/1/0"]
        assert execution.result == "done"
    else:
        assert case.keys == []
        assert str(execution.result).startswith("The outcome of this call is unknown")
    assert len(server.requests) == 2


@pytest.mark.parametrize("given", [True, False])
async def test_a_person_decides_about_a_call_that_pauses_its_run(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    given: bool,
) -> None:
    case = Interrupted(shared_db, model, "pause")
    await case.die(server, elsewhere, "pause")
    run = await case.stands()
    assert run.status is RunStatus.paused
    assert "A person has to decide about work." in str(run.error)
    with pytest.raises(RunStateError, match="does not wait for another, but for call_"):
        await case.agent.acontinue_run("run", results={"another": "x"})
    call = run.messages[1].tool_calls[0].id
    await case.agent.acontinue_run("run", results={call: "by hand"} if given else None)
    run = await case.ended()
    assert run.status is RunStatus.completed
    assert case.keys == ([] if given else ["run/1/0"])
    assert [each.result for each in run.tools] == ["by hand" if given else "done"]


async def test_a_paused_run_can_be_cancelled(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    case = Interrupted(shared_db, model, "pause")
    await case.die(server, elsewhere, "pause")
    assert (await case.stands()).status is RunStatus.paused
    assert await case.agent.acancel_run("run")
    assert (await case.ended()).status is RunStatus.cancelled
    assert case.keys == []
