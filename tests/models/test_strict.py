"""Tools to whose parameters the provider holds its model."""

import json
import logging
from typing import Any

import pytest

from kern.models.anthropic.caching import Options
from kern.models.anthropic.wire import request_body as claude_body
from kern.models.base import ModelRequest
from kern.models.google.wire import request_body as gemini_body
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.origin import Origin
from kern.run.message import Message
from kern.run.tool import ToolSchema
from kern.testing import ProtocolServer
from kern.tools import Tool, tool

OPTIONAL = {"type": ["integer", "null"]}


@tool(strict=True)
def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


@tool(strict=True)
def now() -> str:
    """Tell the time."""
    return "noon"


@tool(strict=True)
def keep(values: dict[str, int]) -> None:
    """Keep some values, which cannot be said where each member has to be named."""


@tool
def free(a: int) -> int:
    """Return a number."""
    return a


def request(*tools: Tool) -> ModelRequest:
    return ModelRequest([Message("user", "Hi")], [each.schema for each in tools])


@pytest.fixture(params=[OpenAIResponses, OpenAIChat])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


async def sent_to_openai(kind: Any, server: ProtocolServer, *tools: Tool) -> list[dict[str, Any]]:
    model = kind("m", base_url=server.base_url, api_key="sk-test")
    await model.respond(request(*tools))
    await model.aclose()
    given: list[dict[str, Any]] = server.requests[-1].body["tools"]
    return [each.get("function", each) for each in given]


async def test_openai_is_told_that_each_argument_has_to_be_there(
    kind: Any, server: ProtocolServer
) -> None:
    strict, without, usual = await sent_to_openai(kind, server, add, now, free)
    assert strict["strict"] is without["strict"] is True
    assert strict["parameters"]["required"] == ["a", "b"]
    assert strict["parameters"]["properties"]["b"] == OPTIONAL
    assert without["parameters"]["additionalProperties"] is False
    assert not usual.get("strict")
    assert usual["parameters"] == free.schema.parameters


async def test_what_cannot_be_said_strictly_is_sent_as_it_is_and_logged_once(
    kind: Any, server: ProtocolServer, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"keep_for_{kind.__name__}"
    with caplog.at_level(logging.WARNING, "kern"):
        for _ in range(2):
            unsaid = Named(ToolSchema(name, "", keep.schema.parameters, strict=True))
            [sent] = await sent_to_openai(kind, server, unsaid)
            assert not sent.get("strict")
            assert sent["parameters"] == keep.schema.parameters
    assert [name in each.message for each in caplog.records] == [True]


class Named(Tool):
    """A tool that is never called."""

    async def execute(self, *_: object) -> Any:
        raise NotImplementedError


def test_claude_takes_strict_tools_whose_arguments_may_be_missing() -> None:
    origin = Origin("Anthropic", "api.anthropic.com", "m")
    body = claude_body(request(add, free), origin, {"max_tokens": 1}, Options())
    strict, usual = json.loads(body["tools"])
    assert strict["strict"] is True
    assert strict["input_schema"]["required"] == ["a"]
    assert "strict" not in usual


def test_gemini_has_no_strict_tools() -> None:
    body = json.loads(gemini_body(request(add), Origin("Google", "", "gemini-3"), {}))
    [declared] = body["tools"][0]["functionDeclarations"]
    assert declared.keys() == {"name", "description", "parametersJsonSchema"}


def test_a_method_is_as_strict_as_its_tool() -> None:
    class Shop:
        @tool(strict=True)
        def buy(self, item: str) -> str:
            """Buy an item."""
            return item

    assert Shop().buy.schema.strict is True
    assert free.schema.strict is None
