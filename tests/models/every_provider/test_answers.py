"""What each model makes of its provider's answers, whole and streamed."""

import json

import pytest
from asking import Ask, pieces_and_whole
from provider_runs import SIGNATURE
from providers import PNG, Provider

from kern.errors import ModelError, OutputLimitError
from kern.models.anthropic import Claude
from kern.models.base import CallArguments, Model, ModelRequest, OutputSchema, Reasoning
from kern.models.openai import OpenAIResponses
from kern.run.content import (
    AudioPart,
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
from kern.testing import ProtocolServer, Reply, Usage
from kern.testing.protocols import google

CITY: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [ToolSchema("weather", "Tells the weather.", CITY), ToolSchema("time", "", CITY)]
QUESTION = [Message("system", "Be brief."), Message("user", "Paris?")]


async def test_a_text_comes_in_its_pieces_and_as_a_whole(
    model: Model, server: ProtocolServer, ask: Ask
) -> None:
    server.default = Reply.text("Hel", "lo ", "world.")
    pieces, streamed = await pieces_and_whole(model, "Hi")
    whole = await ask(model, "Hi")
    assert pieces == ["Hel", "lo ", "world."]
    for response in (streamed, whole):
        assert (response.message.content, response.finish_reason) == ("Hello world.", "stop")
        assert response.model == "test-model"
        assert response.id


async def test_any_text_comes_as_it_is(model: Model, server: ProtocolServer, ask: Ask) -> None:
    text = 'data: {"a"}\r\n\r\nevent: x\u2028\u0085😀é\x00"\\'
    server.default = Reply.text(*text)
    assert (await ask(model, "Hi")).message.text == text


async def test_calls_side_by_side(model: Model, server: ProtocolServer, ask: Ask) -> None:
    server.default = Reply.text("Both.").calling(
        ("weather", {"city": "Pâris"}), ("time", {"city": "Rome"})
    )
    response = await ask(model, "Hi")
    calls = response.message.tool_calls
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("weather", {"city": "Pâris"}),
        ("time", {"city": "Rome"}),
    ]
    assert len({call.id for call in calls}) == 2
    assert (response.message.text, response.finish_reason) == ("Both.", "tool_calls")


async def test_the_pieces_of_calls_add_up_to_their_arguments(
    model: Model, server: ProtocolServer
) -> None:
    server.default = Reply.tool_calls(("weather", {"city": "Paris"}), ("time", {"city": "Rome"}))
    *pieces, response = [piece async for piece in model.stream(ModelRequest(QUESTION, TOOLS))]
    made: dict[int, ToolCall] = {}
    for piece in pieces:
        assert isinstance(piece, CallArguments)
        if piece.index not in made:
            assert piece.id
            assert piece.name
            made[piece.index] = ToolCall(piece.id, piece.name, "")
        known = made[piece.index]
        made[piece.index] = ToolCall(known.id, known.name, known.arguments + piece.text)
    assert [*made.values()] == response.message.tool_calls  # type: ignore[union-attr] # the last


@pytest.mark.parametrize("choice", ["none", "auto", "required", "weather"])
async def test_the_choice_among_tools_is_told(
    provider: Provider, model: Model, server: ProtocolServer, choice: str
) -> None:
    await model.respond(ModelRequest(QUESTION, TOOLS, tool_choice=choice))
    [record] = server.requests
    assert provider.protocol.tools_of(record.body).keys() == {"weather", "time"}
    told = record.body.get("tool_choice", record.body.get("toolConfig"))
    assert told is not None
    assert ("weather" in json.dumps(told)) is (choice == "weather")


async def test_the_form_of_the_answer_is_asked_for(model: Model, server: ProtocolServer) -> None:
    server.default = Reply.text('{"city": "Paris"}')
    request = ModelRequest(QUESTION, TOOLS, output_schema=OutputSchema("place", CITY))
    response = await model.respond(request)
    assert json.loads(response.message.text) == {"city": "Paris"}
    body = dict(server.requests[0].body)
    body.pop("tools")
    assert '"required": ["city"]' in json.dumps(body)


async def test_thoughts_are_shown_and_go_back_to_where_they_came_from(
    provider: Provider, model: Model, server: ProtocolServer, ask: Ask
) -> None:
    call = ("weather", {"city": "Paris"})
    server.script += [Reply.tool_calls(call).thinking("Let me see.", SIGNATURE), Reply.text("Sun.")]
    first = (await ask(model, "Hi")).message
    assert isinstance(first.content, tuple)
    assert first.content[0] == ReasoningPart("Let me see.")
    assert first.text == ""
    result = Message("tool", "Sunny.", tool_call_id=first.tool_calls[0].id)
    await ask(model, "Hi", first, result)
    sent = provider.signature(SIGNATURE)
    assert sent in json.dumps(server.requests[1].body)
    first.server = "example.com"
    await ask(model, "Hi", first, result)
    assert sent not in json.dumps(server.requests[2].body)


