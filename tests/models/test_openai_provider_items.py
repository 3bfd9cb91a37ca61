"""What the provider gave is handed back as it was: reasoning, ids, and what is yet to come."""

import json

import pytest
from asking import Ask, NewModel, as_answer, ask_for_a_stream

from kern.errors import ModelError
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer

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


async def test_items_name_the_server_and_the_model_they_came_from(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(_whole_or_streamed)
    answer = (await ask(model, "Hi")).message
    assert answer.server == server.base_url.removeprefix("http://")
    assert answer.model == "test-model"
    assert Message.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer


@pytest.mark.parametrize("change", ["server", "model", "both unknown", "model of the call"])
async def test_what_came_from_another_server_or_model_is_sent_as_text_and_calls(
    new_model: NewModel, server: ResponsesServer, ask: Ask, change: str
) -> None:
    reply = Reply.text("Hello").thinking("Hm", "sealed").calling(("add", {"a": 1}))
    server.script.append(reply)
    answer = (await ask(new_model(), "Hi")).message
    [call] = answer.tool_calls
    settings: dict[str, object] = {}
    match change:
        case "server":
            answer.server = "elsewhere/v1"
        case "model":
            answer.model = "another-model"
        case "both unknown":
            answer.server = answer.model = None
        case _:
            settings = {"model": "another-model"}
    said = [Message("user", "Hi"), answer, Message("tool", "2", tool_call_id=call.id)]
    memo: dict[str, object] = {}
    await new_model().respond(ModelRequest([Message("user", "Hi")], memo=memo))
    await new_model().respond(ModelRequest(said, settings=settings, memo=memo))
    assert server.requests[-1].body["input"][1:] == [
        as_answer("Hello"),
        {"type": "function_call", "call_id": call.id, "name": "add", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": call.id, "output": "2"},
    ]


async def test_the_servers_name_holds_nothing_secret() -> None:
    secret = "https://user:secret@Example.com:8443/v1/?key=secret"
    answer = Message("assistant", "Hello", provider="OpenAI", provider_items=ITEMS)
    assert OpenAIResponses(base_url=secret)._service.server == "example.com:8443/v1"
    assert "server" not in answer.to_dict()


def _text(text: str, **more: object) -> dict[str, object]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part | more]}


MORE_THAN_TEXT: list[list[dict[str, object]]] = [
    [_text("Let me see.") | {"phase": "commentary"}, _text("Four.") | {"phase": "final_answer"}],
    [_text("Four.") | {"phase": "final_answer"}],
    [_text("Four.") | {"of_the_future": 1}],
    [_text("Four.", annotations=[{"type": "file_citation", "file_id": "file_1", "index": 0}])],
    [_text("Two "), _text("messages.")],
    [{"type": "web_search_call", "id": "ws_1", "status": "completed"}, _text("Four.")],
    [{"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"}, _text("Four.")],
    [
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "x", "tools": []},
        {"type": "mcp_call", "id": "mcp_1", "name": "look", "arguments": "{}", "output": "4"},
        _text("Four."),
    ],
    [
        {"type": "code_interpreter_call", "id": "ci_1", "code": "2+2", "status": "completed"},
        _text("Four."),
    ],
    [
        {"type": "shell_call", "call_id": "call_1", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "call_1", "output": []},
        _text("Four."),
    ],
]


@pytest.mark.parametrize("items", MORE_THAN_TEXT, ids=str)
@pytest.mark.parametrize("background", [False, True])
async def test_what_the_next_request_needs_is_kept(
    new_model: NewModel,
    server: ResponsesServer,
    ask: Ask,
    items: list[dict[str, object]],
    background: bool,
) -> None:
    model = new_model(background=background)
    server.script.append(Reply.output(*items))
    answer = (await ask(model, "Hi")).message
    assert answer.text
    await ask(model, "Hi", Message.from_dict(json.loads(json.dumps(answer.to_dict()))))
    assert server.requests[-1].body["input"][1:] == items


async def test_a_refusal_is_handed_back_as_one(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.refusal("I'd rather not."))
    answer = (await ask(model, "Hi")).message
    await ask(model, "Hi", answer)
    [part] = server.requests[-1].body["input"][1]["content"]
    assert part == {"type": "refusal", "refusal": "I'd rather not."}


async def test_a_text_that_ends_in_a_refusal_is_one_in_its_order(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask
) -> None:
    no = {"type": "refusal", "refusal": "No further."}
    item = _text("So far. ")
    item["content"] = [*item["content"], no]  # type: ignore[misc] # it is a list
    server.script.append(Reply.output(item))
    answer = (await ask(model, "Hi")).message
    assert (answer.text, answer.refusal) == ("So far. No further.", True)
    await ask(model, "Hi", answer)
    assert server.requests[-1].body["input"][1] == item


async def test_reasoning_that_the_provider_neither_stored_nor_sealed_is_not_handed_back(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    model = new_model(store=False)
    server.script.append(Reply.text("Hello").thinking("Hm"))
    answer = (await ask(model, "Hi")).message
    await ask(model, "Hi", answer)
    assert server.requests[-1].body["input"][1] == as_answer("Hello")


async def test_a_stream_whose_end_leaves_the_items_out_is_read_by_its_events(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    events: list[dict[str, object]] = [
        {"type": "response.output_item.done", "output_index": place, "item": item}
        for place, item in reversed([*enumerate(ITEMS)])
    ]
    events.append({"type": "response.completed", "response": {"status": "completed", "output": []}})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    server.script.append(Reply.garbage(body, content_type="text/event-stream"))
    answer = (await ask_for_a_stream(model, "Hi")).message
    assert (answer.text, answer.provider_items) == ("Hello", ITEMS)


@pytest.mark.parametrize(
    "reason", ["max_output_tokens", "content_filter", "of_the_future", None], ids=str
)
async def test_an_answer_that_is_incomplete_says_why_and_keeps_its_text(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, reason: str | None
) -> None:
    reply = Reply.incomplete("So ", "far", reason=reason)  # type: ignore[arg-type] # or none
    server.script.append(reply.calling(("add", {"a": 1})))
    with pytest.raises(ModelError, match=reason or "does not say why") as raised:
        await ask(model, "Hi")
    kinds = {"content_filter": "content_filter", "max_output_tokens": "output_limit"}
    kind = kinds.get(reason or "", "incomplete")
    assert (raised.value.kind, raised.value.content) == (kind, "So far")


@pytest.mark.parametrize(
    "item",
    [
        {"type": "computer_call", "call_id": "call_1", "action": {"type": "screenshot"}},
        {"type": "mcp_approval_request", "id": "mcpr_1", "name": "look", "arguments": "{}"},
        {"type": "local_shell_call", "call_id": "call_1", "action": {"command": ["ls"]}},
    ],
)
async def test_what_kern_cannot_do_for_the_provider_is_an_error_that_says_so(
    model: OpenAIResponses, server: ResponsesServer, ask: Ask, item: dict[str, object]
) -> None:
    """Taken for an answer, it would have every later request of the session refused."""
    server.script.append(Reply.output(_text("Look:"), item))
    with pytest.raises(ModelError, match=f"{item['type']}, which kern cannot do") as raised:
        await ask(model, "Hi")
    assert (raised.value.transient, raised.value.content) == (False, "Look:")
