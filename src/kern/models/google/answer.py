"""From the JSON of an answer of the Gemini API to kern's messages.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeGuard

from kern.errors import ModelError, ModelErrorKind
from kern.models.base import FinishReason, ModelResponse
from kern.models.calls import read_call
from kern.models.google.failures import failed
from kern.models.google.parts import answer_content
from kern.models.origin import Origin
from kern.models.values import Json, number_at, object_at, objects_in, text_at
from kern.run.content import AudioPart, FilePart, ImagePart, text_of
from kern.run.message import Message, Metrics
from kern.run.tool import ToolCall

logger = logging.getLogger("kern")


class _End(NamedTuple):
    """What a reason to end means that is none of a whole answer."""

    kind: ModelErrorKind
    remedy: str = ""
    transient: bool = False


_FILTERED = _End("content_filter", " Say it in other words, or set safety_settings.")
_BLOCKED = _End("content_filter", " Say it in other words.")
_BADLY_CALLED = _End("malformed", transient=True)

_ENDS: Mapping[str, _End] = {
    "MAX_TOKENS": _End("output_limit", " Raise max_output_tokens."),
    "CONTINUATION": _End("incomplete", " Ask for less at once."),
    "SAFETY": _FILTERED,
    "IMAGE_SAFETY": _FILTERED,
    "BLOCKLIST": _BLOCKED,
    "ESCALATION": _BLOCKED,
    "IMAGE_PROHIBITED_CONTENT": _BLOCKED,
    "IMAGE_RECITATION": _BLOCKED,
    "LANGUAGE": _End("content_filter", " Ask in a language that the model knows."),
    "MODEL_ARMOR": _BLOCKED,
    "PUP_LIMITED_DISABLED": _BLOCKED,
    "PROHIBITED_CONTENT": _BLOCKED,
    "RECITATION": _BLOCKED,
    "SPII": _BLOCKED,
    "MALFORMED_FUNCTION_CALL": _BADLY_CALLED,
    "MALFORMED_RESPONSE": _BADLY_CALLED,
    "UNEXPECTED_TOOL_CALL": _BADLY_CALLED,
    "MISSING_THOUGHT_SIGNATURE": _End("invalid_request"),
    "TOO_MANY_TOOL_CALLS": _End("other", " Take tools of the provider out of the request."),
    "NO_IMAGE": _End("empty", transient=True),
    "IMAGE_OTHER": _End("other"),
    "OTHER": _End("other"),
}
"""The reasons for which there is no answer, or not a whole one."""

_WHOLE = ("STOP", "FINISH_REASON_UNSPECIFIED", None)


def read_response(payload: object, origin: Origin, ids: Sequence[str] = ()) -> ModelResponse:
    """Return the answer in a response.

    Args:
        payload: the response as parsed JSON.
        origin: who answered.
        ids: the ids that its calls have been given, in their order.

    Raises:
        ModelError: the response failed, is incomplete or empty, or is no response at all.
    """
    model = origin.model
    response = response_in(payload, model)
    candidate = next(iter(objects_in(response.get("candidates"))), None)
    if candidate is None:
        raise _without_answer(response, model)
    said = objects_in(object_at(candidate, "content").get("parts"))
    parts = [part for part in said if part != {"text": ""}]  # Which would be refused if sent back.
    content = answer_content(parts, candidate)
    calls = _calls(parts, ids)
    finish = _finish(candidate, model, text_of(content), bool(calls))
    if not (calls or text_of(content) or _holds_media(content)):
        kinds = ", ".join(sorted({key for part in parts for key in part})) or "nothing"
        raise ModelError(
            f"{model} gave an empty answer: {kinds}, and no text.", kind="empty", transient=True
        )
    message = Message("assistant", content, tool_calls=calls)
    if any(part.keys() != {"text"} for part in parts):
        message.provider, message.server, message.model = origin
        message.provider_items = parts
    return ModelResponse(
        message,
        metrics_of(object_at(response, "usageMetadata")),
        finish,
        text_at(response, "modelVersion"),
        text_at(response, "responseId"),
    )


def response_in(payload: object, model: str) -> Json:
    """Return what was answered if it has the form that it should have.

    Raises:
        ModelError: it is an error, or something else.
    """
    if isinstance(payload, dict) and isinstance(payload.get("error"), dict):
        raise failed(payload, model)
    if not _is_response(payload):
        raise ModelError(f"{model} answered with something that is no response.", kind="malformed")
    return payload


def _calls(parts: Sequence[Json], ids: Sequence[str]) -> list[ToolCall]:
    calls: list[ToolCall] = []
    taken: set[str] = set()
    for part in parts:
        call = part.get("functionCall")
        if not isinstance(call, dict):
            continue
        given = ids[len(calls)] if len(calls) < len(ids) else call.get("id")
        calls.append(read_call(given, call.get("name"), call.get("args"), taken))
    return calls


def _finish(candidate: Json, model: str, text: str, has_calls: bool) -> FinishReason:
    """Return why an answer ended.

    Raises:
        ModelError: it did so before it was whole.
    """
    reason = text_at(candidate, "finishReason")
    if reason in _WHOLE:
        return "tool_calls" if has_calls else "stop"
    assert reason is not None
    said = text_at(candidate, "finishMessage")
    why = f"{reason} ({said.rstrip('.')})" if said else reason
    end = _ENDS.get(reason)
    if end is None and text and not has_calls:
        logger.warning("%s ended its answer for a reason that kern does not know: %s.", model, why)
        return "other"
    # Nothing is called for an answer that may have been broken off.
    end = end or _End("other")
    raise ModelError(
        f"{model} broke off its answer: {why}.{end.remedy}",
        kind=end.kind,
        transient=end.transient,
        content=text,
    )


def _without_answer(payload: Json, model: str) -> ModelError:
    feedback = object_at(payload, "promptFeedback")
    reason = text_at(feedback, "blockReason")
    if reason is None:
        return ModelError(f"{model} gave no answer.", kind="empty", transient=True)
    said = text_at(feedback, "blockReasonMessage")
    why = f"{reason} ({said.rstrip('.')})" if said else reason
    remedy = (_FILTERED if reason in ("SAFETY", "IMAGE_SAFETY") else _BLOCKED).remedy
    return ModelError(f"{model} does not answer this: {why}.{remedy}", kind="content_filter")


def _holds_media(content: object) -> bool:
    kinds = (ImagePart, AudioPart, FilePart)
    return isinstance(content, tuple) and any(isinstance(part, kinds) for part in content)


def _is_response(payload: object) -> TypeGuard[Json]:
    """Tell whether what is read of the payload has the form that it should have."""
    if not isinstance(payload, dict):
        return False
    if not {"candidates", "promptFeedback", "usageMetadata"} & payload.keys():
        return False
    candidates = payload.get("candidates") or []
    if not _are_objects(candidates):
        return False
    contents = [each.get("content") or {} for each in candidates]
    return _are_objects(contents) and all(
        _are_objects(each.get("parts") or []) for each in contents
    )


def _are_objects(values: object) -> TypeGuard[list[Json]]:
    return isinstance(values, list) and {*map(type, values)} <= {dict}


def metrics_of(usage: Json) -> Metrics:
    """Return what a call used, as the API counts it: thoughts and tools apart from the rest."""
    asked = number_at(usage, "promptTokenCount") + number_at(usage, "toolUsePromptTokenCount")
    thoughts = number_at(usage, "thoughtsTokenCount")
    said = number_at(usage, "candidatesTokenCount") + thoughts
    return Metrics(
        input_tokens=asked,
        output_tokens=said,
        total_tokens=number_at(usage, "totalTokenCount") or asked + said,
        cached_tokens=number_at(usage, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        audio_tokens=_of_sound(usage, "promptTokensDetails")
        + _of_sound(usage, "candidatesTokensDetails"),
        audio_output_tokens=_of_sound(usage, "candidatesTokensDetails"),
        model_calls=1,
    )


def _of_sound(usage: Json, name: str) -> int:
    details = [each for each in objects_in(usage.get(name)) if each.get("modality") == "AUDIO"]
    return sum(number_at(each, "tokenCount") for each in details)
