"""Agents answer OpenAI's client: in the foreground, in the background, streamed, and resumed."""

import asyncio
import json
import threading
from base64 import b64encode
from typing import Any

import openai
import pytest
from api import DELETED, WEATHER, Served, error_of, leave, until
from openai.types.responses import (
    Response,
    ResponseFunctionToolCall,
    ResponseInputItemParam,
    ResponseStreamEvent,
)
from pydantic import BaseModel, TypeAdapter
from receiver import Receiver

from kern.testing import Reply

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

GET: Any = {
    "type": "function",
    "name": "get_price",
    "description": "The price of something.",
    "parameters": {
        "type": "object",
        "properties": {"item": {"type": "string"}},
        "required": ["item"],
        "additionalProperties": False,
    },
    "strict": True,
}


def events_of(text: str) -> list[dict[str, Any]]:
    """Return the events in a stream, each checked against OpenAI's types."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith(":")]
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        if data:
            event = json.loads("\n".join(data))
            assert f"event: {event['type']}" in lines
            EVENT.validate_python(event)
            found.append(event)
    return found


def read(served: Served, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = served.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events_of(answer.text)


def ended(served: Served, response_id: str) -> Response:
    """Poll a response until it has ended."""
    found: list[Response] = []

    def has_ended() -> bool:
        found.append(served.client.responses.retrieve(response_id))
        return found[-1].status not in ("queued", "in_progress")

    until(has_ended)
    return found[-1]


def test_an_answer_in_the_foreground(served: Served) -> None:
    served.script("Paris.")
    response = served.client.responses.create(
        model="plain",
        input="What is the capital of France?",
        instructions="Answer in one word.",
        metadata={"topic": "geography"},
        temperature=0.5,
        max_output_tokens=100,
        user="ada",
    )
    assert (response.status, response.output_text) == ("completed", "Paris.")
    assert response.id.startswith("resp_")
    assert (response.model, response.background) == ("plain", False)
    assert (response.instructions, response.user) == ("Answer in one word.", "ada")
    assert response.metadata == {"topic": "geography"}
    assert (response.temperature, response.max_output_tokens) == (0.5, 100)
    assert response.usage is not None
    assert response.usage.total_tokens == 15
    told = served.says.requests[-1].body
    assert told["temperature"] == 0.5
    assert told["max_output_tokens"] == 100
    again = served.client.responses.retrieve(response.id)
    assert again.model_dump() == response.model_dump()


def test_a_background_response_is_polled(served: Served) -> None:
    held = Reply.text("Done.").held()
    served.script(held)
    raw = served.client.responses.with_raw_response.create(
        model="plain", input="Work.", background=True
    )
    response = raw.parse()
    assert response.status == "queued"
    assert int(raw.headers["openai-poll-after-ms"]) > 0
    assert response.output == []
    polled = served.client.responses.with_raw_response.retrieve(response.id)
    assert polled.parse().status in ("queued", "in_progress")
    assert int(polled.headers["openai-poll-after-ms"]) > 0
    held.release()
    last = ended(served, response.id)
    assert (last.status, last.output_text) == ("completed", "Done.")
    assert last.created_at == response.created_at


@pytest.mark.parametrize("background", [False, True])
def test_a_stream_tells_the_same_as_every_later_one(served: Served, background: bool) -> None:
    served.script(Reply.text("One ", "two ", "three."))
    with served.client.responses.create(
        model="plain", input="Count.", background=background, stream=True
    ) as stream:
        live = [each.model_dump(exclude_unset=True) for each in stream]
    assert [each["sequence_number"] for each in live] == [*range(len(live))]
    assert live[0]["type"] == "response.created"
    assert live[-1]["type"] == "response.completed"
    text = [each["delta"] for each in live if each["type"] == "response.output_text.delta"]
    assert "".join(text) == "One two three."
    response_id = live[0]["response"]["id"]
    whole = read(served, f"/responses/{response_id}", stream="true")
    assert [each["type"] for each in whole] == [each["type"] for each in live]
    assert whole[-1]["response"] == live[-1]["response"]
    for after in range(len(whole)):
        rest = read(served, f"/responses/{response_id}", stream="true", starting_after=after)
        assert rest == whole[after + 1 :]


def test_a_stream_that_was_dropped_goes_on_without_a_gap(served: Served) -> None:
    held = Reply.text(*(f"{n} " for n in range(20))).held(after=5)
    served.script(held)
    seen: list[Any] = []
    stream = served.client.responses.create(
        model="plain", input="Count.", background=True, stream=True
    )
    for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    stream.response.close()
    first = seen[0].response.id
    rest: list[Any] = []

    def go_on() -> None:
        after = seen[-1].sequence_number
        with served.client.responses.retrieve(first, stream=True, starting_after=after) as later:
            rest.extend(later)

    reader = threading.Thread(target=go_on)
    reader.start()
    held.release()
    reader.join(20)
    numbers = [each.sequence_number for each in (*seen, *rest)]
    assert numbers == [*range(len(numbers))]
    text = [each.delta for each in (*seen, *rest) if each.type == "response.output_text.delta"]
    assert "".join(text) == "".join(f"{n} " for n in range(20))


def test_the_first_event_of_a_background_stream_comes_before_the_model_says_anything(
    served: Served,
) -> None:
    held = Reply.text("Hi.").held()
    served.script(held)
    with served.client.responses.create(
        model="plain", input="Hi", background=True, stream=True
    ) as stream:
        kinds = []
        for event in stream:
            kinds.append(event.type)
            if event.type == "response.queued":
                held.release()
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[-1] == "response.completed"


def test_a_stream_cannot_begin_after_the_end(served: Served) -> None:
    response = served.client.responses.create(model="plain", input="Hi")
    last = read(served, f"/responses/{response.id}", stream="true")[-1]["sequence_number"]
    assert read(served, f"/responses/{response.id}", stream="true", starting_after=last) == []
    refused: list[tuple[dict[str, Any], str]] = [
        ({"stream": "true", "starting_after": last + 1}, "starting_after"),
        ({"stream": "true", "starting_after": -1}, "starting_after"),
        ({"stream": "true", "starting_after": "x"}, "starting_after"),
        ({"starting_after": 0}, "starting_after"),
        ({"stream": "maybe"}, "stream"),
        ({"include[]": "everything"}, "include"),
        ({"include_obfuscation": "true"}, "include_obfuscation"),
        ({"tempo": "1"}, "tempo"),
    ]
    for params, param in refused:
        answer = served.http.get(f"/responses/{response.id}", params=params)
        assert (answer.status_code, error_of(answer)["param"]) == (400, param)


def test_a_background_response_is_cancelled_once_and_for_all(served: Served) -> None:
    served.script(Reply.text("Never ", "said.").held(after=1))
    response = served.client.responses.create(model="plain", input="Work.", background=True)
    until(lambda: not served.says.script)
    cancelled = served.client.responses.cancel(response.id)
    assert cancelled.status == "cancelled"
    assert served.client.responses.cancel(response.id).model_dump() == cancelled.model_dump()
    assert served.client.responses.retrieve(response.id).status == "cancelled"
    done = served.client.responses.create(model="plain", input="Hi", background=True)
    assert ended(served, done.id).status == "completed"
    assert served.client.responses.cancel(done.id).status == "completed"


def test_a_foreground_response_is_not_cancelled_by_its_id(served: Served) -> None:
    response = served.client.responses.create(model="plain", input="Hi")
    answer = served.http.post(f"/responses/{response.id}/cancel")
    assert (answer.status_code, error_of(answer)["param"]) == (400, "response_id")


def test_a_response_goes_on_from_another_with_its_whole_chain(served: Served) -> None:
    first = served.client.responses.create(
        model="forgetful", input="I am Ada.", instructions="Rhyme.", metadata={"first": "yes"}
    )
    last = first
    for number in range(3):
        last = served.client.responses.create(
            model="forgetful", input=f"Question {number}", previous_response_id=last.id
        )
    assert last.previous_response_id is not None
    said = json.dumps(served.told())
    for text in ("I am Ada.", "Question 0", "Question 1", "Question 2"):
        assert said.count(text) == 1, text
    assert "Rhyme." not in json.dumps(served.says.requests[-1].body)
    assert last.instructions is None
    # Its metadata is its own, too.
    assert last.metadata == {}


def test_a_second_child_of_a_response_does_not_wait(served: Served) -> None:
    parent = served.client.responses.create(model="plain", input="Begin.")
    held = Reply.text("First.").held()
    served.script(held)
    first = served.client.responses.create(
        model="plain", input="One way.", previous_response_id=parent.id, background=True
    )
    until(lambda: not served.says.script)
    served.script("Second.")
    second = served.client.responses.create(
        model="plain", input="Other way.", previous_response_id=parent.id, background=True
    )
    assert ended(served, second.id).output_text == "Second."
    assert "One way." not in json.dumps(served.told())
    held.release()
    assert ended(served, first.id).output_text == "First."


def test_what_does_not_stand_so_that_it_can_be_continued(served: Served) -> None:
    held = Reply.text("Later.").held()
    served.script(held)
    running = served.client.responses.create(model="plain", input="Work.", background=True)
    with pytest.raises(openai.ConflictError):
        served.client.responses.create(model="plain", input="And?", previous_response_id=running.id)
    held.release()
    ended(served, running.id)
    for unknown in ("resp_unknown", "nonsense", f"{running.id}.1"):
        answer = served.http.post(
            "/responses", json={"model": "plain", "input": "x", "previous_response_id": unknown}
        )
        assert (answer.status_code, error_of(answer)["param"]) == (404, "previous_response_id")


def test_a_failed_response_says_why_and_can_be_continued(served: Served) -> None:
    served.script(Reply.http_error(400, "No."))
    failed = served.client.responses.create(model="plain", input="Fail.")
    assert failed.status == "failed"
    assert failed.error is not None
    served.script("Better.")
    more = served.client.responses.create(
        model="plain", input="Again.", previous_response_id=failed.id
    )
    assert more.output_text == "Better."


def test_an_answer_that_was_cut_off_is_incomplete(served: Served) -> None:
    served.script(Reply.incomplete("The begin"))
    response = served.client.responses.create(model="plain", input="Tell.", max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == "The begin"


def test_the_agents_own_calls_are_seen_and_not_for_the_client(served: Served) -> None:
    served.script(Reply.tool_calls(("look_up", {"city": "Rome"})), "It is sunny.")
    response = served.client.responses.create(model="tools", input="Weather in Rome?")
    assert WEATHER == ["Rome"]
    kinds = [each.type for each in response.output]
    assert kinds == ["mcp_call", "message"]
    call = response.output[0]
    assert call.type == "mcp_call"
    assert (call.server_label, call.name, call.output) == ("tools", "look_up", "sunny in Rome")


def test_the_clients_calls_go_there_and_back(served: Served) -> None:
    served.script(
        Reply.tool_calls(("look_up", {"city": "Rome"}), ("get_price", {"item": "hat"})),
        "A hat costs 5.",
    )
    first = served.client.responses.create(model="tools", input="Go.", tools=[GET])
    assert first.status == "completed"
    calls = [each for each in first.output if isinstance(each, ResponseFunctionToolCall)]
    assert [(each.name, each.arguments) for each in calls] == [("get_price", '{"item": "hat"}')]
    assert WEATHER == ["Rome"]
    outputs: list[ResponseInputItemParam] = [
        {"type": "function_call_output", "call_id": calls[0].call_id, "output": "5"}
    ]
    second = served.client.responses.create(
        model="tools",
        input=outputs,
        tools=[GET],
        previous_response_id=first.id,
    )
    assert second.output_text == "A hat costs 5."
    assert WEATHER == ["Rome"]
    told = served.told()
    results = [each["output"] for each in told if each.get("type") == "function_call_output"]
    assert sorted(results) == ["5", "sunny in Rome"]
    # Who keeps the history itself gives all of it.
    history: list[Any] = [{"role": "user", "content": "Go."}]
    history += [each.model_dump(exclude_none=True) for each in first.output]
    served.script("Five.")
    third = served.client.responses.create(
        model="tools", input=[*history, *outputs], tools=[GET], store=False
    )
    assert third.output_text == "Five."


def test_outputs_that_a_conversation_has_already_can_be_sent_again(served: Served) -> None:
    conversation = served.client.conversations.create()
    asking = {"model": "plain", "tools": [GET], "conversation": conversation.id}
    served.script(*[Reply.tool_calls(("get_price", {"item": each})) for each in ("hat", "coat")])
    outputs: list[dict[str, Any]] = []
    for _ in range(2):
        body = asking | {"input": [{"role": "user", "content": "Go."}, *outputs]}
        answer = served.http.post("/responses", json=body)
        assert answer.status_code == 200, answer.text
        call_id = answer.json()["output"][0]["call_id"]
        outputs.append({"type": "function_call_output", "call_id": call_id, "output": "5"})
    missing = served.http.post("/responses", json=asking | {"input": outputs[:1]})
    assert (missing.status_code, error_of(missing)["param"]) == (400, "input")
    served.script("Five.")
    last = served.http.post("/responses", json=asking | {"input": outputs})
    assert last.status_code == 200, last.text
    told = [each["call_id"] for each in served.told() if each.get("type") == "function_call_output"]
    assert told == [each["call_id"] for each in outputs]


def test_outputs_and_calls_that_do_not_match_are_refused(served: Served) -> None:
    served.script(Reply.tool_calls(("get_price", {"item": "hat"})))
    first = served.client.responses.create(model="plain", input="Go.", tools=[GET])
    output = {"type": "function_call_output", "call_id": "call_x", "output": "5"}
    conversation = served.client.conversations.create()
    refused: list[tuple[dict[str, Any], str]] = [
        ({"input": [output]}, "input"),
        ({"input": [output], "previous_response_id": first.id}, "input"),
        ({"input": "And?", "previous_response_id": first.id}, "input"),
        ({"input": [output], "conversation": conversation.id}, "input"),
        ({"input": "Go.", "model": "tools", "tools": [GET | {"name": "look_up"}]}, "tools[0].name"),
        (
            {"input": "x", "tool_choice": {"type": "mcp", "server_label": "plain", "name": "x"}},
            "tool_choice",
        ),
        ({"input": "x", "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"input": []}, "input"),
        ({}, "input"),
        ({"input": " "}, "input"),
    ]
    for body, param in refused:
        answer = served.http.post("/responses", json={"model": "plain", "tools": [GET]} | body)
        assert (answer.status_code, error_of(answer)["param"]) == (400, param), body


def test_an_answer_of_a_form(served: Served) -> None:
    served.script('{"city": "Paris"}')
    response = served.client.responses.create(
        model="plain",
        input="Capital?",
        text={
            "format": {
                "type": "json_schema",
                "name": "capital",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                    "additionalProperties": False,
                },
            }
        },
    )
    assert json.loads(response.output_text) == {"city": "Paris"}
    more = served.client.responses.create(
        model="plain", input="Thanks.", previous_response_id=response.id
    )
    assert more.output_text == "Hello."


def test_an_approval_continues_the_same_run(served: Served) -> None:
    served.script(Reply.tool_calls(("delete", {"path": "/a"})))
    first = served.client.responses.create(model="careful", input="Delete /a.")
    assert (first.status, DELETED) == ("completed", [])
    request = first.output[-1]
    assert request.type == "mcp_approval_request"
    assert (request.server_label, request.name) == ("careful", "delete")
    answer: list[ResponseInputItemParam] = [
        {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    ]
    waiting = served.http.post(
        "/responses",
        json={"model": "careful", "input": "And?", "previous_response_id": first.id},
    )
    assert (waiting.status_code, error_of(waiting)["param"]) == (409, "previous_response_id")
    served.script("Gone.")
    second = served.client.responses.create(
        model="careful", input=answer, previous_response_id=first.id
    )
    assert (second.output_text, DELETED) == ("Gone.", ["/a"])
    assert (second.id, second.previous_response_id) == (f"{first.id}.1", first.id)
    call = second.output[0]
    assert call.type == "mcp_call"
    assert call.approval_request_id == request.id
    for each in (first, second):
        assert served.client.responses.retrieve(each.id).model_dump() == each.model_dump()
    again = served.http.post(
        "/responses",
        json={"model": "careful", "input": answer, "previous_response_id": first.id},
    )
    assert again.status_code == 409
    missing = served.http.get(f"/responses/{first.id}.2")
    assert missing.status_code == 404
    served.script("Bye.")
    third = served.client.responses.create(
        model="careful", input="Thanks.", previous_response_id=second.id
    )
    assert third.output_text == "Bye."


@pytest.mark.parametrize("background", [False, True])
def test_a_rejection_is_streamed_as_a_response_of_its_own(served: Served, background: bool) -> None:
    served.script(Reply.tool_calls(("delete", {"path": "/a"})))
    with served.client.responses.create(
        model="careful", input="Delete /a.", stream=True, background=background
    ) as stream:
        asked = [*stream]
    assert asked[-1].type == "response.completed"
    request = asked[-1].response.output[-1]
    assert request.type == "mcp_approval_request"
    served.script("It stays.")
    with served.client.responses.create(
        model="careful",
        input=[
            {
                "type": "mcp_approval_response",
                "approval_request_id": request.id,
                "approve": False,
                "reason": "Too dear.",
            }
        ],
        stream=True,
        background=background,
    ) as stream:
        told = [each.model_dump(exclude_unset=True) for each in stream]
    assert [each["sequence_number"] for each in told] == [*range(len(told))]
    assert told[0]["type"] == "response.created"
    assert told[-1]["response"]["status"] == "completed"
    assert DELETED == []
    response_id = told[0]["response"]["id"]
    assert response_id == f"{asked[-1].response.id}.1"
    whole = read(served, f"/responses/{response_id}", stream="true")
    assert [each["type"] for each in whole] == [each["type"] for each in told]
    items = served.client.responses.input_items.list(response_id)
    assert [*items] == []


def test_who_keeps_the_history_answers_a_request_for_approval_with_it(served: Served) -> None:
    served.script(Reply.tool_calls(("delete", {"path": "/a"})))
    first = served.client.responses.create(model="careful", input="Delete /a.")
    request = first.output[-1].id or ""
    served.script("Gone.")
    second = served.client.responses.create(
        model="careful",
        input=[
            {"role": "user", "content": "Delete /a."},
            {"type": "item_reference", "id": request},
            {"type": "mcp_approval_response", "approval_request_id": request, "approve": True},
            {"role": "user", "content": "Quick!"},
        ],
    )
    assert (second.id, second.output_text) == (f"{first.id}.1", "Gone.")
    told = json.dumps(served.told())
    assert (told.count("Delete /a."), told.count("Quick!")) == (1, 1)
    items = [*served.client.responses.input_items.list(second.id)]
    assert [each.to_dict()["content"] for each in items] == [
        [{"type": "input_text", "text": "Quick!"}]
    ]


@pytest.mark.parametrize("by_reference", [False, True])
@pytest.mark.parametrize("approve", [False, True])
def test_in_a_history_an_approval_that_was_given_is_not_given_again(
    served: Served, approve: bool, by_reference: bool
) -> None:
    served.script(Reply.tool_calls(("delete", {"path": "/a"})))
    first = served.client.responses.create(model="careful", input="Delete /a.")
    request = first.output[-1].id
    answer: Any = {"type": "mcp_approval_response", "approval_request_id": request}
    answer["approve"] = approve
    served.script("So be it.")
    second = served.client.responses.create(
        model="careful", previous_response_id=first.id, input=[answer]
    )

    def told(output: list[Any]) -> list[dict[str, Any]]:
        if by_reference:
            return [{"type": "item_reference", "id": each.id} for each in output]
        return [each.to_dict() for each in output]

    served.script("Bye.")
    question = {"role": "user", "content": "Delete /a."}
    thanks = {"role": "user", "content": "Thanks."}
    history = [question, *told(first.output), answer, *told(second.output), thanks]
    third = served.http.post("/responses", json={"model": "careful", "input": history})
    assert third.status_code == 200, third.text
    assert third.json()["id"].partition(".")[0] != first.id
    kinds = [each.get("role", each.get("type")) for each in served.told()]
    assert kinds == ["user", "function_call", "function_call_output", "assistant", "user"]
    assert len(DELETED) == approve


def test_a_response_that_is_not_stored_is_approved_by_who_keeps_its_history(served: Served) -> None:
    served.script(Reply.tool_calls(("delete", {"path": "/a"})))
    asking = {"model": "careful", "store": False}
    question = {"role": "user", "content": "Delete /a."}
    first = served.http.post("/responses", json=asking | {"input": [question]}).json()
    request = first["output"][-1]
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": request["id"],
        "approve": True,
    }
    history = asking | {"input": [question, request, answer]}
    waited = served.http.post("/responses", json=history | {"store": None, "background": True})
    assert (waited.status_code, error_of(waited)["param"]) == (400, "background")
    served.script("Gone.")
    second = served.http.post("/responses", json=history)
    assert second.status_code == 200, second.text
    assert second.json()["output"][-1]["content"][0]["text"] == "Gone."
    assert DELETED == ["/a"]
    for each in (first, second.json()):
        assert each["store"] is False
        assert served.http.get(f"/responses/{each['id']}").status_code == 404
    again = served.http.post("/responses", json=history)
    assert again.status_code == 400


def test_approvals_that_cannot_be_used_are_refused(served: Served) -> None:
    served.script(Reply.tool_calls(("delete", {"path": "/a"})))
    first = served.client.responses.create(model="careful", input="Delete /a.")
    request = first.output[-1].id
    said = {"type": "mcp_approval_response", "approval_request_id": request, "approve": True}
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"input": [said | {"approval_request_id": "mcpr_x"}]}, 400, "approval_request_id"),
        ({"input": [said], "model": "plain"}, 400, "model"),
        ({"input": [said], "instructions": "Hurry."}, 400, "instructions"),
        ({"input": [said], "store": False}, 400, "store"),
        ({"input": [said], "conversation": "conv_x"}, 400, "conversation"),
        ({"input": [said, said]}, 400, "approval_request_id"),
    ]
    for body, status, param in refused:
        answer = served.http.post("/responses", json={"model": "careful"} | body)
        assert answer.status_code == status, answer.text
        assert error_of(answer)["param"].endswith(param)
    assert DELETED == []


def test_a_request_that_is_sent_again_begins_nothing_new(served: Served) -> None:
    headers = {"Idempotency-Key": "first"}
    body = {"model": "plain", "input": "Once.", "background": True}
    first = served.http.post("/responses", json=body, headers=headers)
    again = served.http.post("/responses", json=body, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    ended(served, first.json()["id"])
    last = served.http.post("/responses", json=body, headers=headers).json()
    assert last["status"] == "completed"
    assert sum("Once." in json.dumps(each.body) for each in served.says.requests) == 1
    for other in ({"input": "Twice."}, {"metadata": {"a": "b"}}, {"background": False}):
        reused = served.http.post("/responses", json=body | other, headers=headers)
        assert (reused.status_code, error_of(reused)["code"]) == (422, "idempotency_key_reused")
    one = {"model": "plain", "input": "In front."}
    headers = {"Idempotency-Key": "second"}
    answers = [served.http.post("/responses", json=one, headers=headers).json() for _ in "12"]
    assert answers[0] == answers[1]
    streamed = one | {"stream": True}
    headers = {"Idempotency-Key": "third"}
    streams = [served.http.post("/responses", json=streamed, headers=headers).text for _ in "12"]
    assert [each["type"] for each in events_of(streams[0])] == [
        each["type"] for each in events_of(streams[1])
    ]
    wrong = served.http.post("/responses", json=one, headers={"Idempotency-Key": "x" * 256})
    assert wrong.status_code == 400


def test_an_approval_that_is_sent_again_is_the_same_response(served: Served) -> None:
    served.script(Reply.tool_calls(("delete", {"path": "/a"})), "Gone.")
    first = served.client.responses.create(model="careful", input="Delete /a.")
    request = first.output[-1].id
    said = {"type": "mcp_approval_response", "approval_request_id": request, "approve": True}
    body = {"model": "careful", "input": [said], "previous_response_id": first.id}
    headers = {"Idempotency-Key": "approve"}
    answers = [served.http.post("/responses", json=body, headers=headers).json() for _ in "12"]
    assert answers[0] == answers[1]
    assert DELETED == ["/a"]


def test_what_was_deleted_is_not_found(served: Served) -> None:
    response = served.client.responses.create(model="plain", input="Hi")
    child = served.client.responses.create(
        model="plain", input="More.", previous_response_id=response.id
    )
    served.client.responses.delete(response.id)
    for answer in (
        served.http.get(f"/responses/{response.id}"),
        served.http.get(f"/responses/{response.id}", params={"stream": "true"}),
        served.http.get(f"/responses/{response.id}/input_items"),
        served.http.post(f"/responses/{response.id}/cancel"),
        served.http.delete(f"/responses/{response.id}"),
        served.http.post(
            "/responses",
            json={"model": "plain", "input": "x", "previous_response_id": response.id},
        ),
    ):
        assert answer.status_code == 404, answer.text
        error_of(answer)
    assert served.client.responses.retrieve(child.id).output_text == "Hello."
    held = Reply.text("Never.").held()
    served.script(held)
    running = served.client.responses.create(model="plain", input="Work.", background=True)
    until(lambda: not served.says.script)
    served.client.responses.delete(running.id)
    assert served.http.get(f"/responses/{running.id}").status_code == 404
    until(lambda: served.says.in_flight == 0)


def test_a_response_that_is_not_stored_is_not_found_after_its_end(served: Served) -> None:
    served.script(Reply.text("Se", "cret."))
    with served.client.responses.create(
        model="plain", input="Whisper.", store=False, stream=True
    ) as stream:
        told = [*stream]
    assert told[-1].type == "response.completed"
    assert told[-1].response.output_text == "Secret."
    assert told[-1].response.store is False
    assert served.http.get(f"/responses/{told[-1].response.id}").status_code == 404


def test_what_a_response_was_given_is_listed_in_pages(served: Served) -> None:
    image = "data:image/png;base64,iVBORw0KGgo="
    pdf = "data:application/pdf;base64,JVBERi0xLjQ="
    first = served.client.responses.create(model="plain", input="Before.")
    response = served.client.responses.create(
        model="plain",
        previous_response_id=first.id,
        input=[
            {"role": "user", "content": "One."},
            {"role": "assistant", "content": "Two."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Three."},
                    {"type": "input_image", "image_url": image, "detail": "low"},
                    {"type": "input_file", "file_data": pdf, "filename": "a.pdf"},
                ],
            },
        ],
    )
    assert image in json.dumps(served.told())
    assert pdf in json.dumps(served.told())
    items = served.client.responses.input_items
    page = items.list(response.id, limit=2, order="asc")
    assert [page.data[0].type, page.has_more] == ["message", True]
    every = [*page]
    assert len({each.id for each in every}) == 3
    assert [getattr(each, "role", None) for each in every] == ["user", "assistant", "user"]
    assert [each.id for each in items.list(response.id)] == [each.id for each in reversed(every)]
    last: Any = items.list(response.id, limit=1, include=["message.input_image.image_url"]).data[0]
    assert last.content[1].image_url == image
    assert last.content[2].filename == "a.pdf"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"after": "msg_other"}, "after"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"order": "up"}, "order"),
        ({"before": "x"}, "before"),
    ]
    for params, param in wrong:
        answer = served.http.get(f"/responses/{response.id}/input_items", params=params)
        assert (answer.status_code, error_of(answer)["param"]) == (400, param)


def test_an_item_can_be_referred_to_by_its_id(served: Served) -> None:
    served.script("I am Bob.")
    first = served.client.responses.create(model="plain", input="Who are you?")
    given = served.client.responses.input_items.list(first.id).data[0].id
    said = first.output[0].id
    response = served.client.responses.create(
        model="plain",
        input=[
            {"type": "item_reference", "id": given},
            {"type": "item_reference", "id": said or ""},
            {"role": "user", "content": "Again?"},
        ],
    )
    assert response.status == "completed"
    told = json.dumps(served.told())
    for text in ("Who are you?", "I am Bob.", "Again?"):
        assert text in told
    answer = served.http.post(
        "/responses",
        json={"model": "plain", "input": [{"type": "item_reference", "id": "msg_x_0"}]},
    )
    assert (answer.status_code, error_of(answer)["param"]) == (404, "input[0].id")


def test_a_client_that_vanishes_cancels_its_foreground_run(served: Served) -> None:
    for streamed in (False, True):
        served.script(Reply.text("Long ", "story.").held(after=1 if streamed else None))
        gone = served.says.disconnects
        body = {"model": "plain", "input": "Tell.", "stream": streamed}
        asked = len(served.says.requests)
        leave(f"{served.url}/v1", body, lambda before=asked: len(served.says.requests) > before)  # type: ignore[misc]
        until(lambda before=gone: served.says.disconnects == before + 1)  # type: ignore[misc]


def test_a_client_that_vanishes_leaves_its_background_run_alone(served: Served) -> None:
    held = Reply.text("Long ", "story.").held(after=1)
    served.script(held)
    stream = served.client.responses.create(
        model="plain", input="Tell.", stream=True, background=True
    )
    for event in stream:
        if event.type == "response.output_text.delta":
            response_id = event.item_id.split("_")[1]
            break
    stream.response.close()
    held.release()
    assert ended(served, f"resp_{response_id}").output_text == "Long story."


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, None),
        (b"[1]", 400, None),
        (b'{"model": "nobody", "input": "x"}', 404, "model"),
        (b'{"model": "plain", "input": "x", "conversation": "conv_x"}', 404, "conversation"),
        (b'{"model": "plain", "input": "x", "conversation": "x"}', 404, "conversation"),
        (
            b'{"model": "plain", "input": "x", "background": true, "webhook": "file:///x"}',
            400,
            "webhook",
        ),
    ],
)
def test_what_cannot_be_asked_for(
    served: Served, body: bytes, status: int, param: str | None
) -> None:
    answer = served.http.post(
        "/responses", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, error_of(answer)["param"]) == (status, param)


def test_ids_that_are_none_are_not_found(served: Served) -> None:
    for name in ("resp_x", "x", "resp_", "resp_x.1", "resp_" + "x" * 400, "resp_%00", "..%2Fx"):
        assert served.http.get(f"/responses/{name}").status_code == 404, name
        assert served.http.delete(f"/responses/{name}").status_code == 404, name


def test_agents_are_models(served: Served) -> None:
    assert {"plain", "tools"} <= {each.id for each in served.client.models.list()}
    assert served.client.models.retrieve("plain").owned_by == "kern"
    with pytest.raises(openai.NotFoundError):
        served.client.models.retrieve("nobody")


def test_a_conversation_is_in_order(served: Served) -> None:
    conversation = served.client.conversations.create(metadata={"topic": "order"})
    held = Reply.text("First.").held()
    served.script(held, "Second.")
    running = [
        served.client.responses.create(
            model="forgetful", input=text, conversation=conversation.id, background=True
        )
        for text in ("One", "Two")
    ]
    assert running[0].conversation is not None
    assert running[0].conversation.id == conversation.id
    until(lambda: len(served.says.script) == 1)
    assert served.client.responses.retrieve(running[1].id).status == "queued"
    held.release()
    assert [ended(served, each.id).output_text for each in running] == ["First.", "Second."]
    for text in ("Three", "Four"):
        served.client.responses.create(model="forgetful", input=text, conversation=conversation.id)
    told = json.dumps(served.told())
    for text in ("One", "First.", "Two", "Second.", "Three", "Four"):
        assert f'"{text}"' in told
    items = served.client.conversations.items
    every = [*items.list(conversation.id, order="asc", limit=3)]
    texts = [each.to_dict()["content"][0]["text"] for each in every]
    assert texts == [*("One", "First.", "Two", "Second.", "Three", "Hello.", "Four", "Hello.")]
    newest_first = [each.id for each in items.list(conversation.id, limit=3)]
    assert newest_first == [each.id for each in reversed(every)]
    one = items.retrieve(every[3].id or "", conversation_id=conversation.id)
    assert one == every[3]


def test_a_conversation_is_read_changed_and_deleted(served: Served) -> None:
    made = served.client.conversations.create(metadata={"a": "1"})
    assert made.id.startswith("conv_")
    served.client.responses.create(
        model="plain", input="Hi", conversation=made.id, metadata={"x": "y"}
    )
    assert served.client.conversations.retrieve(made.id).metadata == {"a": "1"}
    changed = served.client.conversations.update(made.id, metadata={"b": "2"})
    assert changed.metadata == {"b": "2"}
    assert served.client.conversations.retrieve(made.id) == changed
    for params, param in [({"after": "msg_x_0"}, "after"), ({"limit": "x"}, "limit")]:
        answer = served.http.get(f"/conversations/{made.id}/items", params=params)
        assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert served.client.conversations.delete(made.id).deleted
    for answer in (
        served.http.get(f"/conversations/{made.id}"),
        served.http.delete(f"/conversations/{made.id}"),
        served.http.get(f"/conversations/{made.id}/items"),
        served.http.get("/conversations/conv_x/items/msg_x_0"),
        served.http.post(f"/conversations/{made.id}", json={"metadata": {}}),
    ):
        assert answer.status_code == 404
        error_of(answer)
    refused = served.http.post("/conversations", json={"items": [{"role": "user"}]})
    assert (refused.status_code, error_of(refused)["param"]) == (400, "items")


def test_what_a_guardrail_masks_is_not_kept_beside_the_run(served: Served) -> None:
    response = served.client.responses.create(
        model="masking", input="Mail ada@example.com.", instructions="Mail bob@example.com."
    )
    assert "bob@example.com" not in (response.instructions or "")
    told = json.dumps(served.says.requests[-1].body)
    assert "@example.com" not in told


def test_what_a_foreground_stream_has_told_stays_so_after_its_client_has_left(
    served: Served,
) -> None:
    served.script(Reply.text("One ", "two ", "three ", "four.").held(after=3))
    seen: list[Any] = []
    gone = served.says.disconnects
    stream = served.client.responses.create(model="plain", input="Count.", stream=True)
    for event in stream:
        seen.append(event.to_dict())
        if len([each for each in seen if each["type"] == "response.output_text.delta"]) == 3:
            break
    stream.response.close()
    until(lambda: served.says.disconnects == gone + 1)
    response_id = seen[0]["response"]["id"]
    assert ended(served, response_id).status == "cancelled"
    again = read(served, f"/responses/{response_id}", stream="true")
    assert again[: len(seen)] == seen
    assert again[-1]["response"]["status"] == "cancelled"


class City(BaseModel):
    """A city."""

    name: str
    rivers: list[str]


def test_the_helpers_of_the_client_understand_the_answers(served: Served) -> None:
    paris = '{"name": "Paris", "rivers": ["Seine"]}'
    served.script(paris)
    parsed = served.client.responses.parse(model="plain", input="City?", text_format=City)
    assert parsed.output_parsed == City(name="Paris", rivers=["Seine"])
    served.script(
        Reply.tool_calls(("look_up", {"city": "Paris"})), Reply.text(paris[:9], paris[9:])
    )
    with served.client.responses.stream(model="tools", input="City?", text_format=City) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.mcp_call.completed", "response.output_text.done"} <= kinds
    assert final.output_parsed == parsed.output_parsed
    served.script(paris)
    message = (
        served.client.chat.completions.parse(
            model="plain", messages=[{"role": "user", "content": "City?"}], response_format=City
        )
        .choices[0]
        .message
    )
    assert message.parsed == parsed.output_parsed
    served.script(Reply.text("One ", "two."))
    with served.client.responses.create(
        model="plain", input="Count.", background=True, stream=True
    ) as events:
        response_id = next(iter(events)).response.id  # type: ignore[union-attr]
    with served.client.responses.stream(response_id=response_id, starting_after=0) as again:
        assert again.get_final_response().output_text == "One two."


async def test_the_end_of_a_background_response_is_told_by_a_signed_webhook(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_WEBHOOK_SECRET", "whsec_" + b64encode(b"s" * 32).decode())
    monkeypatch.setenv("KERN_WEBHOOK_ALLOW_PRIVATE", "1")
    async with Receiver() as receiver:
        body = {
            "model": "plain",
            "input": "Hi",
            "background": True,
            "webhook": receiver.url,
            "metadata": {"topic": "hooks"},
        }
        made = await asyncio.to_thread(served.http.post, "/responses", json=body)
        await receiver.wait_for_requests(1, 20)
    (sent,) = receiver.requests
    told = json.loads(sent.body)
    assert (told["type"], told["data"]["content"]) == ("run.completed", "Hello.")
    assert made.json()["id"] == f"resp_{told['data']['run_id']}"
    assert told["data"]["metadata"] == {"topic": "hooks"}
    assert sent.headers["webhook-signature"].startswith("v1,")


def test_a_run_of_the_runs_api_is_a_response_too(served: Served) -> None:
    served.script(Reply.tool_calls(("delete", {"path": "/a"})))
    run = served.http.post(
        "/runs", json={"agent": "careful", "input": "Delete /a.", "metadata": {"n": 1}}
    ).json()
    first = ended(served, f"resp_{run['id'] if 'id' in run else run['run_id']}")
    assert (first.status, first.background, first.metadata) == ("completed", True, {"n": "1"})
    request = first.output[-1]
    assert request.type == "mcp_approval_request"
    served.script("Gone.")
    second = served.client.responses.create(
        model="careful",
        previous_response_id=first.id,
        input=[
            {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
        ],
    )
    assert (second.id, second.output_text) == (f"{first.id}.1", "Gone.")
    assert served.client.responses.retrieve(first.id).model_dump() == first.model_dump()
