"""Runs are stopped, go on with what people decide, and begin anew."""

from concurrent.futures import Future
from typing import Any

import httpx
import pytest
from runs_api import Api, ended, ok, problem, streamed, submitted


def held(api: Api, client: httpx.Client, text: str) -> str:
    """Submit a run whose model answers once its gate is open."""
    api.gates[text] = Future()
    return submitted(client, "held", text)


def test_a_cancel_stops_a_run_and_may_be_repeated(api: Api, ada: httpx.Client) -> None:
    run_id = held(api, ada, "stopped")
    assert ok(ada.post(f"/v1/runs/{run_id}/cancel"))["status"] == "CANCELLED"
    assert ok(ada.post(f"/v1/runs/{run_id}/cancel"))["status"] == "CANCELLED"
    assert streamed(ada, run_id)[-1].kind == "RunCancelled"
    for action in ("retry", "continue"):
        problem(ada.post(f"/v1/runs/{run_id}/{action}", json={}), 409, "wrong_status")


def test_what_has_ended_is_not_cancelled(ada: httpx.Client) -> None:
    run_id = ended(ada)["run_id"]
    refused = problem(ada.post(f"/v1/runs/{run_id}/cancel"), 409, "wrong_status")
    assert "COMPLETED" in refused["detail"]
    assert ok(ada.get(f"/v1/runs/{run_id}"))["status"] == "COMPLETED"


def test_a_cancel_of_what_is_not_known_is_kept_for_nobody(ada: httpx.Client) -> None:
    problem(ada.post("/v1/runs/not-yet/cancel"), 404, "run_not_found")
    key = {"Idempotency-Key": "not yet"}
    body = {"agent": "echo", "input": "Hi"}
    run = ok(ada.post("/v1/runs", json=body, headers=key), 202)
    streamed(ada, run["run_id"])
    assert ok(ada.get(f"/v1/runs/{run['run_id']}"))["status"] == "COMPLETED"


def test_a_failed_run_goes_on_and_no_other(api: Api, ada: httpx.Client) -> None:
    run = ended(ada, "fragile", "retried")
    assert (run["status"], run["error_kind"]) == ("ERROR", "ModelError")
    assert "Not today" in run["error"]
    response = ada.post(f"/v1/runs/{run['run_id']}/retry")
    assert ok(response, 202)["run_id"] == run["run_id"]
    assert response.headers["location"] == f"/v1/runs/{run['run_id']}"
    streamed(ada, run["run_id"])
    run = ok(ada.get(f"/v1/runs/{run['run_id']}"))
    assert (run["status"], run["content"]) == ("COMPLETED", "At last: retried")
    problem(ada.post(f"/v1/runs/{run['run_id']}/retry"), 409, "wrong_status")
    running = held(api, ada, "not to be retried")
    problem(ada.post(f"/v1/runs/{running}/retry"), 409, "wrong_status")
    problem(ada.post(f"/v1/runs/{running}/continue", json={}), 409, "wrong_status")


def asked(client: httpx.Client, tool: str) -> tuple[str, dict[str, Any]]:
    """Return a run that has paused for a call of a tool, and what it waits for."""
    run = ended(client, "clerk", tool)
    assert run["status"] == "PAUSED"
    [requirement] = ok(client.get(f"/v1/runs/{run['run_id']}/requirements"))["data"]
    assert run["requirements"] == [requirement]
    assert not requirement["resolved"]
    assert requirement["tool_execution"]["tool_name"] == tool
    return str(run["run_id"]), requirement


def answered(client: httpx.Client, run_id: str, **answer: Any) -> str:
    """Answer what a run waits for, and return what it has said then."""
    body = {"requirements": [answer]}
    assert ok(client.post(f"/v1/runs/{run_id}/continue", json=body), 202)["run_id"] == run_id
    streamed(client, run_id)
    run = ok(client.get(f"/v1/runs/{run_id}"))
    assert run["status"] == "COMPLETED", run
    return str(run["content"])


