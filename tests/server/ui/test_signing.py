"""The page is for those whom the API knows, and keeps their key from everybody else."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from served import served
from strangers import PAGES, Stranger

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.sqlite import SqliteDb
from kern.server import create_app
from kern.testing import FunctionModel

NO_PAGES = ("", "/", "//evil.example", "https://evil.example/ui", "/uix", "/ui\\@evil", "/v1/runs")


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_without_signing_in(browser: Stranger, path: str) -> None:
    response = browser.http.get(f"/ui{path}")
    assert response.status_code == 303
    assert response.headers["location"] == f"/ui/sign-in?next={quote(f'/ui{path}', safe='')}"


def test_who_signs_in_comes_to_the_page_that_was_asked_for(
    browser: Stranger, keyed: SqliteDb
) -> None:
    page = browser.see("/ui?hours=24")
    _, secret = keyed.create_key("ada")
    response = browser.send(page, "/ui/sign-in", {"token": f" {secret}\n"})
    assert str(response.url) == f"{browser.url}/ui?hours=24"
    assert "Sign out" in response.text
    assert secret not in response.text
    assert str(browser.open("/ui/sign-in").url) == f"{browser.url}/ui"


@pytest.mark.parametrize("path", NO_PAGES)
def test_nobody_is_led_anywhere_else(browser: Stranger, keyed: SqliteDb, path: str) -> None:
    page = browser.see("/ui/sign-in")
    _, secret = keyed.create_key("ada")
    response = browser.send(page, "/ui/sign-in", {"token": secret, "next": path})
    assert str(response.url) == f"{browser.url}/ui"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_key_is_kept_where_no_script_and_no_other_site_finds_it(
    browser: Stranger, keyed: SqliteDb, scheme: str
) -> None:
    page = browser.see("/ui/sign-in")
    _, secret = keyed.create_key("ada")
    browser.http.headers["X-Forwarded-Proto"] = scheme
    response = browser.send(page, "/ui/sign-in", {"token": secret}).history[0]
    [cookie] = response.headers.get_list("set-cookie")
    assert cookie.startswith(f"kern_token={secret}; ")
    flags = {*cookie.split("; ")[1:]}
    assert flags == {"HttpOnly", "Path=/ui", "SameSite=lax", *(["Secure"] * (scheme == "https"))}


@pytest.mark.parametrize("token", ["", "kern_sk_none", "ü", "a\tb", "x" * 5000])
def test_a_key_that_opens_nothing_is_refused_and_not_repeated(
    browser: Stranger, token: str
) -> None:
    response = browser.sign_in(token)
    assert response.status_code == 401
    assert 'role="alert"' in response.text
    assert not token or token not in response.text
    assert "kern_token" not in browser.http.cookies


def test_a_page_of_another_site_signs_nobody_in(browser: Stranger, keyed: SqliteDb) -> None:
    _, secret = keyed.create_key("mallory")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        browser.see("/ui/sign-in")
        headers = {"Sec-Fetch-Site": "none", **headers}
        if "Origin" in headers:
            del headers["Sec-Fetch-Site"]
        response = browser.http.post("/ui/sign-in", data={"token": secret}, headers=headers)
        assert response.status_code == 403
    response = browser.post("/ui/sign-in", {"token": secret})
    assert (response.status_code, "too old" in response.text) == (403, True)
    assert "kern_token" not in browser.http.cookies


def test_who_signs_out_is_out(signed_in: Callable[..., Stranger]) -> None:
    browser = signed_in()
    response = browser.send(browser.see("/ui"), "/ui/sign-out")
    assert str(response.url) == f"{browser.url}/ui/sign-in"
    assert browser.http.get("/ui").status_code == 303


def test_a_key_that_is_revoked_is_out_at_once(browser: Stranger, keyed: SqliteDb) -> None:
    key, secret = keyed.create_key("ada")
    browser.sign_in(secret)
    page = browser.see("/ui")
    assert keyed.revoke_key(key.key_id)
    assert browser.http.get("/ui").status_code == 303
    assert str(browser.send(page, "/ui/sign-out").url).endswith("/ui/sign-in")
    live = browser.http.get("/ui/live", headers={"HX-Request": "true"})
    assert (live.status_code, live.headers["hx-redirect"]) == (401, "/ui/sign-in?next=%2Fui")


def test_a_key_for_something_else_sees_no_page(browser: Stranger, keyed: SqliteDb) -> None:
    _, secret = keyed.create_key("ada", scopes=["metrics"])
    response = browser.sign_in(secret)
    assert (str(response.url), response.status_code) == (f"{browser.url}/ui", 403)
    assert "needs the scope runs" in response.text


def test_where_callers_are_not_known_nobody_has_to_sign_in() -> None:
    agent = Agent("clerk", FunctionModel(lambda _: ""), db=InMemoryDb())
    with served(create_app([agent], worker=False)) as url:
        browser = Stranger(url)
        page = browser.see("/ui")
        assert "Sign out" not in page
        assert str(browser.open("/ui/sign-in").url) == f"{url}/ui"
        stranger = browser.open("/ui", Host="evil.example")
        assert stranger.status_code == 403
        assert "Overview</a>" not in stranger.text
        browser.close()


def test_the_page_works_below_another_application(keyed: SqliteDb) -> None:
    agent = Agent("clerk", FunctionModel(lambda _: ""), db=keyed)
    service = create_app([agent], auth="keys", worker=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.router.lifespan_context(service):
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/kern", service)
    with served(app) as url:
        browser = Stranger(url)
        asked = browser.open("/kern/ui/runs?status=ERROR")
        assert asked.url.path == "/kern/ui/sign-in"
        token = keyed.create_key("ada", scopes=["admin"])[1]
        response = browser.send(asked.text, "/ui/sign-in", {"token": token})
        assert str(response.url) == f"{url}/kern/ui/runs?status=ERROR"
        assert "Path=/kern/ui;" in response.history[0].headers["set-cookie"]
        for link in re.findall(r'(?:href|src|action|connect)="(/[^"]*)"', response.text):
            assert link.startswith("/kern/ui"), link
            if "/live" not in link and "sign-out" not in link:
                assert browser.open(link).status_code == 200, link
        browser.close()


def test_a_service_can_do_without_the_page() -> None:
    agent = Agent("clerk", FunctionModel(lambda _: ""), db=InMemoryDb())
    with served(create_app([agent], worker=False, ui=False)) as url:
        browser = Stranger(url)
        assert browser.open("/ui").status_code == 404
        browser.close()


def test_no_key_reaches_the_log(
    browser: Stranger, keyed: SqliteDb, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, secret = keyed.create_key("ada")
    browser.sign_in("kern_sk_wrong")
    browser.sign_in(secret)
    assert browser.open("/ui/none").status_code == 404
    ours = [
        each.getMessage() for each in caplog.records if each.name.startswith(("kern", "uvicorn"))
    ]
    assert not [each for each in ours if secret in each or "kern_sk_wrong" in each]
