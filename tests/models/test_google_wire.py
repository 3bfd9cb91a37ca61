"""What is sent to the Gemini API; the SDK's types know every field of it."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from generated import ORIGIN, body_of, generated, read_whole

from kern.errors import ModelError
from kern.models.base import ModelRequest, OutputSchema, ToolChoice
from kern.models.google.params import joined
from kern.models.origin import Origin
from kern.models.values import Json
from kern.run.content import (
    AudioPart,
    Blob,
    CitationPart,
    FilePart,
    ImagePart,
    Inline,
    ReasoningPart,
    TextPart,
    Url,
)
from kern.run.message import Message
from kern.run.tool import ToolCall, ToolSchema

HELLO = Message("user", "Hello!")
OLD = ORIGIN._replace(model="gemini-2.5-pro")
WEATHER = ToolSchema(
    "weather",
    "Tells the weather.",
    {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}, "$defs": {"City": {}}},
)


def contents_of(*messages: Message) -> Any:
    return body_of(ModelRequest(messages))["contents"]


def test_a_conversation_is_sent_with_its_system_messages_apart() -> None:
    body = body_of(
        ModelRequest(
            [
                Message("system", "Be brief."),
                Message("system", "Be kind."),
                HELLO,
                Message("assistant", "Hi."),
                Message("user", "Bye!"),
            ]
        )
    )
    assert body == {
        "contents": [
            {"role": "user", "parts": [{"text": "Hello!"}]},
            {"role": "model", "parts": [{"text": "Hi."}]},
            {"role": "user", "parts": [{"text": "Bye!"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief.\n\nBe kind."}]},
    }


def test_media_goes_inline_or_by_its_address() -> None:
    pixel = base64.b64encode(b"pixel").decode()
    message = Message(
        "user",
        (
            TextPart("See and hear."),
            ImagePart(Inline(b"pixel"), "image/webp"),
            ImagePart(Url("https://example.com/a.jpg?x=1")),
            AudioPart(Inline(b"pixel"), "audio/mp3"),
            FilePart(Inline(b"pixel"), name="report.pdf"),
            FilePart(Url("https://youtu.be/x")),
            FilePart(Inline(b"pixel"), "video/mp4"),
        ),
    )
    assert contents_of(message) == [
        {
            "role": "user",
            "parts": [
                {"text": "See and hear."},
                {"inlineData": {"mimeType": "image/webp", "data": pixel}},
                {
                    "fileData": {
                        "fileUri": "https://example.com/a.jpg?x=1",
                        "mimeType": "image/jpeg",
                    }
                },
                {"inlineData": {"mimeType": "audio/mp3", "data": pixel}},
                {"inlineData": {"mimeType": "application/pdf", "data": pixel}},
                {"fileData": {"fileUri": "https://youtu.be/x"}},
                {"inlineData": {"mimeType": "video/mp4", "data": pixel}},
            ],
        }
    ]


def test_media_that_was_not_loaded_is_refused() -> None:
    with pytest.raises(ModelError, match="was not loaded") as raised:
        contents_of(Message("user", (ImagePart(Blob("abc", 3)),)))
    assert raised.value.kind == "invalid_request"


@pytest.mark.parametrize(
    ("detail", "level"),
    [
        ("low", "MEDIA_RESOLUTION_LOW"),
        ("medium", "MEDIA_RESOLUTION_MEDIUM"),
        ("high", "MEDIA_RESOLUTION_HIGH"),
        ("ultra_high", "MEDIA_RESOLUTION_ULTRA_HIGH"),
        ("auto", None),
        (None, None),
    ],
)
def test_models_since_gemini_3_are_told_how_closely_to_look_at_an_image(
    detail: str | None, level: str | None
) -> None:
    asked = ModelRequest([Message("user", (ImagePart(Inline(b"pixel"), "image/png", detail),))])
    [part] = body_of(asked)["contents"][0]["parts"]
    assert part.get("mediaResolution") == ({"level": level} if level else None)
    [part] = body_of(asked, origin=OLD)["contents"][0]["parts"]
    assert "mediaResolution" not in part


def test_an_answer_goes_back_as_it_was_with_its_signatures() -> None:
    parts: list[Json] = [
        {"text": "Hm.", "thought": True},
        {"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "f2", "name": "weather", "args": {"city": "Oslo"}}},
        {"text": "", "thoughtSignature": "bW9yZQ=="},
    ]
    answer = read_whole(generated(*parts)).message
    rome, oslo = answer.tool_calls
    results = [
        Message("tool", "Warm.", tool_call_id=rome.id),
        Message("tool", "No.", tool_call_id=oslo.id, is_error=True),
    ]
    assert contents_of(HELLO, answer, *results) == [
        {"role": "user", "parts": [{"text": "Hello!"}]},
        {"role": "model", "parts": parts},
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"output": "Warm."}}},
                {
                    "functionResponse": {
                        "name": "weather",
                        "response": {"error": "No."},
                        "id": "f2",
                    }
                },
            ],
        },
    ]


@pytest.mark.parametrize("origin", [ORIGIN._replace(server="other"), OLD])
def test_signatures_go_to_nobody_else(origin: Origin) -> None:
    answer = read_whole(
        generated(
            {"text": "Hm.", "thought": True},
            {"text": "I look.", "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "f1", "name": "weather"}, "thoughtSignature": "c2ln"},
        )
    ).message
    body = body_of(ModelRequest([HELLO, answer]), origin=origin)
    parts = body["contents"][1]["parts"]
    assert parts[0] == {"text": "I look."}
    assert "c2ln" not in str(body)
    assert "Hm." not in str(body)
    assert "f1" not in str(body)


def test_calls_of_other_providers_are_sent_with_what_stands_for_a_signature() -> None:
    answer = Message(
        "assistant",
        (ReasoningPart("Hm."), TextPart("I look."), CitationPart("https://example.com")),
        [ToolCall("call_1", "weather", '{"city": "Rome"}'), ToolCall("call_2", "time", "")],
        provider="OpenAI",
        provider_items=[{"type": "reasoning", "id": "rs_1"}],
        server="api.openai.com/v1",
        model="gpt-5.4",
    )
    results = [
        Message("tool", "Warm.", tool_call_id="call_1"),
        Message("tool", "Noon.", tool_call_id="call_2"),
    ]
    expected = {
        "role": "model",
        "parts": [
            {"text": "I look."},
            {
                "functionCall": {"name": "weather", "args": {"city": "Rome"}},
                "thoughtSignature": "skip_thought_signature_validator",
            },
            {"functionCall": {"name": "time", "args": {}}},
        ],
    }
    contents = contents_of(HELLO, answer, *results)
    assert contents == [
        {"role": "user", "parts": [{"text": "Hello!"}]},
        expected,
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"output": "Warm."}}},
                {"functionResponse": {"name": "time", "response": {"output": "Noon."}}},
            ],
        },
    ]
    old = body_of(ModelRequest([HELLO, answer, *results]), origin=OLD)
    assert "thoughtSignature" not in str(old)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("", {}),
        ("[1]", {"arguments": "[1]"}),
        ("{oops", {"arguments": "{oops"}),
        ("NaN", {"arguments": "NaN"}),
    ],
)
def test_arguments_that_are_no_object_are_sent_in_one(arguments: str, sent: object) -> None:
    answer = Message("assistant", None, [ToolCall("call_1", "weather", arguments)])
    [content] = contents_of(answer)
    assert content["parts"][0]["functionCall"]["args"] == sent


def test_media_of_a_result_is_a_part_of_it_or_follows_it() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "cGl4ZWw="}}
    answer = Message("assistant", None, [ToolCall("call_1", "draw", "{}")])
    result = Message(
        "tool", (TextPart("Done."), ImagePart(Inline(b"pixel"))), tool_call_id="call_1"
    )
    said = {"name": "draw", "response": {"output": "Done."}}
    request = ModelRequest([HELLO, answer, result])
    new, old = body_of(request), body_of(replace(request, memo={}), origin=OLD)
    assert new["contents"][2]["parts"] == [{"functionResponse": {**said, "parts": [image]}}]
    assert old["contents"][2]["parts"] == [{"functionResponse": said}, image]


def test_messages_are_encoded_once_and_the_bytes_stay_the_same() -> None:
    memo: dict[str, object] = {}
    answer = Message("assistant", None, [ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")])
    messages = [HELLO, answer, Message("tool", "1", tool_call_id="a")]
    body_of(ModelRequest(messages, memo=memo))
    messages.append(Message("tool", "2", tool_call_id="b"))
    later = body_of(ModelRequest(messages, memo=memo))
    assert later == body_of(ModelRequest(messages))
    assert body_of(ModelRequest([HELLO], memo=memo)) == body_of(ModelRequest([HELLO]))


def test_functions_are_offered_with_their_schemas_as_they_are() -> None:
    body = body_of(ModelRequest([HELLO], [WEATHER]))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "Tells the weather.",
                    "parametersJsonSchema": WEATHER.parameters,
                }
            ]
        }
    ]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("none", {"mode": "NONE"}),
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("weather", {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        (
            {"mode": "ANY", "allowed_function_names": ["weather"]},
            {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        ),
    ],
)
def test_a_tool_choice_is_a_mode(choice: ToolChoice, config: object) -> None:
    body = body_of(ModelRequest([HELLO], [WEATHER], tool_choice=choice))
    assert body["toolConfig"] == {"functionCallingConfig": config}
    assert "toolConfig" not in body_of(ModelRequest([HELLO], tool_choice=choice))


def test_the_provider_s_own_tools_work_beside_functions() -> None:
    own = joined({"tools": [{"google_search": {}}]}, {}, {}).body
    request = ModelRequest([HELLO], [WEATHER], settings={"tools": [{"url_context": {}}]})
    body = body_of(request, own)
    assert [*map(list, body["tools"])] == [
        ["functionDeclarations"],
        ["googleSearch"],
        ["urlContext"],
    ]
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert "toolConfig" not in body_of(request, own, OLD)
    assert "toolConfig" not in body_of(request, own, on_vertex=True)
    assert "toolConfig" not in body_of(ModelRequest([HELLO]), own)


def test_two_functions_of_one_name_are_refused() -> None:
    own = joined({}, {"tools": [{"function_declarations": [{"name": "weather"}]}]}, {}).body
    with pytest.raises(ModelError, match="the tool weather"):
        body_of(ModelRequest([HELLO], [WEATHER]), own)


def test_the_form_of_an_answer_is_a_json_schema() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    request = ModelRequest([HELLO], output_schema=OutputSchema("City", schema))
    body = body_of(request, {"generationConfig": {"temperature": 0}})
    assert body["generationConfig"] == {
        "temperature": 0,
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    with pytest.raises(ModelError, match="responseSchema"):
        body_of(request, {"generationConfig": {"responseSchema": {"type": "STRING"}}})


def test_settings_of_a_call_win_over_the_model_s() -> None:
    own = joined(
        {"temperature": 1.0, "top_p": 0.5, "cached_content": "cachedContents/a"}, {}, {}
    ).body
    settings = {"temperature": 0, "cached_content": "cachedContents/b", "model": "other"}
    assert body_of(ModelRequest([HELLO], settings=settings), own) == {
        "contents": [{"role": "user", "parts": [{"text": "Hello!"}]}],
        "cachedContent": "cachedContents/b",
        "generationConfig": {"temperature": 0, "topP": 0.5},
    }


@pytest.mark.parametrize("name", ["contents", "systemInstruction", "system_instruction"])
def test_settings_that_kern_sets_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match=name):
        body_of(ModelRequest([HELLO], settings={name: "x"}))


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(ModelError, match="no JSON form"):
        body_of(ModelRequest([HELLO], settings={"labels": {"a": object()}}))


def test_lone_surrogates_are_sent() -> None:
    assert contents_of(Message("user", "a\ud83d")) == [{"role": "user", "parts": [{"text": "a�"}]}]
