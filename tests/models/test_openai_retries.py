"""Which errors of the model's service are only waited for."""

import pytest
from asking import Ask, NewModel, ask_for_the_whole, pieces_and_whole

from kern.errors import ModelError
from kern.testing import ResponsesServer
from kern.testing.responses import Reply

AT_ONCE = {"retry-after-ms": "1"}


@pytest.mark.parametrize("status", [408, 429, 500, 529])
async def test_an_error_that_passes_is_waited_for(
    new_model: NewModel, server: ResponsesServer, ask: Ask, status: int
) -> None:
    server.script += [Reply.http_error(status, headers=AT_ONCE)] * 2
    response = await ask(new_model(max_retries=2), "Hi")
    assert response.message.content == "Hello."
    first, *others = [request.body for request in server.requests]
    assert others == [first, first]


@pytest.mark.parametrize("reply", [Reply.dropped(), Reply.dropped("headers")])
async def test_a_dropped_connection_is_made_anew(
    new_model: NewModel, server: ResponsesServer, ask: Ask, reply: Reply
) -> None:
    server.script.append(reply)
    assert (await ask(new_model(max_retries=1), "Hi")).message.content == "Hello."
    assert len(server.requests) == 2


async def test_a_server_that_never_recovers_is_given_up(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    server.default = Reply.http_error(429, "Too much.", headers=AT_ONCE)
    with pytest.raises(ModelError, match="429: Too much"):
        await ask(new_model(max_retries=3), "Hi")
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [400, 401])
async def test_an_error_that_stays_is_not_waited_for(
    new_model: NewModel, server: ResponsesServer, ask: Ask, status: int
) -> None:
    server.default = Reply.http_error(status, headers=AT_ONCE)
    with pytest.raises(ModelError, match=str(status)):
        await ask(new_model(max_retries=3), "Hi")
    assert len(server.requests) == 1


async def test_the_pause_is_the_one_that_the_server_asks_for(
    new_model: NewModel, server: ResponsesServer
) -> None:
    # Longer than the pause that the SDK would make of its own accord, which is at most 500 ms.
    pause = 0.7
    server.script.append(Reply.http_error(429, headers={"retry-after-ms": str(pause * 1000)}))
    await ask_for_the_whole(new_model(max_retries=1), "Hi")
    first, second = server.requests
    assert first.finished is not None
    assert second.arrived - first.finished >= pause


async def test_a_stream_that_has_begun_is_not_begun_again(
    new_model: NewModel, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon").dropping(after=1))
    model = new_model(max_retries=3)
    with pytest.raises(ModelError, match="cannot be reached"):
        await pieces_and_whole(model, "Hi")
    assert len(server.requests) == 1
