"""From the JSON of a message of the Messages API to kern's messages.

Source: https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from kern.errors import ModelError
from kern.models.anthropic.turns import CONTAINER, answer_blocks
from kern.models.base import FinishReason, ModelResponse
from kern.models.calls import ids_in, object_of, read_call
from kern.models.failures import failure_of, refusal
from kern.models.origin import Origin
from kern.models.values import Json, number_at, object_at, objects_in, text_at
from kern.run.content import CitationPart, Part, ReasoningPart, TextPart
from kern.run.message import Message, Metrics
from kern.run.tool import ToolCall

_FINISHES: Mapping[str | None, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
"""Why an answer ended, by the API's word; any other word is «other»."""

_PAUSED = "pause_turn"

# Who makes a call, unless code does that the provider runs.
_DIRECT = {"type": "direct"}


def is_paused(payload: object) -> TypeGuard[Json]:
    """Say whether the model has paused within its answer and can be asked to go on with it."""
    return _is_message(payload) and payload.get("stop_reason") == _PAUSED


def read_answer(
    payloads: Sequence[object], origin: Origin, conversation: Sequence[Message] = ()
) -> ModelResponse:
    """Return the answer in a message, and in those after which the model paused before it.

    Args:
        payloads: the messages as parsed JSON, at least one.
        origin: who answered.
        conversation: what was asked; an answer's calls have other ids than those in it.

    Raises:
        ModelError: the answer failed, is incomplete or empty, or is no message at all.
    """
    model, messages = origin.model, [_checked(each, origin.model) for each in payloads]
    last = messages[-1]
    blocks = [block for message in messages for block in objects_in(message.get("content"))]
    content, text = _content(blocks)
    reason = text_at(last, "stop_reason")
    _check_end(reason, model, text)
    is_refused = reason == "refusal"
    # Who refuses to answer has nothing to be called for it.
    blocks, calls = ([], []) if is_refused else _with_calls(blocks, conversation)
    if is_refused and not text.strip():
        content = _explanation(last, model)
    elif not (calls or text):
        kinds = ", ".join(str(block.get("type")) for block in blocks) or "nothing"
        raise ModelError(
            f"{model} gave an empty answer: {kinds}, and no text.", kind="empty", transient=True
        )
    answer = Message("assistant", content, tool_calls=calls, refusal=is_refused)
    if blocks and _usual(blocks) != answer_blocks(answer):
        answer.provider, answer.server, answer.model = origin
        answer.provider_items = blocks + _container(blocks, last)
    metrics = Metrics()
    for message in messages:
        metrics.add(_metrics(object_at(message, "usage")))
    return ModelResponse(
        answer,
        metrics,
        "tool_calls" if calls else _FINISHES.get(reason, "other"),
        text_at(last, "model"),
        text_at(last, "id"),
    )


def failure_in(payload: Json, model: str, content: str | None = None) -> ModelError:
    """Return the error that a body, or an event of a stream, says.

    Args:
        payload: what came.
        model: the model's id.
        content: the text that there was by then.
    """
    error = object_at(payload, "error")
    code = error.get("type")
    said = str(error.get("message") or code or "it does not say why")
    return refusal(model, failure_of(code, None, said), said, content=content)


def _checked(payload: object, model: str) -> Json:
    if _is_message(payload):
        return payload
    if isinstance(payload, dict) and isinstance(payload.get("error"), dict):
        raise failure_in(payload, model)
    raise ModelError(f"{model} answered with something that is no message.", kind="malformed")


def _is_message(payload: object) -> TypeGuard[Json]:
    if not isinstance(payload, dict):
        return False
    content = payload.get("content")
    return isinstance(content, list) and all(isinstance(block, dict) for block in content)


def _check_end(reason: str | None, model: str, text: str) -> None:
    if reason == "max_tokens":
        raise ModelError(
            f"{model} broke off its answer: max_tokens. Raise max_tokens.",
            kind="output_limit",
            content=text,
        )
    if reason == "model_context_window_exceeded":
        raise ModelError(
            f"{model} broke off its answer: its context is full. Show it less of the history, or "
            "lower max_tokens.",
            kind="context_length",
            content=text,
        )
    if reason == _PAUSED:
        raise ModelError(
            f"{model} paused its answer again and again, and was not asked to go on once more.",
            kind="incomplete",
            content=text,
        )


def _content(blocks: Sequence[Json]) -> tuple[str | tuple[Part, ...], str]:
    """Return the content of an answer, and its text."""
    before: list[Part] = []
    after: list[Part] = []
    text = ""
    for block in blocks:
        if block.get("type") == "thinking" and (thinking := text_at(block, "thinking")):
            before.append(ReasoningPart(thinking))
        elif block.get("type") == "text":
            piece = text_at(block, "text") or ""
            after += _citations(block, len(text), len(text) + len(piece))
            text += piece
    if not before and not after:
        return text, text
    return (*before, *((TextPart(text),) if text else ()), *after), text


def _citations(block: Json, start: int, end: int) -> list[Part]:
    """Return what a text names as its sources; a document is named by its place in the request."""
    return [
        CitationPart(
            text_at(each, "url")
            or text_at(each, "source")
            or f"document:{each.get('document_index')}",
            text_at(each, "title") or text_at(each, "document_title"),
            start,
            end,
        )
        for each in objects_in(block.get("citations"))
    ]


def _with_calls(
    blocks: list[Json], conversation: Sequence[Message]
) -> tuple[list[Json], list[ToolCall]]:
    """Return the blocks, in which each call has an id of its own, and the calls."""
    calls: list[ToolCall] = []
    blocks = blocks[:]
    has_calls = any(block.get("type") == "tool_use" for block in blocks)
    taken = ids_in(conversation) if has_calls else set()
    for place, block in enumerate(blocks):
        if block.get("type") != "tool_use":
            continue
        # A stream has the arguments as the model wrote them, JSON or not.
        call = read_call(block.get("id"), block.get("name"), block.get("input") or {}, taken)
        fixed = {"id": call.id, "name": call.name, "input": object_of(call.arguments)}
        blocks[place] = {**block, **fixed}
        calls.append(call)
    return blocks, calls


def _usual(blocks: Sequence[Json]) -> list[Json]:
    """Return blocks without the members that say nothing more than their absence."""
    return [
        {
            name: value
            for name, value in block.items()
            if value is not None and not (name == "caller" and value == _DIRECT)
        }
        for block in blocks
    ]


def _container(blocks: Sequence[Json], message: Json) -> list[Json]:
    """Return where the code runs that has made the calls of an answer: it waits for the results."""
    container = text_at(object_at(message, "container"), "id")
    callers = [block.get("caller") for block in blocks if block.get("type") == "tool_use"]
    if container is None or all(each in (None, _DIRECT) for each in callers):
        return []
    return [{"type": CONTAINER, "id": container}]


def _explanation(message: Json, model: str) -> str:
    details = object_at(message, "stop_details")
    if said := text_at(details, "explanation"):
        return said
    category = text_at(details, "category")
    return f"{model} declined to answer{f' ({category})' if category else ''}."


def _metrics(usage: Json) -> Metrics:
    cached = number_at(usage, "cache_read_input_tokens")
    written = number_at(usage, "cache_creation_input_tokens")
    sent, produced = number_at(usage, "input_tokens"), number_at(usage, "output_tokens")
    sent += cached + written  # The API counts apart what it has cached.
    return Metrics(
        input_tokens=sent,
        output_tokens=produced,
        total_tokens=sent + produced,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=number_at(object_at(usage, "output_tokens_details"), "thinking_tokens"),
        model_calls=1,
    )
