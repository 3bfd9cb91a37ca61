"""An answer that says nothing is none: it is an error, and asked for again."""

import json

import pytest
from asking import Ask, NewModel, as_answer

from kern.errors import ModelError
from kern.models.base import ModelRequest, ModelResponse
from kern.models.openai import OpenAIResponses
from kern.run.content import ImagePart, Inline
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer

EMPTY = {
    "nothing": Reply(),
    "only reasoning": Reply().thinking("Hm.", "sealed"),
    "an empty text": Reply.text(""),
    "only a search": Reply.output({"type": "web_search_call", "id": "ws_1", "status": "completed"}),
    "only what is not known": Reply.output({"type": "of_the_future", "id": "fut_1"}),
}


@pytest.mark.parametrize("name", EMPTY)
async def test_an_empty_answer_is_an_error_that_passes(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, name: str
) -> None:
    server.script.append(EMPTY[name])
    with pytest.raises(ModelError, match="test-model gave an empty answer") as raised:
        await ask(model, "Hi")
    assert (raised.value.kind, raised.value.transient) == ("empty", True)


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("background", [False, True])
async def test_an_empty_answer_is_asked_for_again(
    new_model: NewModel,
    server: ResponsesServer,
    ask: Ask,
    name: str,
    background: bool,
) -> None:
    server.script.append(EMPTY[name])
    answer = await ask(new_model(max_retries=1, background=background), "Hi")
    assert answer.message.text == "Hello."
    assert len(server.requests) == 2


async def test_a_kept_answer_that_is_empty_is_not_picked_up_again_and_again(
    new_model: NewModel, server: ResponsesServer
) -> None:
    model = new_model(background=True)
    server.script.append(EMPTY["only reasoning"])
    with pytest.raises(ModelError, match="empty"):
        await model.respond(ModelRequest([Message("user", "Hi")]))
    request = ModelRequest([Message("user", "Hi")], handle=server.requests[0].response_id)
    *_, response = [piece async for piece in model.stream(request)]
    assert isinstance(response, ModelResponse)
    assert response.message.text == "Hello."


async def test_an_empty_refusal_is_an_answer(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.refusal(""))
    assert (await ask(model, "Hi")).message == Message("assistant", "", refusal=True)


async def test_a_text_is_one_whatever_a_server_calls_it(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    item = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Four."}]}
    server.script.append(Reply.garbage(json.dumps({"output": [item]})))
    response = await model.respond(ModelRequest([Message("user", "2 + 2?")]))
    assert response.message.text == "Four."


async def test_an_image_is_an_answer(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    image = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "/w=="}
    server.script.append(Reply.output(image))
    message = (await ask(model, "Hi")).message
    assert message.content == (ImagePart(Inline(b"\xff"), "image/png"),)
    await ask(model, "Hi", message, "More.")
    assert server.requests[-1].body["input"][1] == image


async def test_an_answer_of_an_older_kern_that_says_nothing_is_not_sent(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    """The API refuses reasoning that nothing follows."""
    reasoning: dict[str, object] = {"type": "reasoning", "id": "rs_1", "summary": []}
    text: dict[str, object] = {"type": "message", "role": "assistant", "content": []}
    turns: list[list[dict[str, object]]] = [[reasoning], [reasoning, text, reasoning]]
    said = [
        Message("assistant", "", provider="OpenAI", provider_items=[reasoning]),
        Message("assistant", None),
        *(
            Message(
                "assistant",
                provider="OpenAI",
                provider_items=items,
                server=server.base_url.removeprefix("http://"),
                model="test-model",
            )
            for items in turns
        ),
        Message("assistant", "Well."),
    ]
    await ask(model, "Hi", *said)
    assert server.requests[-1].body["input"][1:] == [reasoning, text, as_answer("Well.")]
