"""What is read from the answers of the Gemini API, whole and in pieces."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

import pytest
from generated import ORIGIN, events_of, generated, pieces_of, read_streamed, read_whole
from google.genai import types

from kern.errors import ModelError
from kern.models.base import Audio, CallArguments, ModelResponse, Reasoning, Text
from kern.models.google.answer import read_response
from kern.models.values import Json
from kern.run.content import (
    AudioPart,
    CitationPart,
    FilePart,
    ImagePart,
    Inline,
    ReasoningPart,
    TextPart,
    Url,
)
from kern.run.message import Message, Metrics

Read: TypeAlias = Callable[[Json], ModelResponse]


@pytest.fixture(params=["whole", "streamed"])
def read(request: pytest.FixtureRequest) -> Read:
    """Read an answer that the SDK's types know, come at once or in pieces."""

    def known(payload: Json) -> ModelResponse:
        types.GenerateContentResponse.model_validate_json(json.dumps(payload))
        return read_whole(payload) if request.param == "whole" else read_streamed(payload)

    return known


def test_a_text(read: Read) -> None:
    response = read(generated({"text": "Hello "}, {"text": "there."}))
    assert response == ModelResponse(
        Message("assistant", "Hello there."),
        Metrics(input_tokens=10, output_tokens=5, total_tokens=15, model_calls=1),
        "stop",
        "gemini-3.7-flash-001",
        "resp-1",
    )


def test_thoughts_and_signatures_are_kept_as_they_were(read: Read) -> None:
    parts: list[Json] = [
        {"text": "Hm.", "thought": True},
        {"text": "Yes."},
        {"text": "", "thoughtSignature": "c2ln"},
    ]
    message = read(generated(*parts)).message
    assert message.content == (ReasoningPart("Hm."), TextPart("Yes."))
    assert message.provider_items == parts
    assert (message.provider, message.server, message.model) == ORIGIN


def test_empty_texts_are_not_handed_back(read: Read) -> None:
    call: Json = {"functionCall": {"id": "f1", "name": "a"}}
    message = read(generated({"text": ""}, call, {"text": ""})).message
    assert message.provider_items == [call]
    assert read(generated({"text": "Hi."}, {"text": ""})).message.provider_items == []


def test_parallel_calls_get_ids_where_they_have_none(read: Read) -> None:
    response = read(
        generated(
            {"functionCall": {"name": "a", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "f2", "name": "b", "args": {"y": "ä"}}},
            {"functionCall": {"id": "f2", "name": "c"}},
            {"functionCall": {"id": " "}},
        )
    )
    calls = response.message.tool_calls
    assert response.finish_reason == "tool_calls"
    assert [(each.name, each.arguments) for each in calls] == [
        ("a", '{"x": 1}'),
        ("b", '{"y": "ä"}'),
        ("c", ""),
        ("unnamed", ""),
    ]
    assert calls[1].id == "f2"
    assert len({each.id for each in calls}) == 4
    assert all(each.id.strip() for each in calls)


def test_the_ids_of_streamed_calls_are_those_of_the_whole_answer() -> None:
    pieces, response = pieces_of(
        *events_of(generated({"functionCall": {"name": "a"}}, {"functionCall": {"name": "a"}}))
    )
    streamed = [piece.id for piece in pieces if isinstance(piece, CallArguments)]
    assert streamed == [each.id for each in response.message.tool_calls]


def test_the_pieces_of_a_stream() -> None:
    sound = base64.b64encode(b"la").decode()
    pieces, response = pieces_of(
        *events_of(
            generated(
                {"text": "H", "thought": True},
                {"text": "m.", "thought": True},
                {"text": "", "thought": True},
                {"text": "Ye"},
                {"text": "s."},
                {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": sound}},
                {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": sound}},
                {"functionCall": {"id": "f1", "name": "a", "args": {"x": 1}}},
            )
        )
    )
    assert pieces == [
        Reasoning("H"),
        Reasoning("m."),
        Text("Ye"),
        Text("s."),
        Audio(b"la"),
        Audio(b"la"),
        CallArguments(0, "f1", "a", '{"x": 1}'),
    ]
    assert response.message.content == (
        ReasoningPart("Hm."),
        TextPart("Yes."),
        AudioPart(Inline(b"lala"), "audio/L16;rate=24000"),
    )
    assert response.message.provider_items[:2] == [
        {"text": "Hm.", "thought": True},
        {"text": "Yes."},
    ]


def test_images_files_and_addresses_come_out(read: Read) -> None:
    pixel = base64.b64encode(b"pixel").decode()
    message = read(
        generated(
            {"inlineData": {"mimeType": "image/png", "data": pixel}, "thought": True},
            {"inlineData": {"mimeType": "image/png", "data": pixel}, "thoughtSignature": "c2ln"},
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/v"}},
        )
    ).message
    assert message.content == (
        ImagePart(Inline(b"pixel"), "image/png"),
        FilePart(Url("https://example.com/v"), "video/mp4"),
    )
    assert message.provider_items[1]["thoughtSignature"] == "c2ln"


def test_media_that_is_no_base64(read: Read) -> None:
    with pytest.raises(ModelError, match="no base64") as raised:
        read_whole(generated({"inlineData": {"mimeType": "image/png", "data": "äöü"}}))
    assert raised.value.kind == "malformed"


def test_what_the_provider_s_tools_did_is_handed_back_and_no_call(read: Read) -> None:
    parts: list[Json] = [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {}}},
        {"toolResponse": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "response": {}}},
        {"text": "It is 1."},
    ]
    response = read(generated(*parts))
    assert response.message.content == "It is 1."
    assert response.message.tool_calls == []
    assert response.message.provider_items == parts


