"""The tool calls of a turn: made side by side, each result written down as it comes."""

import asyncio
from contextlib import nullcontext

from kern.errors import MissingToolError
from kern.execution.attempt import Attempt, Turn
from kern.run.agent import RunEvent
from kern.run.base import RunContext, current_run
from kern.run.tool import ToolCall, ToolExecution
from kern.tools import Tool

_UNKNOWN_OUTCOME = (
    "The outcome of this call is unknown: the process was lost while it was under way. It may have "
    "had its effect, or not."
)


class PausedError(Exception):
    """A person has to decide about calls whose outcome is unknown before the run goes on."""


async def use_tools(attempt: Attempt, turn: Turn) -> None:
    """Make the calls of ``turn`` that have no result yet.

    Raises:
        MissingToolError: a tool that an earlier attempt was to call is gone.
        ThreadLimitError: no thread became free for a synchronous tool.
        PausedError: the outcome of a call is unknown, and its tool asks for a person.
        StaleAttemptError: the run has a later attempt.
    """
    interrupted = [
        call.name
        for place, call in turn.open_calls
        if place in turn.started - turn.allowed and _rule(attempt, call) == "pause"
    ]
    if interrupted:
        attempt.journal.keep(RunEvent.run_paused, {"tools": interrupted})
        raise PausedError(
            f"The outcome of {', '.join(interrupted)} is unknown: the process was lost while it "
            "was under way. Continue the run with its result, or have it called again."
        )
    limit = attempt.spec.tool_call_limit
    earlier = sum(len(each.message.tool_calls) for each in attempt.turns[:-1])
    try:
        async with asyncio.TaskGroup() as calls:
            for place, call in turn.open_calls:
                allowed = limit is None or earlier + place < limit
                calls.create_task(_use(attempt, turn, place, call, allowed))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        attempt.show()


async def _use(attempt: Attempt, turn: Turn, place: int, call: ToolCall, allowed: bool) -> None:
    execution = ToolExecution(call.id, call.name, call.arguments)
    tool = attempt.spec.tools.get(call.name)
    if tool is None:
        execution.result, execution.tool_call_error = _no_such_tool(attempt, turn, call), True
    elif not allowed:
        limit = attempt.spec.tool_call_limit
        execution.result = f"Not called: the run may make {limit} tool calls. Answer without it."
        execution.tool_call_error = True
    elif place in turn.started - turn.allowed and tool.on_interrupt == "fail":
        execution.result, execution.tool_call_error = _UNKNOWN_OUTCOME, True
    else:
        await _call(attempt, turn, place, tool, execution)
    turn.executions[place] = execution
    event = RunEvent.tool_call_error if execution.tool_call_error else RunEvent.tool_call_completed
    payload: dict[str, object] = {"place": place, "result": execution.result}
    await attempt.journal.record(event, payload, content=execution.result, tool=execution)


async def _call(
    attempt: Attempt, turn: Turn, place: int, tool: Tool, execution: ToolExecution
) -> None:
    output, journal = attempt.output, attempt.journal
    beginning: dict[str, object] = {"place": place}
    if tool.on_interrupt == "retry":
        journal.note(RunEvent.tool_call_started, beginning, tool=execution)
    else:  # That it began has to be known, should nothing be heard of its end.
        await journal.record(RunEvent.tool_call_started, beginning, tool=execution)
    context = RunContext(
        run_id=output.run_id,
        session_id=output.session_id,
        agent_id=output.agent_id,
        user_id=output.user_id,
        metadata=output.metadata,
        attempt=attempt.number,
        tool_call_id=execution.tool_call_id,
        idempotency_key=f"{output.run_id}/{turn.number}/{place}",
        dependencies=attempt.spec.dependencies,
    )
    current_run.set(output.run_id)
    opened = nullcontext() if attempt.calls is None else attempt.calls.opened()
    with opened:
        result = await tool.call(execution.tool_args, context)
    execution.result, execution.tool_call_error = result.content, result.is_error


def _no_such_tool(attempt: Attempt, turn: Turn, call: ToolCall) -> str:
    """Return what to tell a model that has made a tool up."""
    spec = attempt.spec
    if turn.number <= attempt.replayed:
        raise MissingToolError(
            f"The run has to call the tool {call.name!r}, which the agent {spec.id!r} does "
            "not have any more. Give the agent this tool again, then retry the run."
        )
    names = ", ".join(spec.tools) or "none"
    return f"There is no tool {call.name!r}. The tools are: {names}."


def _rule(attempt: Attempt, call: ToolCall) -> str | None:
    tool = attempt.spec.tools.get(call.name)
    return None if tool is None else tool.on_interrupt
