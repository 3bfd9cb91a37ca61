"""Each protocol's answers are those that the provider's SDK knows."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from shapes import unknown_fields

from kern.testing import Reply, Usage
from kern.testing.protocols import Frame, Json, Protocol, anthropic, chat, google, responses

PROTOCOLS = [responses, chat, anthropic, google]
BODY: Mapping[str, Any] = {"model": "scripted", "stream_options": {"include_usage": True}}
REPLIES = {
    "text": Reply.text("Hel", "lo").counting(Usage(20, 9, 4, 3, 2)),
    "without usage": Reply.text("Hello").counting(None),
    "audio": Reply.text("Hello").counting(
        Usage(20, 9, audio_input_tokens=4, audio_output_tokens=3)
    ),
    "calls": Reply.text("Adding.").calling(("add", {"a": 1}), ("add", '{"a": 2}')),
    "thoughts": Reply.text("Hello").thinking("Hmm").thinking("So", "secret").thinking("", "more"),
    "thoughts and a call": Reply.tool_calls(("add", {})).thinking("Hmm", "secret"),
    "only thoughts": Reply().thinking("Hmm", "secret"),
    "refusal": Reply.refusal("I will not."),
    "length": Reply.incomplete("Once upon"),
    "filter": Reply.incomplete("Once upon", reason="content_filter"),
    "nothing": Reply(),
}

# What is sent and the SDK's types leave out: what OpenAI keeps, and what servers that speak Chat
# Completions say of a model's thoughts (OpenAI's own has none).
ADDED: dict[Protocol, set[str]] = {
    responses: {"store"},
    chat: {"reasoning_content", "reasoning_details"},
}


def name(value: object) -> str:
    return getattr(value, "__name__", str(value)).rpartition(".")[2]


def events_of(protocol: Protocol, reply: Reply) -> list[Json]:
    frames = list(protocol.frames(reply, BODY))
    return [frame.data for frame in frames if isinstance(frame.data, dict)]


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=name)
def test_the_sdk_knows_every_field_of_an_answer(protocol: Protocol, reply: Reply) -> None:
    if protocol is anthropic and reply.usage is None:
        pytest.skip("Its SDK knows no answer without usage.")
    added = ADDED.get(protocol, set())
    assert unknown_fields(protocol, protocol.whole(reply, BODY)) <= added
    for event in events_of(protocol, reply):
        if event != {"type": "ping"}:  # Anthropic's SDK skips it before it has a type.
            assert unknown_fields(protocol, event, streamed=True) <= added


def test_a_field_that_an_sdk_does_not_know_is_found() -> None:
    for protocol in (responses, chat, anthropic):
        answer = protocol.whole(Reply.text("Hi"), BODY)
        assert unknown_fields(protocol, answer | {"odd": 1}) - ADDED.get(protocol, set()) == {"odd"}
    with pytest.raises(ValueError, match="odd"):
        unknown_fields(google, google.whole(Reply.text("Hi"), BODY) | {"odd": 1})


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=name)
def test_the_pieces_that_a_reply_counts_are_marked(protocol: Protocol) -> None:
    frames = list(protocol.frames(Reply.text("a", "b", "c"), BODY))
    kinds = [frame.kind for frame in frames]
    assert kinds.count("delta") == 3
    assert kinds[-1] == "other"
    assert "opening" not in kinds[kinds.index("delta") :]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=name)
def test_a_failure_has_what_went_wrong(protocol: Protocol) -> None:
    reply = Reply.failed("odd_error", "Oh no.", "par", "tial")
    for answer in (protocol.whole(reply, BODY), events_of(protocol, reply)[-1]):
        assert "odd_error" in json.dumps(answer)
        assert "Oh no." in json.dumps(answer)
    error = protocol.error(429, "Slow down.", None)
    assert "Slow down." in json.dumps(error)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=name)
def test_items_go_out_as_they_are(protocol: Protocol) -> None:
    item = {"type": "odd", "odd": {"a": 1}}
    reply = Reply.output(item)
    assert json.dumps(item["odd"]) in json.dumps(protocol.whole(reply, BODY))
    assert json.dumps(item["odd"]) in json.dumps(events_of(protocol, reply))


def test_frames_are_server_sent_events() -> None:
    assert Frame({"a": 1}, "odd").encode() == b'event: odd\ndata: {"a": 1}\n\n'
    assert Frame("[DONE]").encode() == b"data: [DONE]\n\n"
    assert [frame.data for frame in chat.frames(Reply(), BODY)][-1] == "[DONE]"


def test_chat_counts_only_for_who_asks() -> None:
    events = list(chat.frames(Reply.text("Hi"), {}))
    assert not any("usage" in json.dumps(event.data) for event in events)


def test_google_has_no_calls_whose_arguments_are_no_json() -> None:
    answer = google.whole(Reply.tool_calls(("add", "no {json")), BODY)
    [candidate] = answer["candidates"]
    assert candidate["content"]["parts"] == []
    assert candidate["finishReason"] == "MALFORMED_FUNCTION_CALL"
