"""Between kern's messages and the JSON of the Responses API.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import TypeGuard, cast

from kern.errors import ModelError
from kern.models.base import ModelRequest, ModelResponse, OutputSchema
from kern.models.failures import failure_of
from kern.models.openai.parts import Json, answer_content, input_parts
from kern.run.content import text_of
from kern.run.message import Message, Metrics
from kern.run.tool import ToolCall


class Encoded:
    """The messages of a run as they are sent: each is encoded once.

    Attributes:
        items: the conversation, each item as JSON.
        instructions: the texts of the system messages.
    """

    def __init__(self, provider: str) -> None:
        """Begin with none.

        Args:
            provider: whose answers are handed back as they were, with reasoning and ids.
        """
        self.items: list[bytes] = []
        self.instructions: list[str] = []
        self._provider = provider
        self._values: list[object] = []

    def update(self, messages: Sequence[Message]) -> None:
        """Hold these messages; what is encoded already stays where they begin with it.

        Raises:
            ModelError: a message holds something that the API does not take.
        """
        values: list[object] = [*map(_values_of, messages)]
        if values[: len(self._values)] != self._values:
            self.items, self.instructions, self._values = [], [], []
        for message in messages[len(self._values) :]:
            if message.role == "system":
                self.instructions.append(message.text)
            else:
                self.items += [encode(item) for item in _input_items(message, self._provider)]
            self._values.append(values[len(self._values)])


_values_of = attrgetter(
    "role", "content", "tool_calls", "tool_call_id", "provider", "provider_items"
)


def request_body(
    request: ModelRequest, provider: str, own: Mapping[str, object]
) -> dict[str, bytes]:
    """Return the body of a request: its parameters, each as JSON.

    The same messages always give the same bytes, so that a provider's prompt cache still hits.

    Args:
        request: the conversation, the tools, and how to answer.
        provider: whose answers are handed back as they were, with reasoning and ids.
        own: the other parameters.

    Raises:
        ModelError: a message holds something that the API does not take, or a parameter has no
            JSON form.
    """
    known = request.memo.get(provider)
    request.memo[provider] = encoded = known if isinstance(known, Encoded) else Encoded(provider)
    encoded.update(request.messages)
    given: Json = {**own, **request.settings, "input": None}
    if encoded.instructions:
        given["instructions"] = "\n\n".join(encoded.instructions)
    if request.tools:
        given["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": False,
            }
            for tool in request.tools
        ]
    if request.tool_choice is not None:
        given["tool_choice"] = _tool_choice(request.tool_choice)
    if request.output_schema is not None:
        given["text"] = {**_object(given, "text"), "format": _format(request.output_schema)}
    body = {name: encode(value) for name, value in given.items()}
    body["input"] = b"[%b]" % b",".join(encoded.items)
    return body


def encode(value: object) -> bytes:
    """Return a value as JSON, as the SDK would write it.

    Raises:
        ModelError: it has no JSON form.
    """
    try:
        text = _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"The request has no JSON form: {error}.", kind="invalid_request"
        ) from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # A lone surrogate has no bytes in UTF-8.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _of_the_sdk(value: object) -> object:
    """Return a parameter that is an object of the SDK's as JSON values."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    raise TypeError(f"a {type(value).__name__} is none")


_to_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_of_the_sdk
).encode


def _tool_choice(choice: str) -> object:
    known = choice in ("none", "auto", "required")
    return choice if known else {"type": "function", "name": choice}


def _format(form: OutputSchema) -> Json:
    return {
        "type": "json_schema",
        "name": form.name,
        "schema": dict(form.schema),
        "strict": form.strict,
    }


def _input_items(message: Message, provider: str) -> list[Json]:
    if message.provider == provider and message.provider_items:
        return message.provider_items
    content: object = message.content or ""
    if isinstance(content, tuple):
        # The API takes an answer's text only: its sources and reasoning are the model's own.
        content = message.text if message.role == "assistant" else input_parts(content)
    if message.role == "tool":
        call_id = message.tool_call_id
        return [{"type": "function_call_output", "call_id": call_id, "output": content}]
    items: list[Json] = []
    if message.role == "assistant" and content:
        # In full: servers other than OpenAI's know an answer by its parts.
        part = {"type": "output_text", "text": content}
        items.append({"type": "message", "role": "assistant", "content": [part]})
    elif not message.tool_calls:
        items.append({"role": message.role, "content": content})
    for call in message.tool_calls:
        items.append(
            {
                "type": "function_call",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
            }
        )
    return items


def read_response(payload: object, model: str, provider: str) -> ModelResponse:
    """Return the answer in a response.

    Args:
        payload: the response as parsed JSON.
        model: the model's id, for errors.
        provider: who answered.

    Raises:
        ModelError: the response failed, is incomplete, or is no response at all.
    """
    if not _is_response(payload):
        raise ModelError(f"{model} answered with something that is no response.", kind="malformed")
    items = cast(list[Json], payload["output"])
    content, refused = answer_content(items)
    text, status = text_of(content), payload.get("status")
    if status == "failed":
        error = _object(payload, "error")
        code = error.get("code")
        failure = failure_of(code)
        raise ModelError(
            f"{model} failed: {error.get('message') or code or 'it does not say why'}",
            kind=failure.kind,
            transient=failure.transient,
            content=text,
        )
    if status == "incomplete":
        reason = _object(payload, "incomplete_details").get("reason")
        remedy = " Raise max_output_tokens." if reason == "max_output_tokens" else ""
        raise ModelError(
            f"{model} broke off its answer: {reason}.{remedy}",
            kind="content_filter" if reason == "content_filter" else "incomplete",
            content=text,
        )
    if status not in (None, "completed"):
        raise ModelError(f"{model} ended with the status {status!r}.", content=text)
    calls = [
        ToolCall(str(item.get("call_id")), str(item.get("name")), str(item.get("arguments") or ""))
        for item in items
        if item.get("type") == "function_call"
    ]
    message = Message("assistant", content, tool_calls=calls, refusal=refused)
    if any(item.get("type") != "message" for item in items):
        # More than the text: kept as it was, for the provider to go on from.
        message.provider, message.provider_items = provider, items
    return ModelResponse(
        message,
        _metrics(_object(payload, "usage")),
        "tool_calls" if calls else "stop",
        _text(payload, "model"),
        _text(payload, "id"),
    )


def _is_response(payload: object) -> TypeGuard[Json]:
    """Tell whether what is read of the payload has the form that it should have."""
    if not isinstance(payload, dict) or not _are_objects(payload.get("output")):
        return False
    contents = [item.get("content") for item in payload["output"] if item.get("type") == "message"]
    return all(map(_are_objects, filter(None, contents)))


def _are_objects(values: object) -> bool:
    return isinstance(values, list) and {*map(type, values)} <= {dict}


def _metrics(usage: Json) -> Metrics:
    return Metrics(
        input_tokens=_number(usage, "input_tokens"),
        output_tokens=_number(usage, "output_tokens"),
        total_tokens=_number(usage, "total_tokens"),
        cached_tokens=_number(_object(usage, "input_tokens_details"), "cached_tokens"),
        reasoning_tokens=_number(_object(usage, "output_tokens_details"), "reasoning_tokens"),
        model_calls=1,
    )


def _object(values: Json, key: str) -> Json:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _text(values: Json, key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None


def _number(values: Json, key: str) -> int:
    value = values.get(key)
    return value if isinstance(value, int) else 0
