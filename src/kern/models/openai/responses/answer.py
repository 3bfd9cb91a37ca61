"""From the JSON of a response of the Responses API to kern's messages.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from collections.abc import Mapping, Sequence
from typing import TypeGuard, cast

from kern.errors import ModelError, ModelErrorKind
from kern.models.base import FinishReason, ModelResponse
from kern.models.calls import ids_in, read_call
from kern.models.openai.failed import check_for_error, failed_answer
from kern.models.openai.responses.parts import answer_content
from kern.models.origin import Origin
from kern.models.values import Json, number_at, object_at, text_at
from kern.run.content import ImagePart, text_of
from kern.run.message import Message, Metrics
from kern.run.tool import ToolCall

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The items that call a tool of the agent, and where its arguments are."""

_CUT_OFF: Mapping[object, ModelErrorKind] = {
    "content_filter": "content_filter",
    "max_output_tokens": "output_limit",
}
"""What the reasons mean for which an answer is incomplete."""

_DEMANDS = (
    "apply_patch_call",
    "computer_call",
    "local_shell_call",
    "mcp_approval_request",
    "shell_call",
)
"""The items that want something of the client which kern does not do."""


def read_response(
    payload: object, origin: Origin, messages: Sequence[Message] = ()
) -> ModelResponse:
    """Return the answer in a response.

    Args:
        payload: the response as parsed JSON.
        origin: who answered.
        messages: the conversation; an answer's calls have other ids than those in it.

    Raises:
        ModelError: the response failed, is incomplete or empty, or is no response at all.
    """
    model = origin.model
    if isinstance(payload, dict) and "output" not in payload:
        check_for_error(payload, model)
    if not _is_response(payload):
        raise ModelError(f"{model} answered with something that is no response.", kind="malformed")
    items = cast(list[Json], payload["output"])
    content, refused = answer_content(items)
    text = text_of(content)
    _check_status(payload, model, text)
    calls: list[ToolCall] = []
    if [item.get("type") for item in items] != ["message"]:
        _check_demands(items, model, text)
        if not refused:  # Else there is nothing to be called for it.
            items, calls = _with_calls(items, messages)
    if not (refused or calls or _says_something(content)):
        kinds = ", ".join(str(item.get("type")) for item in items) or "nothing"
        raise ModelError(
            f"{model} gave an empty answer: {kinds}, and no text.", kind="empty", transient=True
        )
    message = Message("assistant", content, tool_calls=calls, refusal=refused)
    if _is_more_than_text(items) and _can_be_handed_back(items, payload, refused):
        message.provider, message.server, message.model = origin
        message.provider_items = items
    end: FinishReason = "refusal" if refused else "stop"
    return ModelResponse(
        message,
        _metrics(object_at(payload, "usage")),
        "tool_calls" if calls else end,
        text_at(payload, "model"),
        text_at(payload, "id"),
    )


def _check_status(payload: Json, model: str, text: str) -> None:
    status = payload.get("status")
    if status == "failed":
        raise failed_answer(object_at(payload, "error"), model, text)
    if status == "incomplete":
        reason = object_at(payload, "incomplete_details").get("reason")
        remedy = " Raise max_output_tokens." if reason == "max_output_tokens" else ""
        raise ModelError(
            f"{model} broke off its answer: {reason or 'it does not say why'}.{remedy}",
            kind=_CUT_OFF.get(reason, "incomplete"),
            content=text,
        )
    if status not in (None, "completed"):
        raise ModelError(f"{model} ended with the status {status!r}.", content=text)


def _check_demands(items: Sequence[Json], model: str, text: str) -> None:
    for item in items:
        kind = item.get("type")
        if kind in _DEMANDS and not _is_done(item, items):
            raise ModelError(
                f"{model} answered with a {kind}, which kern cannot do. Take its tool out of "
                "request_params, or let the provider do it alone.",
                content=text,
            )
        if kind in _CALLS and item.get("status") == "incomplete":
            raise ModelError(
                f"{model} broke off a call of {item.get('name')!r:.100}.",
                kind="incomplete",
                transient=True,
                content=text,
            )


def _is_done(demand: Json, items: Sequence[Json]) -> bool:
    """Say whether the provider has done itself what an item wants."""
    call_id = demand.get("call_id")
    return call_id is not None and any(
        item.get("call_id") == call_id and str(item.get("type")).endswith("_output")
        for item in items
    )


def _with_calls(
    items: list[Json], messages: Sequence[Message]
) -> tuple[list[Json], list[ToolCall]]:
    """Return the items, in which each call has an id of its own, and the calls."""
    calls: list[ToolCall] = []
    if not any(str(item.get("type")) in _CALLS for item in items):
        return items, calls
    items, taken = items[:], ids_in(messages)
    for place, item in enumerate(items):
        key = _CALLS.get(str(item.get("type")))
        if key is None:
            continue
        call = read_call(item.get("call_id"), item.get("name"), item.get(key), taken)
        fixed = {**item, "call_id": call.id, "name": call.name, key: call.arguments}
        if fixed != item:
            items[place] = fixed
        calls.append(call)
    return items, calls


def _says_something(content: object) -> bool:
    if isinstance(content, tuple):
        return bool(text_of(content)) or any(isinstance(part, ImagePart) for part in content)
    return bool(content)


def _is_more_than_text(items: Sequence[Json]) -> bool:
    """Say whether the next request needs more of an answer than its text."""
    if len(items) != 1:
        return bool(items)
    [item] = items
    parts = cast(list[Json], item.get("content") or [])
    return (
        item.get("type") != "message"
        or len(parts) != 1
        or _has_more(item, {"id", "type", "role", "status", "content"})
        or _has_more(parts[0], {"type", "text", "refusal", "logprobs"})
    )


def _has_more(values: Json, known: set[str]) -> bool:
    more = values.keys() - known
    return bool(more) and any(values[name] not in (None, []) for name in more)


def _can_be_handed_back(items: Sequence[Json], payload: Json, refused: bool) -> bool:
    """Say whether the provider takes the items as they are.

    It does not take calls without results, nor reasoning which it has neither stored nor sealed.
    """
    kinds = {item.get("type") for item in items}
    if refused and kinds & _CALLS.keys():
        return False
    is_stored = payload.get("store") is not False
    return is_stored or all(
        item.get("encrypted_content") for item in items if item.get("type") == "reasoning"
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
    read = object_at(usage, "input_tokens_details")
    written = object_at(usage, "output_tokens_details")
    spoken = number_at(written, "audio_tokens")
    return Metrics(
        input_tokens=number_at(usage, "input_tokens"),
        output_tokens=number_at(usage, "output_tokens"),
        total_tokens=number_at(usage, "total_tokens"),
        cached_tokens=number_at(read, "cached_tokens"),
        cache_write_tokens=number_at(read, "cache_write_tokens"),
        reasoning_tokens=number_at(written, "reasoning_tokens"),
        audio_tokens=number_at(read, "audio_tokens") + spoken,
        audio_output_tokens=spoken,
        model_calls=1,
    )
