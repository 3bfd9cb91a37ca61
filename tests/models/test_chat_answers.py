"""What Chat Completions answers, whole and streamed, however a server writes it."""

import asyncio
import base64
import json
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from asking import Ask, NewModel, pieces_and_whole

from kern.errors import ModelError
from kern.models.base import Audio, CallArguments, Model, ModelRequest, Reasoning
from kern.run.content import AudioPart, CitationPart, ImagePart, Inline, ReasoningPart, TextPart
from kern.run.message import Message, Metrics
from kern.testing import Reply, ResponsesServer, Usage


async def test_a_text_comes_in_its_pieces(chat: Model, server: ResponsesServer) -> None:
    server.script.append(Reply.text("Hel", "lo", "."))
    pieces, response = await pieces_and_whole(chat, "Hi")
    assert pieces == ["Hel", "lo", "."]
    assert response.message == Message("assistant", "Hello.")
    assert response.finish_reason == "stop"
    assert (response.model, response.id) == ("test-model", server.requests[0].response_id)


async def test_calls_side_by_side_are_read(chat: Model, server: ResponsesServer, ask: Ask) -> None:
    server.script.append(Reply.text("Wait.").calling(("add", {"a": 1}), ("sub", '{"b": ')))
    response = await ask(chat, "Hi")
    assert response.finish_reason == "tool_calls"
    assert response.message.text == "Wait."
    first, second = response.message.tool_calls
    assert (first.name, first.arguments) == ("add", '{"a": 1}')
    assert (second.name, second.arguments) == ("sub", '{"b": ')  # For the run to judge.
    assert first.id != second.id
    results = [Message("tool", "ok", tool_call_id=each.id) for each in (first, second)]
    await ask(chat, "Hi", response.message, *results)
    sent = server.requests[-1].body["messages"]
    assert [each["id"] for each in sent[1]["tool_calls"]] == [first.id, second.id]
    assert [each["tool_call_id"] for each in sent[2:]] == [first.id, second.id]


def _calls(*calls: dict[str, Any]) -> Reply:
    return Reply.output({"tool_calls": list(calls)})


def _function(name: str, arguments: object) -> dict[str, object]:
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize(
    "numbers", [{}, {"index": 0}, {"index": None}], ids=["no index", "one index", "null"]
)
async def test_calls_are_told_apart_by_their_ids_where_all_have_one_number(
    chat: Model, server: ResponsesServer, ask: Ask, numbers: dict[str, Any]
) -> None:
    server.script.append(
        _calls(
            {"id": "call_1", "function": _function("add", "{}"), **numbers},
            {"id": "call_2", "function": _function("sub", {"b": 2}), **numbers},
        )
    )
    calls = (await ask(chat, "Hi")).message.tool_calls
    assert [(each.id, each.name, each.arguments) for each in calls] == [
        ("call_1", "add", "{}"),
        ("call_2", "sub", '{"b": 2}'),
    ]


async def test_pieces_without_a_number_belong_to_the_last_call(
    chat: Model, server: ResponsesServer
) -> None:
    server.script.append(
        Reply.output(
            {"tool_calls": [{"function": _function("add", "")}]},
            {"tool_calls": [{"function": {"arguments": '{"a": '}}]},
            {"tool_calls": [{"function": {"arguments": "1}"}}]},
            {"tool_calls": [{"function": _function("sub", "{}")}]},
        )
    )
    calls = (await pieces_and_whole(chat, "Hi"))[1].message.tool_calls
    assert [(each.name, each.arguments) for each in calls] == [("add", '{"a": 1}'), ("sub", "{}")]


async def test_pieces_belong_to_the_last_call_of_their_number(
    chat: Model, server: ResponsesServer
) -> None:
    server.script.append(
        Reply.output(
            {"tool_calls": [{"index": 0, "id": "call_1", "function": _function("add", "{}")}]},
            {"tool_calls": [{"index": 0, "id": "call_2", "function": _function("sub", "{")}]},
            {"tool_calls": [{"index": 0, "function": {"name": None, "arguments": "}"}}]},
        )
    )
    calls = (await pieces_and_whole(chat, "Hi"))[1].message.tool_calls
    assert [(each.id, each.arguments) for each in calls] == [("call_1", "{}"), ("call_2", "{}")]


async def test_calls_without_ids_get_some(chat: Model, server: ResponsesServer, ask: Ask) -> None:
    server.script.append(
        _calls(
            {"index": 0, "function": _function("add", "{}")},
            {"index": 1, "function": _function("sub", "{}")},
        )
    )
    first, second = (await ask(chat, "Hi")).message.tool_calls
    assert first.id != second.id
    assert first.id.startswith("call_")


