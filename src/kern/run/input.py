"""What goes into a run: the messages that it adds to its conversation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from kern.errors import InvalidInputError
from kern.run.codec import decode_object, dump, encode, to_json_value
from kern.run.content import TextPart
from kern.run.message import Message, Role
from kern.run.openai_form import own_part

OVERRIDES = "overrides"
"""The option of a stored input that says what the run has otherwise than its agent says."""


@dataclass(frozen=True, slots=True)
class RunInput:
    """The input of a run.

    Attributes:
        messages: what the run adds to the conversation, in order; at least one.
        options: what it was given beside them that its executor needs, by the name of the option.
    """

    messages: tuple[Message, ...]
    options: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object, *, with_media: bool = False, role: Role = "user") -> Self:
        """Return the input that a caller meant.

        Args:
            value: a text; a message; values, such as a dict or an instance of a pydantic model,
                which are told as JSON; the parts of one message in OpenAI's form; or a list of
                these. A message is a :class:`Message`, or a dict with ``role`` and ``content``, a
                text or a list of parts.
            with_media: whether media is given beside it, so that it need not say anything.
            role: whose it is where it does not say so.

        Raises:
            InvalidInputError: there is nothing to say in it, or it is none of these.
        """
        messages = (Message(role, value),) if isinstance(value, str) else _messages(value, role)
        if not with_media and not any(map(_says_something, messages)):
            raise InvalidInputError("The input is empty. Pass a text or a list of messages.")
        return cls(messages)

    def to_json(self) -> str:
        """Return the input as JSON text."""
        messages = [each.to_dict() for each in self.messages]
        if not self.options:
            return encode({"messages": messages}, "input")
        for name, value in self.options.items():
            encode(value, name)  # So that the error names it.
        return encode({"messages": messages, "options": self.options}, "input")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the input that :meth:`to_json` gave.

        Raises:
            ValueError: the text is damaged.
        """
        values = decode_object(text)
        messages, options = tuple(messages_of(values)), values.get("options")
        if options is None:
            return cls(messages)
        if not isinstance(options, dict):
            raise ValueError(f"expected an object of options, found {options!r:.100}")
        return cls(messages, options)


def with_options(text: str, options: Mapping[str, object]) -> str:
    """Return a stored input with options over those that it has.

    Raises:
        ValueError: the text is damaged.
        InvalidInputError: an option has no JSON form.
    """
    known = RunInput.from_json(text)
    return replace(known, options={**known.options, **options}).to_json()


def _messages(value: object, role: Role) -> tuple[Message, ...]:
    given = value if isinstance(value, list | tuple) else [value]
    if given and all(map(_is_part, given)):
        given = [{"role": role, "content": [*given]}]
    return tuple([_message(each, role) for each in given])


def _message(value: object, role: Role) -> Message:
    if isinstance(value, Message):
        return value
    if isinstance(value, str):
        return Message(role, value)
    if isinstance(value, dict) and "role" in value:
        content = value.get("content")
        if isinstance(content, list):
            return Message.from_dict({**value, "content": [*map(own_part, content)]})
        if isinstance(content, str) or value.get("tool_calls"):
            return Message.from_dict(value)
    elif (isinstance(value, dict) and value) or _is_instance(value):
        return Message(role, _json_of(value))
    raise InvalidInputError(
        f"The input holds {type(value).__name__}. Pass a text, a Message, or a list of messages "
        'such as {"role": "user", "content": "Hello"}; or values to be told as JSON, a dict or an '
        "instance of a pydantic model."
    )


def _is_part(value: object) -> bool:
    return isinstance(value, dict) and "type" in value and "role" not in value


def _is_instance(value: object) -> bool:
    """Say whether a value is an instance of a pydantic model, or a dataclass."""
    return not isinstance(value, type) and (
        hasattr(value, "model_dump") or hasattr(value, "__dataclass_fields__")
    )


def _json_of(value: object) -> str:
    try:
        return dump(to_json_value(value))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInputError(
            f"The input, {type(value).__name__}, has no JSON form: {error}. Pass a text, or values "
            "that have one."
        ) from error


def _says_something(message: Message) -> bool:
    content = message.content
    if isinstance(content, tuple) and any(not isinstance(part, TextPart) for part in content):
        return True
    return bool(message.text.strip()) or message.role == "tool"


def messages_of(values: dict[str, object]) -> list[Message]:
    """Return the messages of a stored input or output.

    Raises:
        ValueError: they are damaged.
    """
    messages = values.get("messages", [])
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise ValueError(f"expected a list of messages, found {messages!r:.100}")
    return [Message.from_dict(each) for each in messages]
