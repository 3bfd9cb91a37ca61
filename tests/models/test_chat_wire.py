"""What is sent to Chat Completions: the conversation, media, tools, and what goes back."""

import json
from types import MappingProxyType
from typing import Any

import pytest
from openai.types.chat import CompletionCreateParams
from pydantic import ConfigDict, TypeAdapter

from kern.errors import ModelError
from kern.models.base import ModelRequest, OutputSchema
from kern.models.openai.chat.api import ChatApi
from kern.models.openai.responses.api import ResponsesApi
from kern.models.origin import Origin
from kern.run.content import AudioPart, FilePart, ImagePart, Inline, ReasoningPart, TextPart, Url
from kern.run.message import Message
from kern.run.tool import ToolCall, ToolSchema

_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_SDK: TypeAdapter[Any] = TypeAdapter(CompletionCreateParams, config=_STRICT)

HERE = Origin("Test Chat", "localhost/v1", "m")
ADD = ToolSchema("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
CHART = ImagePart(Url("https://example.com/chart.png"), detail="low")
PIXEL = ImagePart(Inline(b"png"), "image/png")


def body_of(
    *messages: Message, origin: Origin = HERE, options: Any = MappingProxyType({}), **request: Any
) -> dict[str, Any]:
    """Return the body of a request, which the SDK's own types know."""
    body = ChatApi(options).body(ModelRequest(messages, **request), origin)
    read: dict[str, Any] = {name: json.loads(value) for name, value in body.items()}
    _SDK.validate_python(read)
    return read


def test_the_conversation_on_the_wire() -> None:
    sent = body_of(
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Let me see.", tool_calls=[ToolCall("call_1", "add", '{"a": 1}')]),
        Message("tool", "1", tool_call_id="call_1"),
        Message("assistant", "No.", refusal=True),
        Message("user", ""),
    )
    assert sent == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "add", "arguments": '{"a": 1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "1"},
            {"role": "assistant", "refusal": "No."},
            {"role": "user", "content": ""},
        ],
    }


@pytest.mark.parametrize(
    ("server", "options", "role"),
    [
        ("api.openai.com/v1", {}, "developer"),
        ("localhost/v1", {}, "system"),
        ("api.openai.com/v1", {"role_map": {}}, "system"),
        ("localhost/v1", {"role_map": {"system": "user"}}, "user"),
    ],
)
def test_the_system_is_a_developer_at_openai_only(server: str, options: Any, role: str) -> None:
    origin = Origin("Test Chat", server, "m")
    sent = body_of(Message("system", "Be brief."), origin=origin, options=options)
    assert sent["messages"] == [{"role": role, "content": "Be brief."}]


def test_media_of_a_user_is_sent() -> None:
    pdf = FilePart(Inline(b"pdf"), "application/pdf", "report.pdf")
    parts = (TextPart("Look"), CHART, PIXEL, AudioPart(Inline(b"wav"), "audio/x-wav"), pdf)
    [message] = body_of(Message("user", parts))["messages"]
    assert message["content"] == [
        {"type": "text", "text": "Look"},
        {
            "type": "image_url",
            "image_url": {"url": "https://example.com/chart.png", "detail": "low"},
        },
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
        {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
        {
            "type": "file",
            "file": {"file_data": "data:application/pdf;base64,cGRm", "filename": "report.pdf"},
        },
    ]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (FilePart(Url("https://example.com/a.pdf")), "takes files within the message only"),
        (AudioPart(Url("https://example.com/a.wav"), "audio/wav"), "takes sound within"),
        (AudioPart(Inline(b"ogg"), "audio/ogg"), "takes sound within the message only, as audio"),
    ],
)
def test_media_that_cannot_be_sent_is_an_error_that_says_so(part: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said) as raised:
        body_of(Message("user", (part,)))
    assert raised.value.kind == "invalid_request"


