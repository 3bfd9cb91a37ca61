"""Texts that break things: very long ones, and characters that are none."""

from asking import Ask, pieces_and_whole

from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer

MEGABYTES_10 = "0123456789" * 1_000_000


async def test_unusual_characters_go_both_ways(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    for text in ("\x00", "a\x00b", "\U0001f600", "\u2028\x85\r", "é" * 1000):
        server.script.append(Reply.text(text, text))
        response = await ask(model, Message("system", text), text)
        assert response.message.content == text + text
        assert server.requests[-1].body["input"] == [{"role": "user", "content": text}]
        assert server.requests[-1].body["instructions"] == text


async def test_lone_surrogates_come_as_they_are(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.text("a\ud83d", "b\udc00"))
    assert (await ask(model, "Hi")).message.content == "a\ud83db\udc00"


async def test_a_lone_surrogate_goes_out_as_a_replacement_character(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    await ask(model, Message("system", "\ud800!"), "a\udfffb", Message("assistant", "\ud83d"))
    body = server.requests[0].body
    assert body["instructions"] == "\ufffd!"
    question, answer = body["input"]
    assert question["content"] == "a\ufffdb"
    assert answer["content"][0]["text"] == "\ufffd"


async def test_10_megabytes_go_both_ways(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.text(MEGABYTES_10))
    response = await ask(model, MEGABYTES_10)
    assert response.message.content == MEGABYTES_10
    assert server.requests[0].body["input"][0]["content"] == MEGABYTES_10


async def test_a_long_stream_keeps_its_order(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    deltas = [f"{number} " for number in range(1_000)]
    server.script.append(Reply.text(*deltas))
    pieces, response = await pieces_and_whole(model, "Count.")
    assert pieces == deltas
    assert response.message.content == "".join(deltas)
