"""What is sent again begins as before, so that the providers' prompt caches hit."""

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.models.anthropic import Claude
from kern.models.base import Model, ModelRequest
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.openai.caching import with_cache_key
from kern.run.message import Message
from kern.testing import ProtocolServer, Reply

KINDS: dict[Any, str] = {
    OpenAIResponses: "input",
    OpenAIChat: "messages",
    Claude: "messages",
    Gemini: "contents",
}
"""The models, each with the member of its requests that holds the conversation."""

TURNS = 10
TASK = "You look things up, one after the other. " * 40


@pytest.fixture
async def caching() -> AsyncIterator[ProtocolServer]:
    """A server that has a prompt cache."""
    async with ProtocolServer(prefix_cache=True) as server:
        yield server


def at(server: ProtocolServer, kind: Any, **options: object) -> Model:
    url = server.url if kind in (Claude, Gemini) else server.base_url
    model: Model = kind("m", base_url=url, api_key="sk-test", max_retries=0, **options)
    return model


def look_up(word: str, depth: int = 1) -> str:
    """Look a word up."""
    return f"{word} means a lot of things. " * 20


def unmarked(value: object) -> object:
    if isinstance(value, dict):
        return {name: unmarked(each) for name, each in value.items() if name != "cache_control"}
    return [unmarked(each) for each in value] if isinstance(value, list) else value


async def long_run(server: ProtocolServer, model: Model) -> float:
    """Have a run of ten turns, and return the share of its input that the cache had."""
    server.script += [
        Reply.tool_calls(("look_up", {"word": f"word {number}", "depth": number}))
        for number in range(TURNS - 1)
    ]
    async with model:
        agent = Agent("Tester", model, instructions=TASK, tools=[look_up])
        run = await agent.arun("Begin.")
    assert run.metrics.model_calls == TURNS
    return run.metrics.cached_tokens / run.metrics.input_tokens


@pytest.mark.parametrize("kind", [*KINDS])
async def test_a_request_begins_with_all_of_the_one_before(
    kind: Any, caching: ProtocolServer
) -> None:
    await long_run(caching, at(caching, kind))
    bodies = [each.body for each in caching.requests]
    for earlier, later in pairwise(bodies):
        assert [*earlier] == [*later]
        for name in earlier:
            # Where a marker is does not change what is cached.
            before, after = (json.dumps(unmarked(each[name])) for each in (earlier, later))
            assert after == before or (
                name == KINDS[kind] and after.startswith(before.removesuffix("]"))
            ), name


@pytest.mark.parametrize("kind", [*KINDS])
async def test_most_of_a_long_run_comes_from_the_cache(kind: Any, caching: ProtocolServer) -> None:
    assert await long_run(caching, at(caching, kind)) > 0.8


async def test_claude_marks_nothing_where_it_was_told_so(caching: ProtocolServer) -> None:
    assert await long_run(caching, at(caching, Claude, cache_conversation=False)) == 0.0


async def test_claude_finds_the_request_before_also_behind_many_calls(
    caching: ProtocolServer,
) -> None:
    caching.script += [
        Reply.tool_calls(*(("look_up", {"word": str(number)}) for number in range(25)))
    ]
    agent = Agent("Tester", at(caching, Claude), instructions=TASK, tools=[look_up])
    run = await agent.arun("Begin.")
    first, second = caching.requests
    begin = len(json.dumps(unmarked(first.body["messages"])))
    assert begin > 0
    assert second.body["messages"][0]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert run.metrics.cached_tokens > len(TASK) // 4
    await agent.model.aclose()


@pytest.mark.parametrize(
    ("options", "tools", "places"),
    [
        ({}, False, []),
        ({}, True, ["system", "message"]),
        ({"extended_cache_time": True}, True, ["system", "message"]),
        ({"cache_conversation": True}, False, ["system", "message"]),
        ({"cache_conversation": False}, True, []),
        ({"cache_tools": True}, True, ["tool", "system", "message"]),
        ({"request_params": {"cache_control": {"type": "ephemeral"}}}, True, []),
    ],
)
async def test_claude_marks_what_is_likely_to_be_sent_again(
    options: dict[str, Any], tools: bool, places: list[str], server: ProtocolServer
) -> None:
    model = at(server, Claude, **options)
    agent = Agent("Tester", model, instructions="Be.", tools=[look_up] if tools else [])
    await agent.arun("Hi")
    await model.aclose()
    body = server.requests[0].body
    blocks = {
        "tool": (body.get("tools") or [{}])[-1],
        "system": body["system"][-1] if isinstance(body["system"], list) else {},
        "message": body["messages"][-1]["content"][-1],
    }
    marker = {"type": "ephemeral"}
    if "extended_cache_time" in options:
        marker["ttl"] = "1h"
    assert {name: each.get("cache_control") for name, each in blocks.items()} == {
        name: marker if name in places else None for name in blocks
    }


async def test_without_a_system_message_claude_keeps_the_tools(server: ProtocolServer) -> None:
    model = at(server, Claude)
    await Agent("Tester", model, tools=[look_up]).arun("Hi")
    await model.aclose()
    assert server.requests[0].body["tools"][-1]["cache_control"] == {"type": "ephemeral"}


def test_openai_is_told_which_requests_belong_together() -> None:
    request = ModelRequest([Message("user", "Hi")], session_id="mine")
    other = ModelRequest([Message("user", "Hi")], session_id="other")
    key = with_cache_key({}, request, "api.openai.com/v1")["prompt_cache_key"]
    assert isinstance(key, str)
    assert "mine" not in key
    assert len(key) <= 64
    assert with_cache_key({}, request, "api.openai.com/v1") == {"prompt_cache_key": key}
    assert with_cache_key({}, other, "api.openai.com/v1") != {"prompt_cache_key": key}
    assert with_cache_key({}, ModelRequest([]), "api.openai.com/v1") == {}
    assert with_cache_key({}, request, "api.example.com/v1") == {}
    assert with_cache_key({"prompt_cache_key": ""}, request, "api.openai.com/v1") == {}


@pytest.mark.parametrize("kind", [OpenAIResponses, OpenAIChat])
async def test_the_key_of_the_cache_can_be_chosen(kind: Any, server: ProtocolServer) -> None:
    model = at(server, kind, prompt_cache_key="helpers")
    await Agent("Tester", model).arun("Hi")
    await model.aclose()
    model = at(server, kind)
    await Agent("Tester", model).arun("Hi")
    await model.aclose()
    keys = [each.body.get("prompt_cache_key") for each in server.requests]
    assert keys == ["helpers", None]


async def test_the_runs_of_a_session_have_one_key(
    server: ProtocolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kern.models.openai.caching._OPENAI", "127.0.0.1")
    model = at(server, OpenAIResponses)
    agent = Agent("Tester", model, db=InMemoryDb())
    for session in ("one", "one", "two"):
        await agent.arun("Hi", session_id=session)
    await model.aclose()
    one, again, two = (each.body["prompt_cache_key"] for each in server.requests)
    assert one == again != two