def test_media_that_was_answered_already_is_left_out_where_it_cannot_be_sent() -> None:
    paper = FilePart(Url("https://example.com/a.pdf"))
    asked = Message("user", (TextPart("Read."), paper))
    sent = body_of(asked, Message("assistant", (TextPart("Done"), paper)), Message("user", "And?"))
    [first, _, shown, _] = sent["messages"]
    left_out = {"type": "text", "text": "(Here was a file that you cannot be shown.)"}
    assert first["content"] == [{"type": "text", "text": "Read."}, left_out]
    assert shown["content"][1:] == [left_out]


def test_media_of_a_tool_is_left_out_where_it_cannot_be_sent() -> None:
    called = Message("assistant", None, tool_calls=[ToolCall("call_1", "draw", "{}")])
    result = Message("tool", (FilePart(Url("https://example.com/a.pdf")),), tool_call_id="call_1")
    [*_, shown] = body_of(Message("user", "Draw"), called, result)["messages"]
    left_out = {"type": "text", "text": "(Here was a file that you cannot be shown.)"}
    assert (shown["role"], shown["content"][1:]) == ("user", [left_out])


def test_media_of_tools_follows_all_results_of_the_turn() -> None:
    calls = [ToolCall("call_1", "draw", "{}"), ToolCall("call_2", "draw", "{}")]
    messages = [
        Message("user", "Draw"),
        Message("assistant", None, tool_calls=calls),
        Message("tool", (TextPart("One"), PIXEL), tool_call_id="call_1"),
        Message("tool", "Two", tool_call_id="call_2"),
    ]
    sent = body_of(*messages)["messages"]
    assert [each["role"] for each in sent] == ["user", "assistant", "tool", "tool", "user"]
    assert [each["content"] for each in sent[2:4]] == ["One", "Two"]
    assert [part["type"] for part in sent[4]["content"]] == ["text", "image_url"]
    sent = body_of(*messages, Message("assistant", "Done"))["messages"]
    assert [each["role"] for each in sent[4:]] == ["user", "assistant"]


def test_a_message_is_encoded_once_though_media_follows_it() -> None:
    """The bytes are the same whatever was encoded before, also where results come one by one."""
    call = [ToolCall("call_1", "draw", "{}"), ToolCall("call_2", "draw", "{}")]
    messages = [
        Message("assistant", None, tool_calls=call),
        Message("tool", (PIXEL,), tool_call_id="call_1"),
        Message("tool", (PIXEL,), tool_call_id="call_2"),
        Message("assistant", "Done"),
        Message("user", "More"),
    ]
    memo: dict[str, object] = {}
    api = ChatApi({})
    for end in range(1, len(messages) + 1):
        shown = messages[:end]
        with_memo = api.body(ModelRequest(shown, memo=memo), HERE)["messages"]
        assert with_memo == api.body(ModelRequest(shown), HERE)["messages"]


def test_tools_and_how_to_choose_among_them() -> None:
    own = {"type": "custom", "custom": {"name": "shout"}}
    sent = body_of(
        Message("user", "Hi"),
        options={"parallel_tool_calls": False, "request_params": {"tools": [own]}},
        tools=[ADD],
        tool_choice="add",
    )
    function = {"name": "add", "description": "Adds.", "parameters": ADD.parameters}
    assert sent["tools"] == [{"type": "function", "function": function}, own]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert sent["parallel_tool_calls"] is False
    for choice in ("none", "auto", "required"):
        sent = body_of(Message("user", "Hi"), tools=[ADD], tool_choice=choice)
        assert sent["tool_choice"] == choice
        assert "tool_choice" not in body_of(Message("user", "Hi"), tool_choice=choice)
    tools, options = [ToolSchema("shout", "", {})], {"request_params": {"tools": [own]}}
    with pytest.raises(ModelError, match="sets the tool shout, which kern sets itself"):
        body_of(Message("user", "Hi"), tools=tools, options=options)


def test_whether_calls_may_be_parallel_is_not_said_without_tools() -> None:
    sent = body_of(Message("user", "Hi"), options={"parallel_tool_calls": False})
    assert "parallel_tool_calls" not in sent


