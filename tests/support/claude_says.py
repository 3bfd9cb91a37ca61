"""Messages of Anthropic's API as a test writes them, whole and as the events of a stream."""

import json
from collections.abc import Callable, Iterator
from typing import TypeAlias

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from kern.models.anthropic import Claude
from kern.testing import Reply

Json: TypeAlias = dict[str, object]

NewClaude: TypeAlias = Callable[..., Claude]
"""Takes the arguments of the model that differ from the usual ones of the tests."""

_events = TypeAdapter[RawMessageStreamEvent](RawMessageStreamEvent)

# What is sent in pieces of a block, and by which kind of piece.
_DELTAS = {
    "text": ("text", "text_delta", "text"),
    "thinking": ("thinking", "thinking_delta", "thinking"),
    "tool_use": ("input", "input_json_delta", "partial_json"),
    "server_tool_use": ("input", "input_json_delta", "partial_json"),
}


def message(*blocks: Json, stop_reason: str | None = "end_turn", **more: object) -> Json:
    """Return a message of these blocks."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-1",
        "content": [*blocks],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 300,
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 2},
        },
        **more,
    }


def says(*blocks: Json, **more: object) -> Callable[[Json], Reply]:
    """Return a reply with a message, streamed where that is asked for."""
    return replying(message(*blocks, **more))  # type: ignore[arg-type]


def replying(said: Json) -> Callable[[Json], Reply]:
    """Return a reply with a message as it is, streamed where that is asked for."""

    def reply(body: Json) -> Reply:
        if not body.get("stream"):
            return Reply.garbage(json.dumps(said))
        return stream_of(events_of(said))

    return reply


def stream_of(events: Iterator[Json] | list[Json]) -> Reply:
    """Return a reply that is a stream of these events."""
    frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return Reply.garbage("".join(frames), content_type="text/event-stream")


def events_of(said: Json) -> Iterator[Json]:
    """Yield the events with which the API streams a message."""
    usage, content = said["usage"], said["content"]
    assert isinstance(usage, dict)
    assert isinstance(content, list)
    begin = {**said, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": begin}
    yield {"type": "ping"}
    for index, block in enumerate(content):
        yield from _events_of_block(index, block)
    ends = ("stop_reason", "stop_sequence", "stop_details", "container")
    delta = {name: said[name] for name in ends if name in said}
    counted = {name: usage[name] for name in ("output_tokens", "output_tokens_details")}
    yield {"type": "message_delta", "delta": delta, "usage": counted}
    yield {"type": "message_stop"}


def _events_of_block(index: int, block: Json) -> Iterator[Json]:
    name, kind, member = _DELTAS.get(str(block["type"]), (None, None, None))
    start, deltas = dict(block), list[Json]()
    if name is not None:
        value = block[name]
        start[name] = "" if isinstance(value, str) else {}
        text = value if isinstance(value, str) else json.dumps(value)
        middle = len(text) // 2
        deltas = [{"type": kind, str(member): piece} for piece in (text[:middle], text[middle:])]
    for source in start.pop("citations", None) or []:  # type: ignore[attr-defined]
        deltas.append({"type": "citations_delta", "citation": source})
    if "signature" in block:
        start["signature"] = ""
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def check(said: Json) -> None:
    """Check that the SDK knows a message, and the events of its stream, with every member."""
    known = Message.model_validate(said)
    assert known.model_dump(mode="json", exclude_unset=True) == said
    for event in events_of(said):
        if event["type"] != "ping":
            value = _events.validate_python(event)
            assert value.model_dump(mode="json", exclude_unset=True) == event
