"""What a server asks in a call (elicitation), as requirements of the run, and the answers to it.

A server of the newest protocol gives up the call itself: its result says what it asks, with a state
that it wants back. The requirement keeps that, so any process can go on. With an older one kern
gives up the call, and makes it again from its top once there is an answer; what is asked then is
recognised by what it says.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kern.run.answers import field_type
from kern.run.requirement import CallPaused, RunRequirement, UserInputField

if TYPE_CHECKING:
    from mcp.types import ElicitRequestParams, ElicitResult, InputRequiredResult, InputResponses


class Questions:
    """The questions of one call, of which earlier attempts may have brought answers.

    Attributes:
        state: what the server wants back with :attr:`responses`, or None.
        responses: the answers to what it has asked last, by its keys; None for none.
    """

    state: str | None = None
    responses: "InputResponses | None" = None

    def __init__(self, answers: Iterable[RunRequirement]) -> None:
        """Begin with what people have answered.

        Args:
            answers: the requirements of the call, in the order in which they were answered.
        """
        self._answers = [each for each in answers if each.state is not None]
        self._rounds = max((_number(each) for each in self._answers), default=0)
        last = [each for each in self._answers if _number(each) == self._rounds]
        keyed = {each.state["key"]: each for each in last if each.state and "key" in each.state}
        if keyed:
            self.responses = {str(key): _response(each) for key, each in keyed.items()}
            self.responses |= _given(last)
            self.state = _text(last, "request_state")
        # A server that has a state and asks the same once more wants another answer.
        self._known: dict[str, list[RunRequirement]] = {}
        self.repeat()

    def repeat(self) -> None:
        """Have the call made once more: from the server's state, or from its top."""
        if self.state is None and self.responses is None:
            self.forget()

    def forget(self) -> None:
        """Have the call made from its top, where each answer is given once more."""
        self.state, self.responses = None, None
        self._known = {}
        for each in self._answers:
            self._known.setdefault(_print_of(each.state or {}), []).append(each)

    def answer(self, asked: "ElicitRequestParams") -> "ElicitResult":
        """Return the answer to a question.

        Args:
            asked: the question.

        Raises:
            CallPaused: nobody has answered it yet.
        """
        if (known := self._next(asked)) is not None:
            return known
        raise CallPaused([self._requirement(asked)])

    def take(self, result: "InputRequiredResult") -> None:
        """Take what a server of the newest protocol asks, with the answers that are known.

        Args:
            result: what it asks, and its state.

        Raises:
            CallPaused: a question is open.
            ValueError: it asks for what is no question to a person.
        """
        from mcp.types import ElicitRequest

        known: InputResponses = {}
        open_ones: dict[str, ElicitRequestParams] = {}
        for key, request in (result.input_requests or {}).items():
            if not isinstance(request, ElicitRequest):
                raise ValueError(
                    f"The server asks for {request.method}, which kern does not offer to it."
                )
            if (answer := self._next(request.params)) is None:
                open_ones[key] = request.params
            else:
                known[key] = answer
        if open_ones:
            more = {"request_state": result.request_state, "given": _dumped(known)}
            raise CallPaused(
                [self._requirement(each, key=key, **more) for key, each in open_ones.items()]
            )
        self.responses, self.state = known or None, result.request_state

    def _next(self, asked: "ElicitRequestParams") -> "ElicitResult | None":
        found = self._known.get(_print_of(_question(asked)))
        return _response(found.pop(0)) if found else None

    def _requirement(self, asked: "ElicitRequestParams", **more: object) -> RunRequirement:
        question = _question(asked)
        schema = question.get("schema")
        fields = [*_fields(schema)] if isinstance(schema, dict) else []
        return RunRequirement(
            "",
            # Without a field that has to be given, it would need no answer.
            "user_input" if any(each.required for each in fields) else "confirmation",
            user_input_schema=fields or None,
            passes=True,
            message=_message(question),
            state={**question, **more, "round": self._rounds + 1},
        )


def _question(asked: "ElicitRequestParams") -> dict[str, object]:
    """Return what a server asks as JSON values, without what is another each time."""
    if asked.mode == "url":
        return {"message": asked.message, "url": asked.url}
    return {"message": asked.message, "schema": asked.requested_schema}


def _message(question: Mapping[str, object]) -> str:
    url = question.get("url")
    return f"{question['message']} {url}" if url else str(question["message"])


def _print_of(question: Mapping[str, object]) -> str:
    """Return what a question is recognised by."""
    held = {name: question.get(name) for name in ("message", "schema", "url")}
    return json.dumps(held, sort_keys=True)


def _fields(schema: Mapping[str, Any]) -> Iterator[UserInputField]:
    required = schema.get("required") or ()
    for name, about in (schema.get("properties") or {}).items():
        told = [str(each) for key in ("title", "description") if (each := about.get(key))]
        if told and told[0].replace(" ", "_").lower() == name.lower():
            del told[0]  # A title that libraries make of the name says nothing.
        if choices := [*_choices(about)]:
            told.append(f"One of: {', '.join(choices)}")
        if "default" in about:
            told.append(f"By default {about['default']}")
        text = ". ".join(told) or None
        is_asked = name in required and "default" not in about
        yield UserInputField(name, field_type(about), text, required=is_asked)


def _choices(about: Mapping[str, Any]) -> Iterator[str]:
    """Yield what may be chosen in a field, each with its title if it has one."""
    about = about.get("items") or about
    yield from map(str, about.get("enum") or ())
    for each in about.get("oneOf") or about.get("anyOf") or ():
        title = each.get("title")
        yield f"{each.get('const')} ({title})" if title else str(each.get("const"))


def _response(answer: RunRequirement) -> "ElicitResult":
    """Return what a person has answered, as a server is told it."""
    from mcp.types import ElicitResult

    if answer.confirmation is False:
        return ElicitResult(action="decline")
    if answer.state and "url" in answer.state:
        return ElicitResult(action="accept")
    schema = (answer.state or {}).get("schema")
    fields = schema.get("properties", {}) if isinstance(schema, dict) else {}
    content = {name: each["default"] for name, each in fields.items() if "default" in each}
    given = {each.name: each.value for each in answer.user_input_schema or ()}
    content |= {name: value for name, value in given.items() if value is not None}
    return ElicitResult(action="accept", content=content)


def _number(answer: RunRequirement) -> int:
    number = (answer.state or {}).get("round")
    return number if isinstance(number, int) else 0


def _dumped(responses: "InputResponses") -> dict[str, object]:
    return {
        key: each.model_dump(mode="json", by_alias=True, exclude_none=True)
        for key, each in responses.items()
    }


def _given(answers: Sequence[RunRequirement]) -> "InputResponses":
    from mcp.types import ElicitResult

    held = [(each.state or {}).get("given") for each in answers]
    given = next((each for each in held if isinstance(each, dict)), {})
    return {key: ElicitResult.model_validate(each) for key, each in given.items()}


def _text(answers: Sequence[RunRequirement], name: str) -> str | None:
    found = ((each.state or {}).get(name) for each in answers)
    return next((each for each in found if isinstance(each, str)), None)
