"""What models, tools and users write stays text, wherever it is shown."""

from urllib.parse import quote

import pytest
from hostile import EVERYTHING, RAW, SCRIPTS
from operated import Operated
from playwright.sync_api import Page
from visiting import Visit

from kern.testing import Reply

# What no text may become. The page itself has neither pictures nor frames.
_MADE = (
    "img, iframe, svg, object, embed, base, style, script:not([src]), [onerror], [onload], "
    "[onclick], [onfocus], [onmouseover], meta[http-equiv], a[href^='javascript:'], "
    "a[href^='http'], a[href^='data:'], form[action*='evil'], [hx-on\\:click], "
    "main [hx-trigger='load']"
)

_SESSION = "<svg onload=alert('id')>"


def stays_text(page: Page) -> None:
    """Fail where something that was written became more than text."""
    assert page.locator(_MADE).evaluate_all("found => found.map(each => each.outerHTML)") == []
    assert RAW.findall(page.content()) == []
    assert "owned" not in page.evaluate("[...document.body.children].map(e => e.localName)")
    assert page.get_by_role("navigation").first.is_visible()


@pytest.fixture
def key(operated: Operated) -> str:
    """The key of a user whose names are hostile, too."""
    return operated.key(f"eve {SCRIPTS[1]}", "runs", "approve")


def test_what_a_run_has_said_stays_text(visit: Visit, operated: Operated, key: str) -> None:
    operated.says(
        "eve reads",
        Reply.text(EVERYTHING).calling(("read", {"page": EVERYTHING}), ("reserve", {"seats": 5})),
        Reply.tool_calls((SCRIPTS[0], EVERYTHING), ("search", {"query": EVERYTHING})),
        Reply.text(EVERYTHING),
    )
    text = f"eve reads {EVERYTHING}"
    run = operated.submit(
        key, "researcher", text, session_id=_SESSION, metadata={SCRIPTS[1]: EVERYTHING}
    )
    operated.wait(key, run)
    operated.client(key).patch(f"/v1/sessions/{quote(_SESSION)}", json={"name": EVERYTHING})
    page = visit("/ui", key)
    for path in (f"/ui/runs/{run}", "/ui/runs", "/ui/sessions", f"/ui/sessions/{quote(_SESSION)}"):
        page.goto(path)
        stays_text(page)
    page.goto(f"/ui/runs/{run}")
    assert SCRIPTS[0] in page.get_by_role("main").inner_text()


def test_text_that_streams_stays_text(visit: Visit, operated: Operated, key: str) -> None:
    held = Reply.text("It begins. ", EVERYTHING, EVERYTHING, "The end.").held(after=1)
    operated.says("eve streams", held)
    run = operated.submit(key, "researcher", "eve streams", live=True)
    page = visit(f"/ui/runs/{run}", key)
    page.get_by_text("It begins.").first.wait_for()
    held.release()
    page.get_by_text("The end.").first.wait_for()
    page.get_by_text("COMPLETED").first.wait_for()
    stays_text(page)


def test_what_people_are_asked_stays_text(visit: Visit, operated: Operated, key: str) -> None:
    question = {
        "question": EVERYTHING,
        "header": SCRIPTS[2],
        "options": [{"label": each, "description": EVERYTHING} for each in SCRIPTS[:3]],
    }
    operated.says(
        "eve asks",
        Reply.tool_calls(
            ("refund", {"amount": 5, "customer": EVERYTHING}),
            ("ship", {"customer": EVERYTHING, "street": SCRIPTS[4]}),
            ("count_stock", {"article": EVERYTHING}),
            ("ask_user", {"questions": [question]}),
        ),
    )
    run = operated.submit(key, "cashier", "eve asks")
    operated.wait(key, run, "PAUSED")
    page = visit("/ui", key)
    for path in (f"/ui/runs/{run}", "/ui/approvals", "/ui/runs"):
        page.goto(path)
        stays_text(page)


def test_what_went_wrong_stays_text(visit: Visit, operated: Operated, key: str) -> None:
    operated.says("eve fails", Reply.http_error(400, EVERYTHING))
    run = operated.submit(key, "researcher", "eve fails")
    operated.wait(key, run, "ERROR")
    page = visit(f"/ui/runs/{run}", key)
    stays_text(page)
    page.goto("/ui/runs")
    stays_text(page)


def test_what_is_asked_for_in_the_address_stays_text(visit: Visit, key: str) -> None:
    page = visit("/ui", key)
    for query in ("q", "agent", "session", "before"):
        for text in SCRIPTS[:5]:
            page.goto(f"/ui/runs?{query}={quote(text)}")
            stays_text(page)


def test_a_line_of_a_megabyte_is_cut_and_there_in_whole(
    visit: Visit, operated: Operated, key: str
) -> None:
    line = "x" * 1_000_000
    operated.says("eve writes", Reply.text(line))
    run = operated.submit(key, "researcher", f"eve writes {line}")
    operated.wait(key, run)
    page = visit(f"/ui/runs/{run}", key)
    assert len(page.content()) < 200_000
    wide, room = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= room


_ADDRESSES = (
    "\0",
    "%",
    "\ud7ff\uffff",
    "'; DROP TABLE x; --",
    "../../etc/passwd",
    "x" * 5000,
    "-1",
)


def test_no_address_brings_the_service_down(operated: Operated, key: str) -> None:
    client = operated.client(key)
    paths = [
        *(f"/ui/runs?{name}=" for name in ("q", "agent", "status", "session", "user", "since")),
        *(f"/ui/{name}" for name in ("runs?before=", "runs/", "sessions/", "approvals/", "")),
        *(
            "/ui/sessions?cursor=",
            "/ui/sessions?name=",
            "/ui/approvals?run=",
            "/ui/approvals?cursor=",
        ),
        *("/ui/workers?agent=", "/ui?last=", "/ui?agent=", "/ui/sign-in?next="),
    ]
    failed = []
    for path in paths:
        for text in _ADDRESSES:
            answer = client.get(path + quote(text, safe=""))
            if answer.status_code >= 500 or "content-security-policy" not in answer.headers:
                failed.append((path, text[:20], answer.status_code))
    assert not failed
