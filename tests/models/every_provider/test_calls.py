"""What holds for the model of every provider."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asking import Ask

from kern.errors import ConfigurationError
from kern.models.anthropic import Claude
from kern.models.base import Model
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run.message import Message
from kern.run.tool import ToolCall
from kern.testing import ProtocolServer, Reply

FUNCTION = {"name": "add", "arguments": "{}"}
CALLS: dict[Any, dict[str, Any]] = {
    OpenAIResponses: {"type": "function_call", "id": "fc_1", "call_id": "call_1", **FUNCTION},
    OpenAIChat: {"tool_calls": [{"id": "call_1", "type": "function", "function": FUNCTION}]},
    Claude: {"type": "tool_use", "id": "call_1", "name": "add", "input": {}},
    Gemini: {"functionCall": {"id": "call_1", "name": "add", "args": {}}},
}
"""A call of each model, as its server writes it."""


def address(server: ProtocolServer, model: type[Model]) -> str:
    return server.base_url if model in (OpenAIResponses, OpenAIChat) else server.url


@pytest.fixture(params=[*CALLS])
async def model(request: pytest.FixtureRequest, server: ProtocolServer) -> AsyncIterator[Model]:
    """A model of each provider, which gives up at the first error, and waits for any time."""
    url = address(server, request.param)
    made = request.param("m", base_url=url, api_key="sk-test", max_retries=0, timeout=None)
    yield made
    await made.aclose()


async def test_a_call_with_the_id_of_an_earlier_turn_gets_one_of_its_own(
    model: Model, server: ProtocolServer, ask: Ask
) -> None:
    server.script += [Reply.output(CALLS[type(model)])] * 2
    first = (await ask(model, "Hi")).message
    result = Message("tool", "ok", tool_call_id="call_1")
    second = (await ask(model, "Hi", first, result)).message
    assert first.tool_calls == [ToolCall("call_1", "add", "{}")]
    assert second.tool_calls[0].id not in ("call_1", "")
    again = Message("tool", "ok", tool_call_id=second.tool_calls[0].id)
    server.script.append(Reply.text("Done."))
    answer = await ask(model, "Hi", first, result, second, again)
    assert answer.message.text == "Done."


@pytest.mark.parametrize("kind", [*CALLS])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": 0}, "timeout must be a number of seconds above 0"),
        ({"timeout": "5"}, "timeout must be a number of seconds above 0"),
        ({"max_retries": -1}, "max_retries must be a whole number from 0 on"),
    ],
)
def test_a_number_that_cannot_be_used_is_refused(
    kind: Any, options: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        kind("m", **options)


@pytest.mark.parametrize("kind", [*CALLS])
def test_the_keyword_that_was_meant_is_named(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"{kind.__name__}\(\) .* Did you mean 'base_url'\?"):
        kind("m", basurl="")
