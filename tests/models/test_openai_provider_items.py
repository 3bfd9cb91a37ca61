"""What the provider gave is handed back as it was: reasoning, ids, and what is yet to come."""

import json

import pytest
from asking import Ask, as_answer

from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.testing import ResponsesServer
from kern.testing.responses import Reply

ITEMS: list[dict[str, object]] = [
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Hm, \u0000."}],
        "encrypted_content": "sealed==",
    },
    {"id": "fut_1", "type": "of_the_future", "odd": {"deep": [1, 2.5, None, True]}, "null": None},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [
            {
                "type": "output_text",
                "text": "Hello",
                "annotations": [{"type": "url_citation", "url": "http://x", "extra": 1}],
                "logprobs": [],
                "unknown": {"kept": True},
            }
        ],
    },
]


def _whole_or_streamed(body: dict[str, object]) -> Reply:
    response = {"id": "resp_1", "object": "response", "status": "completed", "output": ITEMS}
    if not body.get("stream"):
        return Reply.garbage(json.dumps(response))
    event = {"type": "response.completed", "response": response, "sequence_number": 0}
    return Reply.garbage(f"data: {json.dumps(event)}\n\n", content_type="text/event-stream")


async def test_items_are_handed_back_unchanged_in_the_next_request(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(_whole_or_streamed)
    answer = (await ask(model, "Hi")).message
    assert answer.text == "Hello"
    assert answer.provider == "OpenAI"
    await ask(model, "Hi", answer, "And now?")
    assert server.requests[-1].body["input"] == [
        {"role": "user", "content": "Hi"},
        *ITEMS,
        {"role": "user", "content": "And now?"},
    ]


async def test_items_are_handed_back_unchanged_after_they_were_stored(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(_whole_or_streamed)
    answer = (await ask(model, "Hi")).message
    stored = json.dumps(answer.to_dict())
    await ask(model, "Hi", Message.from_dict(json.loads(stored)))
    assert server.requests[-1].body["input"][1:] == ITEMS


async def test_a_mere_text_is_handed_back_as_a_text(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    answer = (await ask(model, "Hi")).message
    await ask(model, "Hi", answer)
    assert server.requests[-1].body["input"][1] == as_answer("Hello.")


async def test_the_items_of_another_provider_are_not_handed_over(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    answer = Message("assistant", "Hello", provider="Another", provider_items=ITEMS)
    await ask(model, "Hi", answer)
    assert server.requests[-1].body["input"][1] == as_answer("Hello")


@pytest.mark.parametrize("text", ["half \ud83d", "\udc00"])
async def test_items_that_cannot_be_sent_as_they_are_do_not_end_the_conversation(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, text: str
) -> None:
    server.script.append(Reply.text("Hello").thinking(text))
    answer = (await ask(model, "Hi")).message
    await ask(model, "Hi", answer)
    reasoning = server.requests[-1].body["input"][1]
    [sent] = [part["text"] for part in reasoning["summary"]]
    assert sent == text[:-1] + "\ufffd"
