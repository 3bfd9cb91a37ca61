"""Agents answer OpenAI's client: in the foreground, in the background, streamed, and resumed."""

import json
import threading
from typing import Any

import openai
import pytest
from api import error_of, until
from conftest import DELETED, WEATHER, Served
from openai.types.responses import (
    Response,
    ResponseFunctionToolCall,
    ResponseInputItem,
    ResponseStreamEvent,
)
from pydantic import TypeAdapter

from kern.testing import Reply

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

GET: dict[str, Any] = {
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
    assert (response.model, response.background, response.store) == ("plain", False, True)
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
    for params, param in [
        ({"stream": "true", "starting_after": last + 1}, "starting_after"),
        ({"stream": "true", "starting_after": -1}, "starting_after"),
        ({"stream": "true", "starting_after": "x"}, "starting_after"),
        ({"starting_after": 0}, "starting_after"),
        ({"stream": "maybe"}, "stream"),
        ({"include[]": "everything"}, "include"),
        ({"include_obfuscation": "true"}, "include_obfuscation"),
        ({"tempo": "1"}, "tempo"),
    ]:
        answer = served.http.get(f"/responses/{response.id}", params=params)
        assert (answer.status_code, error_of(answer)["param"]) == (400, param)


def test_a_background_response_is_cancelled_once_and_for_all(served: Served) -> None:
    served.script(Reply.text("Never ", "said.").held(after=1))
    response = served.client.responses.create(model="plain", input="Work.", background=True)
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
        model="forgetful", input="I am Ada.", instructions="Rhyme."
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
        served.client.responses.create(
            model="plain", input="And?", previous_response_id=running.id
        )
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
    response = served.client.responses.create(
        model="plain", input="Tell.", max_output_tokens=16
    )
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
    outputs: list[ResponseInputItem] = [
        ResponseInputItem.__args__[0].model_validate(each) if False else each  # type: ignore[misc]
        for each in [{"type": "function_call_output", "call_id": calls[0].call_id, "output": "5"}]
    ]
    second = served.client.responses.create(
        model="tools",
        input=outputs,  # type: ignore[arg-type]
        tools=[GET],
        previous_response_id=first.id,
    )
    assert second.output_text == "A hat costs 5."
    assert WEATHER == ["Rome"]
    told = served.told()
    results = [each["output"] for each in told if each.get("type") == "function_call_output"]
    assert sorted(results) == ["5", "sunny in Rome"]
