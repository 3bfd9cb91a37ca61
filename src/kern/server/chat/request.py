"""What a request for a chat completion asks for: parameters are read, or refused by name."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from kern.run.message import Message
from kern.run.overrides import Overrides
from kern.server.problems import RequestError
from kern.server.responses.body import (
    Count,
    JsonObject,
    JsonSchema,
    StreamOptions,
    Strict,
    TextFormat,
)
from kern.server.responses.items import InputReader, Item, refused
from kern.server.responses.request import (
    check_metadata,
    check_stream_options,
    checked,
    client_tools,
    converted,
    schema_of,
    tool_choice,
)

# Parameters of OpenAI's that are not supported, with the values that ask for nothing.
_UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    "audio": (None,),
    "frequency_penalty": (None, 0),
    "function_call": (None,),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "moderation": (None,),
    "n": (None, 1),
    "prediction": (None,),
    "presence_penalty": (None, 0),
    "prompt_cache_key": (None,),
    "prompt_cache_options": (None,),
    "prompt_cache_retention": (None,),
    "seed": (None,),
    "service_tier": (None, "auto", "default"),
    "stop": (None, []),
    "top_logprobs": (None, 0),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
}


class ChatSchema(Strict, frozen=True, tag="json_schema"):
    """An answer that fits a JSON Schema."""

    json_schema: dict[str, Any]


class ChatStreamOptions(StreamOptions, frozen=True):
    """How it is streamed."""

    include_usage: bool | None = None


class Body(Strict, frozen=True):
    """The parameters of a request for a chat completion, as OpenAI names them."""

    model: str
    messages: list[dict[str, Any]]
    max_completion_tokens: Count | None = None
    max_tokens: Count | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    response_format: TextFormat | JsonObject | ChatSchema | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None


class Asked(NamedTuple):
    """A request for a chat completion, read and checked.

    Attributes:
        body: its parameters.
        messages: the conversation so far.
        overrides: what the run has otherwise than its agent says.
        output_schema: what the answer has to be, as a JSON Schema; None where a text will do.
    """

    body: Body
    messages: list[Message]
    overrides: Overrides
    output_schema: dict[str, Any] | None

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with what was used."""
        options = self.body.stream_options
        return options is not None and bool(options.include_usage)


def read_chat(given: Mapping[str, Any]) -> Asked:
    """Return what a request asks for.

    Args:
        given: its body.

    Raises:
        RequestError: a parameter is unknown, not supported, or cannot be used (400).
    """
    body = checked(given, Body, _UNSUPPORTED)
    check_metadata(body.metadata)
    check_stream_options(body.stream_options, streamed=bool(body.stream))
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise refused("max_tokens", "Give max_completion_tokens or max_tokens, not both.")
    tools = client_tools([_flat(each, f"tools[{i}]") for i, each in enumerate(body.tools or ())])
    choice = body.tool_choice
    if isinstance(choice, dict):
        choice = _flat(choice, "tool_choice")
    overrides = Overrides(
        tools=tools,
        tool_choice=tool_choice(choice, tools, body.model),
        max_output_tokens=body.max_completion_tokens or body.max_tokens,
        reasoning_effort=body.reasoning_effort,
        temperature=body.temperature,
        top_p=body.top_p,
    )
    schema = _schema(body.response_format)
    return Asked(body, read_messages(body.messages), overrides, schema)


def read_messages(given: Sequence[Item]) -> list[Message]:
    """Return the messages of a request.

    Raises:
        RequestError: one cannot be used, or tool calls and their results do not match (400).
    """
    reader = InputReader()
    for place, each in enumerate(given):
        param = f"messages[{place}]"
        for item in _items(each, param):
            reader.read(item, param)
    said = reader.said()
    if said.answers:
        raise refused(
            "messages",
            f"A tool message answers the call {said.answers[0]!r:.100}, which no message before it "
            "has made.",
        )
    if not said.messages:
        raise refused("messages", "There is nothing to do: messages is empty.")
    return said.messages


def _items(message: Item, param: str) -> list[Item]:
    """Return a message as items of the Responses API."""
    role, content = message.get("role"), message.get("content")
    if isinstance(content, list):
        content = [_part(each, f"{param}.content[{i}]") for i, each in enumerate(content)]
    if role == "tool":
        call_id = message.get("tool_call_id")
        return [{"type": "function_call_output", "call_id": call_id, "output": content}]
    if role != "assistant":
        return [{"type": "message", "role": role, "content": content}]
    if message.get("audio") is not None or message.get("function_call") is not None:
        raise refused(param, "audio and function_call of messages are not supported.")
    items: list[Item] = []
    if message.get("refusal"):
        content = [{"type": "refusal", "refusal": message["refusal"]}]
    if content:
        items.append({"type": "message", "role": "assistant", "content": content})
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise refused(f"{param}.tool_calls", "tool_calls must be a list.", "invalid_type")
    for place, each in enumerate(calls):
        call = _flat(each, f"{param}.tool_calls[{place}]")
        items.append({**call, "type": "function_call", "call_id": call.get("id")})
    return items


def _part(part: object, where: str) -> object:
    """Return a part of a message as one of the Responses API."""
    match part:
        case {"type": "image_url", "image_url": {"url": str(url), **rest}}:
            return {"type": "input_image", "image_url": url, "detail": rest.get("detail")}
        case {"type": "file", "file": {"file_id": str()}}:
            return {"type": "input_file", "file_id": "file"}
        case {"type": "file", "file": {"file_data": str(data), **rest}}:
            return {"type": "input_file", "file_data": data, "filename": rest.get("filename")}
        case {"type": "image_url" | "file"}:
            raise refused(where, "An image needs its URL, and a file its data.", "invalid_type")
    return part


def _flat(value: object, where: str) -> dict[str, Any]:
    """Return a tool, a call or a choice with the members of its function beside its others."""
    match value:
        case {"type": "function", "function": dict(function), **rest}:
            return {"type": "function", **rest, **function}
    if isinstance(value, dict) and "type" in value:
        return value  # It is refused by its type.
    raise refused(where, f"{where} needs a type, and a function.", "invalid_type")


def _schema(format: TextFormat | JsonObject | ChatSchema | None) -> dict[str, Any] | None:
    if not isinstance(format, ChatSchema):
        return schema_of(format, "response_format")
    where = "response_format.json_schema"
    try:
        schema = converted({**format.json_schema, "type": "json_schema"}, JsonSchema)
    except RequestError as wrong:
        param = f"{where}.{wrong.param}" if wrong.param else where
        raise refused(param, f"{where}: {wrong.detail}", wrong.code) from wrong
    return schema_of(schema, f"{where}.schema")
