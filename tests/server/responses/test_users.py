"""Users do not meet: what is another's is not found, whatever is asked of it."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api import DELETED, delete, error_of, leave, service, until
from fastapi import Request
from typing_extensions import override

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.server.caller import Authenticator, Caller, Scope
from kern.testing import ProtocolServer, Reply

RUNS = frozenset({Scope.runs})

CALLERS = {
    "ada": Caller("ada", RUNS),
    "bob": Caller("bob", RUNS),
    "boss": Caller("boss", RUNS | {Scope.approve}),
    "auditor": Caller("auditor", RUNS | {Scope.read_all}),
    "root": Caller("root", frozenset({Scope.admin})),
    "guest": Caller("guest", RUNS, frozenset({"other"})),
    "nobody": Caller(None, RUNS),
}


class ByName(Authenticator):
    """Takes everybody at their word."""

    @override
    async def authenticate(self, request: Request) -> Caller:
        return CALLERS[request.headers["authorization"].removeprefix("Bearer ")]


@pytest.fixture(scope="module")
def says() -> Iterator[ProtocolServer]:
    with ProtocolServer() as server:
        yield server


@pytest.fixture(scope="module")
def url(says: ProtocolServer, postgres: EmbeddedPostgres) -> Iterator[str]:
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table="api_users")
    model = OpenAIResponses("m", base_url=says.base_url, api_key="sk", max_retries=0)
    agents = [
        Agent("Plain", model, db=db),
        Agent("Other", model, db=db),
        Agent("Careful", model, db=db, tools=[delete]),
    ]
    with service(agents, auth=ByName()) as url:
        yield url


@pytest.fixture
def ask(url: str, says: ProtocolServer) -> Iterator[Any]:
    """Ask the service as one of the callers."""
    says.script.clear()
    DELETED.clear()
    with httpx.Client(base_url=f"{url}/v1", timeout=30) as client:

        def ask(
            who: str, method: str, path: str, body: object = None, **headers: str
        ) -> httpx.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            named["authorization"] = f"Bearer {who}"
            named["content-type"] = "application/json"
            content = (
                None if body is None else json.dumps(body)
            )  # It escapes whatever has no UTF-8.
            return client.request(method, path, content=content, headers=named)

        yield ask


def test_what_is_anothers_is_not_found(ask: Any) -> None:
    conversation = ask("ada", "POST", "/conversations", {}).json()["id"]
    made = ask(
        "ada", "POST", "/responses", {"model": "plain", "input": "Hi", "conversation": conversation}
    ).json()
    response, item = made["id"], made["output"][0]["id"]
    asked: list[tuple[str, str, Any]] = [
        ("GET", f"/responses/{response}", None),
        ("GET", f"/responses/{response}?stream=true", None),
        ("GET", f"/responses/{response}/input_items", None),
        ("POST", f"/responses/{response}/cancel", None),
        ("DELETE", f"/responses/{response}", None),
        ("POST", "/responses", {"model": "plain", "input": "x", "previous_response_id": response}),
        ("POST", "/responses", {"model": "plain", "input": "x", "conversation": conversation}),
        (
            "POST",
            "/responses",
            {"model": "plain", "input": [{"type": "item_reference", "id": item}]},
        ),
        ("GET", f"/conversations/{conversation}", None),
        ("GET", f"/conversations/{conversation}/items", None),
        ("GET", f"/conversations/{conversation}/items/{item}", None),
        ("POST", f"/conversations/{conversation}", {"metadata": {}}),
        ("DELETE", f"/conversations/{conversation}", None),
    ]
    for method, path, body in asked:
        answer = ask("bob", method, path, body)
        assert answer.status_code == 404, (method, path, answer.text)
        error_of(answer)
    assert ask("auditor", "GET", f"/responses/{response}").status_code == 200
    assert ask("auditor", "GET", f"/conversations/{conversation}/items").status_code == 200
    assert ask("auditor", "DELETE", f"/responses/{response}").status_code == 404
    assert ask("auditor", "DELETE", f"/conversations/{conversation}").status_code == 404
    assert ask("root", "DELETE", f"/responses/{response}").json()["deleted"] is True
    assert ask("ada", "GET", f"/responses/{response}").status_code == 404


def test_in_a_conversation_of_nobody_each_user_sees_the_own_items(
    ask: Any, says: ProtocolServer
) -> None:
    conversation = ask("nobody", "POST", "/conversations", {}).json()["id"]
    items: dict[str, str] = {}
    for who in ("nobody", "ada", "bob"):
        body = {"model": "plain", "input": f"I am {who}.", "conversation": conversation}
        items[who] = ask(who, "POST", "/responses", body).json()["output"][0]["id"]
    assert "I am ada." not in str(says.requests[-1].body)
    assert "I am nobody." in str(says.requests[-1].body)
    path = f"/conversations/{conversation}/items"
    assert ask("bob", "GET", f"{path}/{items['nobody']}").status_code == 200
    answer = ask("bob", "GET", f"{path}/{items['ada']}")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")
    for order in ("asc", "desc"):
        answer = ask("bob", "GET", f"{path}?order={order}&after={items['ada']}")
        assert (answer.status_code, error_of(answer)["param"]) == (400, "after"), answer.text
    assert "I am ada." not in ask("bob", "GET", path).text
    assert "I am ada." in ask("auditor", "GET", path).text


def test_a_user_in_the_body_changes_nothing(ask: Any) -> None:
    body = {"model": "plain", "input": "Hi", "user": "ada", "safety_identifier": "ada"}
    made = ask("bob", "POST", "/responses", body).json()
    assert made["user"] == "ada"
    assert ask("ada", "GET", f"/responses/{made['id']}").status_code == 404


def test_idempotency_keys_are_each_users_own(ask: Any) -> None:
    body: dict[str, Any] = {"model": "plain", "input": "Hi", "background": True}
    made = {who: ask(who, "POST", "/responses", body, idempotency_key="1") for who in CALLERS}
    guest = made.pop("guest")
    assert (guest.status_code, error_of(guest)["code"]) == (404, "model_not_found")
    ids = {each.json()["id"] for each in made.values()}
    assert len(ids) == len(made)


def test_of_requests_with_one_key_at_once_one_begins_a_run(ask: Any, says: ProtocolServer) -> None:
    answers: list[httpx.Response] = []
    body = {"model": "plain", "input": "Only once."}

    def send() -> None:
        answers.append(ask("ada", "POST", "/responses", body, idempotency_key="at once"))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["id"] for each in answers}) == 1
    assert {each.json()["output"][0]["content"][0]["text"] for each in answers} == {"Hello."}
    assert sum("Only once." in str(each.body) for each in says.requests) == 1


def test_an_agent_out_of_reach_is_unlisted_and_not_found(ask: Any) -> None:
    listed = ask("guest", "GET", "/models").json()["data"]
    assert [each["id"] for each in listed] == ["other"]
    assert ask("guest", "GET", "/models/plain").status_code == 404
    made = ask("guest", "POST", "/conversations", {}).json()["id"]
    said = {"model": "other", "input": "x", "conversation": made}
    assert ask("guest", "POST", "/responses", said).status_code == 200
    assert len(ask("guest", "GET", f"/conversations/{made}/items").json()["data"]) == 2
    for path, body in [
        ("/responses", {"model": "plain", "input": "x"}),
        ("/chat/completions", {"model": "plain", "messages": [{"role": "user", "content": "x"}]}),
    ]:
        answer = ask("guest", "POST", path, body)
        assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")


def test_an_approval_needs_its_scope(ask: Any, says: ProtocolServer) -> None:
    for who, status in [("ada", 403), ("boss", 200)]:
        says.script.extend([Reply.tool_calls(("delete", {"path": "/a"})), Reply.text("Gone.")])
        made = ask(who, "POST", "/responses", {"model": "careful", "input": "Go."}).json()
        said = {
            "type": "mcp_approval_response",
            "approval_request_id": made["output"][-1]["id"],
            "approve": True,
        }
        answer = ask(who, "POST", "/responses", {"model": "careful", "input": [said]})
        assert answer.status_code == status, answer.text
        says.script.clear()
    assert DELETED == ["/a"]


def test_a_foreground_run_is_cancelled_when_its_client_leaves(
    ask: Any, url: str, says: ProtocolServer
) -> None:
    says.script.append(Reply.text("Never.").held())
    gone, asked, body = says.disconnects, len(says.requests), {"model": "plain", "input": "Hi"}
    headers = {"authorization": "Bearer ada", "idempotency-key": "left"}
    leave(f"{url}/v1", body, lambda: len(says.requests) > asked, **headers)
    until(lambda: says.disconnects == gone + 1)
    again = ask("ada", "POST", "/responses", body, idempotency_key="left").json()
    assert again["status"] == "cancelled"


def test_what_a_call_failed_of_may_be_anything(ask: Any) -> None:
    call = {"type": "mcp_call", "id": "c", "name": "pay", "arguments": "{}"}
    for error in ({"\ud800": "\x00"}, ["\ud800"], {"content": [{"text": "\ud800"}]}, 5):
        body = [{**call, "error": error}, {"role": "user", "content": "Hi"}]
        answer = ask("ada", "POST", "/responses", {"model": "plain", "input": body})
        assert answer.status_code == 200, answer.text


def test_texts_that_databases_and_encodings_dislike_come_back(ask: Any) -> None:
    odd = "a\x00b\ud800c"
    body = {
        "model": "plain",
        "input": [{"role": "user", "content": odd}],
        "instructions": odd,
        "metadata": {odd: odd},
        "user": odd,
    }
    made = ask("ada", "POST", "/responses", body).json()
    assert (made["status"], made["instructions"], made["metadata"]) == (
        "completed",
        odd,
        {odd: odd},
    )
    assert ask("ada", "GET", f"/responses/{made['id']}").json() == made
    items = ask("ada", "GET", f"/responses/{made['id']}/input_items").json()["data"]
    assert items[0]["content"][0]["text"] == odd
    conversation = ask("ada", "POST", "/conversations", {"metadata": {"a": odd}}).json()
    assert conversation["metadata"] == {"a": odd}
