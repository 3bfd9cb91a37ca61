"""What clients are told of a run is what OpenAI's types say and its client understands."""

from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from openai_client import client_told, unknown
from pydantic import BaseModel, TypeAdapter
from response_cases import AS_JSON, CASES, Case, golden, held

from kern.run.base import RunStatus
from kern.server.responses.events import Translator, encoded, frame
from kern.server.responses.object import Json

GOLDEN = Path(__file__).parent / "golden"
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

cases = pytest.mark.parametrize("case", [each() for each in CASES.values()], ids=CASES)


class City(BaseModel):
    city: str


def kinds(told: list[Json]) -> list[str]:
    return [each["type"].removeprefix("response.") for each in told]


def of(name: str) -> list[Json]:
    return CASES[name]().translated()[1]


@pytest.mark.parametrize("name", CASES)
def test_numbers_and_words_stay_as_they_are_over_versions(name: str) -> None:
    # A change here breaks every client that goes on with a stream of an older kern.
    assert golden(name) == (GOLDEN / f"{name}.jsonl").read_text()


@cases
def test_every_event_is_what_the_types_of_openai_say(case: Case) -> None:
    for each in case.translated()[1]:
        event = EVENT.validate_json(encoded(each), strict=True)
        assert [*unknown(event)] == []
        assert event.type == each["type"]


@cases
def test_the_response_of_those_who_ask_is_what_readers_were_told(case: Case) -> None:
    translator, told = case.translated()
    assert translator.is_ended == case.ends
    asked = translator.response()
    assert [*unknown(Response.model_validate_json(encoded(asked), strict=True))] == []
    if case.ends:
        assert asked == told[-1]["response"]


@cases
def test_the_client_accumulates_what_it_is_told(case: Case) -> None:
    translator, told = case.translated()
    with client_told(map(frame, told)).responses.stream(model="helper", input="Hi") as stream:
        events = [*stream]
        if told[-1]["type"] == "response.completed":
            final = stream.get_final_response()
            assert [each.to_dict()["id"] for each in final.output] == [
                each["id"] for each in translator.response()["output"]
            ]
    assert [each.sequence_number for each in events] == [*range(len(told))]


@cases
def test_every_reader_is_told_the_same_whatever_is_left_of_the_journal(case: Case) -> None:
    assert case.translated(pieces=False)[1] == case.translated()[1]


@cases
def test_an_item_is_done_once_and_void_after_that_where_its_content_says_so(case: Case) -> None:
    translator, told = case.translated()
    names = {each["item"]["id"] for each in told if "item" in each}
    # What was cut off unread has no events.
    assert held(told) == [each for each in translator.response()["output"] if each["id"] in names]


def test_text_of_several_model_calls_is_a_message_each() -> None:
    output = of("tools")[-1]["response"]["output"]
    assert [each["type"] for each in output] == [
        "message",
        "mcp_call",
        "mcp_call",
        "mcp_call",
        "message",
    ]
    assert [each["id"] for each in output] == [
        "msg_run_0",
        "mcp_run_1",
        "mcp_run_2",
        "mcp_run_3",
        "msg_run_4",
    ]


def test_calls_of_one_id_get_each_its_own_result() -> None:
    calls = of("tools")[-1]["response"]["output"][1:4]
    assert [(each["arguments"], each["output"]) for each in calls] == [
        ('{"city":"Rome"}', "sun"),
        ('{"city":"Bonn"}', "rain"),
        ('{"amount":5}', None),
    ]
    assert calls[2]["status"] == "failed"
    assert calls[2]["error"]["content"] == [{"type": "text", "text": "Not called."}]


def test_a_call_is_told_from_its_beginning_to_its_result() -> None:
    told = kinds(of("tool_failed"))
    assert told[2:8] == [
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.failed",
        "output_item.done",
    ]


def test_a_call_that_begins_again_is_the_same_item() -> None:
    assert kinds(of("tool_interrupted")).count("mcp_call.in_progress") == 1


