"""Which tool calls of a turn are made, in which groups, and which are refused."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TypeAlias

from kern.errors import MissingToolError, UsageLimitError
from kern.execution.attempt import Attempt
from kern.execution.requirements import is_interrupted, needed
from kern.run.requirement import RequirementKind
from kern.run.tool import ToolCall
from kern.run.turn import Turn
from kern.tools import Tool

_UNKNOWN_OUTCOME = (
    "The outcome of this call is unknown: the process was lost while it was under way. It may have "
    "had its effect, or not."
)


Calls: TypeAlias = Sequence[tuple[int, ToolCall]]
"""Calls of a turn, with their places in it."""


def starts(attempt: Attempt, number: int, calls: Calls) -> tuple[int, ...]:
    """Return the places of the calls that begin at once.

    Args:
        attempt: the attempt that is about to make them.
        number: in which of the run's turns they are.
        calls: calls without a result, with their places.
    """
    clients = clients_of(attempt)
    due = [
        (place, call)
        for place, call in calls
        if call.name not in clients
        and refusal_of(attempt, number, place, call, calls) is None
        and needed(attempt, number, place, attempt.tools[call.name]) is None
    ]
    return tuple(place for place, _ in next(iter(groups(attempt, due)), ()))


def groups(attempt: Attempt, calls: Calls) -> Sequence[Calls]:
    """Return calls in the groups in which they are made, each once the one before has ended.

    Args:
        attempt: the attempt that makes them.
        calls: calls without a result, with their places.
    """
    if len(calls) < 2:
        return [calls] if calls else []
    rules = attempt.spec.call_rules
    if rules is not None and not rules.parallel:
        return [[each] for each in calls]
    tools = attempt.tools
    alone = {place for place, call in calls if (tool := tools.get(call.name)) and tool.sequential}
    if not alone:
        return [calls]
    found: list[list[tuple[int, ToolCall]]] = []
    for place, call in calls:
        if place in alone or not found or found[-1][-1][0] in alone:
            found.append([])
        found[-1].append((place, call))
    return found


def check_calls(attempt: Attempt, turn: Turn) -> None:
    """Make sure that the calls of a turn may be answered.

    Args:
        attempt: the attempt.
        turn: the model's last answer.

    Raises:
        MissingToolError: a tool that an earlier attempt was to call is gone.
        UsageLimitError: the model was told that it may make no more calls, and goes on.
    """
    spec = attempt.spec
    if turn.number <= attempt.replayed:
        for _, call in turn.open_calls:
            if call.name not in attempt.tools:
                raise MissingToolError(
                    f"The run has to call the tool {call.name!r}, which the agent {spec.id!r} does "
                    "not have any more. Give the agent this tool again, then retry the run."
                )
    limit = spec.tool_call_limit
    if limit is not None and _earlier(attempt, turn.number) > limit and _has_own(attempt, turn):
        raise UsageLimitError(
            f"The run has made its tool_call_limit={limit} tool calls; the model was told so, and "
            "went on to call tools. Raise tool_call_limit and retry the run."
        )


def _has_own(attempt: Attempt, turn: Turn) -> bool:
    """Say whether a turn has calls that are not the client's."""
    clients = clients_of(attempt)
    return any(each.name not in clients for each in turn.message.tool_calls)


def clients_of(attempt: Attempt) -> Mapping[str, Tool]:
    """Return the tools that the run's client calls, by name.

    Args:
        attempt: the attempt.
    """
    rules = attempt.spec.call_rules
    return {} if rules is None else rules.client


def refusal_of(
    attempt: Attempt, number: int, place: int, call: ToolCall, calls: Calls = ()
) -> str | None:
    """Return what the model is told in place of a call that is not made.

    Args:
        attempt: the attempt.
        number: in which of the run's turns it is.
        place: its place there.
        call: the call.
        calls: those of the turn, where it is not in the journal yet.
    """
    spec = attempt.spec
    if (tool := attempt.tools.get(call.name)) is None:
        known = {name.lower(): name for name in attempt.tools}
        near = get_close_matches(call.name[-100:].lower().rpartition(".")[2], known, 1)
        hint = f" Did you mean {known[near[0]]!r}?" if near else ""
        names = ", ".join(attempt.tools) or "none"
        return f"There is no tool {call.name[:100]!r}.{hint} The tools are: {names}."
    limit = spec.tool_call_limit
    if limit is not None and _counted(attempt, number, place, calls) >= limit:
        return f"Not called: the run may make {limit} tool calls. Answer without it."
    most = tool.call_limit
    if most is not None and _before(attempt, number, place, call, calls) >= most:
        return f"Not called: the run may call {tool.name} {most} times. Go on without it."
    if tool.needs_person and (unfit := tool.unfit(call.arguments)) is not None:
        return unfit
    if tool.on_interrupt == "fail" and is_interrupted(attempt, number, place):
        return _UNKNOWN_OUTCOME
    return None


def person_for(attempt: Attempt, number: int, place: int, call: ToolCall) -> RequirementKind | None:
    """Return what a call needs a person for, if it does; None where it is refused anyway.

    Args:
        attempt: the attempt.
        number: in which of the run's turns it is.
        place: its place there.
        call: the call.
    """
    tool = attempt.tools.get(call.name)
    kind = None if tool is None else needed(attempt, number, place, tool)
    if kind is None or refusal_of(attempt, number, place, call) is not None:
        return None
    return kind


def _earlier(attempt: Attempt, number: int) -> int:
    """Return how many tool calls the model has asked for before a turn."""
    turns = attempt.state.turns
    return turns[number - 1].earlier if number <= len(turns) else attempt.state.tool_calls


def _counted(attempt: Attempt, number: int, place: int, calls: Calls) -> int:
    """Return how many calls the model has asked for before one, those of the client left out."""
    count, clients = _earlier(attempt, number) + place, clients_of(attempt)
    if clients:
        count -= sum(each.name in clients for each in _in_turn(attempt, number, place, calls))
    return count


def _before(attempt: Attempt, number: int, place: int, call: ToolCall, calls: Calls) -> int:
    """Return how many calls of a tool the model has asked for before one."""
    turns = attempt.state.turns[: number - 1]
    made = [each for turn in turns for each in turn.message.tool_calls]
    made += _in_turn(attempt, number, place, calls)
    return sum(each.name == call.name for each in made)


def _in_turn(attempt: Attempt, number: int, place: int, calls: Calls) -> Sequence[ToolCall]:
    """Return the calls of a turn before one."""
    turns = attempt.state.turns
    if number <= len(turns):
        return turns[number - 1].message.tool_calls[:place]
    return [each for at, each in calls if at < place]
