"""The tool calls of a turn: made side by side, each result written down as it comes.

Calls of sequential tools are made alone: a turn's calls are made in groups, one after another.
"""

import logging
from collections.abc import Coroutine, Sequence, Set
from contextlib import suppress
from functools import partial

from kern.aio.tasks import together
from kern.errors import DatabaseUnavailableError, InvalidInputError, ThreadLimitError, described
from kern.execution.attempt import Attempt
from kern.execution.blobs import keep_result
from kern.execution.due_calls import Calls, check_calls, clients_of, groups, person_for, refusal_of
from kern.execution.limits import check_tool_calls
from kern.execution.middleware import CallTool, around_tool
from kern.execution.requirements import asked_by, key_of, required
from kern.execution.steps import AsleepError, CallSteps, Suspended
from kern.execution.values import as_parent, given_media
from kern.run.base import MEDIA_VALUES, STATE_VALUES, RunContext
from kern.run.content import Content, text_of
from kern.run.printable import in_log, one_line
from kern.run.requirement import CallPaused, place_of
from kern.run.steps import Paused
from kern.run.tool import ToolCall
from kern.run.tool_steps import ToolConcluded, ToolEnded, ToolsBegun
from kern.run.turn import Turn
from kern.tools import ToolResult
from kern.tools.hooked import execution_of

logger = logging.getLogger("kern")


class PausedError(Exception):
    """A person has to decide about calls before the run goes on."""


async def use_tools(attempt: Attempt, turn: Turn) -> bool:
    """Make the calls of a turn that have no result yet, side by side.

    Args:
        attempt: the attempt.
        turn: the model's last answer.

    Returns:
        Whether the run ends with it: all that is left of its calls are the client's.

    Raises:
        MissingToolError: a tool that an earlier attempt was to call is gone.
        UsageLimitError: the model was told that it may make no more calls, and goes on.
        ThreadLimitError: no thread became free for a synchronous tool.
        PausedError: a person has to decide about a call; all others have ended, or sleep.
        AsleepError: calls sleep; all others have ended.
        StaleAttemptError: the run has a later attempt.
    """
    check_calls(attempt, turn)
    due, clients = turn.open_calls, clients_of(attempt)
    open_calls = len(due)
    if clients:
        due = [each for each in due if each[1].name not in clients]
    is_left = len(due) < open_calls
    await check_tool_calls(attempt, len(due))
    attempt.waits = tuple(
        each
        for place, call in due
        if (kind := person_for(attempt, turn.number, place, call)) is not None
        for each in required(attempt, turn, place, call, kind)
    )
    if attempt.waits:
        waiting = {place_of(each) for each in attempt.waits}
        due = [(place, call) for place, call in due if place not in waiting]
    for number, group in enumerate(_in_order(attempt, turn, due)):
        if attempt.wakes_at is not None:
            break  # They come after a call that sleeps.
        if number:
            await _begin(attempt, group)
        uses = [_use(attempt, turn, place, call) for place, call in group]
        if len(uses) == 1:  # It needs no task: the tool's own code is in one already.
            await uses[0]
        else:
            await _side_by_side(uses)
    if attempt.waits:
        # Who sleeps goes on with the decision, and sleeps on if it is early.
        requirements = tuple(sorted(attempt.waits, key=place_of))
        attempt.journal.keep(Paused(requirements))
        names = ", ".join(each.tool_execution.tool_name for each in requirements)
        raise PausedError(
            f"A person has to decide about {names}. Answer the run's requirements, and continue "
            "the run with them."
        )
    if attempt.wakes_at is not None:
        raise AsleepError(attempt.wakes_at)
    return is_left


def _in_order(attempt: Attempt, turn: Turn, due: Calls) -> Sequence[Calls]:
    """Return the groups in which calls are made; those that are refused go with the first."""
    found = groups(attempt, due)
    if len(found) < 2:
        return found
    refused = [each for each in due if refusal_of(attempt, turn.number, *each) is not None]
    first, *others = groups(attempt, [each for each in due if each not in refused]) or [[]]
    return [[*refused, *first], *others]


async def _begin(attempt: Attempt, calls: Calls) -> None:
    """Write down that calls begin which have waited for others of their turn."""
    attempt.journal.keep(ToolsBegun(tuple(place for place, _ in calls)))
    tools = [attempt.tools[call.name] for _, call in calls]
    if attempt.journal.is_read or any(each.on_interrupt != "retry" for each in tools):
        await attempt.journal.commit()


async def _side_by_side(uses: Sequence[Coroutine[None, None, None]]) -> None:
    async with together() as calls:
        for use in uses:
            calls.create_task(use)


