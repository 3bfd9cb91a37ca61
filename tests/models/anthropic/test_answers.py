"""What Claude answers, whole and streamed: text, calls, thinking, sources, and why it ended."""

import json
from contextlib import aclosing
from dataclasses import replace

import pytest
from asking import Ask, pieces_and_whole
from claude_says import NewClaude, check, events_of, message, replying, says, stream_of

from kern.errors import ModelError
from kern.models.anthropic import Claude
from kern.models.base import CallArguments, ModelRequest, ModelResponse, Reasoning, Text
from kern.run.content import CitationPart, ReasoningPart, TextPart
from kern.run.message import Message
from kern.run.tool import ToolCall
from kern.testing import ProtocolServer, Reply

THINKING: dict[str, object] = {"type": "thinking", "thinking": "Hm, well.", "signature": "sealed=="}
REDACTED: dict[str, object] = {"type": "redacted_thinking", "data": "secret=="}
CALL: dict[str, object] = {
    "type": "tool_use",
    "id": "toolu_1",
    "name": "add",
    "input": {"b": 1, "a": "ü"},
}


def text(said: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": said, **more}


async def test_a_text(claude: Claude, server: ProtocolServer, ask: Ask) -> None:
    server.script.append(Reply.text("Hel", "lo."))
    answer = await ask(claude, "Hi")
    assert answer.message == Message("assistant", "Hello.")
    assert answer.finish_reason == "stop"
    assert answer.model == "claude-test"


async def test_what_was_used(claude: Claude, server: ProtocolServer, ask: Ask) -> None:
    server.script.append(says(text("Hello.")))
    answer = await ask(claude, "Hi")
    assert (answer.id, answer.model) == ("msg_1", "claude-test-1")
    used = answer.metrics
    assert (used.input_tokens, used.output_tokens, used.total_tokens) == (330, 5, 335)
    assert (used.cached_tokens, used.cache_write_tokens, used.reasoning_tokens) == (300, 20, 2)
    assert used.model_calls == 1


async def test_usage_that_is_missing_counts_as_none(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(replace(Reply.text("Hello."), usage=None))
    assert (await ask(claude, "Hi")).metrics.total_tokens == 0


async def test_calls_side_by_side_are_kept_as_plain_calls(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    other: dict[str, object] = {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}
    said = message(text("Let me see."), CALL, other, stop_reason="tool_use")
    check(said)
    server.script.append(replying(said))
    answer = await ask(claude, "Hi")
    assert answer.finish_reason == "tool_calls"
    first, second = answer.message.tool_calls
    assert (first.id, first.name, json.loads(first.arguments)) == ("toolu_1", "add", CALL["input"])
    assert second == ToolCall("toolu_2", "now", "{}")
    # They say all there is, so they are not stored twice.
    assert answer.message.provider_items == []


async def test_calls_of_one_id_get_their_own(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(says(CALL, CALL, {**CALL, "id": " "}, stop_reason="tool_use"))
    ids = [call.id for call in (await ask(claude, "Hi")).message.tool_calls]
    assert ids[0] == "toolu_1"
    assert len({*ids}) == 3


async def test_arguments_that_are_no_json_are_handed_on_as_they_are(
    claude: Claude, server: ProtocolServer
) -> None:
    events = [*events_of(message(CALL, stop_reason="tool_use"))]
    events[4]["delta"] = {"type": "input_json_delta", "partial_json": '{"a":'}
    events[3]["delta"] = {"type": "input_json_delta", "partial_json": ""}
    server.script.append(stream_of(events))
    _, answer = await pieces_and_whole(claude, "Hi")
    assert answer.message.tool_calls == [ToolCall("toolu_1", "add", '{"a":')]


async def test_thinking_is_shown_and_handed_back_as_it_was(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    said = message(THINKING, REDACTED, text("Wait."), CALL, stop_reason="tool_use")
    check(said)
    server.script.append(replying(said))
    answer = (await ask(claude, "Hi")).message
    assert answer.content == (ReasoningPart("Hm, well."), TextPart("Wait."))
    stored = Message.from_dict(json.loads(json.dumps(answer.to_dict())))
    await ask(claude, "Hi", stored, Message("tool", "3", tool_call_id="toolu_1"))
    assert server.requests[-1].body["messages"][1] == {
        "role": "assistant",
        "content": said["content"],
    }


async def test_thinking_goes_to_no_other_server_and_model(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(says(THINKING, text("Well.")))
    answer = (await ask(claude, "Hi")).message
    another = Claude("claude-other", base_url=server.url, api_key="sk-ant-test")
    await ask(another, "Hi", answer, "And?")
    assert server.requests[-1].body["messages"][1]["content"] == [text("Well.")]
    await another.aclose()


async def test_items_of_the_provider_s_tools_are_kept(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    search: dict[str, object] = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "pumps"},
    }
    found: dict[str, object] = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "title": "Pumps",
                "url": "https://example.com",
                "encrypted_content": "sealed",
                "page_age": None,
            }
        ],
    }
    source = {
        "type": "web_search_result_location",
        "cited_text": "They heat.",
        "encrypted_index": "x",
        "title": "Pumps",
        "url": "https://example.com",
    }
    said = message(text("I look."), search, found, text(" They heat.", citations=[source]))
    check(said)
    server.script.append(replying(said))
    answer = (await ask(claude, "Hi")).message
    assert answer.content == (
        TextPart("I look. They heat."),
        CitationPart("https://example.com", "Pumps", 7, 18),
    )
    assert answer.tool_calls == []
    assert answer.provider_items == said["content"]


async def test_code_that_waits_for_the_results_of_its_calls_is_gone_on_with(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    code: dict[str, object] = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "code_execution",
        "input": {"code": "add(b=1)"},
    }
    caller = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}
    container = {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}
    said = message(code, {**CALL, "caller": caller}, stop_reason="tool_use", container=container)
    server.script.append(replying(said))
    answer = (await ask(claude, "Hi")).message
    result = Message("tool", "3", tool_call_id="toolu_1")
    await ask(claude, "Hi", answer, result)
    assert server.requests[1].body["container"] == "container_1"
    assert server.requests[1].body["messages"][1]["content"] == said["content"]
    await ask(claude, "Hi", answer, result, Message("assistant", "Three."), "And?")
    assert "container" not in server.requests[2].body


async def test_passages_of_documents_are_cited(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    source = {
        "type": "char_location",
        "cited_text": "Two.",
        "document_index": 1,
        "document_title": None,
        "start_char_index": 0,
        "end_char_index": 4,
        "file_id": None,
    }
    said = message(text("Two.", citations=[source]))
    check(said)
    server.script.append(replying(said))
    answer = (await ask(claude, "Hi")).message
    assert answer.content == (TextPart("Two."), CitationPart("document:1", None, 0, 4))


async def test_blocks_of_the_future_are_kept(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    odd: dict[str, object] = {"type": "of_the_future", "odd": {"deep": [1, None]}}
    server.script.append(says(odd, text("Hello.")))
    answer = (await ask(claude, "Hi")).message
    assert answer.text == "Hello."
    assert answer.provider_items == [odd, text("Hello.")]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("of_the_future", "other"),
        (None, "other"),
    ],
)
async def test_why_an_answer_ended(
    claude: Claude, server: ProtocolServer, ask: Ask, reason: str | None, finish: str
) -> None:
    server.script.append(says(text("Hello."), stop_reason=reason))
    assert (await ask(claude, "Hi")).finish_reason == finish


@pytest.mark.parametrize(
    ("reason", "kind", "remedy"),
    [
        ("max_tokens", "output_limit", "Raise max_tokens"),
        ("model_context_window_exceeded", "context_length", "Show it less of the history"),
    ],
)
async def test_an_answer_that_is_broken_off_is_an_error_that_keeps_the_text(
    claude: Claude, server: ProtocolServer, ask: Ask, reason: str, kind: str, remedy: str
) -> None:
    server.script.append(says(text("Once"), CALL, stop_reason=reason))
    with pytest.raises(ModelError, match=remedy) as raised:
        await ask(claude, "Hi")
    assert (raised.value.kind, raised.value.content) == (kind, "Once")
    assert not raised.value.transient


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"type": "refusal", "category": "bio", "explanation": "Not that."}, "Not that."),
        (
            {"type": "refusal", "category": "bio", "explanation": None},
            "claude-test declined to answer (bio).",
        ),
        (None, "claude-test declined to answer."),
    ],
)
async def test_a_refusal_says_why_and_calls_nothing(
    claude: Claude, server: ProtocolServer, ask: Ask, details: object, said: str
) -> None:
    whole = message(THINKING, CALL, stop_reason="refusal", stop_details=details)
    check(whole)
    server.script.append(replying(whole))
    answer = await ask(claude, "Hi")
    assert answer.finish_reason == "refusal"
    assert answer.message == Message("assistant", said, refusal=True)


