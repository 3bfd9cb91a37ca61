"""An operator stops, retries and forks runs, and answers what they wait for, on the page alone."""

from itertools import count
from typing import Any

import pytest
from operated import Operated
from operated_company import QUESTIONS
from playwright.sync_api import Page, expect
from visiting import Visit

from kern.db.methods import Methods
from kern.run.schedule import Schedule
from kern.testing import Reply

_numbers = count(1)


@pytest.fixture
def key(operated: Operated) -> str:
    """The key of a user of the test's own."""
    return operated.key(_user())


def _user() -> str:
    return f"user-{next(_numbers)}"


def paused(operated: Operated, key: str, text: str, tool: str, arguments: dict[str, Any]) -> str:
    """Return a run that waits for a person, and says so when it goes on."""
    operated.says(text, Reply.tool_calls((tool, arguments)), "It is done.")
    run = operated.submit(key, "cashier", text)
    operated.wait(key, run, "PAUSED")
    return run


def goes_on(page: Page) -> None:
    """Wait until the page shows, by itself, that the run has gone on to its end."""
    expect(page.locator("#run-facts")).to_contain_text("COMPLETED")
    expect(page.locator("#run-answer")).to_contain_text("It is done.")


def result(operated: Operated, key: str, run: str) -> str:
    """Return what the first call of a run has returned."""
    return str(operated.run(key, run)["tools"][0]["result"])


def test_a_run_is_cancelled(visit: Visit, operated: Operated, key: str) -> None:
    operated.says("cancel me", Reply.hang())
    run = operated.submit(key, "researcher", "cancel me")
    operated.wait(key, run, "RUNNING")
    page = visit(f"/ui/runs/{run}", key)
    expect(page.locator("#run-facts")).to_contain_text("Step under way")
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("#run-facts")).to_contain_text("CANCELLED")
    assert operated.run(key, run)["status"] == "CANCELLED"
    expect(page.get_by_role("status")).not_to_be_empty()


def test_a_run_that_failed_is_retried(visit: Visit, operated: Operated, key: str) -> None:
    operated.says("retry me", Reply.http_error(400, "Not today."), "It is done.")
    run = operated.submit(key, "researcher", "retry me")
    operated.wait(key, run, "ERROR")
    page = visit(f"/ui/runs/{run}", key)
    expect(page.locator("#run-answer")).to_contain_text("Not today.")
    page.get_by_role("button", name="Retry the run").click()
    goes_on(page)


def test_a_run_is_forked_from_a_step(visit: Visit, operated: Operated, key: str) -> None:
    operated.says("fork me", Reply.tool_calls(("search", {"query": "a"})), "The first.", "A fork.")
    run = operated.submit(key, "researcher", "fork me")
    operated.wait(key, run)
    page = visit(f"/ui/runs/{run}", key)
    page.get_by_role("button", name="Fork from here").first.click()
    expect(page.locator("#run-facts")).to_contain_text("Forked from")
    expect(page.locator("#run-answer")).to_contain_text("A fork.")


def test_a_run_is_answered_once_more(visit: Visit, operated: Operated, key: str) -> None:
    operated.says("again please", "The first.", "The second.")
    run = operated.submit(key, "researcher", "again please")
    operated.wait(key, run)
    page = visit(f"/ui/runs/{run}", key)
    page.locator("summary", has_text="Answer once more").click()
    page.get_by_role("button", name="Answer once more").click()
    expect(page.locator("#run-answer")).to_contain_text("The second.")
    page.goto(f"/ui/runs/{run}")
    expect(page.locator("#run-facts")).to_contain_text("REGENERATED")


def test_a_call_is_approved(visit: Visit, operated: Operated, key: str) -> None:
    call = {"amount": 5, "customer": "Ann"}
    run = paused(operated, key, "approve me", "refund", call)
    page = visit(f"/ui/runs/{run}", key)
    page.get_by_role("button", name="Approve").click()
    goes_on(page)
    assert result(operated, key, run) == "$5 are on the way to Ann."


def test_a_call_is_approved_with_other_arguments(
    visit: Visit, operated: Operated, key: str
) -> None:
    call = {"amount": 5000, "customer": "Ann"}
    run = paused(operated, key, "change me", "refund", call)
    page = visit(f"/ui/runs/{run}", key)
    page.locator("summary", has_text="other arguments").click()
    page.get_by_label("Arguments, as a JSON object").fill('{"amount": 50, "customer": "Ann"')
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("status")).to_contain_text("JSON object")
    page.locator("summary", has_text="other arguments").click()
    page.get_by_label("Arguments, as a JSON object").fill('{"amount": 50, "customer": "Ann"}')
    page.get_by_role("button", name="Approve").click()
    goes_on(page)
    assert result(operated, key, run) == "$50 are on the way to Ann."


