"""Images, sound, files, reasoning and citations on the wire, and how an answer is to be."""

import json

import pytest
from asking import Ask

from kern.errors import ModelError
from kern.models.base import (
    CallArguments,
    ModelRequest,
    ModelResponse,
    OutputSchema,
    Piece,
    Reasoning,
    Text,
    ToolChoice,
)
from kern.models.openai import OpenAIResponses
from kern.run.content import (
    AudioPart,
    Blob,
    CitationPart,
    FilePart,
    ImagePart,
    Inline,
    Part,
    ReasoningPart,
    TextPart,
    Url,
)
from kern.run.message import Message
from kern.run.tool import ToolCall, ToolSchema
from kern.testing import Reply, ResponsesServer

SENT: list[tuple[Part, dict[str, object]]] = [
    (TextPart("What is it? \ud83d"), {"type": "input_text", "text": "What is it? \ufffd"}),
    (
        ImagePart(Url("http://x/a.png")),
        {"type": "input_image", "image_url": "http://x/a.png", "detail": "auto"},
    ),
    (
        ImagePart(Inline(b"\xff"), "image/jpeg", "low"),
        {"type": "input_image", "image_url": "data:image/jpeg;base64,/w==", "detail": "low"},
    ),
    (FilePart(Url("http://x/a.pdf")), {"type": "input_file", "file_url": "http://x/a.pdf"}),
    (
        FilePart(Inline(b"\xff"), "application/pdf", "a.pdf"),
        {
            "type": "input_file",
            "file_data": "data:application/pdf;base64,/w==",
            "filename": "a.pdf",
        },
    ),
    (
        AudioPart(Inline(b"\xff"), "audio/mpeg", "Hello."),
        {"type": "input_text", "text": "Hello."},
    ),
]