@pytest.mark.parametrize("strict", [True, False])
def test_the_form_of_an_answer_is_asked_for(strict: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    form = OutputSchema("place", schema)
    sent = body_of(Message("user", "Hi"), options={"strict_output": strict}, output_schema=form)
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "place", "schema": schema, "strict": strict},
    }
    given = {"request_params": {"response_format": {"type": "json_object"}}}
    with pytest.raises(ModelError, match="sets response_format, which kern sets itself"):
        body_of(Message("user", "Hi"), options=given, output_schema=form)


def test_items_of_others_are_left_out_and_their_calls_and_media_are_not() -> None:
    answer = Message(
        "assistant",
        (ReasoningPart("Hm"), TextPart("Here."), PIXEL),
        tool_calls=[ToolCall("c" * 64, "add", "{}")],
        provider="OpenAI",
        provider_items=[{"type": "reasoning", "encrypted_content": "sealed"}],
        server=HERE.server,
        model=HERE.model,
    )
    result = Message("tool", "1", tool_call_id="c" * 64)
    sent = body_of(Message("user", "Hi"), answer, result)["messages"]
    assert "sealed" not in str(sent)
    assert [each["role"] for each in sent] == ["user", "assistant", "tool", "user"]
    assert sent[1]["content"] == "Here."
    [call] = sent[1]["tool_calls"]
    assert call["id"] == sent[2]["tool_call_id"]
    assert len(call["id"]) <= 40
    assert sent[3]["content"][1]["image_url"]["url"] == "data:image/png;base64,cG5n"


@pytest.mark.parametrize(
    ("server", "id", "is_taken"),
    [
        ("localhost/v1", "call_" + "0" * 35, True),
        ("localhost/v1", "call_" + "0" * 36, False),
        ("api.mistral.ai/v1", "call_1", False),
        ("api.mistral.ai/v1", "aB3dE6gH9", True),
    ],
)
def test_ids_of_calls_are_such_as_the_server_takes(server: str, id: str, is_taken: bool) -> None:
    call = Message("assistant", tool_calls=[ToolCall(id, "add", "{}")])
    result = Message("tool", "1", tool_call_id=id)
    sent = body_of(call, result, origin=Origin("Test Chat", server, "m"))["messages"]
    given = sent[0]["tool_calls"][0]["id"]
    assert given == sent[1]["tool_call_id"]
    assert (given == id) is is_taken
    assert len(given) <= 40


def test_responses_take_the_media_of_other_providers_answers() -> None:
    answer = Message("assistant", (TextPart("Here."), PIXEL), provider="Elsewhere")
    origin = Origin("OpenAI", "localhost/v1", "m")
    body = ResponsesApi({}).body(ModelRequest([Message("user", "Draw"), answer]), origin)
    sent = json.loads(body["input"])
    assert [each["role"] for each in sent] == ["user", "assistant", "user"]
    assert sent[2]["content"][1] == {
        "type": "input_image",
        "image_url": "data:image/png;base64,cG5n",
        "detail": "auto",
    }


def test_an_answer_as_sound_goes_back_by_its_id_for_as_long_as_the_server_has_it() -> None:
    def sent(expires_at: int, server: str = HERE.server) -> Any:
        spoken = Message(
            "assistant",
            (AudioPart(Inline(b"wav"), "audio/wav", "Hello."),),
            provider=HERE.provider,
            provider_items=[{"audio": {"id": "audio_1", "expires_at": expires_at}}],
            server=server,
            model=HERE.model,
        )
        return body_of(Message("user", "Hi"), spoken)["messages"][1]

    assert sent(2**40) == {"role": "assistant", "audio": {"id": "audio_1"}}
    assert sent(1) == {"role": "assistant", "content": "Hello."}
    assert sent(2**40, "elsewhere/v1") == {"role": "assistant", "content": "Hello."}


def test_every_keyword_is_sent_by_its_name() -> None:
    options = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 100,
        "max_tokens": 100,
        "frequency_penalty": 1.0,
        "presence_penalty": 1.0,
        "seed": 7,
        "stop": ["END"],
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
        "verbosity": "low",
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
        "store": True,
        "metadata": {"a": "1"},
        "user": "u",
        "service_tier": "flex",
    }
    sent = body_of(Message("user", "Hi"), options=options)
    assert {name: sent[name] for name in options} == options
