"""What is sent anew leaves alone what its reader does; who may look no more is told so at once."""

from operated import Operated
from playwright.sync_api import expect
from visiting import Visit

from kern.testing import Reply


def test_new_parts_leave_the_focus_what_is_typed_and_what_is_open(
    visit: Visit, operated: Operated
) -> None:
    key = operated.key("reader")
    page = visit("/ui/runs", key)
    expect(page.locator("#stream")).to_have_text("Live")
    search = page.locator("input[name=q]")
    search.press_sequentially("abc")
    run = operated.submit(key, "cashier", "a new one")
    expect(page.locator(f"main a[href$='{run}']")).to_be_visible()
    expect(search).to_be_focused()
    expect(search).to_have_value("abc")


def test_what_is_opened_stays_open(visit: Visit, operated: Operated) -> None:
    key = operated.key("opener")
    operated.says("to be opened", Reply.tool_calls(("refund", {"amount": 5, "customer": "Ann"})))
    run = operated.submit(key, "cashier", "to be opened")
    operated.wait(key, run, "PAUSED")
    page = visit(f"/ui/runs/{run}", key)
    expect(page.locator("#stream")).to_have_text("Live")
    arguments = page.locator("#run-timeline details", has_text="Arguments").first
    was_open = arguments.get_attribute("open") is not None
    arguments.locator("summary").click()
    operated.client(key).post(f"/v1/runs/{run}/cancel")
    expect(page.locator("#run-facts .badge")).to_have_text("CANCELLED")
    assert (arguments.get_attribute("open") is not None) is not was_open


def test_a_key_that_is_revoked_ends_the_page_that_is_open(visit: Visit, operated: Operated) -> None:
    key = operated.key("leaver")
    page = visit("/ui/runs", key)
    expect(page.locator("#stream")).to_have_text("Live")
    [made] = operated.ask(lambda db: db.alist_keys("leaver"))
    assert operated.ask(lambda db: db.arevoke_key(made.key_id))
    page.wait_for_url("**/ui/sign-in**")
