"""What a user gives of the API's parameters is sent, beside kern's own; a clash is refused."""

from typing import Any

import pytest
from asking import Ask, NewModel
from openai.types.shared import Reasoning as SdkReasoning

from kern.errors import ConfigurationError, ModelError
from kern.models.base import ModelRequest, OutputSchema
from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.run.tool import ToolSchema
from kern.testing import ResponsesServer

SEARCH = {"type": "web_search"}
ADD = ToolSchema("add", "Adds.", {"type": "object"})
SEALED = "reasoning.encrypted_content"


async def body_of(server: ResponsesServer, model: OpenAIResponses, **request: Any) -> Any:
    """Ask with a request, and return what came of it."""
    await model.respond(ModelRequest([Message("user", "Hi")], **request))
    return server.requests[-1].body


async def test_tools_of_the_provider_stand_beside_the_agents_functions(
    new_model: NewModel, server: ResponsesServer
) -> None:
    model = new_model(request_params={"tools": [SEARCH]})
    body = await body_of(server, model, tools=[ADD])
    assert [each.get("name") or each["type"] for each in body["tools"]] == ["add", "web_search"]
    assert (await body_of(server, model))["tools"] == [SEARCH]
    body = await body_of(server, model, tools=[ADD], settings={"tools": [{"type": "mcp"}]})
    assert [each["type"] for each in body["tools"]] == ["function", "web_search", "mcp"]


EVERY: dict[str, Any] = {
    "parallel_tool_calls": False,
    "max_tool_calls": 3,
    "include": ["a"],
    "metadata": {"a": "1"},
    "truncation": "auto",
    "user": "u",
    "service_tier": "flex",
    "max_output_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
}

JOINED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"store": False, "request_params": {"include": ["a"]}},
        {"store": False, "include": ["a", SEALED]},
    ),
    (
        {"store": False, "request_params": {"include": [SEALED]}},
        {"store": False, "include": [SEALED]},
    ),
    ({"request_params": {"store": False}}, {"store": False, "include": [SEALED]}),
    (
        {"reasoning_effort": "low", "request_params": {"reasoning": {"summary": "auto"}}},
        {"reasoning": {"effort": "low", "summary": "auto"}},
    ),
    (
        {
            "reasoning_effort": "low",
            "request_params": {"reasoning": SdkReasoning(summary="auto")},
        },
        {"reasoning": {"effort": "low", "summary": "auto"}},
    ),
    ({"temperature": 0.5, "request_params": {"temperature": 0.5}}, {"temperature": 0.5}),
    (
        {"request_params": {"metadata": {"a": "1"}, "extra_body": {"metadata": {"b": "2"}}}},
        {"metadata": {"a": "1", "b": "2"}},
    ),
    (
        {"request_params": {"extra_body": {"of_the_future": [1]}, "truncation": "auto"}},
        {"of_the_future": [1], "truncation": "auto"},
    ),
    (
        {
            "reasoning_effort": "low",
            "reasoning_summary": "auto",
            "reasoning": {"mode": "of_the_future"},
            "verbosity": "low",
        },
        {
            "reasoning": {"effort": "low", "summary": "auto", "mode": "of_the_future"},
            "text": {"verbosity": "low"},
        },
    ),
    (EVERY, EVERY),
    ({"include": ["a"], "store": False}, {"include": ["a", SEALED]}),
    (
        {"extra_body": {"metadata": {"b": "2"}}, "metadata": {"a": "1"}},
        {"metadata": {"a": "1", "b": "2"}},
    ),
    ({"request_params": {"parallel_tool_calls": False}}, {"parallel_tool_calls": False}),
    ({"request_params": {"tool_choice": "required"}}, {"tool_choice": "required"}),
]


@pytest.mark.parametrize(("given", "sent"), JOINED)
async def test_what_can_be_joined_is_joined(
    new_model: NewModel,
    server: ResponsesServer,
    ask: Ask,
    given: dict[str, Any],
    sent: dict[str, Any],
) -> None:
    await ask(new_model(**given), "Hi")
    body = dict(server.requests[-1].body)
    body["include"] = sorted(body.get("include", []))
    assert sent.items() <= body.items()
    assert not {"extra_body", "extra_headers", "extra_query"} & body.keys()


