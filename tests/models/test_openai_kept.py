"""Answers that the provider keeps: come back to, whatever becomes of the connection."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from asking import NewModel
from typing_extensions import override

from kern.errors import ModelError
from kern.models.base import Kept, ModelRequest, ModelResponse, Piece, Text
from kern.models.openai import OpenAIResponses
from kern.models.openai import model as openai_model
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer

STORY = Reply.text("Once ", "upon ", "a time.")


@pytest.fixture
def model(new_model: NewModel) -> OpenAIResponses:
    """A model whose provider keeps the answers."""
    return new_model(background=True, max_retries=2)


async def _pieces(model: OpenAIResponses, handle: str | None = None) -> list[Piece]:
    request = ModelRequest([Message("user", "Tell me.")], handle=handle)
    return [piece async for piece in model.stream(request)]


def _text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


async def _asked(model: OpenAIResponses, server: ResponsesServer) -> str:
    """Ask for an answer and leave; return its handle."""
    stream = model.stream(ModelRequest([Message("user", "Tell me.")]))
    kept = await anext(stream)
    await stream.aclose()
    assert kept == Kept(server.requests[-1].response_id or "")
    assert isinstance(kept, Kept)
    return kept.handle


async def test_the_handle_comes_before_the_answer_goes_on(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(STORY)
    handle, *pieces, response = await _pieces(model)
    assert handle == Kept(server.requests[0].response_id or "")
    assert pieces == [Text("Once "), Text("upon "), Text("a time.")]
    assert isinstance(response, ModelResponse)
    assert response.id == server.requests[0].response_id
    assert server.lookups == []


async def test_an_answer_that_is_complete_is_picked_up_with_one_look(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(STORY)
    handle = await _asked(model, server)
    await _complete(server, handle)
    pieces = await _pieces(model, handle)
    assert pieces[:-1] == [Text("Once upon a time.")]
    assert (len(server.requests), len(server.lookups)) == (1, 1)


async def test_an_answer_in_the_making_is_streamed_from_its_beginning(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = STORY.held(after=1)
    server.script.append(reply)
    handle = await _asked(model, server)
    picking_up = asyncio.create_task(_pieces(model, handle))
    await server.wait_until(lambda server: len(server.lookups) == 2)
    reply.release()
    pieces = await picking_up
    assert pieces[:-1] == [Text("Once "), Text("upon "), Text("a time.")]
    assert len(server.requests) == 1


async def test_a_stream_that_stops_and_is_refused_is_polled_to_the_end(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = STORY.dropping(after=1).held(after=2).not_resumable()
    server.script.append(reply)
    asking = asyncio.create_task(_pieces(model))
    # The stream is refused once, and the answer is looked at until it is complete.
    await server.wait_until(lambda server: len(server.lookups) >= 3, timeout=20)
    reply.release()
    pieces = await asking
    assert _text(pieces) == "Once upon a time."
    assert [each.query.get("stream") for each in server.lookups[:3]] == ["true", None, None]
    assert len(server.requests) == 1


async def test_an_answer_that_stands_still_past_the_timeout_is_come_back_to(
    new_model: NewModel, server: ResponsesServer
) -> None:
    model = new_model(background=True, max_retries=2, timeout=0.3)
    reply = STORY.held(after=1)
    server.script.append(reply)
    asking = asyncio.create_task(_pieces(model))
    await server.wait_until(lambda server: len(server.lookups) >= 2, timeout=20)
    reply.release()
    assert _text(await asking) == "Once upon a time."
    assert len(server.requests) == 1


async def test_an_answer_that_failed_for_now_is_asked_for_anew(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.failed("server_error", "Not now."), STORY]
    first, second, *pieces = await _pieces(model)
    assert [first, second] == [Kept(each.response_id or "") for each in server.requests]
    assert _text(pieces) == "Once upon a time."


async def test_an_answer_that_failed_for_good_is_an_error_and_asked_for_anew_next_time(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.failed("invalid_prompt", "Never."), STORY]
    with pytest.raises(ModelError, match="Never"):
        await _pieces(model)
    handle = server.requests[0].response_id
    assert _text(await _pieces(model, handle)) == "Once upon a time."
    assert len(server.requests) == 2


async def test_an_answer_that_is_gone_is_asked_for_anew(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(STORY)
    pieces = await _pieces(model, "resp_of_long_ago")
    assert pieces[0] == Kept(server.requests[0].response_id or "")
    assert _text(pieces) == "Once upon a time."


async def test_a_provider_that_cannot_be_reached_is_not_asked_anew(
    new_model: NewModel, server: ResponsesServer
) -> None:
    handle = await _asked(new_model(background=True), server)
    unreachable = new_model(base_url="http://127.0.0.1:1/v1", background=True)
    with pytest.raises(ModelError, match="cannot be reached") as raised:
        await _pieces(unreachable, handle)
    assert raised.value.transient
    assert len(server.requests) == 1


async def test_an_answer_that_goes_while_it_is_streamed_is_left_to_the_run(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(STORY.held(after=1))
    stream = model.stream(ModelRequest([Message("user", "Tell me.")]))
    assert isinstance(await anext(stream), Kept)
    assert await anext(stream) == Text("Once ")
    [generation] = server._background.values()
    server._background.clear()
    await generation.close()  # Ends the stream before its last event.
    with pytest.raises(ModelError, match="404") as raised:
        await anext(stream)
    assert (raised.value.transient, raised.value.content) == (True, "Once ")
    assert len(server.requests) == 1


async def _complete(server: ResponsesServer, handle: str) -> None:
    """Wait until the provider has the whole answer."""
    async with asyncio.timeout(20):
        while server._background[handle].response["status"] != "completed":  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_an_answer_whose_handle_nobody_was_told_is_cancelled_with_its_call(
    model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = asyncio.Event()

    class Told(openai_model._Call):
        @override
        async def stream(self) -> AsyncGenerator[Piece, None]:
            async with aclosing(super().stream()) as pieces:
                async for piece in pieces:
                    yield piece
                    if isinstance(piece, Kept):
                        told.set()

    monkeypatch.setattr(openai_model, "_Call", Told)
    server.script.append(STORY.held(after=1))
    asking = asyncio.create_task(model.respond(ModelRequest([Message("user", "Tell me.")])))
    await asyncio.wait_for(told.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert server.cancelled == [server.requests[0].response_id]
