"""Nobody needs a mouse: to sign in, to find a run, and to answer what it waits for."""

import pytest
from operated import Operated
from playwright.sync_api import Page, expect
from visiting import Visit

from kern.testing import Reply

# Whether what has the focus shows it: an outline of some width, and nothing in front of it.
_SHOWN = """() => {
  const found = document.activeElement, box = found.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + Math.min(box.height, 40) / 2];
  const top = document.elementFromPoint(x, y);
  return parseFloat(getComputedStyle(found).outlineWidth) >= 2
    && (found.contains(top) || top?.contains(found) || false);
}"""


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until an element that fits a selector has the focus, which it shows."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({wanted!r})"):
            assert page.evaluate(_SHOWN), f"{wanted} does not show that it has the focus"
            return
    raise AssertionError(f"Tab does not lead to {wanted}.")


@pytest.fixture
def key(operated: Operated) -> str:
    """The key of somebody without a mouse."""
    return operated.key("keyboard")


def test_who_has_no_mouse_signs_in_finds_a_run_and_approves(
    visit: Visit, operated: Operated, key: str
) -> None:
    call = ("refund", {"amount": 5, "customer": "Ann"})
    operated.says("by keyboard", Reply.tool_calls(call), "It is done.")
    run = operated.submit(key, "cashier", "by keyboard")
    operated.wait(key, run, "PAUSED")
    page = visit("/ui/runs")
    page.wait_for_url("**/ui/sign-in**")
    page.keyboard.type(key)  # The field has the focus already.
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/runs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    tab_to(page, f"a[href$='{run}']")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/runs/{run}")
    expect(page.locator("#stream")).to_contain_text("Live")
    tab_to(page, "button[value=approve]")
    page.keyboard.press("Enter")
    expect(page.locator("#run-answer")).to_contain_text("It is done.")
    tab_to(page, ".sign-out button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/sign-in**")
    page.goto(f"/ui/runs/{run}")
    page.wait_for_url("**/ui/sign-in**")


def test_what_is_sent_anew_leaves_the_focus_and_what_is_open(
    visit: Visit, operated: Operated, key: str
) -> None:
    page_of_a_book = "A long page. " * 60
    held = Reply.text("One. ", "Two. ", "Three.").held(after=1)
    operated.says("read and tell", Reply.tool_calls(("read", {"page": page_of_a_book})), held)
    run = operated.submit(key, "researcher", "read and tell", live=True)
    page = visit(f"/ui/runs/{run}", key)
    expect(page.locator("#run-answer")).to_contain_text("One.")
    expect(page.locator("#stream")).to_contain_text("Live")
    summary = page.locator("#run-timeline summary").first
    summary.click()
    summary.focus()
    held.release()
    expect(page.locator("#run-facts")).to_contain_text("COMPLETED")
    expect(summary).to_be_focused()
    expect(page.locator("#run-timeline details").first).to_have_attribute("open", "")
