"""The parameters of a request for a response, as OpenAI names them."""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]


Kind = TypeVar("Kind", bound="Strict")


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """JSON values of which each is known; others are refused by their names."""


class Named(Strict, frozen=True):
    """A conversation, as an object."""

    id: str


class Reasoning(Strict, frozen=True):
    """How much the model is to think, and tell of it.

    Clients ask for a summary of their own accord; what a model thinks is in no item.
    """

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class TextFormat(Strict, frozen=True, tag="text"):
    """An answer of any form."""


class JsonObject(Strict, frozen=True, tag="json_object"):
    """An answer that is a JSON object."""


class JsonSchema(Strict, frozen=True, tag="json_schema"):
    """An answer that fits a JSON Schema."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class Text(Strict, frozen=True):
    """What the answer has to be."""

    format: TextFormat | JsonObject | JsonSchema | None = None
    verbosity: Literal["medium"] | None = None


class StreamOptions(Strict, frozen=True):
    """How it is streamed."""

    include_obfuscation: bool | None = None


class FunctionTool(Strict, frozen=True, tag="function"):
    """A tool that the client calls."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Body(Strict, frozen=True):
    """The parameters of a request for a response, as OpenAI names them.

    Attributes:
        webhook: kern's own: a URL that is told, signed, how the run has ended.
    """

    model: str
    input: str | list[dict[str, Any]] | None = None
    background: bool | None = None
    conversation: str | Named | None = None
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: Reasoning | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    text: Text | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None
    webhook: str | None = None

    @property
    def conversation_id(self) -> str | None:
        """The id of the conversation, or None."""
        named = self.conversation
        return named.id if isinstance(named, Named) else named
