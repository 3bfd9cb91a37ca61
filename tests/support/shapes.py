"""Whether requests and answers have the shapes that the providers' own SDKs know, and no other."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
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
from sdk_types import misfits

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


_REQUESTS: tuple[tuple[str, Any], ...] = (
    ("/responses", ResponseCreateParams),
    ("/chat/completions", CompletionCreateParams),
    ("/messages", MessageCreateParams),
    ("enerateContent", GoogleRequest),
)
_WHOLE: tuple[tuple[Protocol, Any], ...] = (
    (responses, Response),
    (chat, ChatCompletion),
    (anthropic, AnthropicMessage),
    (google, google_types.GenerateContentResponse),
)
_STREAMED: tuple[tuple[Protocol, Any], ...] = (
    (responses, ResponseStreamEvent),
    (chat, ChatCompletionChunk),
    (anthropic, RawMessageStreamEvent),
    (google, google_types.GenerateContentResponse),
)

# What servers other than OpenAI's want back of a message; they are told it where they have sent it.
_BEYOND_OPENAI = ("reasoning", "reasoning_content", "reasoning_details", "extra_content")


def check_request(record: RequestRecord) -> None:
    """Fail where a request has a field that the provider's SDK does not know.

    Raises:
        ValueError: a field is unknown, missing or of a wrong type.
    """
    [form] = (each for suffix, each in _REQUESTS if record.path.endswith(suffix))
    body = dict(record.body)
    if form is CompletionCreateParams and "messages" in body:
        body["messages"] = [
            {name: value for name, value in message.items() if name not in _BEYOND_OPENAI}
            for message in body["messages"]
        ]
    if isinstance(form, type) and issubclass(form, BaseModel):
        form.model_validate(body)
    elif found := misfits(body, form):
        raise ValueError(f"{record.path}: {', '.join(found)}")


def unknown_fields(protocol: Protocol, answer: Json, *, streamed: bool = False) -> set[str]:
    """Return the fields of an answer, or of one event of a stream, that the SDK does not know.

    Raises:
        pydantic.ValidationError: a field is missing or of a wrong type.
    """
    [form] = (each for known, each in (_STREAMED if streamed else _WHOLE) if known is protocol)
    read = _adapter(form).validate_python(answer)
    models = (value for value in _values(read) if isinstance(value, BaseModel))
    return {name for model in models for name in model.model_extra or ()}


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)


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
