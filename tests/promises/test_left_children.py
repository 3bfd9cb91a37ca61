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
    return await ended(agent, run.run_id) if background else run


async def statuses(db: Database, run_id: str) -> list[RunStatus]:
    """Return how the children of a run stand, once none is at work any more."""
    store = await db.store()
    async with asyncio.timeout(20):
        while True:
            found = [each.status for each in await children_of(store, run_id)]
            if not {RunStatus.pending, RunStatus.running} & {*found}:
                return found
            await asyncio.sleep(0.01)


async def with_a_child(
    db: Database, background: bool, make: Callable[[float], Agent[Any, Any]]
) -> tuple[RunOutput, list[RunStatus]]:
    """Return a run of an agent that waits for so long, and how its child stands.

    A slow machine needs more time until the child is there.
    """
    for patience in (0.5, 5.0, 20.0):
        run = await carried_out(make(patience), background)
        if found := await statuses(db, run.run_id):
            return run, found
    raise AssertionError("there never was a child")


async def wait() -> str:
    """Wait for ever."""
    await asyncio.Event().wait()
    return "never"


@tool(requires_confirmation=True)
def order() -> str:
    """Order something."""
    return "ordered"


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

    def boss(patience: float) -> Agent[Any, Any]:
        worker = Agent("Worker", calling([("wait", {})]), tools=[wait])
        ask = worker.as_tool("ask", timeout=patience)
        return Agent("Boss", calling([("ask", {"input": "Go"})]), tools=[ask], db=db)

    run, found = await with_a_child(db, background, boss)
    assert "did not return within" in (run.content or "")
    assert found == [RunStatus.cancelled]


@BOTH
async def test_a_child_ends_that_a_hook_around_its_call_does_not_wait_for(background: bool) -> None:
    db, at_work = InMemoryDb(), asyncio.Event()

    async def work() -> str:
        """Work without end."""
        at_work.set()
        return await wait()

    async def impatient(
        function_name: str, function: Callable[..., Awaitable[object]], arguments: dict[str, Any]
    ) -> object:
        """Wait for a call no longer than until it is at work."""
        try:
            async with asyncio.timeout(20) as limit:
                calling_it = asyncio.ensure_future(function(**arguments))
                await at_work.wait()
                limit.reschedule(0)
                return await calling_it
        except TimeoutError:
            return "too slow"

    worker = Agent("Worker", calling([("work", {})]), tools=[work])
    team = Team([worker], "Team", leading("worker"), db=db, tool_hooks=[impatient])
    run = await carried_out(team, background)
    assert run.status is RunStatus.completed
    assert await statuses(db, run.run_id) == [RunStatus.cancelled]


@BOTH
async def test_a_child_ends_whose_failure_a_hook_keeps_to_itself(background: bool) -> None:
    db = InMemoryDb()
    worker = Agent("Worker", calling([("order", {})]), tools=[order])
    team = Team([worker], "Team", leading("worker"), db=db, tool_hooks=[careless])
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

    def team(patience: float) -> Team:
        worker = Agent("Worker", calling([("wait", {})]), tools=[wait])
        options: dict[str, Any] = {"timeout": patience, "raise_on_error": False}
        return Team([worker], "Team", leading("worker"), db=db, **options)

    run, [status] = await with_a_child(db, background, team)
    assert run.status is RunStatus.error
    assert status in (RunStatus.error, RunStatus.cancelled)
