"""The providers' own clients, asking the server over HTTP."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeAlias

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types
from shapes import check_request

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.testing import ProtocolServer, Reply, RequestRecord
from kern.testing.protocols import anthropic as anthropic_protocol
from kern.testing.protocols import chat, google, responses

pytestmark = pytest.mark.filterwarnings(  # Google's SDK builds on aiohttp so.
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
)

Texts: TypeAlias = AsyncIterator[str | None]
Ask: TypeAlias = Callable[[ProtocolServer, bool], Texts]
"""Yields the pieces of the answer as they come, or the answer in one."""


async def ask_responses(server: ProtocolServer, stream: bool) -> Texts:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        if not stream:
            yield (await client.responses.create(model="m", input="Hi")).output_text
            return
        async with await client.responses.create(model="m", input="Hi", stream=True) as events:
            async for event in events:
                if event.type == "response.output_text.delta":
                    yield event.delta


async def ask_chat(server: ProtocolServer, stream: bool) -> Texts:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        messages: list[Any] = [{"role": "user", "content": "Hi"}]
        if not stream:
            answer = await client.chat.completions.create(model="m", messages=messages)
            yield answer.choices[0].message.content
            return
        async with await client.chat.completions.create(
            model="m", messages=messages, stream=True
        ) as chunks:
            async for chunk in chunks:
                yield chunk.choices[0].delta.content


async def ask_anthropic(server: ProtocolServer, stream: bool) -> Texts:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0) as client:
        given: dict[str, Any] = {"model": "m", "max_tokens": 9}
        given["messages"] = [{"role": "user", "content": "Hi"}]
        if not stream:
            yield (await client.messages.create(**given)).content[0].text
            return
        async with client.messages.stream(**given) as events:
            async for text in events.text_stream:
                yield text
            assert (await events.get_final_message()).stop_reason


async def ask_google(server: ProtocolServer, stream: bool) -> Texts:
    options = google_types.HttpOptions(base_url=server.url)
    client = genai.Client(api_key="k", vertexai=False, http_options=options).aio
    try:
        if not stream:
            yield (await client.models.generate_content(model="m", contents="Hi")).text
            return
        chunks = await client.models.generate_content_stream(model="m", contents="Hi")
        finished = False
        async for chunk in chunks:
            yield chunk.text
            finished = bool(chunk.candidates and chunk.candidates[0].finish_reason)
        if not finished:  # The client takes the end of the connection for the end of the answer.
            raise ConnectionError("no finish reason")
    finally:
        await client.aclose()


CLIENTS = [ask_responses, ask_chat, ask_anthropic, ask_google]
STATUS_ERRORS = (openai.APIStatusError, anthropic.APIStatusError, google_errors.APIError)


@pytest.fixture
async def server() -> AsyncIterator[ProtocolServer]:
    async with ProtocolServer() as server:
        yield server
    assert server.in_flight == 0


async def texts(ask: Ask, server: ProtocolServer, stream: bool = True) -> AsyncGenerator[str, None]:
    async for piece in ask(server, stream):
        if piece:
            yield piece


async def rest_of(pieces: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in pieces]


async def text(ask: Ask, server: ProtocolServer, stream: bool) -> str:
    return "".join(await rest_of(texts(ask, server, stream)))


def started(task: Coroutine[None, None, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(task)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ask", CLIENTS)
async def test_each_client_reads_the_answer(ask: Ask, server: ProtocolServer, stream: bool) -> None:
    server.default = Reply.text("Hel", "lo")
    assert await text(ask, server, stream) == "Hello"
    [record] = server.requests
    check_request(record)
    assert record.response_id
    assert record.started
    assert record.finished


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ask", CLIENTS)
async def test_each_client_knows_an_error(ask: Ask, server: ProtocolServer, stream: bool) -> None:
    server.default = Reply.http_error(429, "Slow down.", headers={"retry-after": "7"})
    with pytest.raises(STATUS_ERRORS, match=r"Slow down\.") as raised:
        await text(ask, server, stream)
    error: Any = raised.value
    assert error.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("ask", CLIENTS)
async def test_a_connection_that_drops_leaves_what_came(ask: Ask, server: ProtocolServer) -> None:
    server.default = Reply.text("a", "b", "c").dropping(after=2)
    pieces = texts(ask, server)
    assert [await anext(pieces), await anext(pieces)] == ["a", "b"]
    with pytest.raises(Exception):  # noqa: B017, PT011 # each client has its own
        await anext(pieces)
    assert server.disconnects == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ask", CLIENTS)
async def test_a_client_that_leaves_is_counted(
    ask: Ask, server: ProtocolServer, stream: bool
) -> None:
    server.default = Reply.text("a", "b").held(after=1 if stream else None)
    call = started(text(ask, server, stream))
    await server.wait_until(
        lambda server: any(each.started or not stream for each in server.requests)
    )
    call.cancel()
    await server.wait_for_disconnects(1)
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("ask", CLIENTS)
async def test_a_reply_is_held_after_so_many_deltas(
    ask: Ask, server: ProtocolServer, after: int
) -> None:
    reply = server.default = Reply.text("a", "b").held(after)
    pieces = texts(ask, server)
    come = [await anext(pieces) for _ in range(after)]
    reading = started(rest_of(pieces))
    await server.wait_until(lambda server: any(each.started for each in server.requests))
    assert not reading.done()
    assert server.requests[0].finished is None
    reply.release()
    assert [*come, *await reading] == ["a", "b"]


TEXT_PART = {"type": "input_text", "text": "Hi", "odd": 1}
HISTORY: list[tuple[Any, dict[str, Any]]] = [
    (
        responses,
        {
            "input": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "input_text", "text": "What is it?"}]},
                {"type": "reasoning", "id": "1", "summary": [{"type": "s", "text": "Hmm"}]},
                {"type": "function_call", "call_id": "1", "name": "look", "arguments": '{"a": 1}'},
                {"type": "function_call_output", "call_id": "1", "output": "A cat."},
                {"role": "assistant", "content": "A cat."},
                {"role": "user", "content": [{"type": "input_image", "image_url": "a"}]},
            ],
            "tools": [
                {"type": "function", "name": "look", "parameters": {"type": "object"}},
                {"type": "web_search"},
            ],
        },
    ),
    (
        chat,
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What is it?"}]},
                {
                    "role": "assistant",
                    "reasoning_content": "Hmm",
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "look", "arguments": '{"a": 1}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "A cat."},
                {"role": "assistant", "content": "A cat."},
                {"role": "user", "content": [{"type": "input_image", "image_url": {"url": "a"}}]},
            ],
            "tools": [
                {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
            ],
        },
    ),
    (
        anthropic_protocol,
        {
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "What is it?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hmm", "signature": "s"},
                        {"type": "tool_use", "id": "1", "name": "look", "input": {"a": 1}},
                    ],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "1", "content": "A cat."}],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
                {"role": "user", "content": [{"type": "input_image"}]},
            ],
            "tools": [
                {"name": "look", "input_schema": {"type": "object"}},
                {"type": "web_search_20250305", "name": "web_search"},
            ],
        },
    ),
    (
        google,
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "What is it?"}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "Hmm", "thought": True},
                        {"functionCall": {"name": "look", "args": {"a": 1}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"name": "look", "response": {"output": "A cat."}}}
                    ],
                },
                {"role": "model", "parts": [{"text": "A cat."}]},
                {"role": "user", "parts": [{"input_image": {}}]},
            ],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "look", "parametersJsonSchema": {"type": "object"}}
                    ]
                },
                {"googleSearch": {}},
            ],
        },
    ),
]


@pytest.mark.parametrize(("protocol", "body"), HISTORY)
def test_a_conversation_reads_the_same_in_each_protocol(protocol: Any, body: Any) -> None:
    assert protocol.messages_of(body) == [
        ("system", "Be brief."),
        ("user", "What is it?"),
        ("reasoning", "Hmm"),
        ("call", 'look {"a": 1}'),
        ("tool", "A cat."),
        ("assistant", "A cat."),
        ("media", "input_image"),
    ]
    assert protocol.tools_of(body) == {"look": {"type": "object"}}


def test_a_request_with_a_field_that_the_sdk_does_not_know_is_found() -> None:
    paths = ["/v1/responses", "/v1/chat/completions", "/v1/messages", "/v1/m:generateContent"]
    for path in paths:
        record = RequestRecord("POST", path, {}, {}, 0.0, {"odd": 1})
        with pytest.raises(ValueError, match="odd"):
            check_request(record)


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/v1/responses", {"input": [{"role": "user", "content": [TEXT_PART]}]}, r"\.content\[0\]"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "Hi", "odd": 1}]},
            r"\.messages\[0\]",
        ),
        (
            "/v1/messages",
            {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi", "odd": 1}]},
            r"\.messages\[0\]",
        ),
        ("/v1beta/models/m:generateContent", {"contents": [{"parts": [{"odd": 1}]}]}, "parts"),
    ],
)
def test_a_field_within_a_request_that_the_sdk_does_not_know_is_found_where_it_is(
    path: str, body: dict[str, Any], place: str
) -> None:
    record = RequestRecord("POST", path, {}, {}, 0.0, {"model": "m", **body})
    if "contents" in body:
        record.body = body
    with pytest.raises(ValueError, match=rf"(?s){place}.*odd"):
        check_request(record)


async def test_the_sdk_knows_every_field_that_kern_asks_openai_with(server: ProtocolServer) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    reply = Reply.tool_calls(("add", {"a": 1, "b": 2})).thinking("Hmm", "secret")
    server.script.append(reply)
    async with OpenAIResponses("any", base_url=server.base_url, api_key="none") as model:
        await Agent("Adder", model, instructions="Add.", tools=[add]).arun("1 + 2?")
    assert len(server.requests) == 2
    for record in server.requests:
        check_request(record)


async def test_a_client_that_leaves_while_it_is_written_to_is_counted_and_logs_nothing(
    server: ProtocolServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.default = Reply.text(*["x" * 100_000] * 300)
    pieces = texts(ask_chat, server)
    await anext(pieces)
    await pieces.aclose()
    await server.wait_for_disconnects(1)
    assert caplog.records == []