def test_void_text_is_closed_without_content_and_keeps_its_place() -> None:
    told = of("voided")
    assert kinds(told)[4:9] == [
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert told[6]["text"] == told[7]["part"]["text"] == ""
    void, new = told[-1]["response"]["output"]
    assert (void["id"], void["status"], void["content"]) == ("msg_run_0", "incomplete", [])
    assert (new["id"], new["content"][0]["text"]) == ("msg_run_1", "The sun shines.")


@pytest.mark.parametrize("name", ["output_model", "hook_replaced", "earlier_text_replaced"])
def test_text_that_another_replaces_is_void(name: str) -> None:
    output = of(name)[-1]["response"]["output"]
    texts = [part["text"] for each in output for part in each.get("content", ())]
    assert texts == ["my key" if name == "hook_replaced" else "fine words"]


def test_what_one_of_two_tools_has_shown_is_void_alone() -> None:
    output = of("shown_pieces")[-1]["response"]["output"]
    said = "".join(part["text"] for each in output for part in each.get("content", ()))
    assert said == "b1 a3 a4\n\nb2\n\nThat is all."


@pytest.mark.parametrize(
    "name", ["voided_as_json", "refused_for_its_form", "parsed", "fenced", "hook_left_a_value"]
)
def test_an_answer_with_a_form_is_json_for_clients_that_read_it_so(name: str) -> None:
    case = CASES[name]()
    client = client_told(map(frame, case.translated()[1]))
    if "text" not in case.more:
        texts = [each["text"] for each in of(name) if each["type"] == "response.output_text.done"]
        assert texts == ["", '{"count":3}']
        return
    with client.responses.stream(model="helper", input="Where?", text_format=City) as stream:
        assert stream.get_final_response().output_parsed == City(city="Rome")


def test_a_whole_response_with_a_form_is_read_by_the_client() -> None:
    body = encoded(CASES["refused_for_its_form"]().translated()[0].response())
    client = client_told([body], "application/json")
    parsed = client.responses.parse(model="helper", input="Where?", text_format=City)
    assert parsed.output_parsed == City(city="Rome")
    assert parsed.text is not None
    assert parsed.text.format is not None
    assert parsed.text.format.type == AS_JSON["format"]["type"]


def test_a_refusal_is_one() -> None:
    assert of("refusal")[-1]["response"]["output"][-1]["content"] == [
        {"type": "refusal", "refusal": "I cannot help with that."}
    ]


def test_sources_are_named_with_the_passages_that_rest_on_them() -> None:
    [message] = of("cited")[-1]["response"]["output"]
    named = [
        (each["url"], each["title"], each["start_index"], each["end_index"])
        for each in message["content"][0]["annotations"]
    ]
    assert named == [
        ("https://rome.example", "Rome", 0, 4),
        ("https://sun.example", "https://sun.example", 0, 13),
    ]


def test_calls_of_the_client_come_last_and_the_response_is_completed() -> None:
    told = of("client_calls")
    *_, own, clients = told[-1]["response"]["output"]
    assert (own["type"], own["output"]) == ("mcp_call", "sun")
    assert (clients["type"], clients["call_id"], clients["arguments"]) == (
        "function_call",
        "call_2",
        '{"amount":5}',
    )
    assert told[-1]["response"]["status"] == "completed"


def test_a_pause_for_confirmation_completes_the_response_with_requests() -> None:
    response = of("approval_requested")[-1]["response"]
    requests = response["output"][-2:]
    assert [each["id"] for each in requests] == ["mcpr_run/1/1", "mcpr_run/1/2"]
    assert response["status"] == "completed"


def test_a_pause_of_another_kind_leaves_the_response_incomplete() -> None:
    response = of("input_requested")[-1]["response"]
    assert response["status"] == "incomplete"
    assert [each["type"] for each in response["output"]].count("mcp_approval_request") == 1


def test_a_run_is_a_response_up_to_its_pause_and_another_one_after_it() -> None:
    first, second = of("first_of_two")[-1]["response"], of("second_of_two")[-1]["response"]
    assert [each["type"] for each in first["output"]] == [
        "message",
        "mcp_call",
        "mcp_approval_request",
    ]
    assert [each["id"] for each in second["output"]] == [
        "mcp_run.1_0",
        "mcp_run.1_1",
        "msg_run.1_2",
    ]
    assert second["output"][0]["approval_request_id"] == first["output"][-1]["id"]


def test_each_response_of_a_run_has_used_what_its_own_model_calls_have() -> None:
    first, second = of("first_of_two")[-1]["response"], of("second_of_two")[-1]["response"]
    assert [each["usage"]["total_tokens"] for each in (first, second)] == [46, 46]
    assert first["usage"]["input_tokens_details"]["cached_tokens"] == 2
    assert first["usage"]["output_tokens_details"]["reasoning_tokens"] == 3


def test_a_run_that_is_retried_keeps_the_numbers_of_what_was_told() -> None:
    failed, retried = of("failed"), of("retried")
    before = len(failed) - 1
    assert retried[:before] == failed[:before]
    assert (failed[-1]["type"], retried[before]["type"]) == (
        "response.failed",
        "response.in_progress",
    )
    assert retried[-1]["type"] == "response.completed"


def test_a_run_that_fails_says_of_what() -> None:
    response = of("failed")[-1]["response"]
    assert response["error"] == {
        "type": "server_error",
        "code": "rate_limit_exceeded",
        "message": "Too many requests.",
        "param": None,
    }
    assert [each["status"] for each in response["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize("name", ["cut_off", "cut_off_unread"])
def test_an_answer_that_was_cut_off_is_incomplete(name: str) -> None:
    response = of(name)[-1]["response"]
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["content"][0]["text"] == "One, two"


def test_a_cancelled_run_is_a_cancelled_response() -> None:
    assert of("cancelled")[-1]["response"]["status"] == "cancelled"


def test_a_run_that_was_cancelled_before_it_began_was_never_in_progress() -> None:
    case = CASES["queued"]()
    translator = Translator(case.view)
    run = case.run.end(RunStatus.cancelled)
    told = translator.begin()
    for each in run.events()[1:]:
        told += translator.take(each)
    told += translator.end(run.output)
    assert kinds(told) == ["created", "queued", "incomplete"]


def test_events_of_other_runs_are_left_out() -> None:
    assert "psst" not in [each.get("delta") for each in of("with_child")]


def test_what_the_server_ends_has_failed_with_its_word() -> None:
    translator, _ = CASES["queued"]().translated()
    [told] = translator.fail("server_shutdown", "The server ends.")
    assert told["response"]["error"]["code"] == "server_shutdown"
    assert told["response"]["error"]["message"] == "The server ends."
    assert translator.fail("server_error", "Once more.") == []


def test_half_a_character_is_escaped() -> None:
    assert frame({"type": "a", "delta": "\ud83d"}) == (
        b'event: a\ndata: {"type":"a","delta":"\\ud83d"}\n\n'
    )