async def test_pieces_of_arguments_name_their_call_once(
    chat: Model, server: ResponsesServer
) -> None:
    server.script.append(Reply.tool_calls(("add", {"a": 1}), ("sub", {"b": 2})))
    async with aclosing(chat.stream(ModelRequest([Message("user", "Hi")]))) as stream:
        *pieces, whole = [piece async for piece in stream]
    assert all(isinstance(piece, CallArguments) for piece in pieces)
    for index, call in enumerate(whole.message.tool_calls):  # type: ignore[union-attr]
        mine = [p for p in pieces if isinstance(p, CallArguments) and p.index == index]
        assert [(each.id, each.name) for each in mine] == [(call.id, call.name)] + [
            (None, None)
        ] * (len(mine) - 1)
        assert "".join(each.text for each in mine) == call.arguments


async def test_a_refusal_is_one_and_calls_nothing(
    chat: Model, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.refusal("I won't.").calling(("add", {})))
    response = await ask(chat, "Hi")
    assert response.message.refusal
    assert (response.message.text, response.message.tool_calls) == ("I won't.", [])
    assert response.finish_reason == "refusal"


async def test_usage_is_counted(chat: Model, server: ResponsesServer, ask: Ask) -> None:
    server.script.append(Reply.text("Hi").counting(Usage(100, 20, 60, 15, 30, 5, 7)))
    metrics = (await ask(chat, "Hi")).metrics
    assert msgspec.structs.replace(metrics, time_to_first_token=None) == Metrics(
        input_tokens=100,
        output_tokens=20,
        total_tokens=120,
        cached_tokens=60,
        reasoning_tokens=15,
        model_calls=1,
        audio_tokens=12,
        cache_write_tokens=30,
        audio_output_tokens=7,
    )


