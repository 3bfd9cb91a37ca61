"""What users give beside kern's own parameters, and where it has its place."""

from typing import Any

import pytest
from generated import body_of
from google.genai import types

from kern.errors import ConfigurationError
from kern.models.base import ModelRequest
from kern.models.google import Gemini
from kern.models.google.params import is_before_3
from kern.run.message import Message

HELLO = ModelRequest([Message("user", "Hello!")])


def sent(**options: Any) -> dict[str, object]:
    body = body_of(HELLO, Gemini("gemini-3.7-flash", api_key="x", **options)._body)
    del body["contents"]
    return body


def test_every_keyword_has_its_place() -> None:
    assert sent(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_output_tokens=100,
        stop_sequences=["END"],
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        include_thoughts=True,
        thinking_budget=1_000,
        thinking_level="low",
        response_modalities=["text", "IMAGE"],
        speech_config={"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}},
        safety_settings=[
            types.SafetySetting(
                category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                threshold=types.HarmBlockThreshold.BLOCK_NONE,
            )
        ],
        search=True,
        url_context=True,
        code_execution=True,
        cached_content="cachedContents/a",
    ) == {
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40,
            "maxOutputTokens": 100,
            "stopSequences": ["END"],
            "seed": 7,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "thinkingConfig": {
                "includeThoughts": True,
                "thinkingBudget": 1_000,
                "thinkingLevel": "LOW",
            },
            "responseModalities": ["TEXT", "IMAGE"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        },
        "safetySettings": [
            {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},
        ],
        "tools": [{"googleSearch": {}}, {"urlContext": {}}, {"codeExecution": {}}],
        "cachedContent": "cachedContents/a",
    }


def test_without_keywords_nothing_is_sent() -> None:
    assert sent() == {}


def test_grounding_is_search() -> None:
    assert sent(grounding=True, search=True) == {"tools": [{"googleSearch": {}}]}


def test_parameters_are_joined_by_either_name() -> None:
    body = sent(
        search=True,
        include_thoughts=True,
        request_params={
            "tools": [types.Tool(google_maps=types.GoogleMaps()), {"google_search": {}}],
            "thinkingConfig": {"thinking_budget": 5},
            "labels": {"my_team": "blue"},
            "response_json_schema": {"properties": {"my_field": {}}},
            "extra_body": {"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}},
        },
    )
    assert body == {
        "tools": [{"googleSearch": {}}, {"googleMaps": {}}],
        "labels": {"my_team": "blue"},
        "generationConfig": {
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 5},
            "responseJsonSchema": {"properties": {"my_field": {}}},
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
        },
    }


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"contents": []}, "contents"),
        ({"model": "x"}, "model"),
        ({"system_instruction": "x"}, "systemInstruction"),
        ({"candidate_count": 2}, "candidateCount"),
        ({"extra_body": {"generation_config": {"candidateCount": 2}}}, "candidateCount"),
        ({"http_options": {"timeout": 1}}, "httpOptions"),
        ({"automatic_function_calling": {}}, "automaticFunctionCalling"),
        ({"temperature": 0.1}, "generationConfig.temperature"),
        (
            {"tool_config": {"function_calling_config": {"stream_function_call_arguments": True}}},
            "streamFunctionCallArguments",
        ),
    ],
)
def test_what_kern_sets_or_is_given_twice_is_refused(params: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Gemini(temperature=0.5, request_params=params)


@pytest.mark.parametrize("name", ["extra_body", "extra_headers"])
def test_more_of_a_kind_must_be_a_dict(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Gemini(request_params={name: ["x"]})


def test_a_model_that_is_not_known_is_taken_for_a_new_one() -> None:
    old = ["gemini-2.5-pro", "gemini-1.5-flash", "models/gemini-2.0-flash", "google/gemini-2"]
    new = ["gemini-3-pro", "gemini-10", "gemini-20-pro", "gemini-pro-latest", "other"]
    assert [*map(is_before_3, [*old, *new])] == [True] * len(old) + [False] * len(new)
