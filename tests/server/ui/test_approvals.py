"""Approvals are seen by who may see them, and decided once, on a page."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from pages import Browser, Page
from runs_api import Api, ByName, ended, ok, streamed
from served import served

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.server import create_app
from kern.testing import FunctionModel

Ask = Callable[..., tuple[str, str]]


@pytest.fixture
def ask(api: Api) -> Ask:
    """Have a run of a user wait for an approval; return both ids."""

    def asking(user: str, tool: str = "pay", agent: str = "clerk") -> tuple[str, str]:
        run = ended(api.as_(user), agent, tool)
        assert run["status"] == "PAUSED"
        return str(run["run_id"]), str(run["requirements"][0]["approval_id"])

    return asking


def content(client: httpx.Client, run_id: str) -> str:
    """Return what a run has said once it has gone on."""
    streamed(client, run_id)
    run = ok(client.get(f"/v1/runs/{run_id}"))
    assert run["status"] == "COMPLETED", run
    return str(run["content"])


def test_a_call_is_approved_from_the_list(as_: Any, ask: Ask) -> None:
    browser = as_("ann", "runs,approve")
    run_id, approval_id = ask("ann")
    page = browser.open("/ui/approvals")
    assert '{"amount":5}' in page.text
    page = browser.press(page, "Approve pay")
    assert f"pay is approved; run {run_id} goes on." in page.text
    assert "Nothing here waits for a decision." in page.text
    assert content(browser.client, run_id) == "The call says: paid 5"
    page = browser.open("/ui/approvals?status=approved&agent=")
    assert "was approved by ann" in page.text
    page = browser.open(page.links["pay"])
    assert "was approved by ann" in page.text
    assert "answer" not in {name for form in page.forms for name in form.fields}
    assert approval_id in browser.open("/ui/approvals?status=any").html


def test_a_call_is_rejected_with_a_note_and_made_with_other_arguments(as_: Any, ask: Ask) -> None:
    browser = as_("bea", "runs,approve")
    run_id, approval_id = ask("bea")
    page = browser.open(f"/ui/approvals/{approval_id}")
    browser.press(page, "Reject", note="Too much.\r\nAsk again.")
    assert "Too much.\nAsk again." in content(browser.client, run_id)

    run_id, approval_id = ask("bea")
    path = f"/ui/approvals/{approval_id}"
    page = browser.open(path)
    for wrong, why in (("[4]", "are no JSON object"), ('{"sum": 4}', "There is no argument 'sum'")):
        told = browser.press(page, "Approve", arguments=wrong)
        assert why in told.text
        assert [form.action for form in told.forms if form.buttons] == [path]
    browser.press(page, "Approve", arguments='{"amount":\r\n4}')
    assert content(browser.client, run_id) == "The call says: paid 4"


def test_fields_are_filled_in(as_: Any, ask: Ask) -> None:
    browser = as_("ivy", "runs,approve")
    run_id, _ = ask("ivy", "reserve", "teller")
    page = browser.open("/ui/approvals")
    assert not any("Approve reserve" in form.buttons for form in page.forms)
    page = browser.open(page.links["Answer reserve"])
    for given, why in (
        ({}, "city is asked for, and is empty"),
        ({"value-1": "Rome", "value-2": "Ada"}, "guests must be JSON, a list"),
        ({"value-0": "x", "value-1": "Rome", "value-2": '["Ada"]'}, "nights must be of the type"),
    ):
        assert why in browser.press(page, "Give these", **given).text
    told = {"value-0": "3", "value-1": "Rome", "value-2": '["Ada", "Bob"]'}
    browser.press(page, "Give these", **told)
    assert (
        content(browser.client, run_id)
        == "The call says: reserved 3 nights in Rome for Ada and Bob"
    )


def test_the_result_of_a_call_made_elsewhere_is_given(as_: Any, ask: Ask) -> None:
    browser = as_("jon", "runs,approve")
    run_id, approval_id = ask("jon", "wire", "teller")
    page = browser.open(f"/ui/approvals/{approval_id}")
    browser.press(page, "Give the result", result="It is <b>gone</b>.")
    assert content(browser.client, run_id) == "The call says: It is <b>gone</b>."
    page = browser.open(f"/ui/approvals/{approval_id}")
    assert "It is <b>gone</b>." in page.text
    assert page.tags["b"] == 0


def test_questions_are_answered_on_the_page_of_their_run(as_: Any) -> None:
    browser = as_("kit", "runs,approve")
    run_id = str(ended(browser.client, "clerk", "ask_user")["run_id"])
    page = browser.open(f"/ui/runs/{run_id}")
    assert "is asked, and not answered" in browser.press(page, "Answer").text
    for wrong in ("1", "Sea", "-1"):
        told = browser.press(page, "Answer", **{"choice-0": wrong})
        assert "choose among the answers shown" in told.text
    browser.press(page, "Answer", **{"choice-0": "0"})
    assert "Sea" in content(browser.client, run_id)


def test_what_waits_without_a_record_is_listed_too(as_: Any, ask: Ask) -> None:
    browser = as_("cid", "runs,approve")
    run_id = ended(browser.client, "clerk", "send")["run_id"]
    page = browser.open("/ui/approvals")
    assert "Nothing here waits for a decision." in page.text
    assert page.links[run_id] == f"/ui/runs/{run_id}"
    assert "confirmation of send" in page.text.lower()
    ask("cid")
    assert browser.open("/ui/approvals").text.lower().count("confirmation of") == 1
    assert run_id not in browser.open("/ui/approvals?status=approved").text


def test_of_two_who_decide_at_once_one_counts_and_the_other_is_told(
    api: Api, as_: Any, ask: Ask
) -> None:
    run_id, approval_id = ask("dot")
    managers: list[Browser] = [as_(f"manager-{n}", "approve,read:all") for n in range(4)]
    pages = [each.open(f"/ui/approvals/{approval_id}") for each in managers]

    def decide(number: int) -> Page:
        return managers[number].press(pages[number], "Approve")

    with ThreadPoolExecutor(4) as pool:
        told = [each.text for each in pool.map(decide, range(4))]
    [winner] = [number for number, text in enumerate(told) if "pay is approved; run" in text]
    for number, text in enumerate(told):
        assert f"was approved by manager-{winner} at" in text or number == winner
    assert content(api.as_("dot"), run_id) == "The call says: paid 5"


def test_who_may_not_decide_sees_no_form_and_is_refused(as_: Any, ask: Ask) -> None:
    _, approval_id = ask("eli")
    path = f"/ui/approvals/{approval_id}"
    page = as_("eli").open(path)
    assert "needs the scope approve" in page.text
    assert path not in {form.action for form in page.forms}
    response = as_("eli").client.post(path, data={"csrf": page.csrf, "answer": "approve"})
    assert response.status_code == 403
    other = as_("bob", "runs,approve")
    other.open(path, status=404)
    assert approval_id not in other.open("/ui/approvals").html
    other.open("/ui/approvals?user=eli", status=403)
    assert approval_id in as_("boss", "approve,read:all").open("/ui/approvals?user=eli").html


def test_the_list_goes_on_from_page_to_page(as_: Any, ask: Ask) -> None:
    browser = as_("fay", "runs,approve")
    made = [ask("fay")[1] for _ in range(3)]
    page, seen = browser.open("/ui/approvals?limit=1"), []
    while True:
        [link] = [each for each in page.links.values() if each.startswith("/ui/approvals/")][:1]
        seen.append(link.rpartition("/")[2])
        if "Older" not in page.links:
            break
        page = browser.open(page.links["Older"])
    assert seen == [*reversed(made)]
    assert page.links["Newest"] == "/ui/approvals?status=pending"


def test_an_open_page_is_told_of_a_new_approval_and_of_its_decision(as_: Any, ask: Ask) -> None:
    browser = as_("gus", "runs,approve")
    with browser.client.stream("GET", "/ui/approvals/live") as response:
        lines = response.iter_lines()
        assert "Nothing here waits" in part_of(lines)
        _, approval_id = ask("gus")
        assert approval_id in part_of(lines)
        browser.press(browser.open("/ui/approvals"), "Approve pay")
        assert "Nothing here waits" in part_of(lines)


def part_of(lines: Any) -> str:
    """Return the next event of a stream."""
    found = []
    for line in lines:
        if line.startswith("data: "):
            found.append(line.removeprefix("data: "))
        elif found and not line:
            return "\n".join(found)
    raise AssertionError("the stream has ended")


def test_what_cannot_be_asked_for_is_told_on_a_page(as_: Any) -> None:
    browser = as_("han")
    for query in ("status=lost", "unknown=1", "limit=0", "cursor=x", "run=%00", "agent=%00"):
        assert browser.open(f"/ui/approvals?{query}", status=400).tags["h1"] == 1
    browser.open("/ui/approvals/none", status=404)
    for path in ("approvals/%00", "sessions/%00", "sessions?name=%00", "schedules?agent=%00"):
        browser.open(f"/ui/{path}", status=400)


def test_where_the_agents_have_several_databases_one_is_chosen(tmp_path: Path) -> None:
    agents = [
        Agent(name, FunctionModel(lambda _: "Hello."), db=SqliteDb(str(tmp_path / f"{name}.db")))
        for name in ("ann", "ben")
    ]
    with served(create_app(agents, auth=ByName())) as url:
        api = Api(url, {})
        browser = Browser(api.as_("ada", "runs,read:all"))
        for name in ("ann", "ben"):
            ended(browser.client, name, session_id=f"of {name}")
        for path in ("approvals", "sessions"):
            assert "choose whose to see" in browser.open(f"/ui/{path}").text
        assert "of ann" in browser.open("/ui/sessions").text
        assert "of ben" in browser.open("/ui/sessions?agent=ben").text
        assert browser.open("/ui/workers").tags["tbody"] >= 1
        assert "No schedules." in browser.open("/ui/schedules").text
        api.close()
