"""The HTTP connection: closed with the call that is cancelled, kept for the next one."""

import asyncio

import pytest
from asking import Ask, NewModel, ask_for_a_stream

from kern.errors import ModelError
from kern.models.base import ModelRequest, Text
from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer


@pytest.mark.parametrize("reply", [Reply.hang(), Reply.text("Once ", "upon").held(after=1)])
async def test_cancelling_the_call_closes_the_connection(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, reply: Reply
) -> None:
    server.script.append(reply)
    call = asyncio.ensure_future(ask(model, "Hi"))
    await server.wait_for_requests(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await server.wait_for_disconnects(1)


async def test_cancelling_during_a_pause_between_retries_ends_the_call(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    server.default = Reply.http_error(429, headers={"retry-after": "30"})
    call = asyncio.ensure_future(ask(new_model(max_retries=3), "Hi"))
    await server.wait_until(lambda server: server.in_flight == 0 and len(server.requests) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(server.requests) == 1


async def test_leaving_a_stream_closes_the_connection(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon").held(after=1))
    answer = model.stream(ModelRequest([Message("user", "Hi")]))
    assert await anext(answer) == Text("Once ")
    await answer.aclose()
    await server.wait_for_disconnects(1)


async def test_cancelling_one_call_leaves_the_others_alone(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    reply = Reply.text("Hello").held()
    server.default = reply
    calls = [asyncio.ensure_future(ask(model, f"Hi {number}")) for number in range(3)]
    await server.wait_for_requests(3)
    calls[1].cancel()
    await server.wait_for_disconnects(1)
    reply.release()
    first, cancelled, third = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert not isinstance(first, BaseException)
    assert not isinstance(third, BaseException)
    assert server.disconnects == 1


async def test_a_model_answers_again_after_a_cancelled_call(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.hang())
    call = asyncio.ensure_future(ask(model, "Hi"))
    await server.wait_for_requests(1)
    call.cancel()
    await asyncio.wait({call})
    assert (await ask(model, "Hi")).message.content == "Hello."


async def test_many_calls_go_at_once(model: OpenAIResponses, server: ResponsesServer) -> None:
    reply = Reply.text("Hello").held()
    server.default = reply
    calls = [
        asyncio.create_task(model.respond(ModelRequest([Message("user", "Hi")])))
        for _ in range(100)
    ]
    await server.wait_for_requests(100)
    reply.release()
    answers = await asyncio.gather(*calls)
    assert [answer.message.content for answer in answers] == ["Hello"] * 100


def test_one_model_serves_loops_one_after_another() -> None:
    with ResponsesServer() as server:
        model = OpenAIResponses("test-model", base_url=server.base_url, api_key="sk-test")

        async def ask_twice() -> list[str]:
            whole = await model.respond(ModelRequest([Message("user", "Hi")]))
            streamed = await ask_for_a_stream(model, "Hi")
            return [whole.message.text, streamed.message.text]

        assert [asyncio.run(ask_twice()) for _ in range(3)] == [["Hello.", "Hello."]] * 3


def test_the_end_of_the_loop_closes_the_connection() -> None:
    with ResponsesServer(default=Reply.hang()) as server:
        model = OpenAIResponses("test-model", base_url=server.base_url, api_key="sk-test")

        async def leave() -> None:
            call = asyncio.create_task(model.respond(ModelRequest([Message("user", "Hi")])))
            await server.wait_for_requests(1)
            assert not call.done()

        asyncio.run(leave())
        server.wait_for_disconnects_sync(1)


async def test_a_failed_call_does_not_spoil_the_next_one(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script += [Reply.text("Once ", "upon").dropping(after=1), Reply.garbage("{")]
    for _ in range(2):
        with pytest.raises(ModelError):
            await ask(model, "Hi")
    assert (await ask(model, "Hi")).message.content == "Hello."
