"""Typed answers of every provider, with tools, streamed and in the background."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from kern import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ModelError
from kern.models.anthropic import Claude
from kern.models.base import Model
from kern.models.deepseek import DeepSeek
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run.agent import RunCompletedEvent
from kern.testing import ProtocolServer, Reply


class City(BaseModel):
    name: str
    people: int = Field(gt=0)
    twin: "City | None" = None


IT = City(name="Bonn", people=336465)
RIGHT = ('{"name": "Bonn", ', '"people": 336465, "twin": null}')
WRONG = '{"name": "Bonn", "people": 0, "twin": null}'

KINDS: dict[str, tuple[Any, str]] = {
    "responses": (OpenAIResponses, "gpt-5.4"),
    "chat": (OpenAIChat, "gpt-5.4"),
    "deepseek": (DeepSeek, "deepseek-chat"),
    "claude": (Claude, "claude-sonnet-5-5"),
    "gemini": (Gemini, "gemini-3.7-flash"),
    "gemini-2.5": (Gemini, "gemini-2.5-flash"),
}

BY_TOOL = ("deepseek", "claude", "gemini-2.5")
"""Who gives such an answer (its schema is recursive) as the arguments of a tool, beside others."""


def look(city: str) -> str:
    """Look something up."""
    return f"{city} has 336465 people."


@pytest.fixture(params=[*KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def model(kind: str, server: ProtocolServer) -> AsyncIterator[Model]:
    made, id = KINDS[kind]
    url = server.url if made in (Claude, Gemini) else server.base_url
    found: Model = made(id, base_url=url, api_key="sk-test", max_retries=0)
    yield found
    await found.aclose()


def answer(kind: str, *pieces: str) -> Reply:
    if kind in BY_TOOL:
        return Reply.tool_calls(("final_answer", "".join(pieces)))
    return Reply.text(*pieces)


async def test_a_typed_answer_follows_tools_and_a_repair(
    kind: str, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("G", model, tools=[look], output_schema=City, db=InMemoryDb())
    called = Reply.tool_calls(("look", {"city": "Bonn"}))
    server.script += [called, answer(kind, WRONG), answer(kind, *RIGHT)]
    accepted = await agent.arun("Bonn?", background=True)
    run = await agent.await_run(accepted.run_id, timeout=30)
    assert run is not None
    assert (run.content, run.error) == (IT, None)
    assert [each.tool_name for each in run.tools] == ["look"]
    assert "does not fit" in str(server.requests[-1].body)
    server.script.append(answer(kind, *RIGHT))
    assert (await agent.arun("Again?")).content == IT


async def test_it_is_streamed_as_it_grows(kind: str, model: Model, server: ProtocolServer) -> None:
    agent = Agent("G", model, tools=[look], output_schema=City, db=InMemoryDb())
    server.script.append(answer(kind, *RIGHT))
    partial: list[Any] = []
    last = None
    async for event in agent.arun("Bonn?", stream=True):
        partial.append(getattr(event, "partial", None))
        last = event
    assert isinstance(last, RunCompletedEvent)
    assert last.content == IT
    assert partial[-2]["people"] == 336465
    assert all(each is None or "name" in each or each == {} for each in partial)


async def test_a_schema_that_the_provider_refuses_is_an_error_that_says_so(
    kind: str, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("G", model, output_schema=City)
    server.script.append(Reply.http_error(400, "Invalid schema for response_format."))
    with pytest.raises(ModelError, match="Invalid schema") as raised:
        await agent.arun("Bonn?")
    assert raised.value.kind == "invalid_request"
    assert len(server.requests) == 1
