"""What a paused run waits for: a person's decision, as data."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

import msgspec

from kern.errors import InvalidInputError, RunStateError
from kern.keywords import nearest
from kern.run.asked import UserFeedbackOption as UserFeedbackOption
from kern.run.asked import UserFeedbackQuestion as UserFeedbackQuestion
from kern.run.asked import UserInputField as UserInputField
from kern.run.codec import dump, encode, load
from kern.run.tool import ToolExecution, with_text

RequirementKind: TypeAlias = Literal[
    "confirmation", "user_input", "user_feedback", "external_execution", "unknown_outcome"
]
"""What a person has to do: see :class:`RunRequirement`."""

PauseType: TypeAlias = Literal["confirmation", "user_input", "user_feedback", "external_execution"]
"""How a requirement is answered."""

OnExpiry: TypeAlias = Literal["reject", "fail"]
"""What becomes of a requirement that nobody has answered in time."""


@dataclass(slots=True)
class RunRequirement:
    """One thing that a paused run waits for; answer it, and continue the run with it.

    Attributes:
        id: its identity.
        kind: ``"confirmation"``: the tool is called once a person has allowed it.
            ``"user_input"``: a person gives arguments of the call. ``"user_feedback"``: a person
            answers questions. ``"external_execution"``: the call is made elsewhere, and its result
            given. ``"unknown_outcome"``: the call was under way when its process was lost.
        tool_execution: the call; where the call itself asks, it is filled in as the run pauses.
        schema: the arguments of the tool, as a JSON Schema, where the tool is known.
        created_at: when the run paused for it, in seconds since 1970.
        expires_at: until when it can be answered, in seconds since 1970; None for any time.
        on_expiry: what becomes of it then: ``"reject"`` tells the model that nobody has answered;
            ``"fail"`` ends the run in ERROR.
        confirmation: True to have the call made, False to have the model told that it was
            rejected, None while nobody has decided.
        confirmation_note: with a rejection, what the model is told of it.
        external_execution_result: the result of a call that was made elsewhere.
        arguments: the arguments with which the call is made instead of the model's, as JSON text.
        user_input_schema: the arguments of the call, of which those without a value are asked for.
        user_feedback_schema: the questions.
        member_agent_id: the agent of the child run that waits for it, where it is not the run's
            own.
        member_agent_name: what people call that agent.
        member_run_id: that child run.
        call: the idempotency key of the run's call that waits for it, where that is not ``id``.
        passes: whether the answer is given to the call, which is made again to take it.
        state: what the one who asks wants back with the answer.
        approval_type: ``"required"`` or ``"audit"``, where there is a record of the decision.
        approval_id: that record.
        strict: whether the record alone decides.
        message: what the person is told, where the one who asks has said something.

    Example:
        >>> call = ToolExecution("call_1", "refund", '{"amount": 5}')
        >>> requirement = RunRequirement("run/1/0", "confirmation", call)
        >>> requirement.is_resolved()
        False
        >>> requirement.reject("Too much.")
        >>> requirement.is_resolved()
        True
    """

    id: str
    kind: RequirementKind
    tool_execution: ToolExecution = field(default_factory=lambda: ToolExecution("", "", ""))
    schema: dict[str, object] | None = None
    created_at: float = field(default_factory=lambda: time.time())
    expires_at: float | None = None
    confirmation: bool | None = None
    confirmation_note: str | None = None
    external_execution_result: str | None = None
    on_expiry: OnExpiry = "reject"
    arguments: str | None = None
    user_input_schema: list[UserInputField] | None = None
    user_feedback_schema: list[UserFeedbackQuestion] | None = None
    member_agent_id: str | None = None
    member_agent_name: str | None = None
    member_run_id: str | None = None
    call: str | None = None
    passes: bool = False
    state: dict[str, object] | None = None
    approval_type: Literal["required", "audit"] | None = None
    approval_id: str | None = None
    strict: bool = False
    message: str | None = None

    @property
    def call_key(self) -> str:
        """The idempotency key of the run's call that waits for it."""
        return self.call or self.id

    @property
    def pause_type(self) -> PauseType:
        """How it is answered; of a call of unknown outcome by a confirmation, or its result."""
        return "confirmation" if self.kind == "unknown_outcome" else self.kind

    @property
    def needs_confirmation(self) -> bool:
        """Whether a person has yet to allow or reject the call."""
        return self.pause_type == "confirmation" and not self.is_resolved()

    @property
    def needs_user_input(self) -> bool:
        """Whether a person has yet to give arguments of the call."""
        return self.kind == "user_input" and not self.is_resolved()

    @property
    def needs_user_feedback(self) -> bool:
        """Whether a person has yet to answer its questions."""
        return self.kind == "user_feedback" and not self.is_resolved()

    @property
    def needs_external_execution(self) -> bool:
        """Whether the result of the call is yet to be given."""
        return self.kind == "external_execution" and not self.is_resolved()

    @property
    def rejection(self) -> str | None:
        """What the model is told where the call was rejected."""
        if self.confirmation is not False:
            return None
        note = f" {self.confirmation_note}" if self.confirmation_note else ""
        return f"Not called: a person has rejected this call.{note}"

    @property
    def values(self) -> dict[str, Any]:
        """What a person has given: values by the names of the arguments, labels by the questions.

        A question that takes one answer has its label alone.
        """
        if self.kind == "user_feedback":
            return {
                each.question: each.selected_options
                if each.multi_select
                else next(iter(each.selected_options or ()), None)
                for each in self.user_feedback_schema or ()
            }
        return {each.name: each.value for each in self.user_input_schema or ()}

    def is_resolved(self) -> bool:
        """Say whether it was answered."""
        if self.confirmation is False or self.external_execution_result is not None:
            return True
        match self.kind:
            case "user_input":
                asked = self.user_input_schema or ()
                return all(each.value is not None for each in asked if each.required)
            case "user_feedback":
                questions = self.user_feedback_schema or ()
                return all(each.selected_options is not None for each in questions)
            case "external_execution":
                return False
        return self.confirmation is not None

    def confirm(self, tool_args: Mapping[str, object] | None = None) -> None:
        """Have the call made.

        Args:
            tool_args: the arguments with which it is made instead of the model's.

        Raises:
            RunStateError: it has been answered already; so for the other decisions.
            InvalidInputError: it asks for something else, or the arguments have no JSON form.
        """
        self._check_open()
        self._check_asked("confirmation")
        if tool_args is not None:
            _check_mapping("tool_args", tool_args)
            self.arguments = encode(dict(tool_args), "tool_args")
        self.confirmation = True

    def reject(self, note: str | None = None) -> None:
        """Have the model told that the call was rejected.

        Args:
            note: what else it is told.

        Raises:
            InvalidInputError: the note is no text.
        """
        self._check_open()
        _check_text("The note", note or "")
        self.confirmation, self.confirmation_note = False, note

    def set_external_execution_result(self, result: str) -> None:
        """Give the result of a call that was made elsewhere, or whose outcome is known by now.

        Raises:
            InvalidInputError: it is no text.
        """
        self._check_open()
        _check_text("The result", result)
        self.external_execution_result = result

    def provide_user_input(self, values: Mapping[str, object]) -> None:
        """Give arguments of the call.

        Args:
            values: the values, by the names of the arguments.

        Raises:
            InvalidInputError: one is not asked for, or has no JSON form.
        """
        self._check_open()
        _check_mapping("The values", values)
        self._check_asked("user_input", self.user_input_schema)
        fields = {each.name: each for each in self.user_input_schema or ()}
        for name, value in values.items():
            if name not in fields:
                raise InvalidInputError(_unknown("argument", name, [*fields]))
            encode(value, name)
        for name, value in values.items():
            fields[name].value = value

    def provide_user_feedback(self, answers: Mapping[str, Sequence[str]]) -> None:
        """Answer questions.

        Args:
            answers: the labels that were chosen, by the text of the question.

        Raises:
            InvalidInputError: there is no such question or label, or too many were chosen.
        """
        self._check_open()
        _check_mapping("The answers", answers)
        self._check_asked("user_feedback", self.user_feedback_schema)
        questions = {each.question: each for each in self.user_feedback_schema or ()}
        chosen = {question: _labels(labels) for question, labels in answers.items()}
        for text, labels in chosen.items():
            if text not in questions:
                raise InvalidInputError(_unknown("question", text, [*questions]))
            _check_labels(questions[text], labels)
        for text, labels in chosen.items():
            question = questions[text]
            question.selected_options = labels
            for option in question.options:
                option.selected = option.label in labels

    def to_dict(self) -> dict[str, object]:
        """Return the requirement as JSON values."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return values | {"tool_execution": self.tool_execution.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the requirement that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: a value is missing, or of another kind.
        """
        if not isinstance(values, Mapping):
            kind = type(values).__name__
            raise InvalidInputError(f"A requirement is a dict of its values, not {kind}.")
        call = {"tool_execution": with_text(values.get("tool_execution"))}
        return msgspec.convert({**values, **call}, cls)

    def _check_open(self) -> None:
        if self.is_resolved():
            raise RunStateError(f"The requirement {self.id} has been answered already.")

    def _check_asked(self, kind: PauseType, schema: object = None) -> None:
        # A form that may be left as it is waits for a confirmation.
        if self.pause_type != kind and schema is None:
            raise InvalidInputError(
                f"{self.tool_execution.tool_name or 'The call'} waits for {self.pause_type}, not "
                f"for {kind}: answer with {_ANSWERS[self.pause_type]}, or reject()."
            )