async def test_thoughts_come_in_pieces(model: Model, server: ProtocolServer) -> None:
    server.default = Reply.text("Sun.").thinking("Let me see.", SIGNATURE)
    pieces = [piece async for piece in model.stream(ModelRequest(QUESTION))]
    thoughts = [piece.text for piece in pieces if isinstance(piece, Reasoning)]
    assert "".join(thoughts) == "Let me see."
    assert len(thoughts) > 1


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(Inline(PNG)),
        ImagePart(Url("https://example.com/cat.png"), "image/png"),
        FilePart(Inline(b"%PDF-1.4\n"), "application/pdf", "report.pdf"),
    ],
    ids=["image", "address", "file"],
)
async def test_media_is_shown_to_the_model(
    provider: Provider, model: Model, server: ProtocolServer, part: Part
) -> None:
    await model.respond(ModelRequest([Message("user", (TextPart("What is it?"), part))]))
    roles = [role for role, _ in provider.protocol.messages_of(server.requests[0].body)]
    assert roles == ["user", "media"]


async def test_sound_is_played_to_the_model_or_refused(
    provider: Provider, model: Model, server: ProtocolServer
) -> None:
    sound = AudioPart(Inline(b"RIFF\0\0\0\0WAVE"), "audio/wav")
    request = ModelRequest([Message("user", (TextPart("What is it?"), sound))])
    if not provider.takes_sound:
        with pytest.raises(ModelError, match=r"takes no sound\. Give its transcript") as raised:
            await model.respond(request)
        assert raised.value.kind == "invalid_request"
        assert server.requests == []
        return
    await model.respond(request)
    roles = [role for role, _ in provider.protocol.messages_of(server.requests[0].body)]
    assert roles == ["user", "media"]


async def test_what_was_used_is_counted(
    provider: Provider, model: Model, server: ProtocolServer, ask: Ask
) -> None:
    server.default = Reply.text("Hi.").counting(
        Usage(100, 40, 60, 30, 0 if provider.protocol is google else 20)
    )
    metrics = (await ask(model, "Hi")).metrics
    assert (metrics.input_tokens, metrics.output_tokens, metrics.total_tokens) == (100, 40, 140)
    assert (metrics.cached_tokens, metrics.reasoning_tokens) == (60, 30)
    assert metrics.cache_write_tokens == (0 if provider.protocol is google else 20)
    assert metrics.model_calls == 1
    server.default = Reply.text("Hi.").counting(
        Usage(100, 40, audio_input_tokens=7, audio_output_tokens=5)
    )
    assert (await ask(model, "Hi")).metrics.audio_tokens == (12 if provider.takes_sound else 0)


async def test_a_refusal_is_an_answer_in_which_nothing_is_called(
    provider: Provider, model: Model, server: ProtocolServer, ask: Ask
) -> None:
    server.default = Reply.refusal("I will not.").calling(("weather", {"city": "Paris"}))
    if provider.protocol is google:  # It has no refusals but those of its filters.
        with pytest.raises(ModelError, match=r"PROHIBITED_CONTENT \(I will not\)") as raised:
            await ask(model, "Hi")
        assert raised.value.kind == "content_filter"
        return
    message = (await ask(model, "Hi")).message
    assert (message.refusal, message.text, message.tool_calls) == (True, "I will not.", [])


async def test_an_answer_that_is_cut_off_keeps_its_text(
    model: Model, server: ProtocolServer, ask: Ask
) -> None:
    server.default = Reply.incomplete("Once upon").calling(("weather", {"city": "Paris"}))
    reason = r"test-model broke off its answer: .* Raise max_"
    with pytest.raises(OutputLimitError, match=reason) as told:
        await ask(model, "Hi")
    assert (told.value.kind, told.value.transient) == ("output_limit", False)
    assert told.value.content == "Once upon"


async def test_what_a_filter_stops_is_told_apart(
    provider: Provider, model: Model, server: ProtocolServer, ask: Ask
) -> None:
    server.default = Reply.incomplete("Once upon", reason="content_filter")
    if provider.kind is Claude:  # Its filters refuse.
        message = (await ask(model, "Hi")).message
        assert (message.refusal, message.text) == (True, "Once upon")
        return
    with pytest.raises(ModelError, match="test-model broke off its answer: ") as raised:
        await ask(model, "Hi")
    assert (raised.value.kind, raised.value.content) == ("content_filter", "Once upon")


async def test_an_end_that_nobody_knows_is_told(
    provider: Provider, model: Model, server: ProtocolServer, ask: Ask
) -> None:
    server.default = Reply.incomplete("Once upon", reason="odd_reason")
    if provider.kind is OpenAIResponses:  # It says that the answer is not complete.
        with pytest.raises(ModelError, match="broke off its answer: odd_reason") as raised:
            await ask(model, "Hi")
        assert raised.value.content == "Once upon"
        return
    response = await ask(model, "Hi")
    assert (response.message.text, response.finish_reason) == ("Once upon", "other")
