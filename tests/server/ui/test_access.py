"""Every page and every form, also those to come: who is not known or lacks a scope gets nothing."""

import re
from collections.abc import Callable

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from pages import Page
from runs_api import Api, ended
from strangers import Stranger

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.local.postgres import EmbeddedPostgres
from kern.server import create_app
from kern.testing import FunctionModel

OPEN = ("/ui/sign-in", "/ui/sign-out")
"""What nobody has to sign in for."""


def routes(method: str) -> list[str]:
    agent = Agent("clerk", FunctionModel(lambda _: ""), db=InMemoryDb())
    found = [
        each.path or ""
        for each in iter_route_contexts(create_app([agent], worker=False).routes)
        if method in (each.methods or ())
    ]
    return [each for each in found if each.startswith("/ui") and each not in OPEN]


GETS, POSTS = routes("GET"), routes("POST")


def filled(path: str, **ids: str) -> str:
    """Return a route's path with ids in it."""
    return re.sub(r"{(\w+)(?::\w+)?}", lambda found: ids.get(found[1], "0"), path)


def test_there_are_pages_and_forms() -> None:
    assert {"/ui", "/ui/runs/{run_id}", "/ui/runs/{run_id}/live", "/ui/{path:path}"} <= {*GETS}
    assert {"/ui/runs/{run_id}/cancel", "/ui/approvals/{approval_id}"} <= {*POSTS}


def test_nobody_gets_anything(browser: Stranger) -> None:
    csrf = Page(browser.open("/ui/sign-in")).forms[0].fields["csrf"]
    for path in GETS:
        response = browser.http.get(filled(path))
        status = 401 if path.endswith("/live") else 303
        assert (response.status_code, response.content) == (status, b""), path
        where = response.headers["hx-redirect" if status == 401 else "location"]
        assert where.startswith("/ui/sign-in"), path
    for path in POSTS:
        response = browser.post(filled(path), {"csrf": csrf})
        assert (response.status_code, response.content) == (303, b""), path
        assert response.headers["location"] == "/ui/sign-in", path


def test_a_key_for_something_else_gets_nothing(browser: Stranger, keyed: SqliteDb) -> None:
    refused = browser.sign_in(keyed.create_key("ada", scopes=["metrics"])[1])
    csrf = re.search('"X-CSRF": "(\\w+)"', refused.text)
    for path in GETS:
        assert browser.http.get(filled(path)).status_code == 403, path
    for path in POSTS:
        fields = {"csrf": "" if csrf is None else csrf[1]}
        assert browser.post(filled(path), fields).status_code == 403, path


def test_an_address_with_a_nul_is_refused(signed_in: Callable[..., Stranger]) -> None:
    browser = signed_in("admin")
    for path in GETS:
        assert browser.http.get(f"{filled(path)}?q=%00").status_code == 400, path
    assert browser.http.get("/ui/runs/%00").status_code == 400


def test_no_form_is_taken_without_its_token(signed_in: Callable[..., Stranger]) -> None:
    browser = signed_in("admin")
    for path in POSTS:
        response = browser.post(filled(path), {})
        assert response.status_code == 403, path
        assert "too old" in response.text


def test_a_user_finds_nothing_of_anothers(api: Api) -> None:
    ada, bob = api.as_("ada", "runs,approve"), api.as_("bob", "runs,approve")
    run = ended(ada, "clerk", "pay")
    approvals = ada.get("/v1/approvals", params={"run": run["run_id"]}).json()["data"]
    ids = {
        "run_id": run["run_id"],
        "session_id": run["session_id"],
        "approval_id": approvals[0]["id"],
    }
    theirs = [path for path in GETS if any(f"{{{name}}}" in path for name in ids)]
    assert len(theirs) >= 4
    for path in theirs:
        assert bob.get(filled(path, **ids)).status_code == 404, path
    csrf = csrf_of(bob)
    for path in POSTS:
        if any(f"{{{name}}}" in path for name in ids):
            response = bob.post(filled(path, **ids), data={"csrf": csrf, "answer": "approve"})
            assert response.status_code == 404, path
    assert ada.get(f"/v1/runs/{run['run_id']}").json()["status"] == "PAUSED"


@pytest.mark.parametrize(
    "session_id", ["tenant/7", "live", "50%25", "a b?c#d", "ü&<i>", "..", "../runs"]
)
async def test_an_id_may_be_any_text(api: Api, postgres: EmbeddedPostgres, session_id: str) -> None:
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table="pages")
    agent = Agent("echo", FunctionModel(lambda _: "Hi."), db=db)
    run = await agent.arun("Hi", session_id=session_id, user_id="ida")
    await db.aclose()
    ida = api.as_("ida")
    page = Page(ida.get(f"/ui/runs/{run.run_id}"))
    [link] = {each for each in page.links.values() if "/ui/sessions/" in each}
    shown = Page(ida.get(link))
    assert (shown.status, session_id in shown.text) == (200, True), link
    stream = re.search(r'hx-sse:connect="([^"]+)"', shown.html)
    assert stream is not None
    with ida.stream("GET", stream[1]) as live:
        assert live.status_code == 200
        assert live.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("scope", ["read:all", "approve"])
def test_who_only_looks_or_answers_changes_no_run(api: Api, scope: str) -> None:
    run = ended(api.as_("ada"), "clerk", "pay")
    caller = api.as_("ada", scope)
    csrf = csrf_of(caller)
    for action in ("cancel", "retry", "fork", "regenerate"):
        response = caller.post(f"/ui/runs/{run['run_id']}/{action}", data={"csrf": csrf})
        assert response.status_code == 403, action
        assert "needs the scope runs" in response.text
    assert api.as_("ada").get(f"/v1/runs/{run['run_id']}").json()["status"] == "PAUSED"


def csrf_of(client: httpx.Client) -> str:
    return Page(client.get("/ui")).csrf
