"""What a model's service gets wrong, said in words that help."""

import json
import socket
from collections.abc import Mapping

import pytest
from asking import Ask, NewModel, ask_for_a_stream, ask_for_the_whole, pieces_and_whole

from kern.errors import KernError, ModelError
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, ""),
        (401, " Check OPENAI_API_KEY."),
        (404, " Check the model's id and OPENAI_BASE_URL."),
        (429, " Wait, or ask the provider for a higher limit."),
        (500, ""),
    ],
)
async def test_an_http_error_is_told_with_its_remedy(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, status: int, advice: str
) -> None:
    server.script.append(Reply.http_error(status, "It is so."))
    with pytest.raises(ModelError) as raised:
        await ask(model, "Hi")
    assert raised.value.status_code == status
    assert str(raised.value) == f"test-model answered {status}: It is so.{advice}"


async def test_a_failed_response_says_why_and_keeps_the_text(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.failed("server_error", "The oven is cold.", "Once ", "upon"))
    with pytest.raises(ModelError, match=r"^test-model failed: The oven is cold\.$") as raised:
        await ask(model, "Hi")
    assert raised.value.content == "Once upon"
    assert raised.value.status_code is None


async def test_an_answer_that_is_cut_off_is_an_error_that_keeps_the_text(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.incomplete("Once ", "upon"))
    with pytest.raises(ModelError, match=r"max_output_tokens\. Raise max_output_tokens") as raised:
        await ask(model, "Hi")
    assert raised.value.content == "Once upon"


async def test_an_answer_that_is_no_json(model: OpenAIResponses, server: ResponsesServer) -> None:
    for body in ("", "<html>", "{", b"\xff\xfe", "[" * 100_000):
        server.script.append(Reply.garbage(body))
        with pytest.raises(ModelError, match="answered with something that is no JSON"):
            await ask_for_the_whole(model, "Hi")


ODD_RESPONSES: list[object] = [
    None,
    7,
    "text",
    [],
    {},
    {"output": None},
    {"output": {}},
    {"output": [7]},
    {"output": ["text"]},
    {"output": [{"type": "message", "content": "text"}]},
    {"output": [{"type": "message", "content": 7}]},
    {"output": [{"type": "message", "content": [7]}]},
]


async def test_json_that_is_no_response(model: OpenAIResponses, server: ResponsesServer) -> None:
    for response in ODD_RESPONSES:
        server.script.append(Reply.garbage(json.dumps(response)))
        with pytest.raises(ModelError, match="answered with something that is no response"):
            await ask_for_the_whole(model, "Hi")


async def test_a_response_in_a_status_that_is_no_end(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.garbage('{"output": [], "status": "in_progress"}'))
    with pytest.raises(ModelError, match="ended with the status 'in_progress'"):
        await model.respond(ModelRequest([Message("user", "Hi")]))


async def test_a_body_that_is_no_stream(model: OpenAIResponses, server: ResponsesServer) -> None:
    server.script.append(Reply.garbage("<html>", content_type="text/html"))
    with pytest.raises(ModelError, match="test-model ended its answer before it was complete"):
        await pieces_and_whole(model, "Hi")


def _stream(*events: object) -> Reply:
    frames = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in events]
    body = b"".join(b"data: " + frame + b"\n\n" for frame in frames)
    return Reply.garbage(body, content_type="text/event-stream")


DELTA: Mapping[str, object] = {"type": "response.output_text.delta", "delta": "Once upon"}


ODD_EVENTS: list[object] = [
    b"{no json",
    b"\xff\xfe",
    [7],
    7,
    None,
    {},
    {"type": 7},
    {"type": "response.output_text.delta"},
    {"type": "response.output_text.delta", "delta": 7},
    {"type": "response.completed"},
    *({"type": "response.completed", "response": response} for response in ODD_RESPONSES),
    {"type": "error", "message": "It is so."},
    {"error": {"message": "It is so."}},
    b"[DONE]",
]