def test_sources_are_cited_where_the_text_rests_on_them(read: Read) -> None:
    said = "Äpfel sind rot. Birnen sind grün."
    end = len("Äpfel sind rot.".encode())
    message = read(
        generated(
            {"text": "Hm.", "thought": True},
            {"text": said},
            groundingMetadata={
                "webSearchQueries": ["apples"],
                "groundingChunks": [
                    {"web": {"uri": "https://a.example", "title": "A"}},
                    {"web": {"uri": "https://b.example"}},
                    {"retrievedContext": {"uri": "gs://c", "title": "C"}},
                    {"web": {"title": "no address"}},
                ],
                "groundingSupports": [
                    {
                        "segment": {"endIndex": end, "text": "Äpfel sind rot."},
                        "groundingChunkIndices": [0, 1, 7],
                    },
                    {
                        "segment": {
                            "partIndex": 1,
                            "startIndex": end + 1,
                            "endIndex": len(said.encode()),
                        },
                        "groundingChunkIndices": [0],
                    },
                    {"segment": {}},
                ],
            },
            citationMetadata={"citations": [{"uri": "https://d.example", "endIndex": 2}]},
            urlContextMetadata={
                "urlMetadata": [
                    {
                        "retrievedUrl": "https://e.example",
                        "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS",
                    },
                    {
                        "retrievedUrl": "https://f.example",
                        "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR",
                    },
                ]
            },
        )
    ).message
    assert isinstance(message.content, tuple)
    assert message.content[2:] == (
        CitationPart("https://a.example", "A", 0, 15),
        CitationPart("https://b.example", None, 0, 15),
        CitationPart("https://a.example", "A", 16, 33),
        CitationPart("gs://c", "C"),
        CitationPart("https://d.example", None, 0, 1),
        CitationPart("https://e.example"),
    )
    assert message.text[16:33] == "Birnen sind grün."


def test_usage_counts_thoughts_tools_cache_and_sound(read: Read) -> None:
    payload = generated({"text": "Hi."})
    payload["usageMetadata"] = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 20,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 157,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 90},
            {"modality": "AUDIO", "tokenCount": 10},
        ],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
    }
    assert read(payload).metrics == Metrics(
        input_tokens=120,
        output_tokens=37,
        total_tokens=157,
        cached_tokens=60,
        reasoning_tokens=7,
        audio_tokens=15,
        audio_output_tokens=5,
        model_calls=1,
    )


def test_usage_may_be_missing(read: Read) -> None:
    payload = generated({"text": "Hi."})
    del payload["usageMetadata"]
    assert read(payload).metrics == Metrics(model_calls=1)


@pytest.mark.parametrize(
    ("reason", "kind", "transient"),
    [
        ("MAX_TOKENS", "output_limit", False),
        ("CONTINUATION", "incomplete", False),
        ("SAFETY", "content_filter", False),
        ("RECITATION", "content_filter", False),
        ("PROHIBITED_CONTENT", "content_filter", False),
        ("SPII", "content_filter", False),
        ("MALFORMED_FUNCTION_CALL", "malformed", True),
        ("UNEXPECTED_TOOL_CALL", "malformed", True),
        ("MISSING_THOUGHT_SIGNATURE", "invalid_request", False),
        ("TOO_MANY_TOOL_CALLS", "other", False),
    ],
)
def test_a_broken_off_answer_is_an_error_that_keeps_the_text(
    read: Read, reason: str, kind: str, transient: bool
) -> None:
    payload = generated({"text": "Once"}, reason=reason, finishMessage="It is so.")
    with pytest.raises(ModelError, match=rf"broke off its answer: {reason} \(It is so\)") as raised:
        read(payload)
    error = raised.value
    assert (error.kind, error.transient, error.content) == (kind, transient, "Once")