async def test_what_a_user_and_a_tool_give_goes_out_in_parts(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    parts, items = tuple(part for part, _ in SENT), [item for _, item in SENT]
    call = Message("assistant", tool_calls=[ToolCall("call_1", "draw", "{}")])
    await ask(model, Message("user", parts), call, Message("tool", parts, tool_call_id="call_1"))
    said, _, drawn = server.requests[0].body["input"]
    assert said == {"role": "user", "content": items}
    assert drawn == {"type": "function_call_output", "call_id": "call_1", "output": items}


async def test_of_another_providers_answer_only_the_text_goes_out(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    parts = (ReasoningPart("Hm."), TextPart("Paris."), CitationPart("http://x"))
    await ask(model, "Where?", Message("assistant", parts), Message("system", (TextPart("So?"),)))
    body = server.requests[0].body
    assert body["input"][1]["content"] == [{"type": "output_text", "text": "Paris."}]
    assert body["instructions"] == "So?"


@pytest.mark.parametrize(
    "part",
    [
        AudioPart(Url("http://x/a.mp3")),
        AudioPart(Inline(b""), "audio/mpeg"),
        FilePart(Inline(b""), "video/mp4"),
        ImagePart(Url("gs://bucket/a.png")),
        ImagePart(Blob("a", 1)),
    ],
    ids=repr,
)
async def test_what_the_api_does_not_take_is_refused_before_it_is_sent(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, part: Part
) -> None:
    with pytest.raises(ModelError) as raised:
        await ask(model, Message("user", (part,)))
    assert (raised.value.kind, raised.value.transient) == ("invalid_request", False)
    assert server.requests == []


def _answer(*output: object) -> Reply:
    response = {"id": "resp_1", "model": "test-model-2", "status": "completed", "output": output}
    return Reply.garbage(json.dumps(response))


def _message(*content: object) -> object:
    return {"type": "message", "content": content}


def _citation(url: str, start: int, end: int) -> object:
    return {
        "type": "url_citation",
        "url": url,
        "title": "X",
        "start_index": start,
        "end_index": end,
    }


async def test_reasoning_and_citations_come_out_of_an_answer(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(
        _answer(
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            _message({"type": "output_text", "text": "In France. "}),
            _message(
                {
                    "type": "output_text",
                    "text": "Paris.",
                    "annotations": [_citation("http://x", 0, 5), {"type": "file_path"}, {}],
                }
            ),
        )
    )
    response = await model.respond(ModelRequest([Message("user", "Where?")]))
    assert response.message.text == "In France. Paris."
    assert response.message.content == (
        ReasoningPart("Hm."),
        TextPart("In France. Paris."),
        CitationPart("http://x", "X", 11, 16),
    )
    assert (response.id, response.model) == ("resp_1", "test-model-2")


async def test_an_answer_says_why_it_ended(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    assert (await ask(model, "Hi")).finish_reason == "stop"
    server.script.append(Reply.tool_calls(("add", {"a": 1})))
    response = await ask(model, "Hi")
    assert response.finish_reason == "tool_calls"
    assert response.model == "test-model"
    assert response.id == server.requests[-1].response_id


async def _pieces(model: OpenAIResponses, request: ModelRequest) -> list[Piece]:
    return [piece async for piece in model.stream(request)]


async def test_a_stream_has_reasoning_texts_and_the_arguments_of_calls(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("So, ", "then.").thinking("Hm, hm.")
    server.script.append(reply.calling(("add", '{"a": 1}'), ("none", "")))
    *pieces, response = await _pieces(model, ModelRequest([Message("user", "Hi")]))
    assert isinstance(response, ModelResponse)
    first, second = response.message.tool_calls
    assert pieces == [
        Reasoning("Hm,"),
        Reasoning(" hm."),
        Text("So, "),
        Text("then."),
        CallArguments(0, first.id, "add", ""),
        CallArguments(0, None, None, '{"a"'),
        CallArguments(0, None, None, ": 1}"),
        CallArguments(1, second.id, "none", ""),
    ]


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


async def test_how_to_answer_goes_out_with_the_request(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    request = ModelRequest(
        [Message("user", "Hi")],
        [ToolSchema("add", "Adds.", {})],
        tool_choice="add",
        output_schema=OutputSchema("place", SCHEMA),
        settings={"temperature": 0.1, "text": {"verbosity": "low"}},
    )
    await model.respond(request)
    body = server.requests[0].body
    assert body["tool_choice"] == {"type": "function", "name": "add"}
    assert body["temperature"] == 0.1
    form = {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
    assert body["text"] == {"verbosity": "low", "format": form}


@pytest.mark.parametrize(
    "choice", ["none", "auto", "required", {"type": "allowed_tools", "mode": "auto", "tools": []}]
)
async def test_a_choice_of_tools_that_is_no_name_goes_out_as_it_is(
    model: OpenAIResponses, server: ResponsesServer, choice: ToolChoice
) -> None:
    tools = [ToolSchema("add", "Adds.", {})]
    await model.respond(ModelRequest([Message("user", "Hi")], tools, tool_choice=choice))
    await model.respond(ModelRequest([Message("user", "Hi")], tool_choice=choice))
    assert server.requests[0].body["tool_choice"] == choice
    assert "tool_choice" not in server.requests[1].body


async def test_a_plain_conversation_gives_the_bytes_that_it_always_gave(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    said = [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?")]
    call = Message("assistant", "", tool_calls=[ToolCall("call_1", "add", "{}")])
    messages = [*said, Message("user", "Go on."), call, Message("tool", "3", tool_call_id="call_1")]
    await model.respond(ModelRequest(messages, [ToolSchema("add", "Adds.", {"type": "object"})]))
    assert json.dumps(server.requests[0].body, separators=(",", ":")) == (
        '{"model":"test-model","input":[{"role":"user","content":"Hi"},'
        '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Yes?"}]},'
        '{"role":"user","content":"Go on."},'
        '{"type":"function_call","call_id":"call_1","name":"add","arguments":"{}"},'
        '{"type":"function_call_output","call_id":"call_1","output":"3"}],'
        '"instructions":"Be brief.",'
        '"tools":[{"type":"function","name":"add","description":"Adds.",'
        '"parameters":{"type":"object"},"strict":false}]}'
    )
