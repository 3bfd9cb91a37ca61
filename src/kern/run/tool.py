"""Tools, as the model is told of them and as a run has used them."""

from dataclasses import dataclass
from typing import Self

import msgspec

from kern.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool as a model is told of it.

    Attributes:
        name: what the model calls.
        description: what it is for.
        parameters: its arguments, as a JSON Schema of an object.
        strict: whether the provider is to hold the model to the parameters, where it can; by
            default it does what the provider does by itself.
    """

    name: str
    description: str
    parameters: dict[str, object]
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to have a tool called.

    Attributes:
        id: the provider's id of the call.
        name: the tool's name.
        arguments: its arguments as the model wrote them: JSON text, if all is well.
    """

    id: str
    name: str
    arguments: str

    def to_dict(self) -> dict[str, object]:
        """Return the call as JSON values."""
        return {"id": self.id, "name": self.name, "arguments": self.arguments}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Self:
        """Return the call that :meth:`to_dict` gave.

        Raises:
            InvalidInputError: a part is missing.
        """
        try:
            return cls(str(values["id"]), str(values["name"]), str(values["arguments"]))
        except (KeyError, TypeError) as error:
            raise InvalidInputError("A tool call needs an id, a name and arguments.") from error


@dataclass(slots=True)
class ToolExecution:
    """One call of a tool in a run.

    Attributes:
        tool_call_id: the provider's id of the call.
        tool_name: the tool's name.
        tool_args: its arguments, as the model wrote them.
        result: the text of what it returned, or what went wrong; None while it has not ended. Of
            one that is too large for a row, how it begins.
        tool_call_error: whether it failed.
    """

    tool_call_id: str
    tool_name: str
    tool_args: str
    result: str | None = None
    tool_call_error: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return the call as JSON values."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Self:
        """Return the call that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: a value is missing, or of another kind.
        """
        return msgspec.convert(values, cls)