async def test_an_answer_may_leave_its_usage_out(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    chat = new_model(request_params={"stream_options": None})
    assert (await ask(chat, "Hi")).message.text == "Hello."
    assert "stream_options" not in server.requests[-1].body


@pytest.mark.parametrize(
    ("reason", "kind", "said"),
    [
        ("max_output_tokens", "output_limit", "limit of tokens. Raise max_completion_tokens"),
        ("content_filter", "content_filter", "broke off its answer: content_filter"),
        ("error", "server", "failed"),
    ],
)
async def test_an_answer_that_was_broken_off_says_why(
    chat: Model, server: ResponsesServer, ask: Ask, reason: str, kind: str, said: str
) -> None:
    server.script.append(Reply.incomplete("So far", reason=reason).calling(("add", '{"a"')))
    with pytest.raises(ModelError, match=said) as raised:
        await ask(chat, "Hi")
    assert (raised.value.kind, raised.value.content) == (kind, "So far")


async def test_an_end_that_is_unknown_is_an_answer(
    chat: Model, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.incomplete("Fine.", reason="of_the_future"))
    response = await ask(chat, "Hi")
    assert (response.message.text, response.finish_reason) == ("Fine.", "other")


@pytest.mark.parametrize("reply", [Reply(), Reply.text(""), Reply.output({"content": None})])
async def test_an_empty_answer_is_asked_for_again(
    new_model: NewModel, server: ResponsesServer, ask: Ask, reply: Reply
) -> None:
    server.script += [reply, Reply.text("Here.")]
    assert (await ask(new_model(max_retries=1), "Hi")).message.text == "Here."
    server.script.append(reply)
    with pytest.raises(ModelError, match="gave an empty answer") as raised:
        await ask(new_model(), "Hi")
    assert (raised.value.kind, raised.value.transient) == ("empty", True)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
async def test_reasoning_is_shown_under_any_name(
    chat: Model, server: ResponsesServer, ask: Ask, name: str
) -> None:
    server.script.append(Reply.output({name: "Hm."}, {"content": "Yes."}))
    response = await ask(chat, "Hi")
    assert response.message.content == (ReasoningPart("Hm."), TextPart("Yes."))
    assert response.message.provider_items == []  # No server wants it back without calls.


async def test_reasoning_is_shown_where_it_is_a_part_of_the_content(
    chat: Model, server: ResponsesServer, ask: Ask
) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    content = [thinking, {"type": "text", "text": "Yes."}]
    server.script.append(Reply.output({"content": content}))
    response = await ask(chat, "Hi")
    assert response.message.content == (ReasoningPart("Hm."), TextPart("Yes."))


async def test_reasoning_comes_in_pieces(chat: Model, server: ResponsesServer) -> None:
    server.script.append(Reply.text("Yes.").thinking("Hm hm"))
    async with aclosing(chat.stream(ModelRequest([Message("user", "Hi")]))) as stream:
        pieces = [piece async for piece in stream if isinstance(piece, Reasoning)]
    assert "".join(each.text for each in pieces) == "Hm hm"


@pytest.mark.parametrize("there", [True, False], ids=["to its server", "to another"])
async def test_reasoning_goes_back_with_its_calls(
    new_model: NewModel, server: ResponsesServer, ask: Ask, there: bool
) -> None:
    chat = new_model()
    server.script.append(Reply.tool_calls(("add", {})).thinking("Hm.", "sealed"))
    answer = (await ask(chat, "Hi")).message
    if not there:
        answer.server = "elsewhere/v1"
    await ask(chat, "Hi", answer, Message("tool", "1", tool_call_id=answer.tool_calls[0].id))
    sent = server.requests[-1].body["messages"][1]
    details = [{"type": "reasoning.encrypted", "data": "sealed"}]
    extra = {"reasoning_content": "Hm.", "reasoning_details": details} if there else {}
    assert {name: value for name, value in sent.items() if "reasoning" in name} == extra
    assert len(sent["tool_calls"]) == 1


async def test_details_of_reasoning_are_put_together(chat: Model, server: ResponsesServer) -> None:
    def detail(**values: object) -> dict[str, object]:
        return {"reasoning_details": [{"type": "reasoning.text", "index": 0} | values]}

    server.script.append(
        Reply.output(
            detail(text="Hm"),
            detail(text=" hm"),
            detail(signature="signed"),
            detail(index=1, text="Oh"),
            {"content": "Yes."},
        )
    )
    _, response = await pieces_and_whole(chat, "Hi")
    assert response.message.provider_items == [
        {
            "reasoning_details": [
                {"type": "reasoning.text", "index": 0, "text": "Hm hm", "signature": "signed"},
                {"type": "reasoning.text", "index": 1, "text": "Oh"},
            ]
        }
    ]


async def test_what_a_server_adds_to_a_call_goes_back(
    chat: Model, server: ResponsesServer, ask: Ask
) -> None:
    signed = {"google": {"thought_signature": "signed"}}
    call = {"id": "call_1", "index": 0, "type": "function", "extra_content": signed}
    server.script.append(_calls({**call, "function": _function("add", "{}")}))
    answer = (await ask(chat, "Hi")).message
    await ask(chat, "Hi", answer, Message("tool", "1", tool_call_id="call_1"))
    [sent] = server.requests[-1].body["messages"][1]["tool_calls"]
    del call["index"]
    assert sent == {**call, "function": _function("add", "{}")}


async def test_a_call_of_a_custom_tool_goes_back_in_kind(
    chat: Model, server: ResponsesServer, ask: Ask
) -> None:
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "shout", "input": "Hey"}}
    server.script.append(_calls(custom))
    answer = (await ask(chat, "Hi")).message
    assert [(each.name, each.arguments) for each in answer.tool_calls] == [("shout", "Hey")]
    await ask(chat, "Hi", answer, Message("tool", "1", tool_call_id="call_1"))
    assert server.requests[-1].body["messages"][1]["tool_calls"] == [custom]


async def test_an_answer_as_sound(chat: Model, server: ResponsesServer) -> None:
    def sound(data: bytes, **values: object) -> dict[str, object]:
        return {"audio": {"data": base64.b64encode(data).decode(), **values}}

    end = {"audio": {"expires_at": 2**40}}
    first = sound(b"RIFF", id="audio_1", transcript="Hel")
    server.script.append(Reply.output(first, sound(b"wav", transcript="lo"), end))
    async with aclosing(chat.stream(ModelRequest([Message("user", "Hi")]))) as stream:
        *pieces, response = [piece async for piece in stream]
    assert pieces[:2] == [Audio(b"RIFF", "Hel"), Audio(b"wav", "lo")]
    part = AudioPart(Inline(b"RIFFwav"), "audio/wav", "Hello")
    assert response.message.content == (part,)  # type: ignore[union-attr]
    assert response.message.provider_items == [  # type: ignore[union-attr]
        {"audio": {"id": "audio_1", "expires_at": 2**40}}
    ]
    whole = {"id": "audio_1", "expires_at": 2**40, "transcript": "Hello"}
    server.script.append(Reply.output(sound(b"RIFFwav", **whole)))
    assert (await chat.respond(ModelRequest([Message("user", "Hi")]))).message.content == (part,)