def test_every_reason_that_the_sdk_knows_is_told_apart() -> None:
    whole = {"STOP", "FINISH_REASON_UNSPECIFIED"}
    for reason in types.FinishReason:
        if reason.value not in whole:
            with pytest.raises(ModelError):
                read_whole(generated({"text": "Once"}, reason=reason.value))


def test_a_text_with_an_unknown_reason_stands_but_its_calls_are_not_made() -> None:
    response = read_whole(generated({"text": "Done."}, reason="MOON_PHASE"))
    assert (response.message.text, response.finish_reason) == ("Done.", "other")
    parts: list[Json] = [{"functionCall": {"name": "a"}}, {"text": ""}]
    for part in parts:
        with pytest.raises(ModelError, match="MOON_PHASE") as raised:
            read_whole(generated(part, reason="MOON_PHASE"))
        assert raised.value.kind == "other"


def test_a_blocked_question(read: Read) -> None:
    payload: Json = {
        "promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "Too hot."},
        "usageMetadata": {"promptTokenCount": 3},
    }
    with pytest.raises(ModelError, match=r"does not answer this: SAFETY \(Too hot\)") as raised:
        read_whole(payload)
    with pytest.raises(ModelError, match="SAFETY"):
        pieces_of(payload)
    assert raised.value.kind == "content_filter"
    assert not raised.value.transient


@pytest.mark.parametrize(
    "parts", [[], [{"text": ""}], [{"text": "Hm.", "thought": True}], [{"executableCode": {}}]]
)
def test_an_empty_answer_passes(read: Read, parts: list[Json]) -> None:
    with pytest.raises(ModelError, match="gave an empty answer") as raised:
        read(generated(*parts))
    assert (raised.value.kind, raised.value.transient) == ("empty", True)


def test_no_answer_at_all() -> None:
    with pytest.raises(ModelError, match="gave no answer") as raised:
        read_whole({"candidates": [], "usageMetadata": {}})
    assert raised.value.kind == "empty"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        7,
        "text",
        [],
        {},
        {"candidates": 7},
        {"candidates": [7]},
        {"candidates": [{"content": "text"}]},
        {"candidates": [{"content": {"parts": "text"}}]},
        {"candidates": [{"content": {"parts": ["text"]}}]},
    ],
)
def test_json_that_is_no_response(payload: object) -> None:
    with pytest.raises(ModelError, match="something that is no response") as raised:
        read_response(payload, ORIGIN)
    assert raised.value.kind == "malformed"


ERRORS: list[tuple[Mapping[str, object], str, bool, float | None]] = [
    ({"code": 503, "status": "UNAVAILABLE"}, "overloaded", True, None),
    ({"code": 500, "status": "INTERNAL"}, "server", True, None),
    ({"code": 400, "status": "INVALID_ARGUMENT"}, "invalid_request", False, None),
    ({"code": 404, "status": "NOT_FOUND"}, "not_found", False, None),
    ({"code": 403, "status": "PERMISSION_DENIED"}, "authentication", False, None),
    ({"code": 418, "status": "TEAPOT"}, "invalid_request", False, None),
    (
        {
            "code": 400,
            "status": "INVALID_ARGUMENT",
            "details": [{"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}],
        },
        "authentication",
        False,
        None,
    ),
    (
        {
            "code": 400,
            "status": "INVALID_ARGUMENT",
            "message": "The input token count (9) exceeds the maximum number of tokens (8).",
        },
        "context_length",
        False,
        None,
    ),
    (
        {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "RetryInfo", "retryDelay": "34.5s"}, {"retryDelay": "soon"}],
        },
        "rate_limit",
        True,
        34.5,
    ),
]


@pytest.mark.parametrize(("error", "kind", "transient", "retry_after"), ERRORS)
def test_an_error_within_an_answer(
    error: Json, kind: str, transient: bool, retry_after: float | None
) -> None:
    for read in (read_whole, pieces_of):
        with pytest.raises(ModelError, match=r"^gemini-3\.7-flash failed: ") as raised:
            read({"error": error})
        found = raised.value
        assert (found.kind, found.transient, found.retry_after) == (kind, transient, retry_after)
        assert found.status_code is None
