"""What tool calls need people for before they are made, and what people are asked then."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from kern.errors import described
from kern.execution.attempt import Attempt
from kern.execution.values import as_parent, run_values
from kern.run.answers import field_type
from kern.run.codec import decode_object
from kern.run.identity import new_id
from kern.run.printable import in_log
from kern.run.requirement import RequirementKind, RunRequirement, UserInputField
from kern.run.tool import ToolCall, ToolExecution
from kern.run.turn import Turn
from kern.tools import Tool
from kern.tools.base import or_none

logger = logging.getLogger("kern")


async def foresee(attempt: Attempt, number: int, calls: Iterable[tuple[int, ToolCall]]) -> None:
    """Ask the functions of tools that say so whether their calls need a person.

    Args:
        attempt: the attempt that is about to make the calls.
        number: in which of the run's turns they are.
        calls: calls without a result, with their places.
    """
    for place, call in calls:
        tool = attempt.tools.get(call.name)
        if tool is None or tool.condition is None or tool.unfit(call.arguments) is not None:
            continue
        if await _holds(attempt, tool, call):
            attempt.asks |= {(number, place)}


async def _holds(attempt: Attempt, tool: Tool, call: ToolCall) -> bool:
    condition = tool.condition
    assert condition is not None, "it was looked at"
    try:
        given = tool.read(or_none(call.arguments))
        values = await run_values(attempt, condition.names)
        values |= dict.fromkeys(("args", "arguments"), given)
        values |= dict.fromkeys(("name", "function_name"), tool.name)
        values |= {name: given.get(name) for name in tool.call_properties}
        with as_parent(attempt):
            return bool(await condition.call(values))
    except Exception as error:  # What cannot be judged is not done without a person.
        run_id, told = attempt.output.run_id, in_log(described(error))
        logger.warning("run %s: whether a call of %s needs a person: %s", run_id, tool.name, told)
        return True


def needed(attempt: Attempt, number: int, place: int, tool: Tool) -> RequirementKind | None:
    """Return what a call needs a person for that is not refused; None for nothing.

    Args:
        attempt: the attempt that is about to make it.
        number: in which of the run's turns it is.
        place: its place there.
        tool: the tool.
    """
    if number > attempt.replayed and not tool.needs_person:
        return None
    turns = attempt.state.turns
    turn = turns[-1] if number <= len(turns) else None
    waiting = None if turn is None or turn.waiting is None else turn.waiting.get(place)
    # What has expired is asked anew: by what asks before the call, or by the call itself. So is
    # what a call has asked for in the run that this one was branched off.
    if waiting and (waiting[0].call is None or _is_asked(attempt, number, place, waiting)):
        return waiting[0].kind
    if tool.on_interrupt == "pause" and is_interrupted(attempt, number, place):
        return "unknown_outcome"
    if not tool.needs_person:
        return None
    if turn is not None and (
        place in turn.started | turn.allowed | turn.approved or place in (turn.passed or ())
    ):
        return None
    rule = next(each for each in _KINDS if getattr(tool, each))
    if callable(getattr(tool, rule)) and (number, place) not in attempt.asks:
        return None
    return _KINDS[rule]


_KINDS: dict[str, RequirementKind] = {
    "requires_confirmation": "confirmation",
    "requires_user_input": "user_input",
    "external_execution": "external_execution",
}


def _is_asked(attempt: Attempt, number: int, place: int, waiting: Sequence[RunRequirement]) -> bool:
    own = waiting[0].call == f"{attempt.output.run_id}/{number}/{place}"
    return own and bool(_unexpired(attempt, waiting))


def _unexpired(attempt: Attempt, waiting: Sequence[RunRequirement]) -> Sequence[RunRequirement]:
    now = attempt.now()
    return [each for each in waiting if each.expires_at is None or each.expires_at > now]


def required(
    attempt: Attempt, turn: Turn, place: int, call: ToolCall, kind: RequirementKind
) -> Sequence[RunRequirement]:
    """Return what the run waits for before a call is made.

    Args:
        attempt: the attempt.
        turn: the model's last answer.
        place: the call's place in it.
        call: the call.
        kind: what it needs a person for.
    """
    key, tool = key_of(attempt, turn, place), attempt.tools[call.name]
    waiting = _unexpired(attempt, (turn.waiting or {}).get(place, ()))
    if waiting and waiting[0].call_key == key:  # Else the run was branched off the one that asked.
        return waiting
    requirement = RunRequirement(key, kind)
    if kind == "user_input":
        requirement.user_input_schema = _fields(tool, call)
    return [_completed(attempt, requirement, call)]


def asked_by(
    attempt: Attempt, turn: Turn, place: int, requirements: Iterable[RunRequirement]
) -> Iterable[RunRequirement]:
    """Yield what a call has asked for while it was made, complete.

    Args:
        attempt: the attempt.
        turn: the model's last answer.
        place: the call's place in it.
        requirements: what was asked for; one without an id is about the call itself.
    """
    call, key = dict(turn.open_calls)[place], key_of(attempt, turn, place)
    before = len((turn.passed or {}).get(place, ()))
    for number, each in enumerate(requirements, before):
        if each.id:
            yield replace(each, call=key)
        else:
            own = replace(each, id=f"{key}/{number}", call=key)
            yield _completed(attempt, own, call)


def _completed(attempt: Attempt, requirement: RunRequirement, call: ToolCall) -> RunRequirement:
    """Return what is asked with the call that it is about, and the rules of its tool.

    Its moments, which were by the clock of this machine, are by that of the database.
    """
    kind, tool = requirement.kind, attempt.tools[call.name]
    execution = ToolExecution(call.id, call.name, call.arguments)
    execution.requires_confirmation = kind == "confirmation"
    execution.requires_user_input = kind in ("user_input", "user_feedback")
    execution.external_execution_required = kind == "external_execution"
    execution.stop_after_tool_call = tool.stop_after_tool_call
    execution.approval_type = kept = tool.approval_type
    execution.approval_id = approval_id = None if kept is None else new_id()
    ahead = attempt.now() - time.time()
    created_at = requirement.created_at + ahead
    expires_at, on_expiry = requirement.expires_at, requirement.on_expiry
    if expires_at is not None:
        expires_at += ahead
    elif tool.expires_in is not None:
        expires_at, on_expiry = created_at + tool.expires_in, tool.on_expiry
    return replace(
        requirement,
        created_at=created_at,
        tool_execution=execution,
        schema=tool.call_schema,
        expires_at=expires_at,
        on_expiry=on_expiry,
        approval_type=kept,
        approval_id=approval_id,
        strict=tool.approval_strict,
    )


def _fields(tool: Tool, call: ToolCall) -> list[UserInputField]:
    """Return the arguments of a call, those without a value that a person is asked for."""
    properties = tool.call_properties
    asked = tool.user_input_fields or [*properties]
    needs = tool.call_schema.get("required")
    needs = needs if isinstance(needs, list) else []
    if tool.user_input_fields or not set(needs) & set(asked):
        needs = asked  # Who names them wants them to be given.
    try:
        values = decode_object(or_none(call.arguments))
    except (ValueError, RecursionError):
        values = {}
    return [
        UserInputField(
            name,
            field_type(schema),
            text if isinstance(text := schema.get("description"), str) else None,
            None if name in asked else values.get(name),
            required=name in asked and name in needs,
        )
        for name, schema in properties.items()
    ]


def is_interrupted(attempt: Attempt, number: int, place: int) -> bool:
    """Say whether a call was under way when an earlier attempt was lost."""
    return number == attempt.replayed and place in attempt.interrupted


def key_of(attempt: Attempt, turn: Turn, place: int) -> str:
    """Return what names a call, the same in every attempt."""
    return f"{attempt.output.run_id}/{turn.number}/{place}"
