"""Chat completions keep no state, run own tools silently, and leave the client's open."""

import json
from typing import Any

import openai
import pytest
from api import WEATHER, Served, error_of
from openai.types.chat import ChatCompletionMessageParam

from kern.testing import Reply

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_price",
        "parameters": {"type": "object", "properties": {"item": {"type": "string"}}},
    },
}


def test_a_conversation_that_its_client_keeps(served: Served) -> None:
    served.script("Ada.")
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "Say please."},
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello, Ada."},
        {"role": "user", "content": [{"type": "text", "text": "Who am I?"}]},
    ]
    completion = served.client.chat.completions.create(
        model="other", messages=messages, max_completion_tokens=20, temperature=0.5
    )
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Ada.", "stop")
    assert completion.id.startswith("chatcmpl-")
    assert completion.usage is not None
    told = served.says.requests[-1].body
    assert told["max_output_tokens"] == 20
    for text in ("Be brief.", "Say please.", "I am Ada.", "Hello, Ada.", "Who am I?"):
        assert text in json.dumps(told)
    run = completion.id.removeprefix("chatcmpl-")
    assert served.http.get(f"/responses/resp_{run}").status_code == 404


def test_a_stream_in_which_the_agents_own_tools_are_silent(served: Served) -> None:
    served.script(Reply.tool_calls(("look_up", {"city": "Rome"})), Reply.text("It is ", "sunny."))
    with served.client.chat.completions.create(
        model="tools",
        messages=[{"role": "user", "content": "Weather?"}],
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = [*stream]
    assert WEATHER == ["Rome"]
    text = [each.choices[0].delta.content or "" for each in chunks if each.choices]
    assert "".join(text) == "It is sunny."
    assert not any(each.choices and each.choices[0].delta.tool_calls for each in chunks)
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("streamed", [False, True])
def test_the_clients_calls_go_there_and_back(served: Served, streamed: bool) -> None:
    served.script(
        Reply.tool_calls(("look_up", {"city": "Rome"}), ("get_price", {"item": "hat"})), "Five."
    )
    messages: list[Any] = [{"role": "user", "content": "What does a hat cost?"}]
    if streamed:
        with served.client.chat.completions.stream(
            model="tools", messages=messages, tools=[TOOL]
        ) as stream:
            choice: Any = stream.get_final_completion().choices[0]
    else:
        choice = served.client.chat.completions.create(
            model="tools", messages=messages, tools=[TOOL]
        ).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_price",
        {"item": "hat"},
    )
    assert WEATHER == ["Rome"]
    messages += [
        choice.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}),
        {"role": "tool", "tool_call_id": call.id, "content": "5"},
    ]
    last = served.client.chat.completions.create(model="tools", messages=messages, tools=[TOOL])
    assert last.choices[0].message.content == "Five."
    # Nothing is run again.
    assert WEATHER == ["Rome"]


def test_what_cannot_be_asked_for_is_refused_by_its_name(served: Served) -> None:
    user = {"role": "user", "content": "Hi"}
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"messages": None}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user"}]}, 400, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0].role"),
        (
            {"messages": [user, {"role": "assistant", "tool_calls": [call]}]},
            400,
            "messages[1]",
        ),
        (
            {"messages": [user, {"role": "tool", "tool_call_id": "x", "content": "5"}]},
            400,
            "messages",
        ),
        ({"model": "nobody"}, 404, "model"),
        ({"n": 2}, 400, "n"),
        ({"stop": ["x"]}, 400, "stop"),
        ({"seed": 1}, 400, "seed"),
        ({"tempo": 1}, 400, "tempo"),
        ({"temperature": 5}, 400, "temperature"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, 400, "tools[0].type"),
        ({"response_format": {"type": "poem"}}, 400, "response_format.type"),
    ]
    for body, status, param in refused:
        answer = served.http.post(
            "/chat/completions", json={"model": "plain", "messages": [user]} | body
        )
        assert (answer.status_code, error_of(answer)["param"]) == (status, param), body


def test_an_answer_of_a_form_and_an_error(served: Served) -> None:
    served.script('{"city": "Rome"}')
    completion = served.client.chat.completions.create(
        model="plain",
        messages=[{"role": "user", "content": "City?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "city",
                "schema": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        },
    )
    assert json.loads(completion.choices[0].message.content or "") == {"city": "Rome"}
    served.script(Reply.http_error(429, "Slow down.", code="rate_limit_exceeded"))
    with pytest.raises(openai.RateLimitError):
        served.client.chat.completions.create(
            model="plain", messages=[{"role": "user", "content": "Hi"}]
        )
