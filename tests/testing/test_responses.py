import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import urlsplit

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseReasoningItem,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
)

from kern.testing import Reply, ResponsesServer, Usage


@pytest.fixture
async def server() -> AsyncIterator[ResponsesServer]:
    async with ResponsesServer() as server:
        yield server
    assert server.in_flight == 0
    assert len(asyncio.all_tasks()) == 1


@pytest.fixture
async def client(server: ResponsesServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=server.base_url, api_key="test", max_retries=0) as client:
        yield client


async def ask(client: AsyncOpenAI, **more: Any) -> Response:
    response = await client.responses.create(model="scripted", input="Hi", **more)
    assert isinstance(response, Response)
    return response


async def events_of(client: AsyncOpenAI, **more: Any) -> list[ResponseStreamEvent]:
    stream = await client.responses.create(model="scripted", input="Hi", stream=True, **more)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


async def collect(
    stream: AsyncIterator[ResponseStreamEvent], events: list[ResponseStreamEvent]
) -> None:
    async for event in stream:
        events.append(event)


async def poll(client: AsyncOpenAI, response: Response) -> Response:
    while response.status in ("queued", "in_progress"):
        await asyncio.sleep(0.005)
        response = await client.responses.retrieve(response.id)
    return response


async def test_text(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script.append(Reply.text("Hel", "lo").counting(Usage(7, 3, 2, 1)))
    response = await ask(client, metadata={"a": "b"})
    assert response.output_text == "Hello"
    assert response.status == "completed"
    assert response.model == "scripted"
    assert response.metadata == {"a": "b"}
    assert response.usage
    assert response.usage.total_tokens == 10
    assert response.usage.input_tokens_details.cached_tokens == 2
    assert response.usage.output_tokens_details.reasoning_tokens == 1
    assert Response.model_validate(response.to_dict())
    [record] = server.requests
    assert record.body["input"] == "Hi"
    assert record.headers["authorization"] == "Bearer test"
    assert "Bearer" not in repr(record)
    assert record.started
    assert record.finished
    assert record.arrived <= record.started <= record.finished
    assert record.disconnected is None
    assert record.response_id == response.id
    assert (await ask(client)).output_text == "Hello."


async def test_streamed_events(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script.append(Reply.text("Hel", "lo").slow(pause=0.001))
    events = await events_of(client)
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    for event in events:
        assert type(event).model_validate(event.to_dict()) == event
    assert isinstance(events[-1], ResponseCompletedEvent)
    assert events[-1].response.output_text == "Hello"
    assert events[-1].response.usage


async def test_accumulating_helper(client: AsyncOpenAI, server: ResponsesServer) -> None:
    reply = Reply.text("Hel", "lo").thinking("Hmm", "secret").calling(("add", {"a": 1}))
    server.script.append(reply)
    async with client.responses.stream(model="scripted", input="Hi") as stream:
        snapshots = [e.snapshot async for e in stream if e.type == "response.output_text.delta"]
        response = await stream.get_final_response()
    assert snapshots == ["Hel", "Hello"]
    reasoning, message, call = response.output
    assert isinstance(reasoning, ResponseReasoningItem)
    assert reasoning.encrypted_content == "secret"
    assert reasoning.summary[0].text == "Hmm"
    assert isinstance(message, ResponseOutputMessage)
    assert isinstance(call, ResponseFunctionToolCall)
    assert json.loads(call.arguments) == {"a": 1}


async def test_every_event_is_valid(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script.append(Reply.refusal().thinking("Hmm").thinking().calling(("add", {"a": 1})))
    for event in await events_of(client):
        assert type(event).model_validate(event.to_dict()) == event


async def test_tool_calls(client: AsyncOpenAI, server: ResponsesServer) -> None:
    reply = Reply.tool_calls(("add", {"a": 1}), ("add", "no {json"))
    server.script += [reply, reply]
    calls = (await ask(client)).output
    assert all(isinstance(call, ResponseFunctionToolCall) for call in calls)
    assert [getattr(call, "arguments", None) for call in calls] == ['{"a": 1}', "no {json"]
    assert len({getattr(call, "call_id", None) for call in calls}) == 2
    events = await events_of(client)
    pieces = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == '{"a": 1}no {json'


async def test_refusal(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script.append(Reply.refusal("No."))
    [message] = (await ask(client)).output
    assert isinstance(message, ResponseOutputMessage)
    assert message.content == [ResponseOutputRefusal(refusal="No.", type="refusal")]


async def test_incomplete(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script += [Reply.incomplete("Once upon"), Reply.incomplete("Once upon")]
    response = await ask(client)
    assert response.status == "incomplete"
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == "Once upon"
    assert (await events_of(client))[-1].type == "response.incomplete"


async def test_failed(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script += [Reply.failed("server_error", "Oh", "par", "tial")] * 2
    response = await ask(client)
    assert response.status == "failed"
    assert response.error
    assert (response.error.code, response.error.message) == ("server_error", "Oh")
    assert response.usage
    assert (await events_of(client))[-1].type == "response.failed"


@pytest.mark.parametrize(
    ("status", "exception"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_http_error(
    client: AsyncOpenAI,
    server: ResponsesServer,
    status: int,
    exception: type[openai.APIStatusError],
) -> None:
    headers = {"retry-after-ms": "10"}
    server.script.append(Reply.http_error(status, "Oh", code="odd", headers=headers))
    with pytest.raises(exception, match="Oh") as raised:
        await ask(client)
    assert raised.value.code == "odd"
    assert raised.value.response.headers["retry-after-ms"] == "10"
    server.script.append(Reply.http_error(status))
    with pytest.raises(exception):
        await events_of(client)


async def test_client_retries(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script.append(Reply.http_error(503, headers={"retry-after-ms": "1"}))
    assert (await ask(client.with_options(max_retries=1))).output_text == "Hello."
    assert len(server.requests) == 2


async def test_garbage(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script += [Reply.garbage(), Reply.garbage("[]")]
    with pytest.raises((ValueError, openai.APIError)):
        await ask(client)
    response: object = await client.responses.create(model="scripted", input="Hi")
    assert response == []


@pytest.mark.parametrize(
    "reply", [Reply.dropped(), Reply.dropped("headers"), Reply.text("Hello").dropping(after=0)]
)
async def test_drop(client: AsyncOpenAI, server: ResponsesServer, reply: Reply) -> None:
    server.script.append(reply)
    with pytest.raises(openai.APIConnectionError):
        await ask(client)
    assert server.disconnects == 0
    assert (await ask(client)).output_text == "Hello."


async def test_drop_after_deltas(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script.append(Reply.text("a", "b", "c").dropping(after=2))
    stream = await client.responses.create(model="scripted", input="Hi", stream=True)
    events: list[ResponseStreamEvent] = []
    with pytest.raises(openai.APIConnectionError):
        await collect(stream, events)
    assert [e.delta for e in events if isinstance(e, ResponseTextDeltaEvent)] == ["a", "b"]


@pytest.mark.parametrize("reply", [Reply.hang(), Reply.text("late").slow(delay=60)])
@pytest.mark.parametrize("stream", [False, True])
async def test_disconnect_while_waiting(
    client: AsyncOpenAI, server: ResponsesServer, reply: Reply, stream: bool
) -> None:
    server.script.append(reply)
    call = asyncio.create_task(client.responses.create(model="scripted", input="Hi", stream=stream))
    await server.wait_for_requests(1)
    assert server.in_flight == 1
    left = time.monotonic()
    call.cancel()
    await server.wait_for_disconnects(1)
    disconnected = server.requests[0].disconnected
    assert disconnected
    assert disconnected >= left
    assert server.requests[0].finished is None
    await server.wait_until(lambda server: server.in_flight == 0)


async def test_disconnect_within_stream(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script.append(Reply.text("a", "b").held(after=1))
    stream = await client.responses.create(model="scripted", input="Hi", stream=True)
    async for event in stream:
        if isinstance(event, ResponseTextDeltaEvent):
            break
    await stream.close()
    await server.wait_for_disconnects(1)
    assert server.requests[0].started


async def test_held(client: AsyncOpenAI, server: ResponsesServer) -> None:
    reply = Reply.text("free").held()
    server.default = reply
    calls = [asyncio.create_task(ask(client)) for _ in range(3)]
    await server.wait_for_requests(3)
    assert not any(record.started for record in server.requests)
    calls.pop().cancel()
    await server.wait_for_disconnects(1)
    threading.Thread(target=reply.release).start()
    assert [(await call).output_text for call in calls] == ["free", "free"]
    assert (await ask(client)).output_text == "free"
    with pytest.raises(RuntimeError):
        Reply.text("never held").release()


async def test_held_within_stream(client: AsyncOpenAI, server: ResponsesServer) -> None:
    for after in range(3):
        reply = Reply.text("a", "b").held(after=after)
        server.script.append(reply)
        stream = await client.responses.create(model="scripted", input="Hi", stream=True)
        assert (await anext(stream)).type == "response.created"
        reply.release()
        assert [event.type async for event in stream][-1] == "response.completed"


async def test_reply_by_input(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.default = lambda body: Reply.text(body["input"].upper())
    assert (await ask(client)).output_text == "HI"
    server.default = lambda body: Reply.text(body["missing"])
    with pytest.raises(openai.InternalServerError, match="KeyError"):
        await ask(client)


async def test_background(client: AsyncOpenAI, server: ResponsesServer) -> None:
    reply = Reply.text("done").held()
    server.script.append(reply)
    response = await ask(client, background=True)
    assert response.status in ("queued", "in_progress")
    assert (await client.responses.retrieve(response.id)).output == []
    reply.release()
    response = await poll(client, response)
    assert response.output_text == "done"
    assert response.usage
    assert len(server.requests) == 1
    assert server.lookups[0].response_id == response.id
    assert (await client.responses.cancel(response.id)).status == "completed"
    assert server.cancelled == []


async def test_background_cancel(client: AsyncOpenAI, server: ResponsesServer) -> None:
    server.script.append(Reply.text("a", "b").held(after=1))
    response = await ask(client, background=True)
    stream = await client.responses.retrieve(response.id, stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    assert (await client.responses.cancel(response.id)).status == "cancelled"
    assert [event async for event in stream] == []
    assert (await client.responses.retrieve(response.id)).status == "cancelled"
    assert (await client.responses.cancel(response.id)).status == "cancelled"
    assert server.cancelled == [response.id]
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve("resp_unknown")


async def test_background_stream_resumes(client: AsyncOpenAI, server: ResponsesServer) -> None:
    reply = Reply.text("a", "b", "c").dropping(after=1).held(after=2)
    server.script.append(reply)
    seen: list[ResponseStreamEvent] = []
    stream = await client.responses.create(
        model="scripted", input="Hi", stream=True, background=True
    )
    with pytest.raises(openai.APIConnectionError):
        await collect(stream, seen)
    first = seen[0]
    assert first.type == "response.created"
    reply.release()
    resumed = await client.responses.retrieve(
        first.response.id, stream=True, starting_after=seen[-1].sequence_number
    )
    seen += [event async for event in resumed]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert "".join(e.delta for e in seen if isinstance(e, ResponseTextDeltaEvent)) == "abc"
    assert [event.type for event in seen[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert len(server.requests) == 1


async def test_hundred_at_once(client: AsyncOpenAI, server: ResponsesServer) -> None:
    reply = Reply.text("all").held()
    server.default = reply
    calls = [asyncio.create_task(ask(client)) for _ in range(100)]
    await server.wait_for_requests(100)
    assert server.in_flight == 100
    reply.release()
    responses = await asyncio.gather(*calls)
    assert len({response.id for response in responses}) == 100


@pytest.mark.parametrize("text", ["\x00\ud800\u2028\r\n", "x" * 10_000_000])
async def test_odd_texts(client: AsyncOpenAI, server: ResponsesServer, text: str) -> None:
    server.script += [Reply.text(text)] * 2
    assert (await ask(client)).output_text == text
    last = (await events_of(client))[-1]
    assert isinstance(last, ResponseCompletedEvent)
    assert last.response.output_text == text


async def test_large_request(client: AsyncOpenAI, server: ResponsesServer) -> None:
    await client.responses.create(model="scripted", input="x" * 10_000_000)
    assert len(server.requests[0].body["input"]) == 10_000_000


async def test_close_with_open_requests() -> None:
    async with ResponsesServer(default=Reply.hang()) as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="test", max_retries=0)
        call = asyncio.create_task(ask(client))
        await ask(client, background=True)
        await server.wait_for_requests(2)
    with pytest.raises(openai.APIConnectionError):
        await call
    assert isinstance(server.default, Reply)
    server.default.release()
    assert server.disconnects == 0
    assert len(asyncio.all_tasks()) == 1
    await client.close()


async def test_timeout_tells_what_there_is(server: ResponsesServer) -> None:
    with pytest.raises(TimeoutError, match="0 requests"):
        await server.wait_for_requests(1, timeout=0.01)
    with pytest.raises(ZeroDivisionError):
        await server.wait_until(lambda _: 1 // 0 == 1)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"POST /v1/responses HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n{", 400),
        (b"GET /v2 HTTP/1.1\r\nhost: a\r\n\r\n", 404),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_bad_requests(server: ResponsesServer, content: bytes, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for byte in content:
        writer.write(bytes([byte]))
    answer = await reader.readline()
    assert int(answer.split()[1]) == status
    writer.close()
    await writer.wait_closed()


async def test_pipelined_requests(server: ResponsesServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    request = b"POST /v1/responses HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"
    writer.write(request * 2 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (await reader.read()).count(b"Hello.") == 3
    writer.close()
    await writer.wait_closed()


def test_on_a_thread() -> None:
    threads = threading.active_count()
    with ResponsesServer([Reply.text("sync")]) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="test", max_retries=0)
        response = client.responses.create(model="scripted", input="Hi")
        assert response.output_text == "sync"
        server.wait_for_requests_sync(1)
        server.script.append(Reply.text("a", "b").held(after=1))
        with client.responses.create(model="scripted", input="Hi", stream=True) as stream:
            assert next(iter(stream)).type == "response.created"
        server.wait_for_disconnects_sync(1)
        server.wait_until_sync(lambda server: server.in_flight == 0)
        with pytest.raises(TimeoutError):
            server.wait_for_requests_sync(3, timeout=0.01)
        with pytest.raises(OSError, match="in use"), ResponsesServer(port=server.port):
            pass
        client.close()
    assert threading.active_count() == threads


async def test_waiting_from_another_loop() -> None:
    with ResponsesServer() as server:
        waiting = asyncio.create_task(server.wait_for_requests(1))
        async with AsyncOpenAI(base_url=server.base_url, api_key="test") as client:
            await ask(client)
        await waiting


def test_as_a_process() -> None:
    command = [sys.executable, "-W", "error", "-m", "kern.testing", "--text", "a", "b"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        base_url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{base_url}/responses", data=b"{}") as answer:
            assert json.load(answer)["output"][0]["content"][0]["text"] == "ab"
        process.terminate()
    assert process.returncode == 0


async def test_items_that_the_server_does_not_know_go_out_as_they_are(
    client: AsyncOpenAI, server: ResponsesServer
) -> None:
    items: list[dict[str, Any]] = [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": None},
        {"type": "function_call", "call_id": None, "name": None, "arguments": None},
    ]
    server.default = Reply.output(*items)
    whole = await client.responses.create(model="any", input="Hi")
    assert whole.to_dict()["output"] == items
    async with await client.responses.create(model="any", input="Hi", stream=True) as stream:
        events = [event.to_dict() async for event in stream]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == items


@pytest.mark.parametrize("begin", ["head", "body"])
async def test_an_answer_that_trickles_comes_whole_in_the_end(
    client: AsyncOpenAI, server: ResponsesServer, begin: Literal["head", "body"]
) -> None:
    server.script.append(Reply.http_error(400, "No.").trickling(0.0001, begin))
    with pytest.raises(openai.BadRequestError, match=r"No\."):
        await client.responses.create(model="any", input="Hi")


@pytest.mark.parametrize("steps", range(5))
async def test_a_client_that_comes_at_its_end_is_turned_away(steps: int) -> None:
    async with ResponsesServer() as server:
        port = urlsplit(server.base_url).port or 0
        client = socket.create_connection(("127.0.0.1", port))
        for _ in range(steps):
            await asyncio.sleep(0)
    with client, suppress(ConnectionResetError):
        client.settimeout(10)
        assert await asyncio.to_thread(client.recv, 1) == b""