def test_a_call_is_rejected_with_a_note(visit: Visit, operated: Operated, key: str) -> None:
    run = paused(operated, key, "reject me", "refund", {"amount": 5, "customer": "Ann"})
    page = visit(f"/ui/runs/{run}", key)
    page.locator("summary", has_text="note").click()
    page.get_by_label("What the model is told of it").fill("Too much.")
    page.get_by_role("button", name="Reject").click()
    goes_on(page)
    assert "Too much." in result(operated, key, run)


def test_fields_are_filled_in(visit: Visit, operated: Operated, key: str) -> None:
    run = paused(operated, key, "fill me in", "ship", {"customer": "Ann"})
    page = visit(f"/ui/runs/{run}", key)
    page.get_by_label("street").fill("Elm Street 5")
    page.get_by_label("parcels").fill("two")
    page.get_by_role("button", name="Give these").click()
    expect(page.get_by_role("status")).to_contain_text("parcels")
    page.get_by_label("street").fill("Elm Street 5")
    page.get_by_label("parcels").fill("2")
    page.get_by_role("button", name="Give these").click()
    goes_on(page)
    assert result(operated, key, run) == "2 parcels go to Ann, Elm Street 5."


def test_questions_are_answered(visit: Visit, operated: Operated, key: str) -> None:
    run = paused(operated, key, "ask me", "ask_user", QUESTIONS)
    page = visit(f"/ui/runs/{run}", key)
    page.get_by_label("By air").check()
    page.get_by_label("Kettle").check()
    page.get_by_label("Manual").check()
    page.get_by_role("button", name="Answer", exact=True).click()
    goes_on(page)
    assert '["Kettle","Manual"]' in result(operated, key, run).replace(", ", ",")


def test_the_result_of_what_was_done_elsewhere_is_given(
    visit: Visit, operated: Operated, key: str
) -> None:
    run = paused(operated, key, "count them", "count_stock", {"article": "kettle"})
    page = visit(f"/ui/runs/{run}", key)
    page.get_by_label("What the call has returned").fill("14 pieces")
    page.get_by_role("button", name="Give the result").click()
    goes_on(page)
    assert result(operated, key, run) == "14 pieces"


def test_an_approval_is_decided_in_the_list(visit: Visit, operated: Operated, key: str) -> None:
    run = paused(operated, key, "from the list", "refund", {"amount": 7, "customer": "Ann"})
    page = visit("/ui/approvals", key)
    page.locator("summary", has_text="Decide refund").click()
    page.get_by_role("button", name="Approve refund").click()
    expect(page.get_by_role("status")).not_to_be_empty()
    operated.wait(key, run)
    assert result(operated, key, run) == "$7 are on the way to Ann."


def test_two_operators_answer_at_once_and_one_is_told(
    visit: Visit, operated: Operated, key: str
) -> None:
    run = paused(operated, key, "both of us", "refund", {"amount": 9, "customer": "Ann"})
    boss = operated.key("boss of two", "approve", "read:all")
    deputy = operated.key("deputy of two", "approve", "read:all")
    # Neither page learns of the other's answer before it is sent: they have no scripts.
    first = visit(f"/ui/runs/{run}", boss, java_script_enabled=False)
    second = visit(f"/ui/runs/{run}", deputy, java_script_enabled=False)
    first.get_by_role("button", name="Approve").click()
    second.get_by_role("button", name="Reject").click()
    expect(second.get_by_role("status")).to_contain_text("boss of two")
    operated.wait(key, run)
    assert result(operated, key, run) == "$9 are on the way to Ann."


def test_what_another_decides_is_seen_at_once(visit: Visit, operated: Operated, key: str) -> None:
    run = paused(operated, key, "look at it", "refund", {"amount": 3, "customer": "Ann"})
    page = visit(f"/ui/runs/{run}", key)
    expect(page.locator("#stream")).to_contain_text("Live")
    other = visit("/ui/approvals", key)
    expect(other.locator("#stream")).to_contain_text("Live")
    expect(other.locator("summary", has_text="Decide refund")).to_have_count(1)
    page.get_by_role("button", name="Approve").click()
    goes_on(page)
    expect(other.locator("summary", has_text="Decide refund")).to_have_count(0)


def test_a_schedule_is_paused_and_resumed(visit: Visit, operated: Operated) -> None:
    owner = _user()
    key = operated.key(owner)

    async def create(db: Methods) -> None:
        schedules = (await db.store()).schedules
        now = await schedules.now()
        await schedules.create(
            Schedule.new("new-year", "researcher", "?", now=now, cron="0 7 1 1 *", user_id=owner)
        )

    operated.ask(create)
    page = visit("/ui/schedules", key)
    row = page.get_by_role("row").filter(has_text="new-year")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume").click()
    expect(row).not_to_contain_text("paused")
