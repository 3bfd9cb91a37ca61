"""Whether requests and answers have the shapes that the providers' own SDKs know, and no other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParams
from google.genai import types as google_types
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from kern.testing import RequestRecord
from kern.testing.protocols import Json, Protocol, anthropic, chat, google, responses


class GoogleRequest(BaseModel):
    """The body of ``generateContent``: https://ai.google.dev/api/generate-content."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    contents: list[google_types.Content]
    system_instruction: google_types.Content | None = None
    tools: list[google_types.Tool] | None = None
    tool_config: google_types.ToolConfig | None = None
    safety_settings: list[google_types.SafetySetting] | None = None
    generation_config: google_types.GenerationConfig | None = None
    cached_content: str | None = None


_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_REQUESTS: tuple[tuple[str, TypeAdapter[Any]], ...] = (
    ("/responses", TypeAdapter(ResponseCreateParams, config=_STRICT)),
    ("/chat/completions", TypeAdapter(CompletionCreateParams, config=_STRICT)),
    ("/messages", TypeAdapter(MessageCreateParams, config=_STRICT)),
    ("enerateContent", TypeAdapter(GoogleRequest)),
)
_WHOLE: tuple[tuple[Protocol, TypeAdapter[Any]], ...] = (
    (responses, TypeAdapter(Response)),
    (chat, TypeAdapter(ChatCompletion)),
    (anthropic, TypeAdapter(AnthropicMessage)),
    (google, TypeAdapter(google_types.GenerateContentResponse)),
)
_STREAMED: tuple[tuple[Protocol, TypeAdapter[Any]], ...] = (
    (responses, TypeAdapter(ResponseStreamEvent)),
    (chat, TypeAdapter(ChatCompletionChunk)),
    (anthropic, TypeAdapter(RawMessageStreamEvent)),
    (google, TypeAdapter(google_types.GenerateContentResponse)),
)


def check_request(record: RequestRecord) -> None:
    """Fail where a request has a field that the provider's SDK does not know.

    Raises:
        pydantic.ValidationError: a field is unknown, missing or of a wrong type.
    """
    [adapter] = (each for suffix, each in _REQUESTS if record.path.endswith(suffix))
    for _ in _values(adapter.validate_python(record.body)):
        pass


def unknown_fields(protocol: Protocol, answer: Json, *, streamed: bool = False) -> set[str]:
    """Return the fields of an answer, or of one event of a stream, that the SDK does not know.

    Raises:
        pydantic.ValidationError: a field is missing or of a wrong type.
    """
    [adapter] = (each for known, each in (_STREAMED if streamed else _WHOLE) if known is protocol)
    models = (
        value for value in _values(adapter.validate_python(answer)) if isinstance(value, BaseModel)
    )
    return {name for model in models for name in model.model_extra or ()}


def _values(value: object) -> Iterator[object]:
    """Yield a value and all in it; what is validated only when it is read is read so."""
    yield value
    inner: Iterable[object] = ()
    if isinstance(value, BaseModel):
        inner = (each for _, each in value)
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        inner = value
    for each in inner:
        yield from _values(each)
