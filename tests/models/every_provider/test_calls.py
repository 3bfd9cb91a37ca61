"""How each model calls its provider: for how long, how often, and until it is cancelled."""

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest
from asking import Ask, pieces_and_whole
from providers import PROVIDERS, NewModel, Provider

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, ModelError
from kern.models.base import Model, ModelRequest, Text
from kern.run.agent import RunEvent
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.run.tool import ToolCall
from kern.testing import ProtocolServer, Reply
from kern.testing.protocols import anthropic, chat, google, responses

KINDS = [each.kind for each in PROVIDERS.values()]
FUNCTION = {"name": "add", "arguments": "{}"}
CALLS: dict[Any, dict[str, Any]] = {
    responses: {"type": "function_call", "id": "fc_1", "call_id": "call_1", **FUNCTION},
    chat: {"tool_calls": [{"id": "call_1", "type": "function", "function": FUNCTION}]},
    anthropic: {"type": "tool_use", "id": "call_1", "name": "add", "input": {}},
    google: {"functionCall": {"id": "call_1", "name": "add", "args": {}}},
}
"""A call in each protocol, as its server writes it."""


async def test_a_call_with_the_id_of_an_earlier_turn_gets_one_of_its_own(
    provider: Provider, model: Model, server: ProtocolServer, ask: Ask
) -> None:
    server.script += [Reply.output(CALLS[provider.protocol])] * 2
    first = (await ask(model, "Hi")).message
    result = Message("tool", "ok", tool_call_id="call_1")
    second = (await ask(model, "Hi", first, result)).message
    assert first.tool_calls == [ToolCall("call_1", "add", "{}")]
    assert second.tool_calls[0].id not in ("call_1", "")
    again = Message("tool", "ok", tool_call_id=second.tool_calls[0].id)
    server.script.append(Reply.text("Done."))
    answer = await ask(model, "Hi", first, result, second, again)
    assert answer.message.text == "Done."


@pytest.mark.parametrize("is_read", [False, True], ids=["whole", "streamed"])
async def test_a_cancel_of_the_run_closes_the_connection(
    provider: Provider, model: Model, server: ProtocolServer, is_read: bool
) -> None:
    server.default = Reply.text("Once ", "upon").held(after=1)
    agent = Agent("Tester", model, db=InMemoryDb(), live=is_read)
    await agent.arun("Hi", background=True, run_id="run")
    await server.wait_for_requests(1)
    if is_read:
        async with aclosing(agent.astream_run("run")) as events:
            async for event in events:
                if event.event is RunEvent.run_content:
                    break
    assert await agent.acancel_run("run")
    await server.wait_for_disconnects(1)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.cancelled, "Once " if is_read else None)
    assert len(server.requests) == 1


async def test_a_stream_that_nobody_reads_any_more_is_closed(
    model: Model, server: ProtocolServer
) -> None:
    server.default = Reply.text("a", "b").held(after=1)
    async with aclosing(model.stream(ModelRequest([Message("user", "Hi")]))) as pieces:
        async for piece in pieces:
            if piece == Text("a"):
                break
    await server.wait_for_disconnects(1)


@pytest.mark.parametrize(
    "reply",
    [
        Reply.hang(),
        Reply.text(*"Hello, world!").slow(pause=0.1),
        Reply.text(*"Hello.").trickling(0.1, "head"),
    ],
    ids=["silence", "pauses", "headers"],
)
async def test_a_call_ends_at_its_time_limit(
    new_model: NewModel, server: ProtocolServer, ask: Ask, reply: Reply
) -> None:
    server.default = reply
    model = new_model(timeout=0.3)
    await model.prepare()
    while not server.requests:  # It may be given up before it has come, on a slow machine.
        began = time.monotonic()
        with pytest.raises(
            ModelError, match=r"test-model did not answer within 0\.3 s\."
        ) as raised:
            await ask(model, "Hi")
        assert (raised.value.kind, raised.value.transient) == ("timeout", True)
        assert 0.3 <= time.monotonic() - began < 20
    await server.wait_for_disconnects(1)
    assert len(server.requests) == 1


async def test_each_try_has_the_time_limit_to_itself(
    new_model: NewModel, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(Reply.hang())
    answer = await ask(new_model(timeout=0.3, max_retries=9), "Hi")
    assert answer.message.text == "Hello."
    await server.wait_for_disconnects(1)
    assert len(server.requests) >= 2  # More where the machine is slow.


async def test_what_a_reader_has_is_not_asked_for_again(
    new_model: NewModel, server: ProtocolServer
) -> None:
    server.default = Reply.text("Once ", "upon ", "a time.").dropping(after=2)
    with pytest.raises(ModelError) as raised:
        await pieces_and_whole(new_model(max_retries=3), "Hi")
    assert raised.value.content == "Once upon "
    assert (raised.value.kind, raised.value.transient) == ("connection", True)
    assert len(server.requests) == 1


async def test_calls_share_connections(model: Model, server: ProtocolServer, ask: Ask) -> None:
    for _ in range(3):
        await ask(model, "Hi")
    assert server.connections == 1
    await asyncio.gather(*(ask(model, "Hi") for _ in range(8)))
    assert server.connections <= 8
    assert len(server.requests) == 11


async def test_a_call_does_not_say_on_which_machine_it_is_made(
    model: Model, server: ProtocolServer, ask: Ask
) -> None:
    await ask(model, "Hi")
    telling = ("lang", "package-version", "os", "arch", "runtime", "runtime-version", "async")
    assert not {f"x-stainless-{each}" for each in telling} & server.requests[0].headers.keys()


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize("kind", KINDS)
def test_the_keyword_that_was_meant_is_named(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"{kind.__name__}\(\) .* Did you mean 'base_url'\?"):
        kind("m", basurl="")
