"""Everybody can read every page: with a screen reader, in the dark, on a phone, and at once."""

from collections.abc import Iterator

import pytest
from operated_company import Company
from visiting import TARGETS, Visit, check, dark_phone

# A company takes its time where the machine is busy.
pytestmark = pytest.mark.timeout(300)

RUNS = (
    *("done", "live", "nested", "team", "aside", "failed"),
    *("refund", "ship", "stock", "questions"),
)

LISTS = ["/ui", "/ui/runs", "/ui/approvals", "/ui/sessions", "/ui/schedules", "/ui/workers"]


def paths(company: Company) -> Iterator[str]:
    yield from LISTS
    yield from (f"/ui/runs/{company.runs[each]}" for each in RUNS)
    yield f"/ui/runs/{company.runs['done']}/messages"
    yield f"/ui/approvals/{company.approval}"
    yield from (f"/ui/sessions/{each}" for each in company.sessions.values())


def test_everybody_can_read_every_page_which_is_done_loading_although_it_stays_live(
    visit: Visit, company: Company
) -> None:
    page = visit("/ui/sign-in", company.operator)
    stays_live = {*LISTS, f"/ui/runs/{company.runs['live']}"}
    for each in paths(company):
        page.goto(each, wait_until="networkidle" if each in stays_live else "load")
        check(page, each)
        with dark_phone(page):
            check(page, f"{each} on a phone in the dark")
            assert page.evaluate(TARGETS) == [], each


def test_without_a_script_every_page_shows_the_same(visit: Visit, company: Company) -> None:
    page = visit("/ui", company.operator, java_script_enabled=False)
    for each in paths(company):
        page.goto(each)
        assert page.locator("h1").count() == 1
        assert page.get_by_role("main").inner_text()
