"""Tools, as the model is told of them and as a run has used them."""

import re
from collections.abc import KeysView, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import msgspec
from typing_extensions import override

from kern.errors import InvalidInputError
from kern.run.asked import UserFeedbackQuestion, UserInputField
from kern.run.codec import decode_object, dump
from kern.run.metrics import ToolCallMetrics

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What every provider accepts as the name of a tool."""


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool as a model is told of it.

    Attributes:
        name: what the model calls.
        description: what it is for.
        parameters: its arguments, as a JSON Schema of an object.
        strict: whether the provider is to hold the model to the parameters, where it can; by
            default it does what the provider does by itself.

    Example:
        >>> city = {"type": "object", "properties": {"city": {"type": "string"}}}
        >>> ToolSchema("weather", "Tells the weather of a city.", city).name
        'weather'
    """

    name: str
    description: str
    parameters: dict[str, object]
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to have a tool called.

    It can be read as OpenAI's form of it, too: ``call["function"]["name"]``.

    Attributes:
        id: the provider's id of the call.
        name: the tool's name.
        arguments: its arguments as the model wrote them: JSON text, if all is well.

    Example:
        >>> call = ToolCall("call_1", "add", '{"a": 1}')
        >>> call["function"]["name"], dict(call)["id"]
        ('add', 'call_1')
    """

    id: str
    name: str
    arguments: str

    def __getitem__(self, key: str) -> Any:
        return self._form()[key]

    def get(self, key: str, default: object = None) -> Any:
        """Return a member of OpenAI's form of it, or ``default``."""
        return self._form().get(key, default)

    def keys(self) -> KeysView[str]:
        """Return the names of the members of OpenAI's form of it."""
        return self._form().keys()

    def _form(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}

    def to_dict(self) -> dict[str, object]:
        """Return the call as JSON values."""
        return {"id": self.id, "name": self.name, "arguments": self.arguments}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return the call that :meth:`to_dict` gave, or one in OpenAI's form.

        Raises:
            InvalidInputError: a part is missing.
        """
        try:
            said = values.get("function", values)
            name, arguments = said["name"], said["arguments"]  # type: ignore[index] # It is caught.
            return cls(str(values["id"]), str(name), as_text(arguments))
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError("A tool call needs an id, a name and arguments.") from error


class ToolExecution(msgspec.Struct, omit_defaults=True, dict=True, eq=False):
    """One call of a tool in a run.

    Attributes:
        tool_call_id: the provider's id of the call.
        tool_name: the tool's name.
        arguments: its arguments as the model wrote them: JSON text, if all is well.
        result: the text of what it returned, or what went wrong; None while it has not ended. Of
            one that is too large for a row, how it begins.
        tool_call_error: whether it failed.
        created_at: when it began, in seconds since 1970; 0 where it has not, or that is not known.
        duration: the seconds that it took, once it has ended.
        stop_after_tool_call: whether the run ends with its result.
        child_run_id: the run that it has started, where it is one of another agent.
        requires_confirmation: whether a person has to allow it.
        confirmed: whether a person has; None while nobody has decided.
        confirmation_note: what was said with that.
        requires_user_input: whether a person has to give some of its arguments.
        user_input_schema: which ones.
        user_feedback_schema: what a person is asked.
        answered: whether a person has answered; None while nobody has.
        external_execution_required: whether it is made elsewhere, and its result given.
        approval_type: ``"required"`` or ``"audit"``, where there is a record of the decision.
        approval_id: that record.

    Example:
        >>> ToolExecution("call_1", "refund", '{"amount": 5}').tool_args
        {'amount': 5}
    """

    tool_call_id: str
    tool_name: str
    # Under this name older versions have it, and read it.
    arguments: str = msgspec.field(name="tool_args")
    result: str | None = None
    tool_call_error: bool = False
    created_at: float = 0.0
    duration: float | None = None
    stop_after_tool_call: bool = False
    child_run_id: str | None = None
    requires_confirmation: bool = False
    confirmed: bool | None = None
    confirmation_note: str | None = None
    requires_user_input: bool = False
    user_input_schema: list[UserInputField] | None = None
    user_feedback_schema: list[UserFeedbackQuestion] | None = None
    answered: bool | None = None
    external_execution_required: bool = False
    approval_type: str | None = None
    approval_id: str | None = None

    @override
    def __eq__(self, other: object) -> bool:
        """Say whether it is the same call; when that was, readers may be told by other clocks."""
        if not isinstance(other, ToolExecution):
            return NotImplemented
        if self.arguments != other.arguments:  # The same values may be written in two ways.
            mine, its = _object(self.arguments), _object(other.arguments)
            if mine is None or mine != its:
                return False
        names = (each for each in self.__struct_fields__ if each not in _NOT_COMPARED)
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @cached_property
    def tool_args(self) -> dict[str, Any]:
        """The arguments; none where the model wrote no JSON object, see ``arguments``."""
        return _object(self.arguments) or {}

    @property
    def metrics(self) -> ToolCallMetrics | None:
        """When it began and ended, where that is known."""
        began, took = self.created_at, self.duration
        return ToolCallMetrics(began, began + took, took) if began and took is not None else None

    @property
    def is_paused(self) -> bool:
        """Whether it waits for a person."""
        is_asked = self.requires_confirmation or self.requires_user_input
        is_decided = self.confirmed is not None or self.answered or self.result is not None
        return (is_asked or self.external_execution_required) and not is_decided

    def to_dict(self) -> dict[str, object]:
        """Return the call as JSON values, without the fields that hold their default.

        Arguments that are no JSON object are a text there.
        """
        values: dict[str, object] = msgspec.to_builtins(self)
        if _object(self.arguments) is not None:
            values["tool_args"] = self.tool_args
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return the call that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: a value is missing, or of another kind.
        """
        return msgspec.convert(with_text(values), cls)


_NOT_COMPARED = ("arguments", "created_at", "duration")


def with_text(values: object) -> object:
    """Return the JSON values of a call with its arguments as the text that they are at rest."""
    if not isinstance(values, Mapping):
        return values  # It is refused where it is read.
    arguments = values.get("tool_args")
    return {**values, "tool_args": dump(arguments)} if isinstance(arguments, dict) else values


def as_text(arguments: object) -> str:
    """Return arguments as the text that a model writes."""
    return dump(arguments) if isinstance(arguments, dict) else str(arguments)


def _object(text: str) -> dict[str, Any] | None:
    try:
        return decode_object(text) if text else None
    except (ValueError, RecursionError):
        return None
