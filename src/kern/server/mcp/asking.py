"""What a run waits for as a question to the user of a client (elicitation), and the answer."""

import json
from typing import Any

from mcp.server import ServerRequestContext
from mcp.types import ElicitRequestFormParams, ElicitResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from kern.run.agent import RunOutput
from kern.run.asked import UserFeedbackQuestion, UserInputField
from kern.run.requirement import RunRequirement
from kern.server.mcp.results import described
from kern.server.runs.given import Answer

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def is_newest(context: ServerRequestContext[Any, Any]) -> bool:
    """Say whether a client is asked by a result that it answers with the call made again."""
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def can_ask(context: ServerRequestContext[Any, Any]) -> bool:
    """Say whether a client shows its user a form, and the answer to it comes back."""
    able = context.session.client_capabilities
    if able is None or able.elicitation is None:
        return False
    forms = able.elicitation.form is not None or able.elicitation.url is None
    return forms and (is_newest(context) or context.session.can_send_request)


def question_of(run: RunOutput[Any], requirement: RunRequirement) -> ElicitRequestFormParams:
    """Return what a person is asked.

    Args:
        run: the run that waits.
        requirement: what it waits for.
    """
    properties: dict[str, Any] = {}
    required: list[str] = []
    match requirement.kind:
        case "user_input":
            for each in _open_fields(requirement):
                properties[each.name] = _field(each)
                required += [each.name] if each.required else []
        case "user_feedback":
            for number, question in enumerate(requirement.user_feedback_schema or (), 1):
                properties[f"answer_{number}"] = _choice(question)
                required.append(f"answer_{number}")
        case "external_execution":
            properties["result"] = {"type": "string", "title": "Result"}
            required.append("result")
        case "confirmation" | "unknown_outcome":
            pass  # To accept the form is the answer.
    return ElicitRequestFormParams(
        message=described(run, requirement),
        requested_schema={"type": "object", "properties": properties, "required": required},
    )


def answer_of(requirement: RunRequirement, given: ElicitResult) -> Answer | None:
    """Return what a person has answered; None where the question was only put aside.

    Args:
        requirement: what the run waits for.
        given: what came back of the question.
    """
    if given.action == "cancel":
        return None
    if given.action == "decline":
        return _answer(requirement, confirmed=False)
    content = given.content or {}
    match requirement.kind:
        case "user_input":
            types = {each.name: each.field_type for each in _open_fields(requirement)}
            values = {
                name: _value(types.get(name, "str"), value) for name, value in content.items()
            }
            return _answer(requirement, values=values)
        case "user_feedback":
            return _answer(requirement, values=_chosen(requirement, content))
        case "external_execution":
            return _answer(requirement, result=str(content.get("result") or ""))
        case "confirmation" | "unknown_outcome":
            return _answer(requirement, confirmed=True)


def _answer(requirement: RunRequirement, **given: object) -> Answer:
    return Answer.model_validate({"id": requirement.id, **given})


def _open_fields(requirement: RunRequirement) -> list[UserInputField]:
    return [each for each in requirement.user_input_schema or () if each.value is None]


def _field(field: UserInputField) -> dict[str, Any]:
    told = [field.description] if field.description else []
    if field.field_type not in _TYPES:  # A form has texts, numbers and choices only.
        told.append(f"A {field.field_type}, as JSON.")
    shown = {"type": _TYPES.get(field.field_type, "string"), "title": field.name}
    return {**shown, "description": " ".join(told)} if told else shown


def _value(kind: str, value: object) -> object:
    if kind in _TYPES or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value  # That it does not fit is said where it is taken.


def _choice(question: UserFeedbackQuestion) -> dict[str, Any]:
    lines = [question.question]
    lines += [f"{each.label}: {each.description}" for each in question.options if each.description]
    shown = {"title": question.header or question.question, "description": "\n".join(lines)}
    options = {"type": "string", "enum": [each.label for each in question.options]}
    if not question.options:
        return {"type": "string", **shown}
    if question.multi_select:
        return {"type": "array", "items": options, **shown}
    return {**options, **shown}


def _chosen(requirement: RunRequirement, content: dict[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for number, question in enumerate(requirement.user_feedback_schema or (), 1):
        given = content.get(f"answer_{number}")
        if given is not None:
            chosen[question.question] = given if isinstance(given, list) else [given]
    return chosen
