"""What a form does is done only for one of the viewer's own pages, and what fails is said there."""

from collections.abc import Iterator

import pytest
from fastapi import Response
from served import served
from strangers import Stranger

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.errors import RunStateError
from kern.server.app import add_layers, application
from kern.server.auth.keys import Keys
from kern.server.limits import Limits
from kern.server.problems import RequestError
from kern.server.service import Service
from kern.server.ui.forms import Acting, done
from kern.server.ui.pages import add_pages
from kern.server.ui.rendering import environment
from kern.server.ui.route import pages_router
from kern.testing import FunctionModel

FORM = '{% import "macros.html" as ui %}{{ ui.button(viewer, "/ui/probe", "Go") }}'


@pytest.fixture
def acted() -> list[str]:
    """What forms had done."""
    return []


@pytest.fixture
def where(keyed: SqliteDb, acted: list[str]) -> Iterator[str]:
    agent = Agent("clerk", FunctionModel(lambda _: ""), db=keyed)
    service = Service([agent], Keys(keyed, kept=0.0), Limits())
    app = application(service, worker=False, grace=0)
    router = pages_router()

    @router.post("/probe")
    async def probe(actor: Acting) -> Response:
        match what := actor.text("what"):
            case "late":
                raise RunStateError("Bob was <b>first</b>.")
            case "unknown":
                raise RequestError(404, "There is no such run.", code="run_not_found")
        acted.append(what)
        return done(actor, f"It is done: {what}")

    app.include_router(router)
    add_pages(app)
    add_layers(app, Limits(), ())
    with served(app) as url:
        yield url


@pytest.fixture
def ada(where: str, keyed: SqliteDb) -> Iterator[Stranger]:
    browser = Stranger(where)
    browser.sign_in(keyed.create_key("ada")[1])
    yield browser
    browser.close()


def csrf_of(browser: Stranger) -> str:
    page = browser.see("/ui")
    return page.partition('name="csrf" value="')[2].partition('"')[0]


def test_a_form_leads_back_to_its_page_which_says_once_what_was_done(
    ada: Stranger, acted: list[str]
) -> None:
    fields = {"csrf": csrf_of(ada), "back": "/ui?hours=1", "what": "a\r\nb"}
    response = ada.post("/ui/probe", fields)
    assert (response.status_code, response.headers["location"]) == (303, "/ui?hours=1")
    assert acted == ["a\nb"]
    assert "It is done: a\nb</p>" in ada.see("/ui")
    assert "It is done" not in ada.see("/ui")


def test_what_fails_is_said_on_the_page_that_the_form_was_on(ada: Stranger) -> None:
    fields = {"csrf": csrf_of(ada), "back": "/ui?hours=1", "what": "late"}
    response = ada.post("/ui/probe", fields, follow_redirects=True)
    assert str(response.url) == f"{ada.url}/ui?hours=1"
    assert 'class="flash failed"' in response.text
    assert "Bob was &lt;b&gt;first&lt;/b&gt;." in response.text


def test_what_is_not_found_is_a_page_of_its_own(ada: Stranger) -> None:
    response = ada.post("/ui/probe", {"csrf": csrf_of(ada), "what": "unknown"})
    assert response.status_code == 404
    assert "There is no such run." in response.text


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example/ui", "/v1/runs", ""])
def test_a_form_leads_nowhere_else(ada: Stranger, back: str) -> None:
    for what in ("well", "late"):
        fields = {"csrf": csrf_of(ada), "back": back, "what": what}
        assert ada.post("/ui/probe", fields).headers["location"] == "/ui"


def test_a_script_may_send_the_token_in_a_header(ada: Stranger, acted: list[str]) -> None:
    headers = {"X-CSRF": csrf_of(ada)}
    assert ada.post("/ui/probe", {"what": "x"}, headers=headers).status_code == 303
    assert acted == ["x"]


def test_what_another_site_has_a_browser_send_is_refused(ada: Stranger, acted: list[str]) -> None:
    token = csrf_of(ada)
    bad: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"csrf": token}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": token}, {"Sec-Fetch-Site": "same-site"}),
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": token[:-1]}, {}),
        ({"csrf": "ü"}, {}),
    ]
    for fields, headers in bad:
        assert ada.post("/ui/probe", {"what": "x", **fields}, headers=headers).status_code == 403
    for origin in ("https://evil.example", "null", f"{ada.url}.evil.example"):
        sent = {"csrf": token, "what": "x"}
        response = ada.http.post("/ui/probe", data=sent, headers={"Origin": origin})
        assert response.status_code == 403, origin
    assert acted == []


def test_the_token_of_another_user_or_browser_is_refused(
    ada: Stranger, where: str, keyed: SqliteDb, acted: list[str]
) -> None:
    mallory = Stranger(where)
    nobody = csrf_of(mallory)
    mallory.sign_in(keyed.create_key("mallory")[1])
    for token in (nobody, csrf_of(mallory)):
        assert ada.post("/ui/probe", {"csrf": token, "what": "x"}).status_code == 403
    assert acted == []
    mallory.close()


def test_nobody_sends_a_form_without_signing_in(where: str, acted: list[str]) -> None:
    browser = Stranger(where)
    response = browser.post("/ui/probe", {"csrf": csrf_of(browser), "what": "x"})
    assert (response.status_code, response.headers["location"]) == (303, "/ui/sign-in")
    assert acted == []
    browser.close()


def test_a_form_with_a_file_or_too_many_fields_is_refused(ada: Stranger, acted: list[str]) -> None:
    fields = {"csrf": csrf_of(ada)}
    files = {"what": ("x.txt", b"x")}
    sent = ada.http.post("/ui/probe", data=fields, files=files, headers={"Origin": ada.url})
    assert sent.status_code == 400
    many = {**fields, **{f"field-{number}": "" for number in range(1_001)}}
    assert ada.post("/ui/probe", many).status_code == 400
    assert acted == []


def test_the_macro_of_a_form_has_what_a_form_needs() -> None:
    viewer = {"csrf": "a&b", "here": '/ui/runs?q="'}
    html = environment().from_string(FORM).render(viewer=viewer)
    assert 'name="csrf" value="a&amp;b"' in html
    assert 'name="back" value="/ui/runs?q=&#34;"' in html
    assert '<form method="post" action="/ui/probe" class="inline">' in html
