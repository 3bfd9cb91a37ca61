"""Between kern's messages and the JSON of the Responses API.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from collections.abc import Sequence
from typing import TypeAlias, TypeGuard, cast

from kern.errors import ModelError
from kern.models.base import ModelResponse
from kern.run.message import Message, Metrics

Json: TypeAlias = dict[str, object]


def request_body(messages: Sequence[Message], provider: str) -> Json:
    """Return what the conversation adds to the body of a request.

    The same messages always give the same bytes, so that a provider's prompt cache still hits.

    Args:
        messages: the conversation.
        provider: whose answers are handed back as they were, with reasoning and ids.
    """
    items: list[Json] = []
    instructions = [each.content or "" for each in messages if each.role == "system"]
    for message in messages:
        if message.role == "system":
            continue
        if message.provider == provider and message.provider_items:
            items.extend(cast(list[Json], _utf8(message.provider_items)))
        else:
            items.append({"role": message.role, "content": _utf8(message.content or "")})
    body: Json = {"input": items}
    if instructions:
        body["instructions"] = _utf8("\n\n".join(instructions))
    return body


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
        raise ModelError(f"{model} answered with something that is no response.")
    items = cast(list[Json], payload["output"])
    refusals = _texts(items, "refusal", "refusal")
    content = "".join(_texts(items, "output_text", "text") + refusals)
    status = payload.get("status")
    if status == "failed":
        error = _object(payload, "error")
        raise ModelError(
            f"{model} failed: {error.get('message') or error.get('code') or 'it does not say why'}",
            content=content,
        )
    if status == "incomplete":
        reason = _object(payload, "incomplete_details").get("reason")
        remedy = " Raise max_output_tokens." if reason == "max_output_tokens" else ""
        raise ModelError(f"{model} broke off its answer: {reason}.{remedy}", content=content)
    if status not in (None, "completed"):
        raise ModelError(f"{model} ended with the status {status!r}.", content=content)
    message = Message("assistant", content, refusal=bool(refusals))
    if any(item.get("type") != "message" for item in items):
        # More than the text: kept as it was, for the provider to go on from.
        message.provider, message.provider_items = provider, items
    return ModelResponse(message, _metrics(_object(payload, "usage")))


def _is_response(payload: object) -> TypeGuard[Json]:
    """Tell whether what is read of the payload has the form that it should have."""
    if not isinstance(payload, dict) or not _are_objects(payload.get("output")):
        return False
    return all(
        _are_objects(item.get("content") or [])
        for item in payload["output"]
        if item.get("type") == "message"
    )


def _are_objects(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, dict) for value in values)


def _texts(items: list[Json], kind: str, key: str) -> list[str]:
    return [
        str(part.get(key) or "")
        for item in items
        if item.get("type") == "message"
        for part in cast(list[Json], item.get("content") or [])
        if part.get("type") == kind
    ]


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


def _number(values: Json, key: str) -> int:
    value = values.get(key)
    return value if isinstance(value, int) else 0


def _utf8(value: object) -> object:
    """Return JSON as it can be sent: a lone surrogate has no bytes in UTF-8."""
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_utf8(each) for each in value]
        case dict():
            return {key: _utf8(each) for key, each in value.items()}
    return value
