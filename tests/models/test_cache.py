"""Answers that are kept on this machine: given again, for nothing, until they are of no use."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from asking import Ask

from kern.agent import Agent
from kern.errors import ConfigurationError, ModelError
from kern.models.anthropic import Claude
from kern.models.base import CallOptions, Model, ModelRequest, ModelResponse, OutputSchema
from kern.models.cache import CachedModel, ResponseCache, cached
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.prices import Price
from kern.run.agent import RunEvent
from kern.run.message import Message, Metrics
from kern.run.tool import ToolSchema
from kern.testing import ProtocolServer, Reply, ScriptedModel, Usage

KINDS = [OpenAIResponses, OpenAIChat, Claude, Gemini]
NewModel = Callable[..., Model]


@pytest.fixture
async def new(server: ProtocolServer, tmp_path: Path) -> AsyncIterator[NewModel]:
    """Make a model that keeps its answers."""
    made: list[Model] = []

    def make(kind: Any = OpenAIResponses, id: str = "m", **options: Any) -> Model:
        url = server.url if kind in (Claude, Gemini) else server.base_url
        usual = {"base_url": url, "api_key": "sk-test", "max_retries": 0}
        keeping = {"cache_response": True, "cache_dir": tmp_path / "answers"}
        made.append(kind(id, **(usual | keeping | options)))
        return made[-1]

    yield make
    for model in made:
        await model.aclose()


def files(tmp_path: Path) -> list[Path]:
    return [each for each in (tmp_path / "answers").rglob("*") if each.is_file()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_run_is_repeated_for_nothing(
    kind: Any, streamed: bool, new: NewModel, server: ProtocolServer
) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    server.script += [
        Reply.tool_calls(("add", {"a": 1, "b": 2})).thinking("Hm."),
        Reply.text("That ", "is ", "three."),
    ]
    results = []
    for _ in range(2):
        agent = Agent("Adder", new(kind), tools=[add], live=streamed)
        results.append(await agent.arun("1 + 2?"))
    first, again = results
    assert len(server.requests) == 2
    assert again.content == first.content == "That is three."
    assert again.messages == first.messages
    assert first.metrics.total_tokens > 0
    used = again.metrics
    assert (used.input_tokens, used.output_tokens, used.total_tokens) == (0, 0, 0)
    assert (used.model_calls, used.tool_calls, used.cached_calls) == (2, 1, 2)
    assert isinstance(used.duration, float)


async def test_a_kept_answer_is_streamed_in_pieces(new: NewModel, server: ProtocolServer) -> None:
    text = "It is a long story, and it was never told to its end. " * 3
    server.script.append(Reply.text(text))
    agent = Agent("Teller", new())
    await agent.arun("Tell me.")
    told = [
        each.content or ""
        async for each in agent.arun("Tell me.", stream=True)
        if each.event is RunEvent.run_content
    ]
    assert len(server.requests) == 1
    assert "".join(told) == text
    assert len(told) > 1


def _asked(**changes: Any) -> ModelRequest:
    values: dict[str, Any] = {"messages": [Message("user", "Hi")], **changes}
    return ModelRequest(**values)


def test_what_was_asked_names_the_answer(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path)
    model = ScriptedModel([], id="one")
    tool = ToolSchema("add", "Adds.", {"type": "object"})
    names = [
        cache.path(ScriptedModel([], id="two"), _asked()),
        ResponseCache(tmp_path, parameters={"temperature": 0.5}).path(model, _asked()),
        *(
            cache.path(model, each)
            for each in (
                _asked(),
                _asked(messages=[Message("user", "Ho")]),
                _asked(messages=[Message("system", "Be."), Message("user", "Hi")]),
                _asked(tools=[tool]),
                _asked(tool_choice="none"),
                _asked(output_schema=OutputSchema("form", {"type": "object"})),
                _asked(settings={"temperature": 0.1}),
                _asked(options=CallOptions(temperature=0.1)),
            )
        ),
    ]
    assert len({*names}) == len(names)
    for same in (_asked(session_id="s"), _asked(memo={"a": 1}), _asked(handle="h")):
        assert cache.path(model, same) == cache.path(model, _asked())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_parameter_of_the_model_is_a_part_of_the_request(
    kind: Any, new: NewModel, server: ProtocolServer, ask: Ask
) -> None:
    for temperature in (0.1, 0.2, 0.1):
        await ask(cached(new(kind, temperature=temperature)), "Hi")
    assert len(server.requests) == 2


async def test_an_error_is_not_kept(new: NewModel, server: ProtocolServer, ask: Ask) -> None:
    server.script += [Reply.http_error(500), Reply.text("Once ").dropping(after=1)]
    model = cached(new())
    for _ in range(2):
        with pytest.raises(ModelError):
            await ask(model, "Hi")
    assert (await ask(model, "Hi")).message.text == "Hello."
    assert len(server.requests) == 3


async def test_an_answer_is_of_use_for_its_time(
    new: NewModel, server: ProtocolServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cached(new(cache_ttl=60))
    for now, asked in ((1000.0, 1), (1059.0, 1), (1060.0, 2), (1100.0, 2)):
        monkeypatch.setattr("kern.models.cache.time.time", lambda now=now: now)
        await ask(model, "Hi")
        assert len(server.requests) == asked


@pytest.mark.parametrize("damage", ["", "{", '{"created_at": 1}', "[]", '{"a": \ud800}', "\x00"])
async def test_a_damaged_file_is_asked_for_again_and_made_good(
    damage: str,
    new: NewModel,
    server: ProtocolServer,
    ask: Ask,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = cached(new())
    await ask(model, "Hi")
    [path] = files(tmp_path)
    path.write_bytes(damage.encode(errors="surrogatepass"))
    assert (await ask(model, "Hi")).message.text == "Hello."
    [warning] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert str(path) in warning.getMessage()
    await ask(model, "Hi")
    assert len(server.requests) == 2


async def test_where_nothing_can_be_kept_the_answer_stands(
    new: NewModel, ask: Ask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    model = cached(new(cache_dir=tmp_path / "file" / "answers"))
    assert (await ask(model, "Hi")).message.text == "Hello."
    assert "cannot be kept" in caplog.text


async def test_only_their_owner_may_read_the_answers(
    new: NewModel, ask: Ask, tmp_path: Path
) -> None:
    await ask(cached(new(api_key="sk-secret")), "Hi")
    [path] = files(tmp_path)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert "sk-secret" not in path.read_text()
    json.loads(path.read_text())


async def test_an_answer_with_a_lone_surrogate_is_kept(
    new: NewModel, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(Reply.text("Half: \ud83d"))
    model = cached(new())
    first = await ask(model, "Hi")
    assert (await ask(model, "Hi")).message == first.message
    assert len(server.requests) == 1


async def test_many_write_and_read_one_answer_at_once(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path)
    response = ModelResponse(Message("assistant", "x" * 100_000), Metrics())
    path = cache.path(ScriptedModel([]), _asked())

    async def use() -> None:
        for _ in range(20):
            await asyncio.to_thread(cache.write, path, response)
            found = await asyncio.to_thread(cache.read, path)
            assert found is not None
            assert found.message == response.message

    await asyncio.gather(*(use() for _ in range(8)))
    assert [*path.parent.iterdir()] == [path]


async def test_a_kept_call_with_an_id_of_the_conversation_is_asked_for_again(
    new: NewModel, server: ProtocolServer, tmp_path: Path
) -> None:
    cache = ResponseCache(tmp_path)
    model = CachedModel(new(), cache)
    server.script += [Reply.tool_calls(("add", {}))]
    kept = await model.respond(_asked())
    result = Message("tool", "1", tool_call_id=kept.message.tool_calls[0].id)
    again = _asked(messages=[Message("user", "Hi"), kept.message, result])
    cache.write(cache.path(new(), again), kept)
    assert (await model.respond(again)).message.text == "Hello."


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="cache_ttl must be a number of seconds"):
        kind("m", cache_response=True, cache_ttl=-1)
    with pytest.raises(ConfigurationError, match="Without cache_response=True cache_ttl"):
        kind("m", cache_ttl=5)


def test_answers_are_kept_below_the_users_own_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ResponseCache().directory == tmp_path / "kern" / "responses"


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_costs_what_its_model_says_and_a_kept_one_nothing(
    streamed: bool, new: NewModel, server: ProtocolServer
) -> None:
    server.default = Reply.text("Hello.").counting(Usage(10, 5))
    agent = Agent("Teller", new(price=Price(input=1000, output=2000)), live=streamed)
    assert [(await agent.arun("Hi")).metrics.cost for _ in range(2)] == [0.02, 0.0]
