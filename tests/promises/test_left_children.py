"""Promise 6 for children: a call that ends without its run leaves none behind that goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from in_background import children_of
from load import ended
from teams import calling, leading

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.usage import UsageLimits
from kern.team import Team
from kern.tools import tool

BOTH = pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])


async def carried_out(agent: Agent[Any, Any], background: bool) -> RunOutput:
    run = await agent.arun("Go", background=background)
    return await ended(agent, run.run_id, 15) if background else run


async def statuses(db: Database, run_id: str) -> list[RunStatus]:
    """Return how the children of a run stand, once none is at work any more."""
    store = await db.store()
    async with asyncio.timeout(10):
        while True:
            found = [each.status for each in await children_of(store, run_id)]
            if not {RunStatus.pending, RunStatus.running} & {*found}:
                return found
            await asyncio.sleep(0.01)


# Within which the child is there, on a slow machine too.
PATIENCE = 0.5


async def wait() -> str:
    """Wait for ever."""
    await asyncio.Event().wait()
    return "never"


@tool(requires_confirmation=True)
def order() -> str:
    """Order something."""
    return "ordered"


async def impatient(
    function_name: str, function: Callable[..., Awaitable[object]], arguments: dict[str, Any]
) -> object:
    """Wait for a call, but not for long."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await function(**arguments)
    except TimeoutError:
        return "too slow"


async def careless(
    function_name: str, function: Callable[..., Awaitable[object]], arguments: dict[str, Any]
) -> object:
    """Have the model know of no failure."""
    try:
        return await function(**arguments)
    except Exception:
        return "it did not work"


@BOTH
async def test_a_child_ends_with_the_time_limit_of_its_call(background: bool) -> None:
    db = InMemoryDb()
    worker = Agent("Worker", calling([("wait", {})]), tools=[wait])
    ask = worker.as_tool("ask", timeout=PATIENCE)
    boss = Agent("Boss", calling([("ask", {"input": "Go"})]), tools=[ask], db=db)
    run = await carried_out(boss, background)
    assert "did not return within" in (run.content or "")
    assert await statuses(db, run.run_id) == [RunStatus.cancelled]


@BOTH
@pytest.mark.parametrize("hook", [impatient, careless])
async def test_a_child_ends_that_a_hook_around_its_call_does_not_wait_for(
    background: bool, hook: Callable[..., object]
) -> None:
    db, asked = InMemoryDb(), "wait" if hook is impatient else "order"
    worker = Agent("Worker", calling([(asked, {})]), tools=[wait, order])
    team = Team([worker], "Team", leading("worker"), db=db, tool_hooks=[hook])
    run = await carried_out(team, background)
    assert run.status is RunStatus.completed
    assert await statuses(db, run.run_id) == [RunStatus.cancelled]


async def test_a_paused_child_ends_whose_parent_may_use_no_more() -> None:
    @tool
    def look() -> str:
        """Look."""
        return "seen"

    db = InMemoryDb()
    worker = Agent("Worker", calling([("order", {})]), tools=[order])
    model = calling([("look", {})], [("ask", {"input": "Go"})])
    boss = Agent("Boss", model, tools=[look, worker.as_tool("ask")], db=db, raise_on_error=False)
    run = await boss.arun("Go", usage_limits=UsageLimits(requests=3))
    run.active_requirements[0].confirm()
    run = await boss.acontinue_run(run)
    assert run.status is RunStatus.error
    assert await statuses(db, run.run_id) == [RunStatus.cancelled]


@BOTH
async def test_a_child_has_no_more_time_than_its_parent(background: bool) -> None:
    db = InMemoryDb()
    worker = Agent("Worker", calling([("wait", {})]), tools=[wait])
    team = Team([worker], "Team", leading("worker"), db=db, timeout=PATIENCE, raise_on_error=False)
    run = await carried_out(team, background)
    assert run.status is RunStatus.error
    [status] = await statuses(db, run.run_id)
    assert status in (RunStatus.error, RunStatus.cancelled)