@pytest.mark.parametrize(
    ("tool", "answer", "says"),
    [
        ("send", {"confirmed": True}, "sent to ada"),
        ("send", {"confirmed": True, "arguments": {"to": "bob"}}, "sent to bob"),
        ("send", {"confirmed": False, "note": "Not to her."}, "Not to her."),
        ("book", {"values": {"city": "Rome"}}, "booked 2 nights in Rome"),
        ("ask_user", {"values": {"Where?": ["Sea"]}}, '{"Where?":"Sea"}'),
        ("fetch", {"result": "<html>"}, "<html>"),
        ("fetch", {"result": {"status": 404}}, '{"status":404}'),
    ],
)
def test_a_run_goes_on_with_what_was_decided(
    api: Api, tool: str, answer: dict[str, Any], says: str
) -> None:
    client = api.as_("ada", "runs,approve")
    run_id, requirement = asked(client, tool)
    assert says in answered(client, run_id, id=requirement["id"], **answer)


@pytest.fixture(scope="module")
def waiting(api: Api) -> dict[str, tuple[str, dict[str, Any]]]:
    """Runs that wait for a call of a tool each."""
    return {
        tool: asked(api.as_("ada", "runs,approve"), tool) for tool in ("send", "book", "ask_user")
    }


@pytest.mark.parametrize(
    ("tool", "answer", "status"),
    [
        ("send", {}, 400),
        ("send", {"confirmed": True, "note": "Yes."}, 400),
        ("send", {"confirmed": False, "arguments": {}}, 400),
        ("send", {"confirmed": True, "result": "x"}, 400),
        ("send", {"confirmed": True, "arguments": {"unknown": 1}}, 400),
        ("send", {"values": {"to": "bob"}}, 400),
        ("send", {"confirmed": "perhaps"}, 400),
        ("send", {"id": "unknown", "confirmed": True}, 409),
        ("book", {"values": {"country": "Italy"}}, 400),
        ("book", {"values": {"city": 5}}, 400),
        ("book", {"confirmed": True}, 400),
        ("ask_user", {"values": {"Where?": ["Moon"]}}, 400),
        ("ask_user", {"values": {"When?": ["Sea"]}}, 400),
        ("ask_user", {"values": {"Where?": {"Sea": 1}}}, 400),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_run_waits_on(
    api: Api,
    waiting: dict[str, tuple[str, dict[str, Any]]],
    tool: str,
    answer: dict[str, Any],
    status: int,
) -> None:
    client = api.as_("ada", "runs,approve")
    run_id, requirement = waiting[tool]
    body = {"requirements": [{"id": requirement["id"]} | answer]}
    response = client.post(f"/v1/runs/{run_id}/continue", json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert ok(client.get(f"/v1/runs/{run_id}"))["status"] == "PAUSED"


def test_to_answer_needs_the_scope_and_says_who_was_first(api: Api, ada: httpx.Client) -> None:
    run_id, requirement = asked(ada, "send")
    body = {"requirements": [{"id": requirement["id"], "confirmed": True}]}
    path = f"/v1/runs/{run_id}/continue"
    problem(ada.post(path, json=body), 403, "insufficient_scope")
    problem(api.as_("bob", "runs,approve").post(path, json=body), 404, "run_not_found")
    # A manager decides about what others do, without a run of their own.
    manager = api.as_("mia", "approve,read:all")
    problem(manager.post(path, json=body | {"input": "Hi"}), 403, "insufficient_scope")
    both = api.as_("mia", "runs,approve,read:all")
    for more in ({"input": "Hi"}, {"metadata": {"a": 1}}):
        problem(both.post(path, json=body | more), 404, "run_not_found")
    ok(manager.post(path, json=body), 202)
    streamed(ada, run_id)
    refused = problem(manager.post(path, json=body), 409, "wrong_status")
    assert "mia" in refused["detail"]
    assert ok(ada.get(f"/v1/runs/{run_id}"))["content"] == "The call says: sent to ada"


def test_a_paused_run_can_be_cancelled(ada: httpx.Client) -> None:
    run_id, _ = asked(ada, "send")
    assert ok(ada.post(f"/v1/runs/{run_id}/cancel"))["status"] == "CANCELLED"
    assert ok(ada.get(f"/v1/runs/{run_id}/requirements"))["data"] == []


def test_a_fork_begins_with_what_another_run_has_said(ada: httpx.Client) -> None:
    origin = ended(ada, input="First")["run_id"]
    response = ada.post(f"/v1/runs/{origin}/fork", json={"input": "Second"})
    fork = ok(response, 202)
    assert response.headers["location"] == f"/v1/runs/{fork['run_id']}"
    assert fork["forked_from_run_id"] == origin
    streamed(ada, fork["run_id"])
    run = ok(ada.get(f"/v1/runs/{fork['run_id']}?include=messages"))
    assert [each["content"] for each in run["messages"]] == [
        *("First", "You said: First", "Second", "You said: Second")
    ]
    again = ok(ada.post(f"/v1/runs/{origin}/fork", json={"continue_from": "last_user"}), 202)
    streamed(ada, again["run_id"])
    assert ok(ada.get(f"/v1/runs/{again['run_id']}"))["content"] == "You said: First"
    elsewhere = {"input": "x", "session_id": "elsewhere", "from_seq": 1}
    assert ok(ada.post(f"/v1/runs/{origin}/fork", json=elsewhere), 202)["session_id"] == "elsewhere"


def test_a_fork_is_begun_once_for_a_key(ada: httpx.Client) -> None:
    origin = ended(ada)["run_id"]
    path, key = f"/v1/runs/{origin}/fork", {"Idempotency-Key": "fork"}
    ids = {ok(ada.post(path, json={"input": "And?"}, headers=key), 202)["run_id"] for _ in range(2)}
    assert len(ids) == 1
    other = ada.post(path, json={"input": "Or?"}, headers=key)
    problem(other, 422, "idempotency_key_reused")
    other = ada.post("/v1/runs", json={"agent": "echo", "input": "And?"}, headers=key)
    problem(other, 422, "idempotency_key_reused")


def test_a_run_is_answered_once_more_in_its_place(api: Api, ada: httpx.Client) -> None:
    origin = ended(ada)["run_id"]
    body = {"additional_instructions": "Be brief."}
    new = ok(ada.post(f"/v1/runs/{origin}/regenerate", json=body), 202)
    assert new["regenerated_from"] == origin
    streamed(ada, new["run_id"])
    assert ok(ada.get(f"/v1/runs/{new['run_id']}"))["content"] == "You said: Be brief."
    assert ok(ada.get(f"/v1/runs/{origin}"))["status"] == "REGENERATED"
    kept = ended(ada)["run_id"]
    ok(ada.post(f"/v1/runs/{kept}/regenerate", json={"replace_original": False}), 202)
    assert ok(ada.get(f"/v1/runs/{kept}"))["status"] == "COMPLETED"
    running = held(api, ada, "not to be regenerated")
    problem(ada.post(f"/v1/runs/{running}/regenerate", json={}), 409, "wrong_status")


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("fork", {"continue_from": "start"}),
        ("fork", {"continue_from": -1}),
        ("fork", {"continue_from": 2**40}),
        ("fork", {"from_seq": 1, "continue_from": "end"}),
        ("fork", {"from_seq": -1}),
        ("fork", {"agent": "hidden"}),
        ("fork", {"session_id": "a/b"}),
        ("fork", {"input": ""}),
        ("regenerate", {"additional_instructions": ""}),
        ("regenerate", {"replace_original": "no, thanks"}),
        ("regenerate", {"input": "x"}),
        ("continue", {"requirements": [{"confirmed": True}]}),
        ("continue", {"requirements": {}}),
        ("continue", {"by": "somebody else"}),
    ],
)
def test_what_contradicts_itself_is_refused(
    ada: httpx.Client, done: str, action: str, body: dict[str, Any]
) -> None:
    response = ada.post(f"/v1/runs/{done}/{action}", json=body)
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"