async def test_sound_that_cannot_be_read_is_an_error(chat: Model, server: ResponsesServer) -> None:
    server.script.append(Reply.output({"audio": {"data": "?"}}))
    with pytest.raises(ModelError, match="sound that is no base64"):
        await pieces_and_whole(chat, "Hi")


async def test_images_and_sources_are_parts_of_the_answer(
    chat: Model, server: ResponsesServer, ask: Ask
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,cG5n"}}
    cited = {"url": "https://example.com", "title": "T", "start_index": 0, "end_index": 4}
    server.script.append(
        Reply(
            deltas=("Here.",),
            items=(
                {"images": [image]},
                {"annotations": [{"type": "url_citation", "url_citation": cited}]},
            ),
        )
    )
    assert (await ask(chat, "Hi")).message.content == (
        TextPart("Here."),
        CitationPart("https://example.com", "T", 0, 4),
        ImagePart(Inline(b"png"), "image/jpeg"),
    )


@pytest.mark.parametrize(
    ("code", "kind", "transient"),
    [
        ("server_error", "server", True),
        ("rate_limit_exceeded", "rate_limit", True),
        ("context_length_exceeded", "context_length", False),
        ("of_the_future", "invalid_request", False),
    ],
)
async def test_an_error_within_an_answer_is_one(
    chat: Model, server: ResponsesServer, ask: Ask, code: str, kind: str, transient: bool
) -> None:
    server.script.append(Reply.failed(code, "No luck."))
    with pytest.raises(ModelError, match=r"test-model failed: No luck\.") as raised:
        await ask(chat, "Hi")
    assert (raised.value.kind, raised.value.transient) == (kind, transient)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "Slow down"}, "rate_limit"),
        ({"code": 502, "message": "Bad gateway"}, "server"),
        ("It broke", "other"),
        ({"message": "The context length is 4096 tokens", "code": 400}, "context_length"),
    ],
)
@pytest.mark.parametrize("place", ["answer", "choice"])
async def test_an_error_that_a_gateway_puts_anywhere_is_one(
    chat: Model, server: ResponsesServer, error: object, kind: str, place: str
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "error": error}
    body = {"choices": [choice]} if place == "choice" else {"error": error}
    server.script.append(Reply.garbage(json.dumps(body)))
    with pytest.raises(ModelError, match="test-model failed: ") as raised:
        await chat.respond(ModelRequest([Message("user", "Hi")]))
    assert raised.value.kind == kind


@pytest.mark.parametrize(
    "body", ["{}", "[]", '{"choices": []}', '{"choices": [{}]}', "7", "<html>"]
)
async def test_what_is_no_completion_is_an_error(
    chat: Model, server: ResponsesServer, body: str
) -> None:
    server.script.append(Reply.garbage(body))
    with pytest.raises(ModelError, match="answered with something that is no") as raised:
        await chat.respond(ModelRequest([Message("user", "Hi")]))
    assert raised.value.kind == "malformed"


async def test_a_stream_that_ends_within_arguments_calls_nothing(
    new_model: NewModel, server: ResponsesServer
) -> None:
    reply = Reply.tool_calls(("add", {"a": 1}))
    server.script += [reply.dropping(after=1)]
    with pytest.raises(ModelError) as raised:
        await pieces_and_whole(new_model(), "Hi")
    assert (raised.value.kind, raised.value.transient) == ("connection", True)


async def test_a_stream_that_ends_too_early_is_an_error_that_passes(
    chat: Model, server: ResponsesServer
) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]}
    body = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    server.script.append(Reply.garbage(body, content_type="text/event-stream"))
    with pytest.raises(ModelError, match="ended its answer before it was complete") as raised:
        await pieces_and_whole(chat, "Hi")
    assert (raised.value.transient, raised.value.content) == (True, "Hel")


async def test_the_next_call_takes_the_connection_of_a_stream(
    chat: Model, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, opened = asyncio.get_running_loop(), 0
    connect = loop.create_connection

    def count(*args: Any, **options: Any) -> Any:
        nonlocal opened
        opened += 1
        return connect(*args, **options)

    monkeypatch.setattr(loop, "create_connection", count)
    for _ in range(3):
        await pieces_and_whole(chat, "Hi")
    assert (len(server.requests), opened) == (3, 1)
