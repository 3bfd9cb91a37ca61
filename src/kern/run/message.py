"""Messages: what the conversation of a run is made of."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeAlias, get_args

import msgspec

from kern.errors import InvalidInputError
from kern.run.content import (
    Content,
    Part,
    detached,
    is_content,
    parts_from_json,
    parts_to_json,
    text_of,
)
from kern.run.items import detached_items
from kern.run.tool import ToolCall

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

_ROLES: tuple[str, ...] = get_args(Role)


@dataclass(slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: who speaks.
        content: the text, or the parts where there is more than text; see :attr:`text`.
        tool_calls: the tools that the assistant wants called.
        tool_call_id: of a tool's message, the call that it answers.
        refusal: True where the model declined to answer; the content says how.
        provider: the name of the provider that produced ``provider_items``.
        provider_items: what the provider returned, as it was, so that the next request can hand
            it back unchanged (reasoning items, ids).
        server: the server that produced ``provider_items``, such as ``"api.openai.com/v1"``; they
            mean nothing to another.
        model: the id of the model that produced them, for the same reason.
        is_error: of a tool's message, whether it tells of a failure.

    Raises:
        InvalidInputError: there is no such role, or a field is of another kind.

    Example:
        >>> from kern.run.content import ImagePart, TextPart, Url
        >>> chart = ImagePart(Url("https://example.com/chart.png"))
        >>> Message("user", (TextPart("What is this?"), chart)).text
        'What is this?'
    """

    role: Role
    content: Content | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str | None = None
    refusal: bool = False
    provider: str | None = None
    provider_items: list[dict[str, object]] = field(default_factory=list, repr=False)
    server: str | None = None
    model: str | None = None
    is_error: bool = False

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            known = ", ".join(_ROLES)
            raise InvalidInputError(
                f"A message has the unknown role {self.role!r}. Use one of {known}."
            )
        content = self.content
        if not (isinstance(content, str) or content is None or is_content(content)):
            kind = type(content).__name__
            raise InvalidInputError(
                f"A message's content must be a text or a tuple of parts, not {kind}."
            )
        items = self.provider_items
        if not isinstance(items, list) or (
            items and not all(isinstance(item, dict) for item in items)
        ):
            raise InvalidInputError("A message's provider_items must be a list of dicts.")

    @property
    def text(self) -> str:
        """The text of the content; ``""`` where there is none."""
        return text_of(self.content)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the content; none where it is a text."""
        return self.content if isinstance(self.content, tuple) else ()

    def without_media(self, found: dict[str, bytes]) -> "Message":
        """Return the message with references in place of the media that it holds itself.

        Args:
            found: what references stand for, by their hash; it is added to.
        """
        content = self.content
        if isinstance(content, tuple):
            content = tuple([detached(part, found) for part in content])
        items = detached_items(self.provider_items, found)
        return replace(self, content=content, provider_items=items)

    def to_dict(self) -> dict[str, object]:
        """Return the message as JSON values, without the fields that hold their default.

        Media that it holds itself is told by its hash and size only.
        """
        values: dict[str, object] = {"role": self.role}
        content = self.content
        if content is not None:
            values["content"] = content if isinstance(content, str) else parts_to_json(content)
        if self.tool_call_id is not None:
            values["tool_call_id"] = self.tool_call_id
        if self.refusal:
            values["refusal"] = True
        if self.provider is not None:
            values["provider"] = self.provider
        if self.provider_items:
            values["provider_items"] = detached_items(self.provider_items, {})
        if self.server is not None:
            values["server"] = self.server
        if self.model is not None:
            values["model"] = self.model
        if self.is_error:
            values["is_error"] = True
        if self.tool_calls:
            values["tool_calls"] = [each.to_dict() for each in self.tool_calls]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Self:
        """Return the message that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            InvalidInputError: there is no such role, or a field is of another kind.
        """
        given: dict[str, Any] = values
        content, calls = given.get("content"), given.get("tool_calls", [])
        if not isinstance(calls, list):
            raise InvalidInputError("A message's tool_calls must be a list.")
        return cls(
            given.get("role"),  # type: ignore[arg-type] # It is looked at there.
            parts_from_json(content) if isinstance(content, list) else content,
            [ToolCall.from_dict(each) for each in calls],
            given.get("tool_call_id"),
            given.get("refusal", False),
            given.get("provider"),
            given.get("provider_items", []),
            given.get("server"),
            given.get("model"),
            given.get("is_error", False),
        )


@dataclass(slots=True)
class Metrics:
    """What a run used.

    Attributes:
        input_tokens: tokens sent to the model, cached ones included.
        output_tokens: tokens that the model produced, reasoning included.
        total_tokens: both together.
        cached_tokens: input tokens that the provider served from its cache.
        reasoning_tokens: output tokens spent on reasoning.
        model_calls: answered model calls.
        tool_calls: tool calls with a result, refused ones included.
        duration: seconds from the start of the run's last attempt to its end.
        audio_tokens: tokens of sound, in the input and the output.
        cache_write_tokens: input tokens that the provider put into its cache.
        time_to_first_token: seconds from the question to the first piece of the answer, of the
            first model call that was streamed, repetitions included.
        cached_calls: the model calls that were answered from this machine, see
            :class:`~kern.models.cache.ResponseCache`; they used no tokens.
        audio_output_tokens: of the tokens of sound, those in the output.
        cost: in US dollars, what the calls cost whose price is known; None where there is none.
        unpriced_calls: answered model calls whose price is not known.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    duration: float | None = None
    audio_tokens: int = 0
    cache_write_tokens: int = 0
    time_to_first_token: float | None = None
    cached_calls: int = 0
    audio_output_tokens: int = 0
    cost: float | None = None
    unpriced_calls: int = 0

    def add(self, other: "Metrics") -> None:
        """Add what one more model call, or run, used."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.total_tokens += other.total_tokens
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.model_calls += other.model_calls
        self.tool_calls += other.tool_calls
        if other.audio_tokens or other.audio_output_tokens or other.cache_write_tokens:
            self.audio_tokens += other.audio_tokens
            self.audio_output_tokens += other.audio_output_tokens
            self.cache_write_tokens += other.cache_write_tokens
        if self.time_to_first_token is None:
            self.time_to_first_token = other.time_to_first_token
        self.cached_calls += other.cached_calls
        self.unpriced_calls += other.unpriced_calls
        if other.cost is not None:  # Rounded, so that sums look like what was added.
            self.cost = round((self.cost or 0.0) + other.cost, 12)

    def to_dict(self) -> dict[str, object]:
        """Return the metrics as JSON values."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Self:
        """Return the metrics that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: a value is of another kind.
        """
        return msgspec.convert(values, cls)