async def test_headers_and_the_query_are_sent(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    model = new_model(
        default_headers={"X-Team": "blue"},
        default_query={"api-version": "1"},
        extra_headers={"x-even": "3"},
        extra_query={"and": "more"},
        request_params={"extra_headers": {"x-more": "2"}, "extra_query": {"of": "us"}},
    )
    await ask(model, "Hi")
    [request] = server.requests
    assert (request.headers["x-team"], request.headers["x-more"]) == ("blue", "2")
    assert request.headers["x-even"] == "3"
    assert request.query == {"api-version": "1", "and": "more", "of": "us"}


CLASHES: list[tuple[dict[str, Any], str]] = [
    ({"request_params": {name: "anything"}}, name)
    for name in (
        "model",
        "input",
        "stream",
        "instructions",
        "background",
        "previous_response_id",
        "conversation",
        "timeout",
    )
] + [
    ({"temperature": 0.1, "request_params": {"temperature": 0.9}}, "temperature"),
    ({"top_p": 0.1, "request_params": {"top_p": 0.9}}, "top_p"),
    ({"max_output_tokens": 1, "request_params": {"max_output_tokens": 2}}, "max_output_tokens"),
    ({"store": True, "request_params": {"store": False}}, "store"),
    (
        {"reasoning_effort": "low", "request_params": {"reasoning": {"effort": "high"}}},
        r"reasoning\.effort",
    ),
    ({"request_params": {"extra_body": {"model": "x"}}}, "model"),
    ({"request_params": {"a": 1, "extra_body": {"a": 2}}}, "a"),
    (
        {"default_headers": {"X-A": "1"}, "request_params": {"extra_headers": {"x-a": "2"}}},
        "x-a",
    ),
]


@pytest.mark.parametrize(("given", "name"), CLASHES)
def test_a_clash_is_refused_when_the_model_is_made(given: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"request_params.* {name}\b"):
        OpenAIResponses("m", **given)


@pytest.mark.parametrize(
    ("given", "request_", "name"),
    [
        ({"tools": [{"type": "function", "name": "add"}]}, {"tools": [ADD]}, "the tool add"),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"output_schema": OutputSchema("place", {})},
            r"text\.format",
        ),
        ({}, {"settings": {"stream": True}}, "stream"),
        ({}, {"settings": {"input": "Hi"}}, "input"),
    ],
)
async def test_a_clash_that_only_the_call_shows_is_refused_before_it_is_sent(
    new_model: NewModel,
    server: ResponsesServer,
    given: dict[str, Any],
    request_: dict[str, Any],
    name: str,
) -> None:
    with pytest.raises(ModelError, match=f"sets {name}, which kern sets itself") as raised:
        await body_of(server, new_model(request_params=given), **request_)
    assert raised.value.kind == "invalid_request"
    assert server.requests == []


async def test_a_form_need_not_be_strict(new_model: NewModel, server: ResponsesServer) -> None:
    model = new_model(strict_output=False)
    body = await body_of(server, model, output_schema=OutputSchema("place", {}))
    assert body["text"]["format"]["strict"] is False


async def test_a_format_stands_beside_other_settings_of_the_text(
    new_model: NewModel, server: ResponsesServer
) -> None:
    model = new_model(request_params={"text": {"verbosity": "low"}})
    body = await body_of(server, model, output_schema=OutputSchema("place", {}))
    assert body["text"]["verbosity"] == "low"
    assert body["text"]["format"]["name"] == "place"


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ([("tools", [SEARCH])], "request_params must be a dict with names"),
        ({1: 2}, "request_params must be a dict with names"),
        ({"tools": SEARCH}, "tools must be a list"),
        ({"tools": "web_search"}, "tools must be a list"),
        ({"tools": range(1)}, "tools must be a list"),
        ({"tools": ["web_search"]}, "a tool must be a dict"),
        ({"include": SEALED}, "include must be a list"),
        ({"text": "low"}, "text must be a dict"),
        ({"extra_body": {"metadata": ["a"]}}, "metadata must be a dict"),
    ],
    ids=repr,
)
def test_what_cannot_be_joined_for_its_form_is_refused(
    new_model: NewModel, params: Any, error: str
) -> None:
    with pytest.raises(ConfigurationError, match=error):
        new_model(request_params=params)


async def test_tools_of_a_request_that_are_no_list_are_refused(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    with pytest.raises(ModelError, match="tools must be a list"):
        await body_of(server, model, tools=[ADD], settings={"tools": SEARCH})


async def test_a_header_without_a_value_is_not_sent(
    new_model: NewModel, server: ResponsesServer
) -> None:
    headers = {"X-None": None, "X-Seven": 7}
    await body_of(server, new_model(request_params={"extra_headers": headers}))
    sent = server.requests[-1].headers
    assert "x-none" not in sent
    assert sent["x-seven"] == "7"
