"""The calls of an answer, as they are read however a server writes them."""

from contextlib import aclosing
from typing import Any

import pytest
from asking import Ask

from kern.errors import ModelError
from kern.models.base import CallArguments, ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer


def call(**values: object) -> dict[str, object]:
    usual = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add"}
    given = usual | {"arguments": "{}", "status": "completed"} | values
    return {name: value for name, value in given.items() if value != "left out"}


@pytest.mark.parametrize("call_id", ["left out", None, "", " ", 7])
async def test_a_call_without_an_id_gets_one(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, call_id: object
) -> None:
    server.script.append(Reply.output(call(call_id=call_id), call(call_id=call_id, name="sub")))
    answer = (await ask(model, "Hi")).message
    first, second = answer.tool_calls
    assert (first.name, second.name) == ("add", "sub")
    assert len({first.id, second.id} - {"", " ", "None", "7"}) == 2
    await _hand_back(model, server, ask, answer)


async def test_calls_with_one_id_get_one_each(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.output(call(), call(arguments='{"a": 1}'), call(name="sub")))
    answer = (await ask(model, "Hi")).message
    assert len({each.id for each in answer.tool_calls}) == 3
    assert answer.tool_calls[0].id == "call_1"
    await _hand_back(model, server, ask, answer)


async def _hand_back(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, answer: Message
) -> None:
    """Answer each call, and see that the provider can tell which is which."""
    results = [Message("tool", "ok", tool_call_id=each.id) for each in answer.tool_calls]
    await ask(model, "Hi", answer, *results)
    sent = server.requests[-1].body["input"]
    calls = [each["call_id"] for each in sent if each.get("type") == "function_call"]
    results_ = [each["call_id"] for each in sent if each.get("type") == "function_call_output"]
    assert calls == results_ == [each.id for each in answer.tool_calls]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("left out", ""),
        (None, ""),
        ("", ""),
        ({"a": 1}, '{"a": 1}'),
        ([1], "[1]"),
        ('{"a": "\ud83d"}', '{"a": "\ud83d"}'),
    ],
)
async def test_arguments_are_text_whatever_they_were(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, arguments: object, text: str
) -> None:
    server.script.append(Reply.output(call(arguments=arguments)))
    answer = (await ask(model, "Hi")).message
    assert [each.arguments for each in answer.tool_calls] == [text]
    await _hand_back(model, server, ask, answer)


@pytest.mark.parametrize("name", ["left out", None, 7, ""])
async def test_a_call_without_a_name_is_one_of_a_tool_that_there_is_not(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, name: object
) -> None:
    server.script.append(Reply.output(call(name=name)))
    answer = (await ask(model, "Hi")).message
    assert [each.name for each in answer.tool_calls] == ["unnamed"]
    await _hand_back(model, server, ask, answer)


async def test_a_call_of_a_custom_tool_is_answered_in_kind(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    custom = {"type": "custom_tool_call", "call_id": "call_1", "name": "shout", "input": "Hey"}
    server.script.append(Reply.output(custom))
    answer = (await ask(model, "Hi")).message
    assert [each.arguments for each in answer.tool_calls] == ["Hey"]
    await ask(model, "Hi", answer, Message("tool", "no", tool_call_id="call_1"))
    result = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "no"}
    assert server.requests[-1].body["input"][1:] == [custom, result]


async def test_nothing_is_called_for_who_refuses_to_answer(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.refusal("No.").thinking("Hm").calling(("add", {})))
    response = await ask(model, "Hi")
    assert (response.message.refusal, response.message.tool_calls) == (True, [])
    assert response.finish_reason == "refusal"
    await ask(model, "Hi", response.message)
    assert [each.get("type") for each in server.requests[-1].body["input"]] == [None, "message"]


@pytest.mark.parametrize("kind", ["incomplete", "failed", "an incomplete call"])
async def test_nothing_is_called_for_an_answer_that_was_broken_off(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, kind: str
) -> None:
    replies: dict[str, Any] = {
        "incomplete": Reply.incomplete().calling(("add", {})),
        "failed": Reply.failed().calling(("add", {})),
        "an incomplete call": Reply.output(call(status="incomplete", arguments="")),
    }
    server.script.append(replies[kind])
    with pytest.raises(ModelError):
        await ask(model, "Hi")


async def test_a_call_with_the_id_of_an_earlier_turn_gets_one_of_its_own(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script += [Reply.output(call()), Reply.output(call(arguments='{"a": 1}'))]
    first = (await ask(model, "Hi")).message
    result = Message("tool", "ok", tool_call_id=first.tool_calls[0].id)
    second = (await ask(model, "Hi", first, result)).message
    assert first.tool_calls[0].id == "call_1" != second.tool_calls[0].id
    await _hand_back(model, server, ask, second)


async def test_a_piece_of_a_call_has_only_the_id_and_the_name_that_came(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.output(call(call_id=None, name=None)))
    async with aclosing(model.stream(ModelRequest([Message("user", "Hi")]))) as answer:
        pieces = [piece async for piece in answer if isinstance(piece, CallArguments)]
    assert {(each.id, each.name) for each in pieces} == {(None, None)}
