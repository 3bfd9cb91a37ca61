"""The tools of simulated agents: they take simulated time, and some of them need a person."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, cast

from kern.agent import Agent
from kern.exceptions import ApprovalRequired
from kern.run.base import RunContext, RunStatus
from kern.tools import FunctionTool
from tests.simulation.loop import Loop
from tests.simulation.plans import How, Plan

if TYPE_CHECKING:
    from tests.simulation.world import Process

STEPS = 2

ASKS = frozenset({"asked", "grave", "hurried", "final", "filled", "outside", "unsure"})
"""The tools that ask for a person before they are called."""


def here() -> "Process":
    """Return the process that runs now."""
    return cast("Process", cast(Loop, asyncio.get_running_loop()).owner)


def result_of_work(context_key: str, note: str = "") -> str:
    """Return what work returns in the call with this idempotency key, and a person's note."""
    return f"did[{context_key}]{note and f' {note}'}"


async def work(seconds: float, context: RunContext, note: str = "") -> str:
    """Take some time; say what a person has noted, where one has."""
    result = result_of_work(context.idempotency_key, note)
    return await _call_tool(context, asyncio.sleep(seconds, result), note)


async def unsure(seconds: float, context: RunContext, note: str = "") -> str:
    """Find out that a person is needed."""
    here().world.calls.tool_asks(context)
    if not context.is_approved:
        await asyncio.sleep(seconds)
        raise ApprovalRequired("Go on?")
    return await work(seconds, context, note)


async def stepped(seconds: float, context: RunContext) -> str:
    """Take some time in steps, and sleep between them, often so long that the slot is free."""
    return await _call_tool(context, _in_steps(seconds, context))


async def _in_steps(seconds: float, context: RunContext) -> str:
    calls = here().world.calls
    for occurrence in range(STEPS):
        expected = result_of_step(context.idempotency_key, occurrence)
        result = await context.step("part", _do, seconds / 10, expected)
        calls.step_returned(context, result, expected)
        await context.sleep(2 * seconds)
    return result_of_work(context.idempotency_key)


async def _do(seconds: float, result: str) -> str:
    here().world.calls.step_called(result)
    return await asyncio.sleep(seconds, result)


def result_of_step(context_key: str, occurrence: int) -> str:
    """Return what a step returns in the call with this idempotency key."""
    return f"part {occurrence} of {context_key}"


async def delegate(plan: str, how: How, agent: str, context: RunContext) -> str:
    """Have a child run do something."""
    return await _call_tool(context, _have_done(here().agents[agent], plan, how))


async def _call_tool(
    context: RunContext, call: Coroutine[object, object, str], note: str = ""
) -> str:
    calls = here().world.calls
    calls.tool_called(context, note)
    result = await call
    _change_state(context)
    calls.tool_returned(context, result)
    return result


def _change_state(context: RunContext) -> None:
    """Change the state of the session: a key of the call's own, one of the run's, and all runs'."""
    state, key = context.session_state, context.idempotency_key
    assert state is not None
    state[f"call {key}"] = state.get(f"call {key}", 0) + 1
    state.setdefault(f"run {context.run_id}", []).append(key)
    state["last"] = key
    state.pop("gone", None)
    if len(key) % 2:
        state["gone"] = key


async def _have_done(agent: Agent, plan: str, how: How) -> str:
    run_id = cast(Plan, json.loads(plan))["id"]
    if how == "call":
        here().world.seen.known[run_id].foreground = True
        output = await agent.arun(plan, run_id=run_id)
        return f"{output.status}[{run_id}]"
    await agent.arun(plan, run_id=run_id, background=True)
    if how == "leave":
        return f"left[{run_id}]"
    if how == "wait":
        ended = await agent.await_run(run_id)
    else:
        ended = await agent.aget_run_output(run_id)
        while ended is not None and not ended.is_terminal:
            await asyncio.sleep(1.0)
            ended = await agent.aget_run_output(run_id)
    status = RunStatus.error if ended is None else ended.status
    return f"{status}[{run_id}]"


def tools(expires_in: float, helper: Agent | None) -> Sequence[Any]:
    """Return the tools of an agent.

    Args:
        expires_in: for how many seconds the two can be answered that expire.
        helper: another agent, whose runs are calls of a tool.
    """
    asks: dict[str, Any] = {"requires_confirmation": True}
    found = [
        FunctionTool(work),
        FunctionTool(stepped),
        FunctionTool(work, name="risky", on_interrupt="pause"),
        FunctionTool(work, name="asked", **asks),
        FunctionTool(work, name="grave", **asks, on_interrupt="pause"),
        FunctionTool(work, name="hurried", **asks, expires_in=expires_in),
        FunctionTool(work, name="final", **asks, expires_in=expires_in, on_expiry="fail"),
        FunctionTool(work, name="filled", requires_user_input=True, user_input_fields=["note"]),
        FunctionTool(work, name="outside", external_execution=True),
        FunctionTool(unsure),
        FunctionTool(delegate),
    ]
    if helper is None:
        return found
    return [*found, helper.as_tool("helped"), helper.as_tool("started", background=True)]