async def test_a_stream_of_odd_events_is_an_error_that_keeps_the_text(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    for event in ODD_EVENTS:
        server.script.append(_stream(DELTA, event))
        with pytest.raises(ModelError, match=r"^test-model (answered|failed|ended)") as raised:
            await ask_for_a_stream(model, "Hi")
        assert raised.value.content == "Once upon", event


async def test_events_that_are_not_known_yet_are_passed_over(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    text = {"type": "output_text", "text": "Hello."}
    response = {"status": "completed", "output": [{"type": "message", "content": [text]}]}
    server.script.append(
        _stream(
            {"type": "response.brand_new"}, {"type": "response.completed", "response": response}
        )
    )
    pieces, _ = await pieces_and_whole(model, "Hi")
    assert pieces == ["Hello."]


LONG = {"x-long": "a" * 9_000}


@pytest.mark.parametrize(
    "reply", [Reply.garbage(headers=LONG), Reply.http_error(500, headers=LONG)]
)
async def test_a_header_that_is_too_long_is_an_error_of_ours(
    new_model: NewModel, server: ResponsesServer, ask: Ask, reply: Reply
) -> None:
    server.script.append(reply)
    with pytest.raises(ModelError, match=r"(?s)something that is no HTTP: .* 8190 bytes") as raised:
        await ask(new_model(max_retries=1), "Hi")
    # It may have been paid for, and would be again.
    assert (raised.value.kind, raised.value.transient) == ("malformed", False)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["127.0.0.1:1/v1", "ftp://127.0.0.1:1", "http://:1:1"])
async def test_an_address_that_is_none_is_told_with_its_remedy(
    new_model: NewModel, ask: Ask, url: str
) -> None:
    with pytest.raises(
        KernError, match=r"no usable address: .* Check base_url and OPENAI_BASE_URL"
    ):
        await ask(new_model(base_url=url, max_retries=1), "Hi")


@pytest.mark.parametrize("value", [object(), float("nan")])
async def test_a_parameter_that_is_no_json_is_an_error_of_ours(
    new_model: NewModel, server: ResponsesServer, ask: Ask, value: object
) -> None:
    with pytest.raises(ModelError) as raised:
        await ask(new_model(request_params={"odd": value}), "Hi")
    assert not raised.value.transient
    assert server.requests == []


@pytest.mark.parametrize("reply", [Reply.dropped(), Reply.dropped("headers")])
async def test_a_dropped_connection(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, reply: Reply
) -> None:
    server.script.append(reply)
    with pytest.raises(ModelError, match=r"test-model cannot be reached: .+ Check the network"):
        await ask(model, "Hi")


async def test_a_body_that_breaks_off(model: OpenAIResponses, server: ResponsesServer) -> None:
    server.script.append(Reply.text("Once ", "upon").dropping(after=1))
    with pytest.raises(ModelError, match="cannot be reached"):
        await model.respond(ModelRequest([Message("user", "Hi")]))


async def test_a_stream_that_breaks_off_keeps_the_text(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon ", "a time").dropping(after=2))
    with pytest.raises(ModelError, match="cannot be reached") as raised:
        await pieces_and_whole(model, "Hi")
    assert raised.value.content == "Once upon "


async def test_a_server_that_is_not_there(new_model: NewModel, ask: Ask) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        model = new_model(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        with pytest.raises(ModelError, match=r"reached: \[Errno \d+\] Connect call failed"):
            await ask(model, "Hi")


async def test_a_server_that_never_answers_is_given_up(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    server.default = Reply.hang()
    model = new_model(timeout=0.2)
    while not server.requests:  # It may be given up before it has come, on a slow machine.
        with pytest.raises(ModelError, match=r"did not answer within 0\.2 s\. Raise timeout\."):
            await ask(model, "Hi")
    await server.wait_for_disconnects(1)


async def test_a_stream_that_stands_still_is_given_up_and_keeps_the_text(
    new_model: NewModel, server: ResponsesServer
) -> None:
    server.default = Reply.text("Once ", "upon").held(after=1)
    model, content = new_model(timeout=0.2), ""
    while not content:  # It may be given up before any has come, on a slow machine.
        with pytest.raises(ModelError, match=r"within 0\.2 s") as raised:
            await pieces_and_whole(model, "Hi")
        content = raised.value.content or ""
    assert content == "Once "
    await server.wait_for_disconnects(1)
