"""What people answer to a paused run: taken from whatever comes in, and looked at before it counts.

A requirement may have been to a browser and back. Of what was given only the answer is taken; what
was asked is what is journaled.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec
from typing_extensions import TypeVar

from kern.errors import InvalidInputError, RunStateError
from kern.keywords import nearest
from kern.run.codec import decode_object, dump, encode
from kern.run.requirement import RunRequirement, UserFeedbackQuestion, UserInputField
from kern.run.tool import ToolExecution

Kind = TypeVar("Kind")

LIMIT = 1024 * 1024
"""How many characters a note, or all the values of an answer, have at most."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}

_JSON_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}


def answered(waiting: RunRequirement, given: RunRequirement) -> RunRequirement:
    """Return what a run waits for, with the answer that was given to it.

    Args:
        waiting: as it was journaled.
        given: the same as it came back: answered itself, or by its ``tool_execution``.

    Raises:
        RunStateError: the answer is for a call with other arguments than the one that waits.
        InvalidInputError: a part of the answer is of another kind, unknown or too long.
    """
    _check_shown(waiting, given)
    call = given.tool_execution
    confirmation = call.confirmed if given.confirmation is None else given.confirmation
    result = given.external_execution_result
    if result is None and waiting.kind in ("external_execution", "unknown_outcome"):
        result = call.result
    note = given.confirmation_note or call.confirmation_note
    _check("The confirmation", confirmation, bool)
    _check("The note", note, str)
    _check("The result", result, str)
    _check("The arguments", given.arguments, str)
    if note is not None and len(note) > LIMIT:
        raise InvalidInputError(f"The note has {len(note)} characters; {LIMIT} are allowed.")
    found = replace(
        waiting,
        confirmation=confirmation,
        confirmation_note=note,
        external_execution_result=result,
        arguments=given.arguments,
        user_input_schema=_fields(waiting, given.user_input_schema or call.user_input_schema),
        user_feedback_schema=_questions(
            waiting, given.user_feedback_schema or call.user_feedback_schema
        ),
    )
    if confirmation is not False and result is None and (text := arguments_of(found)) is not None:
        _check_arguments(text, found)
    return found


def arguments_of(requirement: RunRequirement) -> str | None:
    """Return the arguments that a person has given in place of the model's, as JSON text."""
    if requirement.arguments is not None:
        return requirement.arguments
    if requirement.kind != "user_input" or not requirement.is_resolved():
        return None
    # One that was not asked for has the model's value; without one, its default.
    given = {
        each.name: each.value
        for each in requirement.user_input_schema or ()
        if each.value is not None
    }
    return dump({**requirement.tool_execution.tool_args, **given})


def of_tools(
    waiting: Iterable[RunRequirement], tools: Sequence[ToolExecution]
) -> list[RunRequirement]:
    """Return requirements with the calls that a person has answered in their place.

    Args:
        waiting: what a run waits for.
        tools: calls, answered: ``tool.confirmed = True``, say. Each answers one requirement: calls
            of two children may have the same id.
    """
    given: dict[str, ToolExecution] = {}
    for made in tools:
        id = made.tool_call_id
        same = [
            each
            for each in waiting
            if each.tool_execution.tool_call_id == id and each.id not in given
        ]
        fitting = (each for each in same if _same_arguments(each.tool_execution, made))
        # One with other arguments is refused where it is looked at.
        if (own := next(fitting, same[0] if same else None)) is not None:
            given[own.id] = made
    return [
        replace(
            each,
            tool_execution=call,
            user_input_schema=call.user_input_schema or each.user_input_schema,
            user_feedback_schema=call.user_feedback_schema or each.user_feedback_schema,
        )
        for each in waiting
        if (call := given.get(each.id)) is not None
    ]


def field_type(schema: Mapping[str, object]) -> str:
    """Return the type that a JSON Schema describes, as people write it."""
    kinds = schema.get("anyOf")
    if isinstance(kinds, list):
        known = [each for each in kinds if isinstance(each, Mapping) and each.get("type") != "null"]
        return field_type(known[0]) if len(known) == 1 else "any"
    kind = schema.get("type")
    return _JSON_TYPES.get(kind, "any") if isinstance(kind, str) else "any"


