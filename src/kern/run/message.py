"""Messages: what the conversation of a run is made of."""

from dataclasses import dataclass, field, fields
from typing import Literal, Self, TypeAlias, cast

from kern.run.tool import ToolCall

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: who speaks.
        content: the text.
        tool_calls: the tools that the assistant wants called.
        tool_call_id: of a tool's message, the call that it answers.
        refusal: True where the model declined to answer; the content says how.
        provider: the name of the provider that produced ``provider_items``.
        provider_items: what the provider returned, as it was, so that the next request can hand
            it back unchanged (reasoning items, ids).
    """

    role: Role
    content: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str | None = None
    refusal: bool = False
    provider: str | None = None
    provider_items: list[dict[str, object]] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Return the message as JSON values, without the fields that hold their default."""
        values: dict[str, object] = {"role": self.role}
        values |= {name: value for name in _PLAIN if (value := getattr(self, name))}
        if self.tool_calls:
            values["tool_calls"] = [each.to_dict() for each in self.tool_calls]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Self:
        """Return the message that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: there is no such role.
            KeyError: a tool call lacks a part.
        """
        if values.get("role") not in ("system", "user", "assistant", "tool"):
            raise ValueError(f"a message has the unknown role {values.get('role')!r}")
        known = {name: values[name] for name in _PLAIN if name in values}
        message = cls(role=cast(Role, values["role"]), **known)  # type: ignore[arg-type] # JSON
        calls = cast(list[dict[str, object]], values.get("tool_calls", []))
        message.tool_calls = [ToolCall.from_dict(each) for each in calls]
        return message


_PLAIN = ("content", "tool_call_id", "refusal", "provider", "provider_items")


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
        duration: seconds from the start of the run's last attempt to its end.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    model_calls: int = 0
    duration: float | None = None

    def add(self, other: "Metrics") -> None:
        """Add what one more model call used."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.total_tokens += other.total_tokens
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.model_calls += other.model_calls

    def to_dict(self) -> dict[str, object]:
        """Return the metrics as JSON values."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Self:
        """Return the metrics that :meth:`to_dict` gave; unknown keys are ignored."""
        known = {each.name for each in fields(cls)}
        return cls(**{k: v for k, v in values.items() if k in known})  # type: ignore[arg-type] # from JSON