async def test_a_refusal_in_the_middle_keeps_what_was_said(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(says(text("To begin"), stop_reason="refusal"))
    answer = (await ask(claude, "Hi")).message
    assert (answer.text, answer.refusal) == ("To begin", True)


@pytest.mark.parametrize("blocks", [[], [text("")], [THINKING]])
async def test_an_empty_answer_is_none(
    claude: Claude, server: ProtocolServer, ask: Ask, blocks: list[dict[str, object]]
) -> None:
    server.script.append(says(*blocks))
    with pytest.raises(ModelError, match="gave an empty answer") as raised:
        await ask(claude, "Hi")
    assert (raised.value.kind, raised.value.transient) == ("empty", True)


async def test_the_pieces_of_a_stream(claude: Claude, server: ProtocolServer) -> None:
    server.script.append(says(THINKING, text("Well"), CALL, stop_reason="tool_use"))
    async with aclosing(claude.stream(ModelRequest([Message("user", "Hi")]))) as answer:
        *pieces, response = [piece async for piece in answer]
    assert isinstance(response, ModelResponse)
    arguments = json.dumps(CALL["input"])
    assert pieces == [
        Reasoning("Hm, "),
        Reasoning("well."),
        Text("We"),
        Text("ll"),
        CallArguments(0, "toolu_1", "add", ""),
        CallArguments(0, None, None, arguments[: len(arguments) // 2]),
        CallArguments(0, None, None, arguments[len(arguments) // 2 :]),
    ]
    assert response.message.tool_calls == [ToolCall("toolu_1", "add", arguments)]


async def test_the_pieces_of_a_refusal_add_up_to_its_text(
    claude: Claude, server: ProtocolServer
) -> None:
    server.script.append(Reply.refusal("Not that."))
    pieces, answer = await pieces_and_whole(claude, "Hi")
    assert "".join(pieces) == answer.message.text == "Not that."


async def test_a_model_that_pauses_is_asked_to_go_on(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    search: dict[str, object] = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "pumps"},
    }
    container = {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}
    server.script += [
        says(THINKING, text("I look"), search, stop_reason="pause_turn", container=container),
        says(text(" and see.")),
    ]
    answer = await ask(claude, "Hi")
    assert answer.message.text == "I look and see."
    assert answer.message.provider_items == [THINKING, text("I look"), search, text(" and see.")]
    assert (answer.metrics.model_calls, answer.metrics.output_tokens) == (2, 10)
    assert server.requests[1].body["messages"] == [
        {"role": "user", "content": [text("Hi")]},
        {"role": "assistant", "content": [THINKING, text("I look"), search]},
    ]
    assert server.requests[1].body["container"] == "container_1"


async def test_a_model_that_only_pauses_is_not_asked_endlessly(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    server.default = says(text("."), stop_reason="pause_turn")
    with pytest.raises(ModelError, match="paused its answer again and again") as raised:
        await ask(claude, "Hi")
    assert raised.value.kind == "incomplete"
    assert len(server.requests) == 17


async def test_what_was_said_before_a_pause_is_not_asked_for_again(
    server: ProtocolServer, ask: Ask, new_claude: NewClaude
) -> None:
    server.script += [
        says(text("One,"), stop_reason="pause_turn"),
        Reply.http_error(529, code="overloaded_error", headers={"retry-after-ms": "1"}),
        says(text(" two.")),
    ]
    answer = await ask(new_claude(max_retries=1), "Hi")
    assert answer.message.text == "One, two."
    assert server.requests[1].body["messages"] == server.requests[2].body["messages"]
