"""Which errors of the model's service are only waited for."""

import pytest
from asking import Ask, NewModel, ask_for_the_whole, pieces_and_whole

from kern.errors import ModelError
from kern.testing import Reply, ResponsesServer

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


@pytest.mark.parametrize(
    ("headers", "pause"), [({"retry-after-ms": "200"}, 0.2), ({"retry-after": "0.2"}, 0.2)]
)
async def test_the_pause_is_the_one_that_the_server_asks_for(
    new_model: NewModel, server: ResponsesServer, ask: Ask, headers: dict[str, str], pause: float
) -> None:
    # Longer than the pause that is made here without one.
    server.script.append(Reply.http_error(429, headers=headers))
    await ask(new_model(max_retries=1), "Hi")
    first, second = server.requests
    assert first.finished is not None
    assert second.arrived - first.finished >= pause


async def test_a_server_that_asks_for_too_long_a_pause_is_left_alone_at_once(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    server.default = Reply.http_error(429, headers={"retry-after": "3600"})
    with pytest.raises(ModelError) as raised:
        await ask(new_model(max_retries=3), "Hi")
    assert (raised.value.kind, raised.value.transient) == ("rate_limit", True)
    assert raised.value.retry_after == 3600
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded"])
async def test_a_failure_within_an_answer_that_passes_is_waited_for(
    new_model: NewModel, server: ResponsesServer, ask: Ask, code: str
) -> None:
    server.script.append(Reply.failed(code, "Not now."))
    assert (await ask(new_model(max_retries=1), "Hi")).message.content == "Hello."
    assert len(server.requests) == 2


ERROR_EVENT = 'event: error\ndata: {"type": "error", "code": "server_error", "message": "No."}\n\n'


async def test_an_error_event_before_the_first_text_is_waited_for(
    new_model: NewModel, server: ResponsesServer
) -> None:
    server.script.append(Reply.garbage(ERROR_EVENT, content_type="text/event-stream"))
    pieces, _ = await pieces_and_whole(new_model(max_retries=1), "Hi")
    assert pieces == ["Hello."]


async def test_a_stream_that_breaks_off_before_the_first_text_is_begun_again(
    new_model: NewModel, server: ResponsesServer
) -> None:
    server.script.append(Reply.garbage(": nothing yet", content_type="text/event-stream"))
    pieces, _ = await pieces_and_whole(new_model(max_retries=1), "Hi")
    assert pieces == ["Hello."]


@pytest.mark.parametrize("code", ["invalid_prompt", "insufficient_quota", "of_the_future"])
async def test_a_failure_within_an_answer_that_stays_is_not_waited_for(
    new_model: NewModel, server: ResponsesServer, ask: Ask, code: str
) -> None:
    server.default = Reply.failed(code, "Never.")
    with pytest.raises(ModelError, match="Never") as raised:
        await ask(new_model(max_retries=3), "Hi")
    assert not raised.value.transient
    assert len(server.requests) == 1


@pytest.mark.parametrize(("says", "count"), [("true", 2), ("false", 1)])
async def test_a_server_that_says_whether_to_come_back_is_obeyed(
    new_model: NewModel, server: ResponsesServer, says: str, count: int
) -> None:
    status = 400 if says == "true" else 500
    server.default = Reply.http_error(status, headers=AT_ONCE | {"x-should-retry": says})
    with pytest.raises(ModelError):
        await ask_for_the_whole(new_model(max_retries=1), "Hi")
    assert len(server.requests) == count


async def test_a_stream_that_has_begun_is_not_begun_again(
    new_model: NewModel, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon").dropping(after=1))
    model = new_model(max_retries=3)
    with pytest.raises(ModelError, match="cannot be reached") as raised:
        await pieces_and_whole(model, "Hi")
    assert (raised.value.transient, raised.value.content) == (True, "Once ")
    assert len(server.requests) == 1


async def test_a_failure_after_the_first_text_is_left_to_the_run(
    new_model: NewModel, server: ResponsesServer
) -> None:
    server.script.append(Reply.failed("server_error", "Not now.", "Once ", "upon"))
    with pytest.raises(ModelError, match="Not now") as raised:
        await pieces_and_whole(new_model(max_retries=3), "Hi")
    assert (raised.value.kind, raised.value.transient) == ("server", True)
    assert raised.value.content == "Once upon"
    assert len(server.requests) == 1
