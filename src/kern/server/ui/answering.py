"""What a person is asked in a form, and answers in it: one requirement of any kind."""

import json
from typing import NamedTuple

from kern.errors import InvalidInputError
from kern.run.asked import UserFeedbackQuestion, UserInputField
from kern.run.codec import decode_object, parse, shown
from kern.run.printable import escaped, visible
from kern.run.requirement import RunRequirement
from kern.server.runs.given import Answer, Values
from kern.server.ui.forms import Actor


class Field(NamedTuple):
    """An argument that a person gives.

    Attributes:
        asked: the argument.
        text: its value so far, as it stands in the form.
    """

    asked: UserInputField
    text: str


class Asked(NamedTuple):
    """A requirement as the macro ``answering`` shows it.

    Attributes:
        requirement: the requirement.
        arguments: those of its call, as JSON text, to edit.
        readable: the same on several lines, to read.
        fields: the arguments that a person gives.
    """

    requirement: RunRequirement
    arguments: str
    readable: str
    fields: tuple[Field, ...]

    @classmethod
    def of(cls, requirement: RunRequirement) -> "Asked":
        """Return what is shown of a requirement."""
        fields = tuple(Field(each, _text(each)) for each in requirement.user_input_schema or ())
        arguments = requirement.tool_execution.arguments
        return cls(requirement, escaped(arguments), _readable(arguments), fields)


def answer_in(actor: Actor, requirement: RunRequirement) -> Answer:
    """Return what a person has answered, in the form that the macro ``answering`` makes.

    Args:
        actor: who has sent the form.
        requirement: what was asked.

    Raises:
        InvalidInputError: a field that is asked for is empty, or cannot be read.
    """
    id = requirement.id
    match actor.text("answer"):
        case "reject":
            return Answer(id=id, confirmed=False, note=actor.text("note").strip() or None)
        case "result":
            return Answer(id=id, result=actor.text("result"))
        case "approve" if requirement.kind == "user_input":
            return Answer(id=id, values=_values(actor, Asked.of(requirement).fields))
        case "approve" if requirement.kind == "user_feedback":
            return Answer(id=id, values=_choices(actor, requirement.user_feedback_schema or []))
        case "approve":
            text, asked = actor.text("arguments"), Asked.of(requirement).arguments
            is_other = text.strip() not in ("", _as_sent(asked).strip())
            return Answer(id=id, confirmed=True, arguments=_object(text) if is_other else None)
    raise InvalidInputError("Nothing was decided. Choose one of the buttons below the question.")


def _as_sent(text: str) -> str:
    """Return a text without what a browser makes of its new lines."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _object(text: str) -> Values:
    try:
        return decode_object(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"The arguments are no JSON object: {error}.") from None


def _readable(arguments: str) -> str:
    try:
        return json.dumps(parse(arguments), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):  # A model may write what is no JSON.
        return arguments


def _text(field: UserInputField) -> str:
    """Return a value as it stands in the form, where nothing is hidden from who edits it."""
    text = shown(field.value)
    return visible(text) if isinstance(field.value, str) else escaped(text)


def _values(actor: Actor, fields: tuple[Field, ...]) -> Values:
    """Return the arguments that were given; those that were left as they are stay so."""
    found: Values = {}
    for number, (asked, text) in enumerate(fields):
        sent = actor.text(f"value-{number}")
        if sent not in ("", _as_sent(text)):
            found[asked.name] = _value(asked, sent)
        elif not sent and asked.required:
            raise InvalidInputError(f"{asked.name:.100} is asked for, and is empty. Fill it in.")
    return found


def _value(asked: UserInputField, sent: str) -> object:
    """Return a value; numbers are read from their text where the answer is looked at."""
    if asked.field_type in ("str", "int", "float"):
        return sent
    try:
        return parse(sent)
    except (ValueError, RecursionError):
        if asked.field_type == "any":
            return sent
        raise InvalidInputError(
            f"{asked.name:.100} must be JSON, a {asked.field_type}; this is none: {sent!r:.100}."
        ) from None


def _choices(actor: Actor, questions: list[UserFeedbackQuestion]) -> Values:
    """Return the labels that were chosen; a question without options takes a text."""
    found: Values = {}
    for number, each in enumerate(questions):
        labels = [option.label for option in each.options]
        given = actor.form.getlist(f"choice-{number}")
        sent = [text for text in given if isinstance(text, str) and text]
        if labels and not all(text.isdecimal() and int(text) < len(labels) for text in sent):
            raise InvalidInputError(f"{each.question:.100}: choose among the answers shown.")
        found[each.question] = [labels[int(text)] for text in sent] if labels else sent
        if not sent and not each.multi_select:
            raise InvalidInputError(f"{each.question:.100} is asked, and not answered.")
    return found
