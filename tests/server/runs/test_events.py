"""Events are read live or later, from any number on, without a gap."""

from concurrent.futures import Future
from itertools import chain

import httpx
import pytest
from runs_api import Api, ended, ok, problem, streamed, submitted, told
from served import Event, events_in


def test_a_stream_has_all_events_with_their_numbers(ada: httpx.Client) -> None:
    run_id = submitted(ada, "story", live=True)
    events = streamed(ada, run_id)
    assert [each.id for each in events] == [str(each.data["seq"]) for each in events]
    assert [int(each.id or 0) for each in events] == [*range(1, len(events) + 1)]
    assert (events[0].kind, events[-1].kind) == ("RunStarted", "RunCompleted")
    pieces = [each.data["content"] for each in events if each.kind == "RunContent"]
    assert "".join(pieces) == "".join(f"Once {number}. " for number in range(5))
    assert all(each.data["run_id"] == run_id for each in events)


def test_a_reader_goes_on_after_each_number_without_a_gap(ada: httpx.Client) -> None:
    run_id = submitted(ada, "story", live=True)
    whole = streamed(ada, run_id)
    for last in range(len(whole)):
        assert streamed(ada, run_id, last) == whole[last:]
        assert (
            told(events_in(ada.get(f"/v1/runs/{run_id}/events?after={last}").text)) == whole[last:]
        )
    for beyond in (len(whole), len(whole) + 1, 10**14):
        response = ada.get(f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": str(beyond)})
        assert (response.status_code, response.text) == (204, "")


def test_a_reader_that_is_cut_off_live_misses_nothing(ada: httpx.Client) -> None:
    run_id = submitted(ada, "story", live=True)
    found: list[Event] = []
    while not found or found[-1].kind != "RunCompleted":
        headers = {"Last-Event-ID": found[-1].id or ""} if found else {}
        with ada.stream("GET", f"/v1/runs/{run_id}/events", headers=headers) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            text = ""
            for piece in response.iter_text():
                text += piece
                if len(whole := events_in(text.rpartition("\n\n")[0])) >= 2:
                    break
            found += whole[:2]
    assert told(found) == streamed(ada, run_id)


def test_the_header_goes_before_the_parameter(ada: httpx.Client, done: str) -> None:
    response = ada.get(f"/v1/runs/{done}/events?after=1", headers={"Last-Event-ID": "2"})
    assert events_in(response.text)[0].id == "3"


def test_a_run_is_seen_to_begin_and_to_end(api: Api, ada: httpx.Client) -> None:
    api.gates["watched"] = Future()
    run_id = submitted(ada, "held", "watched")
    with ada.stream("GET", f"/v1/runs/{run_id}/events") as response:
        pieces = response.iter_text()
        begun = next(pieces)
        assert "event: RunStarted\n" in begun
        api.gates["watched"].set_result(None)
        events = events_in("".join(chain([begun], pieces)))
    assert events[-1].data["content"] == "Released."


def test_a_pause_ends_the_stream_and_what_follows_has_the_next_number(api: Api) -> None:
    client = api.as_("ada", "runs,approve")
    run = ended(client, "clerk", "send")
    before = streamed(client, run["run_id"])
    assert before[-1].kind == "RunPaused"
    last = int(before[-1].id or 0)
    assert streamed(client, run["run_id"], last) == []
    answer = {"id": run["requirements"][0]["id"], "confirmed": True}
    path = f"/v1/runs/{run['run_id']}"
    ok(client.post(f"{path}/continue", json={"requirements": [answer]}), 202)
    after = streamed(client, run["run_id"], last)
    assert [int(each.id or 0) for each in after] == [*range(last + 1, last + 1 + len(after))]
    assert (after[0].kind, after[-1].kind) == ("RunContinued", "RunCompleted")


@pytest.mark.parametrize("last", ["-1", "1.5", "x", "", "1e3", "9" * 400, "١"])
def test_a_last_event_that_is_no_number_is_refused(ada: httpx.Client, done: str, last: str) -> None:
    response = ada.get(f"/v1/runs/{done}/events", headers={b"Last-Event-ID": last.encode()})
    assert problem(response, 400, "invalid_event_id")["param"] == "Last-Event-ID"


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=1&after=2", "since=1"])
def test_a_query_that_cannot_be_used_is_refused(ada: httpx.Client, done: str, query: str) -> None:
    response = ada.get(f"/v1/runs/{done}/events?{query}")
    assert response.status_code == 400, response.text


def test_a_text_with_half_a_character_is_streamed(ada: httpx.Client) -> None:
    body = b'{"agent": "echo", "input": "\\ud800"}'
    headers = {"Content-Type": "application/json"}
    run_id = ok(ada.post("/v1/runs", content=body, headers=headers), 202)["run_id"]
    assert streamed(ada, run_id)[-1].data["content"] == "You said: \ud800"
    assert ok(ada.get(f"/v1/runs/{run_id}"))["content"] == "You said: \ud800"
