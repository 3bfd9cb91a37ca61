"""Approvals are found by who may decide, and decided once, by the caller."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from runs_api import Api, ended, ok, problem, streamed


def asked(client: httpx.Client) -> tuple[str, str]:
    """Return a run that waits for an approval, and that."""
    run = ended(client, "clerk", "pay")
    assert run["status"] == "PAUSED"
    return str(run["run_id"]), str(run["requirements"][0]["approval_id"])


def content(client: httpx.Client, run_id: str) -> str:
    """Return what a run has said once it has gone on."""
    streamed(client, run_id)
    run = ok(client.get(f"/v1/runs/{run_id}"))
    assert run["status"] == "COMPLETED", run
    return str(run["content"])


def test_an_approval_is_found_and_its_run_goes_on_with_the_decision(api: Api) -> None:
    client = api.as_("ada", "runs,approve")
    run_id, approval_id = asked(client)
    [listed] = ok(client.get(f"/v1/approvals?run={run_id}"))["data"]
    assert listed == ok(client.get(f"/v1/approvals/{approval_id}"))
    assert (listed["status"], listed["tool_name"]) == ("pending", "pay")
    assert listed["tool_args"] == {"amount": 5}
    path = f"/v1/approvals/{approval_id}/resolve"
    decided = ok(client.post(path, json={"status": "approved", "arguments": {"amount": 4}}))
    assert (decided["status"], decided["resolved_by"]) == ("approved", "ada")
    assert content(client, run_id) == "The call says: paid 4"
    for status in ("approved", "rejected"):
        refused = problem(client.post(path, json={"status": status}), 409, "already_decided")
        assert "by ada" in refused["detail"]


def test_a_rejection_is_told_to_the_model(api: Api) -> None:
    client = api.as_("ada", "runs,approve")
    run_id, approval_id = asked(client)
    body = {"status": "rejected", "note": "Too much."}
    ok(client.post(f"/v1/approvals/{approval_id}/resolve", json=body))
    assert "Too much." in content(client, run_id)


def test_of_two_who_decide_at_once_one_counts(api: Api, ada: httpx.Client) -> None:
    run_id, approval_id = asked(ada)
    managers = [api.as_(f"manager-{number}", "approve,read:all") for number in range(6)]

    def decide(manager: httpx.Client) -> httpx.Response:
        path = f"/v1/approvals/{approval_id}/resolve"
        return manager.post(path, json={"status": "approved"})

    with ThreadPoolExecutor(6) as pool:
        answers = [*pool.map(decide, managers)]
    [counted] = [each for each in answers if each.status_code == 200]
    for each in answers:
        if each is not counted:
            detail = problem(each, 409, "already_decided")["detail"]
            assert f"by {counted.json()['resolved_by']} " in detail
    assert content(ada, run_id) == "The call says: paid 5"


def test_who_may_not_decide_does_not(api: Api, ada: httpx.Client) -> None:
    _, approval_id = asked(ada)
    path = f"/v1/approvals/{approval_id}"
    body = {"status": "approved"}
    problem(ada.post(f"{path}/resolve", json=body), 403, "insufficient_scope")
    other = api.as_("bob", "runs,approve")
    problem(other.get(path), 404, "approval_not_found")
    problem(other.post(f"{path}/resolve", json=body), 404, "approval_not_found")
    problem(api.as_("ada", "approve", "echo").get(path), 404, "approval_not_found")
    assert approval_id not in other.get("/v1/approvals").text
    problem(other.get("/v1/approvals?user=ada"), 403, "insufficient_scope")
    assert ok(ada.get(path))["status"] == "pending"


def test_approvals_are_listed_in_pages(api: Api) -> None:
    client = api.as_("fay", "runs,approve")
    made = [asked(client)[1] for _ in range(3)]
    ok(client.post(f"/v1/approvals/{made[1]}/resolve", json={"status": "approved"}))

    def listed(**wanted: Any) -> list[str]:
        found = []
        while True:
            page = ok(client.get("/v1/approvals", params={"limit": 1, **wanted}))
            found += [each["id"] for each in page["data"]]
            if page["next"] is None:
                return found
            wanted["cursor"] = page["next"]

    assert listed() == [*reversed(made)]
    assert listed(status="pending") == [made[2], made[0]]
    assert listed(status="pending", agent="clerk", type="required") == [made[2], made[0]]
    assert listed(agent="echo") == []
    assert listed(run="unknown") == []


@pytest.fixture(scope="module")
def pending(api: Api) -> str:
    """An approval that nobody decides."""
    return asked(api.as_("ada", "runs,approve"))[1]


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"status": "pending"}, {"status": "approved", "resolved_by": "bob"}),
        *({"status": "approved", "values": {"a": 1}}, {"status": "approved", "values": []}),
        {"status": "approved", "arguments": {"unknown": 1}},
    ],
)
def test_a_decision_that_cannot_be_used_is_refused(
    api: Api, pending: str, body: dict[str, Any]
) -> None:
    client = api.as_("ada", "runs,approve")
    response = client.post(f"/v1/approvals/{pending}/resolve", json=body)
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert ok(client.get(f"/v1/approvals/{pending}"))["status"] == "pending"