async def _use(attempt: Attempt, turn: Turn, place: int, call: ToolCall) -> None:
    refusal = refusal_of(attempt, turn.number, place, call)
    if refusal is None:
        try:
            result = await _call(attempt, turn, place, call)
        except Suspended as suspended:
            attempt.wakes_at = min(suspended.until, attempt.wakes_at or suspended.until)
            return
        except CallPaused as paused:
            attempt.waits += tuple(asked_by(attempt, turn, place, paused.requirements))
            return
    else:
        result = ToolResult(refusal, is_error=True)
    if result.is_error:
        _log_error(attempt, call, result)

    def keep(content: Content) -> None:
        attempt.journal.keep(_ended(attempt, turn, place, call, result, content))

    attempt.pieces.flush()
    run_id = attempt.output.run_id
    await keep_result(attempt.store, run_id, result.content, keep, attempt.loaded)
    await attempt.journal.commit()


def _ended(
    attempt: Attempt,
    turn: Turn,
    place: int,
    call: ToolCall,
    result: ToolResult,
    content: Content,
) -> ToolEnded:
    """Return the step for a result, with what the call has changed in the session's state."""
    state, error = attempt.session_state, result.is_error
    patch = None if state is None else state.merge(turn, place)
    ends = shown = result.ends
    tool = attempt.tools.get(call.name)
    if tool is not None and not error:
        ends, shown = ends or tool.stop_after_tool_call, shown or tool.show_result
    if not (ends or shown or result.messages or turn.pieces):
        return ToolEnded(place, content, error, patch)
    return ToolConcluded(place, content, error, patch, ends, shown, result.messages)


def _log_error(attempt: Attempt, call: ToolCall, result: ToolResult) -> None:
    """Log what the model is told of a call that failed; the run goes on."""
    output = attempt.output
    logger.warning(
        "run %s (agent %s): the tool %s failed: %s",
        output.run_id,
        output.agent_id,
        one_line(call.name, 60),
        in_log(text_of(result.content)),
        extra={
            "run_id": output.run_id,
            "agent_id": output.agent_id,
            "tool": call.name,
            "tool_call_id": call.id,
        },
    )


async def _call(attempt: Attempt, turn: Turn, place: int, call: ToolCall) -> ToolResult:
    spec = attempt.spec
    make: CallTool = partial(_make, attempt, turn, place)
    if not spec.middleware:
        return await make(call)
    try:
        result: object = await around_tool(spec.middleware, attempt.info, make)(call)
        if isinstance(result, ToolResult):
            return result
        raise TypeError(f"middleware returned {type(result).__name__} in place of a ToolResult")
    except (CallPaused, ThreadLimitError):
        raise
    except Exception as error:  # What is raised around a tool is its call's error, too.
        run_id = attempt.output.run_id
        logger.debug("run %s: around the tool %s", run_id, call.name, exc_info=error)
        return ToolResult(described(error), is_error=True)


async def _make(attempt: Attempt, turn: Turn, place: int, call: ToolCall) -> ToolResult:
    tool, rules = attempt.tools[call.name], attempt.spec.call_rules
    around = () if rules is None else rules.around
    asks_for = tool.asks_for
    if around:
        asks_for = frozenset(asks_for).union(*(each.names for each in around))
    emit = partial(attempt.pieces.take, turn.number, place, tool.show_result)
    state = await attempt.load_state() if asks_for & STATE_VALUES else None
    context = attempt.run_context.for_call(call.id, key_of(attempt, turn, place), emit)
    if turn.approved or turn.passed:
        context.is_approved = place in turn.approved
        context.answers = (turn.passed or {}).get(place, ())
    if state is None:
        return await _make_with(attempt, place, context, call, asks_for)
    copy = state.copy()
    context.session_state = copy.value
    result = await _make_with(attempt, place, context, call, asks_for)
    try:
        state.close(place, copy, context.session_state)
    except InvalidInputError as error:
        return ToolResult(f"{error} What the call did with the state is lost.", is_error=True)
    return result


async def _make_with(
    attempt: Attempt, place: int, context: RunContext, call: ToolCall, asks_for: Set[str]
) -> ToolResult:
    tool, rules = attempt.tools[call.name], attempt.spec.call_rules
    context._steps = steps = CallSteps(attempt, place)
    if asks_for & MEDIA_VALUES:
        context.media = await given_media(attempt)
    try:
        with as_parent(attempt):
            execute = execution_of(tool, () if rules is None else rules.around)
            result = await tool.call(call.arguments, context, execute)
    finally:
        steps.end()
    if steps.left is not None and result.is_error:  # It was stopped, and has not returned.
        raise steps.left
    if steps.cancel_child is not None:  # The call did not wait for its end, and nobody will.
        with suppress(DatabaseUnavailableError):  # It is repeated until it is stored.
            await steps.cancel_child()
    return result