def _check_shown(waiting: RunRequirement, given: RunRequirement) -> None:
    """Make sure that a person was shown the call that waits."""
    mine, shown = waiting.tool_execution, given.tool_execution
    is_same = mine.tool_name == shown.tool_name and mine.tool_call_id == shown.tool_call_id
    if not is_same or not _same_arguments(mine, shown):
        raise RunStateError(
            f"The answer to {waiting.id} is for another call than the one that waits: "
            f"{mine.tool_name} with {mine.arguments:.500}. Read the run again, and answer what it "
            "waits for; confirm(tool_args={...}) has a call made with other arguments."
        )


def _same_arguments(mine: ToolExecution, shown: ToolExecution) -> bool:
    if mine.tool_args != shown.tool_args:  # It is what people are shown, and may change.
        return False
    return mine.arguments == shown.arguments or bool(mine.tool_args)


def _fields(waiting: RunRequirement, given: object) -> list[UserInputField] | None:
    """Return the arguments that are asked for, with the values that were given."""
    asked = waiting.user_input_schema
    if asked is None or given is None:
        return asked
    values = {each.name: each.value for each in _converted(given, UserInputField)}
    names = [each.name for each in asked]
    if wrong := next((name for name in values if name not in names), None):
        raise InvalidInputError(f"There is no argument {wrong!r:.100}. {_near(wrong, names)}")
    found = [replace(each, value=values.get(each.name, each.value)) for each in asked]
    if len(encode({each.name: each.value for each in found}, "What was given")) > LIMIT:
        raise InvalidInputError(f"The values of {waiting.id} are longer than {LIMIT} characters.")
    for each in found:
        each.value = _typed(each.name, each.value, each.field_type)
    return found


def _questions(waiting: RunRequirement, given: object) -> list[UserFeedbackQuestion] | None:
    """Return the questions, with the answers that were chosen."""
    asked = waiting.user_feedback_schema
    if asked is None or given is None:
        return asked
    chosen = {
        each.question: each.selected_options
        or [option.label for option in each.options if option.selected]
        or None
        for each in _converted(given, UserFeedbackQuestion)
    }
    found = replace(
        waiting,
        user_feedback_schema=[
            replace(each, options=[replace(option) for option in each.options]) for each in asked
        ],
    )
    if len(encode(chosen, "What was chosen")) > LIMIT:
        raise InvalidInputError(f"The answers to {waiting.id} are longer than {LIMIT} characters.")
    if not found.is_resolved():
        found.provide_user_feedback(
            {question: labels for question, labels in chosen.items() if labels is not None}
        )
    return found.user_feedback_schema


def _converted(given: object, kind: type[Kind]) -> list[Kind]:
    try:
        items = msgspec.convert(msgspec.to_builtins(given), list[object])
        return [msgspec.convert(each, kind) for each in items]
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"The answer cannot be read: {error}") from error


def _check_arguments(text: str, answer: RunRequirement) -> None:
    """Make sure that arguments can be those of the tool, as far as their schema says."""
    try:
        values = decode_object(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"The arguments are no JSON object: {error}") from None
    if len(text) > max(LIMIT, len(answer.tool_execution.arguments)):
        raise InvalidInputError(f"The arguments are longer than {LIMIT} characters.")
    schema = answer.schema or {}
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or answer.passes:
        return
    if schema.get("additionalProperties") is False:
        for name in values.keys() - properties.keys():
            known = _near(name, [*properties])
            raise InvalidInputError(f"There is no argument {name!r:.100}. {known}")
    required = schema.get("required")
    for name in required if isinstance(required, list) else ():
        if name not in values:
            raise InvalidInputError(f"The argument {name} is missing; tool_args are all of them.")
    for name, value in values.items():
        _typed(name, value, field_type(properties.get(name, {})))


def _typed(name: str, value: object, kind: str) -> object:
    """Return a value of a type; who types into a form writes a number as text.

    Raises:
        InvalidInputError: it is of another type.
    """
    allowed = _TYPES.get(kind)
    if isinstance(value, str) and kind in ("int", "float"):
        with suppress(ValueError):
            return msgspec.convert(value, int if kind == "int" else float, strict=False)
    if value is None or allowed is None:
        return value
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise InvalidInputError(f"{name} must be of the type {kind}, not {type(value).__name__}.")
    return value


def _check(what: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        names = {bool: "True or False", str: "a text"}
        raise InvalidInputError(f"{what} must be {names[kind]}, not {type(value).__name__}.")


def _near(name: str, known: Sequence[str]) -> str:
    return nearest(name[:100], known)
