"""What a model behind the Responses API is asked, and how its answer is read."""

import json

import msgspec
import pytest
from asking import Ask, NewModel, as_answer, pieces_and_whole
from openai.types.shared import Reasoning as SdkReasoning

from kern.models.base import ModelRequest, Text
from kern.models.openai import OpenAIResponses
from kern.run.message import Message, Metrics
from kern.testing import Reply, ResponsesServer, Usage


async def test_a_text(model: OpenAIResponses, server: ResponsesServer, ask: Ask) -> None:
    server.script.append(Reply.text("Hel", "lo"))
    response = await ask(model, "Hi")
    assert response.message == Message("assistant", "Hello")


async def test_a_streamed_text_comes_in_its_pieces(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Hel", "lo", ""))
    pieces, response = await pieces_and_whole(model, "Hi")
    assert pieces == ["Hel", "lo", ""]
    assert response.message.content == "Hello"


async def test_a_piece_comes_before_the_next_one_is_written(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("Hel", "lo").held(after=1)
    server.script.append(reply)
    answer = model.stream(ModelRequest([Message("user", "Hi")]))
    assert await anext(answer) == Text("Hel")
    reply.release()
    assert await anext(answer) == Text("lo")
    await answer.aclose()


async def test_the_conversation_on_the_wire(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    await ask(
        model,
        Message("system", "Be brief."),
        "Hi",
        Message("assistant", "Hello."),
        Message("system", "And kind."),
        "How are you?",
    )
    [request] = server.requests
    body = {key: value for key, value in request.body.items() if key != "stream"}
    assert body == {
        "model": "test-model",
        "instructions": "Be brief.\n\nAnd kind.",
        "input": [
            {"role": "user", "content": "Hi"},
            as_answer("Hello."),
            {"role": "user", "content": "How are you?"},
        ],
    }
    assert request.headers["authorization"] == "Bearer sk-test"


async def test_without_a_system_message_there_are_no_instructions(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    await ask(model, "Hi")
    assert "instructions" not in server.requests[0].body


async def test_the_same_conversation_gives_the_same_bytes(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    server.default = Reply.text("Hello.").thinking("Hm", "sealed")
    thought = (await ask(new_model(), "Hi")).message
    for model in (new_model(), new_model()):
        await ask(model, Message("system", "Be kind."), "Hi", thought, "And now?")
    _, first, second = [json.dumps(request.body) for request in server.requests]
    assert first == second


async def test_a_message_that_is_encoded_once_gives_the_same_bytes(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    """The bytes are those that the SDK would send of the whole conversation each time."""
    server.default = Reply.text("\u00e9 \x00 \U0001f600 \u2028").thinking("Hm", "sealed")
    memo: dict[str, object] = {}
    said = [Message("system", "Be kind."), Message("user", 'Say "\u00e9\x7f\t\ud83d".')]
    for _ in range(3):
        await model.respond(ModelRequest([*said]))
        answer = await model.respond(ModelRequest([*said], memo=memo))
        said += [answer.message, Message("user", "Go on."), Message("system", "And brief.")]
    for alone, after_others in zip(server.requests[::2], server.requests[1::2], strict=True):
        assert json.dumps(alone.body) == json.dumps(after_others.body)
        compact = json.dumps(alone.body, ensure_ascii=False, separators=(",", ":")).encode()
        for request in (alone, after_others):
            assert int(request.headers["content-length"]) == len(compact)


@pytest.mark.parametrize("change", ["another", "shorter", "changed in place"])
async def test_a_conversation_that_does_not_go_on_is_encoded_anew(
    model: OpenAIResponses, server: ResponsesServer, change: str
) -> None:
    memo: dict[str, object] = {}
    said = [Message("user", "One."), Message("user", "Two.")]
    await model.respond(ModelRequest(said, memo=memo))
    match change:
        case "another":
            said = [Message("user", "Two."), Message("user", "Three."), Message("user", "Four.")]
        case "shorter":
            said = said[1:]
        case _:
            said[0].content = "Two."
    await model.respond(ModelRequest(said, memo=memo))
    assert server.requests[-1].body["input"] == [
        {"role": "user", "content": message.text} for message in said
    ]


async def test_what_a_model_is_set_to_is_sent(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    model = new_model(
        temperature=0.0,
        top_p=0.5,
        max_output_tokens=100,
        reasoning_effort="low",
        request_params={"service_tier": "flex"},
        default_headers={"x-team": "blue"},
    )
    await ask(model, "Hi")
    [request] = server.requests
    assert request.headers["x-team"] == "blue"
    sent = {
        "temperature": 0.0,
        "top_p": 0.5,
        "max_output_tokens": 100,
        "reasoning": {"effort": "low"},
        "service_tier": "flex",
    }
    assert sent.items() <= request.body.items()
    assert "store" not in request.body


async def test_a_parameter_may_be_an_object_of_the_sdk(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    await ask(new_model(request_params={"reasoning": SdkReasoning(effort="low")}), "Hi")
    assert server.requests[0].body["reasoning"] == {"effort": "low"}


async def test_where_the_provider_keeps_nothing_the_reasoning_comes_sealed(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    await ask(new_model(store=False), "Hi")
    assert server.requests[0].body["store"] is False
    assert server.requests[0].body["include"] == ["reasoning.encrypted_content"]


async def test_the_usage_is_counted(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.text("Hello").counting(Usage(70, 30, 20, 10)))
    metrics = (await ask(model, "Hi")).metrics
    assert msgspec.structs.replace(metrics, time_to_first_token=None) == Metrics(
        input_tokens=70,
        output_tokens=30,
        total_tokens=100,
        cached_tokens=20,
        reasoning_tokens=10,
        model_calls=1,
    )


async def test_a_refusal_is_an_answer_that_says_so(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.refusal("I'd rather not."))
    response = await ask(model, "Hi")
    assert response.message == Message("assistant", "I'd rather not.", refusal=True)


@pytest.mark.parametrize("usage", ["null", "[1]", '{"input_tokens": "many"}'])
async def test_an_answer_that_does_not_count_costs_nothing(
    model: OpenAIResponses, server: ResponsesServer, usage: str
) -> None:
    call = '{"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"}'
    server.script.append(Reply.garbage(f'{{"output": [{call}], "usage": {usage}}}'))
    response = await model.respond(ModelRequest([Message("user", "Hi")]))
    assert response.metrics == Metrics(model_calls=1)
