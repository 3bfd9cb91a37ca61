"""From the JSON of a completion of the Chat Completions API to kern's messages.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from collections.abc import Sequence

from kern.errors import ModelError
from kern.models.base import FinishReason, ModelResponse
from kern.models.calls import ids_in, read_call
from kern.models.openai.chat.parts import answer_content
from kern.models.openai.failed import check_for_error
from kern.models.origin import Origin
from kern.models.values import Json, number_at, object_at, objects_in, text_at
from kern.run.content import AudioPart, Content, ImagePart, text_of
from kern.run.message import Message, Metrics
from kern.run.tool import ToolCall

_OF_CALLS = frozenset(("reasoning_content", "reasoning"))
"""What servers want back of an answer that has tool calls, and some refuse of any other."""

_OF_ALL = frozenset(("reasoning_details", "extra_content"))
"""What servers want back of every answer: sealed or signed reasoning."""

_PLAIN = frozenset(("id", "type", "index", "function"))


def read_completion(
    payload: object, origin: Origin, messages: Sequence[Message] = ()
) -> ModelResponse:
    """Return the answer in a completion.

    Args:
        payload: the completion as parsed JSON.
        origin: who answered.
        messages: the conversation; an answer's calls have other ids than those in it.

    Raises:
        ModelError: the answer failed, is incomplete or empty, or is no completion at all.
    """
    model = origin.model
    values = payload if isinstance(payload, dict) else {}
    choices = objects_in(values.get("choices"))
    message = object_at(choices[0], "message") if choices else {}
    content = answer_content(message)
    for each in (values, *choices[:1]):
        check_for_error(each, model, text_of(content))
    if not choices or not isinstance(choices[0].get("message"), dict):
        raise ModelError(
            f"{model} answered with something that is no completion.", kind="malformed"
        )
    reason, refused = choices[0].get("finish_reason"), bool(text_at(message, "refusal"))
    _check_end(reason, model, text_of(content))
    # Who refuses to answer has nothing to be called for it.
    sent = [] if refused else objects_in(message.get("tool_calls"))
    calls = _calls(sent, ids_in(messages) if sent else set())
    if not (refused or calls or _says_something(content)):
        raise ModelError(
            f"{model} gave an empty answer, which ended with {reason!r}.",
            kind="empty",
            transient=True,
        )
    answer = Message("assistant", content, tool_calls=calls, refusal=refused)
    if item := _handed_back(message, sent, calls):
        answer.provider, answer.server, answer.model = origin
        answer.provider_items = [item]
    end: FinishReason = "stop" if reason in (None, "stop", "tool_calls") else "other"
    if refused:
        end = "refusal"
    return ModelResponse(
        answer,
        _metrics(object_at(values, "usage")),
        "tool_calls" if calls else end,
        text_at(values, "model"),
        text_at(values, "id"),
    )


def _check_end(reason: object, model: str, text: str) -> None:
    if reason == "length":
        raise ModelError(
            f"{model} broke off its answer: it reached its limit of tokens. Raise "
            "max_completion_tokens or max_tokens.",
            kind="output_limit",
            content=text,
        )
    if reason == "content_filter":
        raise ModelError(
            f"{model} broke off its answer: content_filter.", kind="content_filter", content=text
        )
    if reason == "error":
        raise ModelError(
            f"{model} failed: it does not say why.", kind="server", transient=True, content=text
        )


def _calls(sent: list[Json], taken: set[str]) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for each in sent:
        custom = object_at(each, "custom")
        said = custom or object_at(each, "function")
        arguments = said.get("input" if custom else "arguments")
        calls.append(read_call(each.get("id"), said.get("name"), arguments, taken))
    return calls


def _handed_back(message: Json, sent: list[Json], calls: list[ToolCall]) -> Json:
    """Return what the next request needs of an answer beside its text and its calls."""
    wanted = _OF_ALL | _OF_CALLS if calls else _OF_ALL
    item = {name: message[name] for name in sorted(wanted & message.keys()) if message[name]}
    if "reasoning_details" in item:
        item.pop("reasoning", None)  # They say the same.
    sound = object_at(message, "audio")
    if sound.get("id"):
        item["audio"] = {"id": sound["id"], "expires_at": number_at(sound, "expires_at")}
    if any(each.keys() - _PLAIN for each in sent):
        item["tool_calls"] = [
            {name: value for name, value in each.items() if name != "index"} | {"id": call.id}
            for each, call in zip(sent, calls, strict=True)
        ]
    return item


def _says_something(content: Content) -> bool:
    if isinstance(content, tuple):
        return bool(text_of(content)) or any(
            isinstance(part, ImagePart | AudioPart) for part in content
        )
    return bool(content)


def _metrics(usage: Json) -> Metrics:
    read = object_at(usage, "prompt_tokens_details")
    written = object_at(usage, "completion_tokens_details")
    cached = number_at(read, "cached_tokens") or number_at(usage, "prompt_cache_hit_tokens")
    return Metrics(
        input_tokens=number_at(usage, "prompt_tokens"),
        output_tokens=number_at(usage, "completion_tokens"),
        total_tokens=number_at(usage, "total_tokens"),
        cached_tokens=cached,
        cache_write_tokens=number_at(read, "cache_write_tokens"),
        reasoning_tokens=number_at(written, "reasoning_tokens"),
        audio_tokens=number_at(read, "audio_tokens") + number_at(written, "audio_tokens"),
        audio_output_tokens=number_at(written, "audio_tokens"),
        model_calls=1,
    )
