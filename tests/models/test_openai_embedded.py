"""The small model of the package, over llama.cpp, as a server that is not OpenAI's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from asking import pieces_and_whole

from kern.local.model import EmbeddedModel
from kern.models.base import ModelRequest, OutputSchema
from kern.models.openai import OpenAIChat, OpenAILike, OpenAIResponses
from kern.run.message import Message
from kern.run.tool import ToolSchema

QUESTION = "What is the capital of France? Answer in one sentence."
CITY = {"type": "string", "enum": ["Paris", "Rome"]}
PLACE: dict[str, object] = {"type": "object", "properties": {"city": CITY}, "required": ["city"]}
WEATHER = ToolSchema("weather", "Tells the weather of a city.", PLACE)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    embedded = EmbeddedModel(port=0)
    embedded.start()
    yield embedded.url
    embedded.stop()


@pytest.mark.parametrize("kind", [OpenAIChat, OpenAILike, OpenAIResponses])
async def test_it_answers_whole_and_in_pieces(url: str, kind: Any) -> None:
    model = kind("any", base_url=url, api_key="none")
    pieces, response = await pieces_and_whole(model, QUESTION)
    assert response.message.text
    assert "".join(pieces) == response.message.text
    assert response.metrics.input_tokens > 0
    await model.aclose()


async def test_it_is_held_to_a_form(url: str) -> None:
    model = OpenAIChat("any", base_url=url, api_key="none", max_tokens=100)
    request = ModelRequest(
        [Message("user", "Where is the Eiffel tower?")], output_schema=OutputSchema("place", PLACE)
    )
    assert json.loads((await model.respond(request)).message.text) == {"city": "Paris"}
    await model.aclose()


async def test_it_calls_a_tool(url: str) -> None:
    model = OpenAIChat("any", base_url=url, api_key="none", max_tokens=100)
    said = [Message("user", "What is the weather in Paris?")]
    request = ModelRequest(said, [WEATHER], tool_choice="required")
    response = await model.respond(request)
    [call] = response.message.tool_calls
    assert call.name == "weather"
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")
    answer = Message("tool", "It is sunny.", tool_call_id=call.id)
    await model.respond(ModelRequest([*said, response.message, answer]))
    await model.aclose()
