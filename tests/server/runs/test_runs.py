"""Runs are submitted once, found by who may see them, and listed in pages."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from runs_api import Api, ended, ok, problem, streamed, submitted


def test_a_run_is_accepted_executed_and_shown(ada: httpx.Client) -> None:
    response = ada.post(
        "/v1/runs",
        json={"agent": "echo", "input": "Hi", "session_id": "shown", "metadata": {"team": "a"}},
    )
    run = ok(response, 202)
    assert response.headers["location"] == f"/v1/runs/{run['run_id']}"
    assert run["status"] in ("PENDING", "RUNNING")
    streamed(ada, run["run_id"])
    run = ok(ada.get(response.headers["location"]))
    assert run["status"] == "COMPLETED"
    assert run["content"] == "You said: Hi"
    assert (run["user_id"], run["session_id"]) == ("ada", "shown")
    assert run["metadata"] == {"team": "a"}
    assert run["metrics"]["model_calls"] == 1
    assert "messages" not in run


def test_messages_are_shown_where_they_are_asked_for(ada: httpx.Client) -> None:
    run_id = ended(ada)["run_id"]
    run = ok(ada.get(f"/v1/runs/{run_id}?include=messages"))
    assert [(each["role"], each["content"]) for each in run["messages"]] == [
        ("user", "Hi"),
        ("assistant", "You said: Hi"),
    ]
    assert {each["run_id"] for each in run["messages"]} == {run_id}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"role": "user", "content": "Hi"}], "Hi"),
        ([{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}], "Hi"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ({"amount": 5, "note": None}, '{"amount":5,"note":null}'),
    ],
)
def test_the_input_is_a_text_messages_or_values(
    ada: httpx.Client, given: object, said: str
) -> None:
    assert ended(ada, input=given)["content"] == f"You said: {said}"


def test_an_answer_has_the_form_that_its_run_asks_for(ada: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert ended(ada, "typed", output_schema=schema)["content"] == {"a": 5}
    wrong = {"agent": "echo", "input": "Hi", "output_schema": {"type": "wrong"}}
    refused = problem(ada.post("/v1/runs", json=wrong), 400, "invalid_input")
    assert refused["param"] == "output_schema"


def test_the_same_request_with_the_same_key_is_the_same_run(
    api: Api, ada: httpx.Client, bob: httpx.Client
) -> None:
    key = {"Idempotency-Key": "one"}
    body = {"agent": "echo", "input": "Once", "metadata": {"a": 1}}
    run_id = ok(ada.post("/v1/runs", json=body, headers=key), 202)["run_id"]
    streamed(ada, run_id)
    again = ok(ada.post("/v1/runs", json=body, headers=key), 202)
    assert (again["run_id"], again["status"]) == (run_id, "COMPLETED")
    assert again["metadata"] == {"a": 1}
    for change in ({"input": "Twice"}, {"metadata": {"a": 2}}, {"priority": -1}):
        response = ada.post("/v1/runs", json=body | change, headers=key)
        problem(response, 422, "idempotency_key_reused")
    assert ok(bob.post("/v1/runs", json=body, headers=key), 202)["run_id"] != run_id
    for wrong in ("", "x" * 256):
        response = ada.post("/v1/runs", json=body, headers={"Idempotency-Key": wrong})
        problem(response, 400, "invalid_idempotency_key")


def test_ten_requests_at_once_with_the_same_key_are_one_run(ada: httpx.Client) -> None:
    def send(_: int) -> str:
        response = ada.post(
            "/v1/runs",
            json={"agent": "echo", "input": "At once"},
            headers={"Idempotency-Key": "at once"},
        )
        return str(ok(response, 202)["run_id"])

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(send, range(10)))) == 1


def test_runs_are_listed_by_what_is_asked_for_in_pages(api: Api) -> None:
    carl = api.as_("carl")
    ids = [submitted(carl, session_id="a") for _ in range(5)]
    other = submitted(carl, "story", session_id="b")
    failed = ended(carl, "fragile", "listed")["run_id"]
    for each in (*ids, other):
        streamed(carl, each)

    def listed(**wanted: Any) -> list[str]:
        found = []
        while True:
            page = ok(carl.get("/v1/runs", params={"limit": 2, **wanted}))
            assert len(page["data"]) <= 2
            found += [each["run_id"] for each in page["data"]]
            assert all("content" not in each for each in page["data"])
            if page["next"] is None:
                return found
            wanted["cursor"] = page["next"]

    newest = [failed, other, *reversed(ids)]
    assert listed() == newest
    assert listed(agent="echo") == [*reversed(ids)]
    assert listed(session="b") == [other]
    assert listed(status="ERROR") == [failed]
    assert listed(status=["ERROR", "COMPLETED"]) == newest
    assert listed(status="PAUSED") == []
    assert listed(agent="echo", session="a", status="COMPLETED") == [*reversed(ids)]
    moment = ok(carl.get(f"/v1/runs/{ids[2]}"))["created_at"]
    assert listed(created_before=moment) == [ids[1], ids[0]]
    assert listed(created_after=moment) == [*newest[:4], ids[2]]
    assert listed(created_after="2100-01-01T00:00:00Z") == []
    one = api.as_("carl", agents="echo,held")
    assert len(ok(one.get("/v1/runs"))["data"]) == 5
    assert ok(api.as_("carl", agents="unknown").get("/v1/runs"))["data"] == []


def test_a_cursor_belongs_to_its_list(api: Api) -> None:
    dora = api.as_("dora")
    for number in range(3):
        ended(dora, session_id=f"dora {number}")
    cursor = ok(dora.get("/v1/runs?limit=1"))["next"]
    for path in (
        "/v1/runs?agent=echo&",
        "/v1/runs?status=COMPLETED&",
        "/v1/runs?created_before=2100-01-01T00:00:00Z&",
        "/v1/sessions?",
        "/v1/approvals?",
        "/v1/sessions/dora%200/runs?",
        "/v1/sessions/dora%200/messages?",
    ):
        refused = dora.get(f"{path}cursor={cursor}")
        assert problem(refused, 400, "cursor_of_another_list")["param"] == "cursor"
    problem(api.as_("ada").get(f"/v1/runs?cursor={cursor}"), 400, "cursor_of_another_list")
    for wrong in ("x", "%00", "é", cursor[:-4], "A" * 1000):
        response = dora.get("/v1/runs", params={"cursor": wrong})
        assert response.status_code == 400
        assert response.json()["param"] == "cursor"
    assert ok(dora.get(f"/v1/runs?limit=2&cursor={cursor}"))["data"]


def test_a_cursor_at_what_is_gone_says_so(api: Api) -> None:
    emil = api.as_("emil")
    for session in ("first", "second"):
        ended(emil, session_id=session)
    cursor = ok(emil.get("/v1/runs?limit=1"))["next"]
    assert emil.delete("/v1/sessions/second").status_code == 204
    problem(emil.get(f"/v1/runs?cursor={cursor}"), 400, "cursor_gone")


def test_what_is_anothers_is_not_found(api: Api, ada: httpx.Client, bob: httpx.Client) -> None:
    run_id = ended(ada)["run_id"]
    told = []
    for each in (run_id, "unknown"):
        answers = [
            *(bob.get(f"/v1/runs/{each}{path}") for path in ("", "/events", "/requirements")),
            *(bob.post(f"/v1/runs/{each}/{action}") for action in ("cancel", "retry")),
            *(
                bob.post(f"/v1/runs/{each}/{action}", json={})
                for action in ("continue", "fork", "regenerate")
            ),
        ]
        for answer in answers:
            problem(answer, 404, "run_not_found")
        told.append([answer.text.replace(each, "…") for answer in answers])
    assert told[0] == told[1]
    assert run_id not in bob.get("/v1/runs?limit=200").text
    few = api.as_("ada", agents="hidden")
    problem(few.get(f"/v1/runs/{run_id}"), 404, "run_not_found")


def test_who_reads_all_sees_all_and_changes_nothing(api: Api, ada: httpx.Client) -> None:
    run_id = ended(ada)["run_id"]
    auditor = api.as_("eve", "read:all")
    assert ok(auditor.get(f"/v1/runs/{run_id}"))["user_id"] == "ada"
    assert run_id in auditor.get("/v1/runs?user=ada").text
    assert run_id in auditor.get("/v1/runs").text
    assert run_id not in auditor.get("/v1/runs?user=eve").text
    problem(auditor.post(f"/v1/runs/{run_id}/cancel"), 403, "insufficient_scope")
    both = api.as_("eve", "runs,read:all")
    problem(both.post(f"/v1/runs/{run_id}/cancel"), 404, "run_not_found")
    problem(ada.get("/v1/runs?user=bob"), 403, "insufficient_scope")
    problem(api.as_("ada", "metrics").get("/v1/runs"), 403, "insufficient_scope")
    problem(httpx.get(f"{api.url}/v1/runs"), 401, "no_caller")


def test_a_caller_raises_no_limit_of_an_agent(ada: httpx.Client) -> None:
    body = {"agent": "echo", "input": "Hi", "priority": 1}
    problem(ada.post("/v1/runs", json=body), 403, "insufficient_scope")
    wanted: dict[str, Any] = {"usage_limits": {"requests": 1}, "timeout": 1e9, "max_attempts": 2}
    assert ended(ada, **wanted)["status"] == "COMPLETED"
    run = ended(ada, "hasty", timeout=1e9)
    assert (run["status"], run["error_kind"]) == ("ERROR", "RunTimeoutError")


BODY: dict[str, Any] = {"agent": "echo", "input": "Hi"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"agent": None}, "agent"),
        ({"agent": ""}, "agent"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "file_id", "id": "x"}]}]}, "input"),
        ({"input": [{"role": "user", "content": "x", "provider_items": []}]}, "input"),
        ({"user": "bob"}, "user"),
        ({"user_id": "bob"}, "user_id"),
        ({"unknown": 1}, "unknown"),
        ({"session_id": "a/b"}, "session_id"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": "x" * 256}, "session_id"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"priority": 2**40}, "priority"),
        ({"run_at": "2030-01-01T00:00:00"}, "run_at"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "run_at"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"session_policy": "now"}, "session_policy"),
        ({"usage_limits": {"requests": 0}}, "usage_limits"),
        ({"usage_limits": {"coins": 1}}, "usage_limits"),
        ({"metadata": {"kern.request": "x"}}, "metadata"),
        ({"metadata": [1]}, "metadata"),
    ],
)
def test_what_cannot_be_used_is_named(
    ada: httpx.Client, change: dict[str, Any], param: str
) -> None:
    response = ada.post("/v1/runs", json=BODY | change)
    assert response.status_code == 400, response.text
    assert response.json()["param"].partition(".")[0] == param


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b"{" * 100_000),
        *(b'{"agent": "echo", "input": "Hi"', b'{"agent": "echo", "input": ""}'),
        *(b'{"agent": "echo", "input": []}', b'{"agent": "echo", "input": {}}'),
        b'{"agent": "echo", "input": "Hi", "metadata": {"a": NaN}}',
        b'{"agent": "echo", "input": "Hi", "session_id": "\\u0000"}',
        b'{"agent": "echo", "input": "Hi", "session_id": "\\ud800"}',
        b'{"agent": "echo", "input": "Hi", "webhook": "http://127.0.0.1/"}',
        b'{"agent": "echo", "input": "Hi", "webhook": "file:///etc/passwd"}',
    ],
)
def test_a_body_that_cannot_be_read_is_refused(ada: httpx.Client, body: bytes) -> None:
    response = ada.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    [
        *("unknown=1", "limit=0", "limit=201", "limit=x", "limit=1&limit=2", "agent=", "status=x"),
        *("created_after=yesterday", "created_before=2030-01-01T00:00:00", "agent=echo&agent=echo"),
        *("session=%00", "session=" + "x" * 256, "user=", "created_after=1e400"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused(ada: httpx.Client, query: str) -> None:
    response = ada.get(f"/v1/runs?{query}")
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_parameters_where_there_are_none_are_refused(ada: httpx.Client) -> None:
    run_id = ended(ada)["run_id"]
    problem(ada.get("/v1/agents?limit=1"), 400, "unknown_parameter")
    problem(ada.post(f"/v1/runs/{run_id}/cancel?force=1"), 400, "unknown_parameter")
    assert ada.get(f"/v1/runs/{run_id}?include=all").status_code == 400
    assert ada.get(f"/v1/runs/{run_id}?user=bob").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/runs/", "/v1//runs", "/v1/runs/..%2fagents", "/v1/runs/%2e%2e/agents"),
        *("/V1/runs", "/v1/runs/a/b/c", "/v1/runs/unknown/events/", "/v1/runs%00"),
    ],
)
def test_a_path_that_plays_tricks_is_not_found(ada: httpx.Client, path: str) -> None:
    response = ada.get(path)
    assert response.status_code == 404, response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("run_id", ["%00", "x" * 256, "%ED%A0%80", "é", "a%0d%0ab", "' OR 1=1--"])
def test_an_id_that_is_none_is_refused(ada: httpx.Client, run_id: str) -> None:
    response = ada.get(f"/v1/runs/{run_id}")
    assert response.status_code in (400, 404), response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_method_that_a_path_has_not_is_refused(ada: httpx.Client) -> None:
    for method, path in (("PUT", "/v1/runs"), ("DELETE", "/v1/runs/x"), ("POST", "/v1/agents")):
        response = ada.request(method, path)
        assert response.status_code == 405
        assert response.headers["allow"]


def test_a_body_of_another_type_is_refused(ada: httpx.Client) -> None:
    content = b'{"agent": "echo", "input": "Hi"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        response = ada.post("/v1/runs", content=content, headers={"Content-Type": kind})
        assert response.status_code == 400, response.text


def test_a_run_waits_for_its_moment(ada: httpx.Client) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    run_id = submitted(ada, run_at=moment)
    assert ok(ada.get(f"/v1/runs/{run_id}"))["status"] == "PENDING"
    assert ok(ada.post(f"/v1/runs/{run_id}/cancel"))["status"] == "CANCELLED"
