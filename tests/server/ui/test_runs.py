"""The list of runs shows those that somebody wants to see, and may, page by page."""

import time
from collections.abc import Callable

from pages import Browser
from runs_api import Api, ended, submitted

BrowserAs = Callable[..., Browser]


def shown(browser: Browser, query: str = "") -> list[str]:
    """Return the ids of the runs on a page of the list."""
    links = browser.open(f"/ui/runs{query}").links.values()
    return [each.removeprefix("/ui/runs/") for each in links if each.startswith("/ui/runs/")]


def test_runs_are_listed_with_what_they_do_the_newest_first(as_: BrowserAs) -> None:
    browser = as_("ina")
    first = ended(browser.client, "echo", "<b>First</b>")["run_id"]
    second = ended(browser.client, "hasty")["run_id"]
    third = ended(browser.client, "clerk", "send")["run_id"]
    later = submitted(browser.client, run_at="2100-01-01T00:00:00Z")
    page = browser.open("/ui/runs")
    assert shown(browser) == [later, third, second, first]
    for said in ("<b>First</b>", "waits for a person", "scheduled for 2100", "COMPLETED", "ERROR"):
        assert said in page.text, said
    assert page.tags["b"] == 0
    assert page.tags["h1"] == 1
    assert page.tags["caption"] == 1


def test_a_list_has_only_what_is_asked_for(as_: BrowserAs) -> None:
    browser = as_("jan")
    one = ended(browser.client, "echo", "Windmills in Norway", session_id="north")["run_id"]
    two = ended(browser.client, "story", "Solar cells")["run_id"]
    for query, wanted in (
        ("?agent=story", [two]),
        ("?status=COMPLETED&status=&since=1h&q=&session=&user=", [two, one]),
        ("?status=ERROR", []),
        ("?session=north", [one]),
        ("?q=windmills", [one]),
        (f"?q={two[:30]}", [two]),
        (f"?q={one}&agent=story", []),
        ("?q=%3Cscript%3E", []),
        (f"?before={two}", [one]),
    ):
        assert shown(browser, query) == wanted, query
    assert "No runs fit." in browser.open("/ui/runs?status=ERROR").text
    for query in (
        "?status=broken",
        "?since=soon",
        "?agent=unknown",
        "?user=ina",
        "?before=nope",
        "?q=%00",
    ):
        status = browser.client.get(f"/ui/runs{query}").status_code
        assert status in (400, 403, 404), query


def test_a_list_has_pages_that_cost_the_same(as_: BrowserAs) -> None:
    browser = as_("kim")
    ids = [submitted(browser.client, run_at="2100-01-01T00:00:00Z") for _ in range(52)][::-1]
    page = browser.open("/ui/runs?status=PENDING")
    assert shown(browser, "?status=PENDING") == ids[:50]
    following = page.links["Older"]
    assert "status=PENDING" in following
    page = browser.open(following)
    assert shown(browser, following.removeprefix("/ui/runs")) == ids[50:]
    assert page.links["Newest"] == "/ui/runs?status=PENDING"
    assert "Older" not in page.links


def test_who_may_see_all_sees_all_and_others_their_own(as_: BrowserAs) -> None:
    mine = ended(as_("leo").client)["run_id"]
    theirs = ended(as_("mona").client)["run_id"]
    assert shown(as_("leo")) == [mine]
    all_ = as_("ops", "read:all")
    assert {mine, theirs} <= {*shown(all_)}
    assert shown(all_, "?user=leo") == [mine]
    assert mine not in shown(as_("ops", "read:all", "story"))


def test_the_list_is_sent_anew_when_it_changes(as_: BrowserAs, api: Api) -> None:
    browser = as_("nora")
    with browser.client.stream("GET", "/ui/runs/live") as response:
        pieces = response.iter_text()
        assert "No runs." in next(pieces)
        run_id = ended(browser.client)["run_id"]
        began, text = time.monotonic(), ""
        while "COMPLETED" not in text:
            text = next(pieces)
        assert run_id in text
        assert time.monotonic() - began < 20
