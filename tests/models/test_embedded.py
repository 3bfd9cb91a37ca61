"""The small model that runs in this process, over llama.cpp, by both of OpenAI's protocols.

Its answers are kept short: it makes some thirty tokens a second, and without a limit it goes on for
thousands of them.
"""

import json
from collections.abc import Iterator

import pytest
from asking import pieces_and_whole

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.local.model import EmbeddedModel
from kern.models.base import ModelRequest, ModelResponse, OutputSchema, Text
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.run.tool import ToolSchema

LONGEST = 24
"""How many tokens an answer may have."""

PLACE: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
QUESTION = [Message("user", "Is the Eiffel tower in Paris or in Rome?")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of the model, which takes a second to load."""
    embedded = EmbeddedModel(port=0)
    embedded.start()
    yield embedded.url
    embedded.stop()


async def test_by_chat_completions_it_is_held_to_a_form(url: str) -> None:
    form, tools = OutputSchema("place", PLACE), [ToolSchema("place", "Takes a city.", PLACE)]
    async with OpenAIChat("any", base_url=url, api_key="none", max_tokens=LONGEST) as model:
        whole = await model.respond(ModelRequest(QUESTION, output_schema=form))
        *pieces, streamed = [
            piece
            async for piece in model.stream(
                ModelRequest(QUESTION, tools, tool_choice="none", output_schema=form)
            )
        ]
    assert isinstance(streamed, ModelResponse)
    assert len(pieces) > 1
    text = "".join(piece.text for piece in pieces if isinstance(piece, Text))
    assert text == streamed.message.text
    for response in (whole, streamed):
        assert json.loads(response.message.text) == {"city": "Paris"}
        assert response.finish_reason == "stop"
        assert 0 < response.metrics.output_tokens <= LONGEST


async def test_by_the_responses_api_it_is_held_to_a_form_as_it_takes_one(url: str) -> None:
    # It knows no form of that API, but takes that of the other one beside it.
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
    async with OpenAIResponses(
        "any",
        base_url=url,
        api_key="none",
        max_output_tokens=LONGEST,
        request_params={"extra_body": {"response_format": form}},
    ) as model:
        pieces, response = await pieces_and_whole(model, *QUESTION)
    assert len(pieces) > 1
    assert "".join(pieces) == response.message.text
    assert json.loads(response.message.text) == {"city": "Paris"}
    assert response.metrics.input_tokens > 0


async def test_an_agent_of_it_runs_in_the_background(url: str) -> None:
    async with OpenAIResponses(
        "any", base_url=url, api_key="none", max_output_tokens=LONGEST
    ) as model:
        agent = Agent("Small", model, instructions="Answer in one word.", db=InMemoryDb())
        await agent.arun("Say only: Yes.", background=True, run_id="run")
        run = await agent.await_run("run", timeout=40)
    assert run is not None
    assert run.status is RunStatus.completed
    assert run.content
    assert run.metrics.output_tokens > 0
