"""Sessions are listed, named, read and deleted by whom they belong to."""

from typing import Any

import httpx
from runs_api import Api, ended, ok, problem


def test_a_session_has_a_name_runs_messages_and_a_state(ada: httpx.Client) -> None:
    runs = [
        ended(ada, input=f"Say {number}", session_id="whole", session_state={"n": number})["run_id"]
        for number in range(3)
    ]
    session = ok(ada.get("/v1/sessions/whole"))
    assert (session["agent_id"], session["user_id"], session["name"]) == ("echo", "ada", None)
    assert ok(ada.patch("/v1/sessions/whole", json={"name": "Talk"}))["name"] == "Talk"
    listed = ok(ada.get("/v1/sessions/whole/runs"))["data"]
    assert [each["run_id"] for each in listed] == [*reversed(runs)]
    assert ok(ada.get("/v1/sessions/whole/state"))["n"] == 2
    changed = ok(ada.patch("/v1/sessions/whole/state", json={"n": 5, "more": [None]}))
    assert changed == {"n": 5, "more": [None]}
    assert ok(ada.patch("/v1/sessions/whole/state", json={})) == changed
    assert "session_state" not in ada.get("/v1/sessions/whole").text

    pages, cursor = [], None
    while True:
        asked = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = ok(ada.get("/v1/sessions/whole/messages", params=asked))
        pages.append([each["content"] for each in page["data"]])
        if (cursor := page["next"]) is None:
            break
    assert pages == [
        ["Say 1", "You said: Say 1", "Say 2", "You said: Say 2"],
        ["Say 0", "You said: Say 0"],
    ]


def test_sessions_are_listed_in_pages(api: Api) -> None:
    gil = api.as_("gil")
    for name in ("a", "b", "c"):
        ended(gil, session_id=f"gil {name}")
    ended(gil, "typed", session_id="gil typed")
    ok(gil.patch("/v1/sessions/gil%20b", json={"name": "The trip"}))

    def listed(**wanted: Any) -> list[str]:
        found = []
        while True:
            page = ok(gil.get("/v1/sessions", params={"limit": 2, **wanted}))
            found += [each["session_id"] for each in page["data"]]
            if page["next"] is None:
                return found
            wanted["cursor"] = page["next"]

    assert listed() == ["gil typed", "gil c", "gil b", "gil a"]
    assert listed(agent="echo") == ["gil c", "gil b", "gil a"]
    assert listed(name="TRIP") == ["gil b"]
    assert listed(created_before="2020-01-01T00:00:00Z") == []
    assert len(listed(created_after="2020-01-01T00:00:00Z")) == 4
    assert "gil a" in api.as_("eve", "read:all").get("/v1/sessions?limit=200").text
    few = api.as_("gil", agents="typed,hidden")
    assert [each["session_id"] for each in ok(few.get("/v1/sessions"))["data"]] == ["gil typed"]


def test_a_session_is_deleted_with_its_runs(ada: httpx.Client) -> None:
    run_id = ended(ada, session_id="gone")["run_id"]
    assert ada.delete("/v1/sessions/gone").status_code == 204
    problem(ada.get(f"/v1/runs/{run_id}"), 404, "run_not_found")
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/runs"), ("GET", "/state")):
        problem(ada.request(method, f"/v1/sessions/gone{path}"), 404, "session_not_found")


def test_what_is_anothers_is_not_found(api: Api, ada: httpx.Client, bob: httpx.Client) -> None:
    ended(ada, session_id="ada's")
    for path in ("", "/runs", "/messages", "/state"):
        problem(bob.get(f"/v1/sessions/ada's{path}"), 404, "session_not_found")
    problem(bob.patch("/v1/sessions/ada's", json={"name": "x"}), 404, "session_not_found")
    problem(bob.patch("/v1/sessions/ada's/state", json={"a": 1}), 404, "session_not_found")
    problem(bob.delete("/v1/sessions/ada's"), 404, "session_not_found")
    auditor = api.as_("eve", "runs,read:all")
    assert ok(auditor.get("/v1/sessions/ada's"))["user_id"] == "ada"
    problem(auditor.delete("/v1/sessions/ada's"), 404, "session_not_found")
    assert ok(ada.get("/v1/sessions/ada's/state")) == {}


def test_two_users_who_name_their_sessions_alike_share_none(
    ada: httpx.Client, bob: httpx.Client
) -> None:
    for client in (ada, bob):
        ended(client, session_id="alike")
    for client in (ada, bob):
        assert len(ok(client.get("/v1/sessions/alike/runs"))["data"]) == 1


def test_what_cannot_be_used_is_refused(ada: httpx.Client) -> None:
    ended(ada, session_id="here")
    for body in ({}, {"name": ""}, {"name": None}, {"name": "x", "user_id": "bob"}, {"name": "\0"}):
        response = ada.patch("/v1/sessions/here", json=body)
        assert response.status_code == 400, response.text
    for content in ("[]", "null", '{"a": NaN}', '{"": 1', '"x"'):
        response = ada.patch(
            "/v1/sessions/here/state", content=content, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 400, response.text
