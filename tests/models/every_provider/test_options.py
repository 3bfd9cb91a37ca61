"""How one call is to be answered reaches every provider, in the words of its API."""

from typing import Any

from providers import NewModel, Provider

from kern.models.base import CallOptions, Model, ModelRequest
from kern.run.message import Message
from kern.testing import ProtocolServer

ALL = CallOptions(300, "high", 0.5, 0.9)

EXPECTED: dict[str, dict[str, Any]] = {
    "OpenAIResponses": {
        "max_output_tokens": 300,
        "reasoning": {"effort": "high"},
        "temperature": 0.5,
        "top_p": 0.9,
    },
    "OpenAIChat": {
        "max_completion_tokens": 300,
        "reasoning_effort": "high",
        "temperature": 0.5,
        "top_p": 0.9,
    },
    "OpenAILike": {
        "max_tokens": 300,
        "reasoning_effort": "high",
        "temperature": 0.5,
        "top_p": 0.9,
    },
    # Its models of today sample as they like.
    "Claude": {"max_tokens": 300, "output_config": {"effort": "high"}},
    "Gemini": {
        "generationConfig": {
            "maxOutputTokens": 300,
            "temperature": 0.5,
            "topP": 0.9,
            "thinkingConfig": {"thinkingLevel": "HIGH"},
        }
    },
}


def _request(options: CallOptions | None, **more: Any) -> ModelRequest:
    return ModelRequest([Message("user", "Hi")], options=options, **more)


async def _sent(model: Model, server: ProtocolServer, request: ModelRequest) -> dict[str, Any]:
    await model.respond(request)
    body: dict[str, Any] = dict(server.requests[-1].body)
    return body


async def test_what_is_asked_of_one_call_is_sent(
    provider: Provider, model: Model, server: ProtocolServer
) -> None:
    plain = await _sent(model, server, _request(None))
    body = await _sent(model, server, _request(ALL))
    changed = {name: value for name, value in body.items() if plain.get(name) != value}
    assert changed == EXPECTED[provider.name]
    assert await _sent(model, server, _request(None)) == plain


_OWN: dict[str, dict[str, Any]] = {
    "OpenAIResponses": {
        "max_output_tokens": 9,
        "reasoning_effort": "low",
        "reasoning_summary": "auto",
    },
    "OpenAIChat": {"max_tokens": 9, "reasoning_effort": "low"},
    "OpenAILike": {"max_completion_tokens": 9},
    "Claude": {"max_tokens": 9, "request_params": {"output_config": {"effort": "low"}}},
    "Gemini": {"max_output_tokens": 9, "thinking_level": "low", "include_thoughts": True},
}


async def test_it_wins_over_what_the_model_was_made_with(
    provider: Provider, new_model: NewModel, server: ProtocolServer
) -> None:
    model = new_model(**_OWN[provider.name])
    body = await _sent(model, server, _request(CallOptions(300, "high")))
    match provider.name:
        case "OpenAIResponses":
            assert body["reasoning"] == {"effort": "high", "summary": "auto"}
            assert body["max_output_tokens"] == 300
        case "OpenAIChat":
            assert (body["max_tokens"], body["reasoning_effort"]) == (300, "high")
            assert "max_completion_tokens" not in body
        case "OpenAILike":
            assert body["max_completion_tokens"] == 300
            assert "max_tokens" not in body
        case "Claude":
            assert (body["max_tokens"], body["output_config"]) == (300, {"effort": "high"})
        case "Gemini":
            config = body["generationConfig"]
            assert config["maxOutputTokens"] == 300
            assert config["thinkingConfig"] == {"thinkingLevel": "HIGH", "includeThoughts": True}