_ANSWERS: Mapping[PauseType, str] = {
    "confirmation": "confirm()",
    "user_input": "provide_user_input({name: value})",
    "user_feedback": "provide_user_feedback({question: [labels]})",
    "external_execution": "set_external_execution_result(text)",
}


def _labels(labels: object) -> list[str]:
    if isinstance(labels, str):
        return [labels]
    if isinstance(labels, Sequence) and all(isinstance(each, str) for each in labels):
        return [*labels]
    raise InvalidInputError("Answers must be lists of labels, by the text of the question.")


def _check_labels(question: UserFeedbackQuestion, labels: Sequence[str]) -> None:
    known = [each.label for each in question.options]
    if known and (wrong := next((each for each in labels if each not in known), None)):
        raise InvalidInputError(_unknown("answer", wrong, known))
    if len(labels) > 1 and not question.multi_select:
        raise InvalidInputError(f"{question.question!r:.200} takes one answer, not {len(labels)}.")


def _unknown(what: str, name: object, known: Sequence[str]) -> str:
    return f"There is no {what} {name!r:.100}. {nearest(str(name), known)}"


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidInputError(f"{what} must be a text, not {type(value).__name__}.")


def _check_mapping(what: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{what} must be a dict, not {type(value).__name__}.")


class CallPaused(Exception):  # noqa: N818  # It is no error: the call goes on with the answer.
    """A tool call waits for a person. It is made again from its top once there is an answer."""

    def __init__(self, requirements: Sequence[RunRequirement]) -> None:
        """Wait for these.

        Args:
            requirements: what for; their ``call`` is set where they are journaled.
        """
        super().__init__("The call waits for a person.")
        self.requirements: tuple[RunRequirement, ...] = tuple(requirements)


def place_of(requirement: RunRequirement) -> int:
    """Return the place in the model's answer of the run's call that waits for it; -1 for none."""
    place = requirement.call_key.rpartition("/")[2]
    return int(place) if place.isdecimal() else -1


def first_expiry(requirements: Sequence[RunRequirement]) -> float | None:
    """Return when the first of these expires, in seconds since 1970; None for never."""
    return min(
        (each.expires_at for each in requirements if each.expires_at is not None), default=None
    )


_decoder = msgspec.json.Decoder(list[RunRequirement])


def requirements_to_json(requirements: Sequence[RunRequirement]) -> str:
    """Return requirements as JSON text."""
    return dump(requirements)


def requirements_from_json(text: str) -> list[RunRequirement]:
    """Return the requirements that :func:`requirements_to_json` gave.

    Raises:
        ValueError: the text is damaged.
    """
    return load(text, _decoder)
