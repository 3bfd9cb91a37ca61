"""A run's page shows what it is doing, and its forms steer it; others' runs are not found."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from api import until
from pages import Browser, Page
from runs_api import Api, ByName, agents_on, ended, ok, streamed, submitted
from served import served

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.compression import Compaction, CompressionManager
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.knowledge import Knowledge
from kern.local.postgres import EmbeddedPostgres
from kern.memory import MemoryManager
from kern.models.base import ModelRequest
from kern.run.printable import visible
from kern.server import create_app
from kern.server.limits import Limits
from kern.server.ui.alone import create_app_alone
from kern.team import Team
from kern.testing import FunctionModel, Reply, WordsEmbedder
from kern.tools import tool
from kern.vectordb.sqlite import SqliteVec

HOSTILE = "<script>alert(1)</script> \u202egpj.exe \x1b[31m![x](https://example.com/x.png)"

# An id has no control characters.
MEMBER = HOSTILE.replace("\x1b", "")

_TABLE = "page_of_a_run"

LONG = "long " * 8000

BrowserAs = Callable[..., Browser]


def _asks_helper(request: ModelRequest) -> Reply | str:
    last = request.messages[-1]
    return (
        f"It said: {last.text}"
        if last.role == "tool"
        else Reply.tool_calls(("helper", {"input": last.text}))
    )


@tool
def look(number: int) -> str:
    """Look."""
    return f"seen {number} {HOSTILE * 9}"


def _leads(request: ModelRequest) -> Reply | str:
    if request.messages[-1].role == "tool":
        return "Stay in port."
    task = {"member_id": MEMBER, "task": f"The wind? {HOSTILE}"}
    return Reply.tool_calls(("delegate_task_to_member", task))


def _thinks(request: ModelRequest) -> Reply | str:
    done = sum(bool(each.tool_calls) for each in request.messages)
    if any("ended" in each.text for each in request.messages[1:]) or done == 2:
        return "Done."
    calls = (HOSTILE, {"a": HOSTILE}), ("start_helper", {"input": HOSTILE})
    return Reply.tool_calls(("look", {"number": 1})) if not done else Reply.tool_calls(*calls)


def _remembers(request: ModelRequest) -> Reply:
    return Reply.tool_calls(("add_memory", {"memory": HOSTILE, "topics": [HOSTILE]}))


def _aside(db: PostgresDb, helper: Agent) -> Agent:
    """Return an agent with all that is asked beside its answer, by models that nobody trusts."""
    thought = {"title": HOSTILE, "reasoning": HOSTILE, "next_action": "final_answer"}
    steps = {"steps": [{"action": None, "result": None, "confidence": 1, **thought}]}
    echo = FunctionModel(lambda _: HOSTILE)
    return Agent(
        "aside",
        FunctionModel(_thinks),
        db=db,
        tools=[look, BackgroundAgents([helper])],
        reasoning_model=FunctionModel(lambda _: json.dumps(steps)),
        compression_manager=CompressionManager(echo, compress_tool_results_limit=1),
        compaction=Compaction(None, 2, 1, echo),
        memory_manager=MemoryManager(FunctionModel(_remembers)),
        update_memory_on_run=True,
    )


def _asks_often(request: ModelRequest) -> Reply | str:
    if request.messages[-1].role == "tool":
        return "Done."
    return Reply.tool_calls(*(("look", {"number": each}) for each in range(60)))


_STORY = Reply.text(*(f"Once {number}. " for number in range(20))).held(after=2)


@pytest.fixture(scope="module")
def api(postgres: EmbeddedPostgres) -> Iterator[Api]:
    """The server, with an agent that has another one, and two that say what nobody trusts."""
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=_TABLE)
    gates: dict[str, Future[None]] = {}
    helper = Agent("helper", FunctionModel(lambda _: HOSTILE))
    more = [
        Agent("boss", FunctionModel(_asks_helper), db=db, tools=[helper.as_tool(name="helper")]),
        Agent("hostile", FunctionModel(lambda _: HOSTILE), db=db),
        Agent("busy", FunctionModel(_asks_often), db=db, tools=[look]),
        Agent("narrator", FunctionModel(lambda _: _STORY), db=db),
        Agent("wordy", FunctionModel(lambda _: LONG), db=db),
        Team([Agent(MEMBER, id=MEMBER, model=helper.model)], "crew", FunctionModel(_leads), db=db),
        _aside(db, helper),
    ]
    app = create_app([*agents_on(db, gates), *more], auth=ByName(), limits=Limits(rate=None))
    with served(app) as url:
        api = Api(url, gates)
        yield api
        api.close()


@pytest.fixture(scope="module")
def as_(api: Api) -> BrowserAs:
    """Return the browser of a caller: a user, its scopes and agents."""
    return lambda *caller: Browser(api.as_(*caller))


def stays_text(page: Page) -> None:
    """Fail where something that was written became more than text."""
    assert page.tags["script"] == 3
    assert page.tags["img"] == 0
    assert not any("example.com" in each for each in page.links.values())
    assert not re.search("[\x1b\u202e]", page.html)


def run_page(browser: Browser, run_id: str, status: int = 200) -> Page:
    return browser.open(f"/ui/runs/{run_id}", status)


def test_a_run_that_has_ended_shows_its_facts_timeline_and_answer(as_: BrowserAs) -> None:
    browser = as_("ada")
    run_id = ended(browser.client, "echo", "Heat pumps", metadata={"team": "research"})["run_id"]
    page = run_page(browser, run_id)
    for said in (
        *("COMPLETED", "echo", "model-echo", "Heat pumps", "You said: Heat pumps"),
        *("Attempt 1", "10 tokens in, 5 out", '"team": "research"', "Ended"),
    ):
        assert said in page.text, said
    assert page.tags["h1"] == 1
    assert len(page.ids) == len(set(page.ids))
    assert "Cancel the run" not in page.text
    messages = browser.open(page.links["Messages"])
    assert "User Heat pumps Assistant You said: Heat pumps" in messages.text


def test_what_models_and_users_write_is_text_and_nothing_else(as_: BrowserAs) -> None:
    browser = as_("ada")
    run_id = ended(browser.client, "hostile", HOSTILE, metadata={HOSTILE: HOSTILE})["run_id"]
    for path in ("", "/messages"):
        page = browser.open(f"/ui/runs/{run_id}{path}")
        assert "<script>alert(1)</script> " in page.text
        stays_text(page)
    plain = browser.client.get(f"/ui/runs/{run_id}/text/answer")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert plain.text.startswith("<script>")
    assert "[U+202E]" in plain.text
    assert "\x1b" not in plain.text


def test_a_long_text_is_cut_and_its_whole_is_a_link_away(as_: BrowserAs) -> None:
    browser = as_("ada")
    run_id = ended(browser.client, "wordy", LONG)["run_id"]
    page = run_page(browser, run_id)
    assert len(page.html) < 60_000
    wholes = set(re.findall(r'href="([^"]*/(?:text|rows)/[^"]*)"', page.html))
    assert len(wholes) == 3
    for each in wholes:
        assert browser.client.get(each).text == LONG, each
    for path in ("text/nothing", "text/message-99", "rows/99", "rows/1?call=0", "text/error"):
        status = browser.client.get(f"/ui/runs/{run_id}/{path}").status_code
        assert status == (200 if path == "text/error" else 404), path


def test_of_a_long_timeline_a_page_shows_a_part(as_: BrowserAs) -> None:
    browser = as_("ada")
    page = run_page(browser, ended(browser.client, "busy")["run_id"])
    # An attempt, a model call, 60 tool calls, and one more model call.
    assert [each for each in page.ids if each.startswith("span-")][::49] == ["span-13", "span-62"]
    before = browser.open(page.links["Earlier (13)"])
    assert [each for each in before.ids if each.startswith("span-")][::12] == ["span-0", "span-12"]
    assert "Earlier" not in before.html
    assert before.links["Newest"] == page.links["Earlier (13)"].partition("?")[0]
    assert browser.client.get(f"{before.links['Newest']}?until=x").status_code == 400


def test_a_run_of_another_user_is_not_found_without_the_scope(as_: BrowserAs) -> None:
    run_id = ended(as_("ada").client)["run_id"]
    for path in ("", "/live", "/messages", "/text/input", "/rows/1"):
        assert as_("bob").client.get(f"/ui/runs/{run_id}{path}").status_code == 404
        assert as_("bob", "runs", "story").client.get(f"/ui/runs/{run_id}{path}").status_code == 404
    page = run_page(as_("mia", "read:all"), run_id)
    assert "Fork" not in page.text
    assert page.forms == []
    browser = as_("mia", "runs,read:all")
    assert run_page(browser, run_id).forms == []
    for each, status in ((browser, 404), (as_("mia", "read:all"), 403), (as_("bob"), 404)):
        fields = {"csrf": each.open("/ui/runs").csrf, "requirement": "x"}
        for action in ("cancel", "retry", "fork", "regenerate"):
            refused = each.client.post(f"/ui/runs/{run_id}/{action}", data=fields)
            assert refused.status_code == status, action
    assert as_("bob").client.post(f"/ui/runs/{run_id}/answer", data=fields).status_code == 404


def test_a_run_is_cancelled_once_and_who_comes_later_is_told(as_: BrowserAs, api: Api) -> None:
    browser = as_("ada")
    api.gates["to be cancelled"] = Future()
    run_id = submitted(browser.client, "held", "to be cancelled")
    until(lambda: ok(browser.client.get(f"/v1/runs/{run_id}"))["status"] == "RUNNING")
    page = run_page(browser, run_id)
    assert "Step under waymodel call" in page.text
    assert "Model call under way, began" in page.text
    after = browser.press(page, "Cancel the run")
    assert "The run is cancelled." in after.text
    assert "CANCELLED" in after.text
    assert "The run is cancelled." in browser.press(page, "Cancel the run").text
    done = ended(browser.client)["run_id"]
    form = next(each for each in page.forms if "Cancel the run" in each.buttons)
    form.action, form.fields["back"] = f"/ui/runs/{done}/cancel", f"/ui/runs/{done}"
    late = browser.press(page, "Cancel the run")
    assert "It had ended before, which is for good." in late.text


def test_a_failed_run_is_retried(as_: BrowserAs) -> None:
    browser = as_("ada")
    run_id = ended(browser.client, "fragile", "from the page")["run_id"]
    page = run_page(browser, run_id)
    assert "Error ModelError" in page.text
    assert "Not today" in page.text
    assert "The run goes on after its last step" in browser.press(page, "Retry the run").text
    streamed(browser.client, run_id)
    page = run_page(browser, run_id)
    assert "At last: from the page" in page.text
    assert "Retried" in page.text


def test_a_run_is_forked_with_a_text_and_from_a_step_and_answered_once_more(
    as_: BrowserAs, api: Api
) -> None:
    browser = as_("ada", "runs,approve")
    run_id = ended(browser.client, "echo", "First")["run_id"]
    page = run_page(browser, run_id)
    fork = browser.press(page, "Fork", input="Second")
    assert f"This run was forked from {run_id}" in fork.text
    assert fork.links[run_id] == f"/ui/runs/{run_id}"
    new = browser.press(page, "Answer once more", instructions="Be brief.", replace="1")
    assert "answers once more" in new.text
    assert "REGENERATED" in run_page(browser, run_id).text

    run = ended(browser.client, "clerk", "send")
    waits = run_page(browser, run["run_id"])
    browser.press(waits, "Approve")
    streamed(browser.client, run["run_id"])
    page = run_page(browser, run["run_id"])
    button, *_ = [
        name for form in page.forms for name in form.buttons if name.startswith("Fork from here")
    ]
    fork = browser.press(page, button)
    [new_id] = re.findall(r"Run ([0-9a-f-]{36}) As of", fork.text)
    streamed(browser.client, new_id)
    again = ok(browser.client.get(f"/v1/runs/{new_id}"))
    assert (again["status"], again["forked_from_run_id"]) == ("PAUSED", run["run_id"])


@pytest.mark.parametrize(
    ("tool", "button", "fields", "says"),
    [
        ("send", "Approve", {}, "sent to ada"),
        ("send", "Approve", {"arguments": '{"to": "bob"}'}, "sent to bob"),
        ("send", "Reject", {"note": "Not to her."}, "Not to her."),
        ("pay", "Approve", {}, "paid 5"),
        ("pay", "Reject", {"note": "Too much."}, "Too much."),
        ("book", "Give these", {"value-1": "Rome", "value-0": "2"}, "booked 2 nights in Rome"),
        ("ask_user", "Answer", {"choice-0": "0"}, '{"Where?":"Sea"}'),
        ("fetch", "Give the result", {"result": "<html>"}, "<html>"),
    ],
)
def test_what_a_run_waits_for_is_answered_on_its_page(
    as_: BrowserAs, tool: str, button: str, fields: dict[str, str], says: str
) -> None:
    browser = as_("ada", "runs,approve")
    run_id = ended(browser.client, "clerk", tool)["run_id"]
    page = run_page(browser, run_id)
    assert f"Call of {tool}" in page.text
    given = {name: value for name, value in fields.items() if not name.startswith("value-")}
    given |= _by_place(page, fields)
    assert "Your answer is stored." in browser.press(page, button, **given).text
    streamed(browser.client, run_id)
    assert says in ok(browser.client.get(f"/v1/runs/{run_id}"))["content"]
    second = browser.press(page, button, **given)
    assert 'class="flash failed"' in second.html
    assert "by ada" in second.text, second.text
    assert ok(browser.client.get(f"/v1/runs/{run_id}"))["status"] == "COMPLETED"


def _by_place(page: Page, fields: dict[str, str]) -> dict[str, str]:
    """Return the values of those fields that the form has."""
    form = next(each for each in page.forms if each.action.endswith("/answer"))
    return {name: value for name, value in fields.items() if name in form.fields}


def test_of_two_who_answer_at_once_one_counts(as_: BrowserAs) -> None:
    ada, mia = as_("ada", "runs,approve"), as_("mia", "approve,read:all")
    run_id = ended(ada.client, "clerk", "send")["run_id"]
    pages = [(each, run_page(each, run_id)) for each in (ada, mia)]
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda each=each, page=page: found.append(each.press(page, "Approve").text)
        )
        for each, page in pages
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum("Your answer is stored." in each for each in found) == 1, found
    streamed(ada.client, run_id)
    assert ok(ada.client.get(f"/v1/runs/{run_id}"))["content"] == "The call says: sent to ada"


def test_who_may_not_answer_is_told_so(as_: BrowserAs) -> None:
    run_id = ended(as_("ada").client, "clerk", "send")["run_id"]
    page = run_page(as_("ada"), run_id)
    assert "To answer needs the scope approve." in page.text
    assert all(not each.action.endswith("/answer") for each in page.forms)
    full = run_page(as_("ada", "runs,approve"), run_id)
    form = next(each for each in full.forms if each.action.endswith("/answer"))
    fields = {**form.fields, "answer": "approve", "csrf": page.csrf}
    assert as_("ada").client.post(form.action, data=fields).status_code == 403
    assert ok(as_("ada").client.get(f"/v1/runs/{run_id}"))["status"] == "PAUSED"


def test_the_runs_that_calls_are_are_shown_as_a_tree_and_found_from_there(as_: BrowserAs) -> None:
    browser = as_("ada")
    run_id = ended(browser.client, "boss", "Help")["run_id"]
    page = run_page(browser, run_id)
    assert "Child runs" in page.text
    assert "Tokens, with child runs" in page.text
    child = page.links["Its run"]
    page = browser.open(child)
    assert "with child runs" not in page.text
    assert "helper" in page.text
    assert page.links[run_id] == f"/ui/runs/{run_id}"
    assert page.forms == []
    assert as_("bob").client.get(child).status_code == 404
    assert as_("ada", "runs", "echo").client.get(child).status_code == 404


def test_a_run_of_a_team_reads_as_one(as_: BrowserAs) -> None:
    browser = as_("ada", "runs,read:all")
    run_id = ended(browser.client, "crew", "Can we sail?")["run_id"]
    page = run_page(browser, run_id)
    name = visible(MEMBER)
    for said in ("Team crew", "Team crew leads", f"Member {name}", f"Task of {name}", "The wind?"):
        assert said in page.text, said
    assert "delegate_task_to_member" not in page.text
    stays_text(page)
    stays_text(browser.open(page.links["Its run"]))
    listed = browser.open("/ui/runs?agent=crew")
    assert "crew team, for ada" in listed.text
    stays_text(listed)


def test_what_is_asked_beside_the_answer_is_named_and_stays_text(as_: BrowserAs) -> None:
    browser = as_("ada")
    run_id = ended(browser.client, "aside", "Find a table.")["run_id"]
    page = run_page(browser, run_id)
    for said in ("reasoning", "shorter results", "summary of the conversation", "memory"):
        assert f"Model call {said}" in page.text, said
    assert "with child runs" not in page.text  # What is in the background counts for itself.
    for said in ("Run of an agent start_helper", "in the background", "Told between its turns"):
        assert said in page.text, said
    stays_text(page)
    stays_text(browser.open(f"/ui/runs/{run_id}/messages"))


async def test_a_load_shows_how_far_it_has_come(tmp_path: Path) -> None:
    db = SqliteDb(str(tmp_path / "kern.db"))
    plants = SqliteVec(str(tmp_path / "plants.db"), embedder=WordsEmbedder())
    loads = Knowledge("plants", vector_db=plants, contents_db=db)
    run = await loads.aload(name=HOSTILE, text_content="Ferns.")
    await db.aclose()
    app = create_app_alone(SqliteDb(str(tmp_path / "kern.db")))
    with served(app) as url, httpx.Client(base_url=url) as client:
        page = run_page(Browser(client), run.run_id)
    assert "Loaded 1 of 1 contents" in page.text
    assert f"Content {visible(HOSTILE)}" in page.text
    assert ", 1 chunk" in page.text
    assert page.tags["progress"] == 1
    stays_text(page)


class Live:
    """The stream of a page's parts.

    Attributes:
        text: what it has said.
    """

    def __init__(self, response: httpx.Response) -> None:
        assert response.headers["content-type"].startswith("text/event-stream")
        self._pieces = response.iter_text()
        self.text = ""

    def wait_for(self, text: str) -> None:
        """Read until the stream has said this."""
        while text not in self.text:
            self.text += next(self._pieces)


def live(browser: Browser, run_id: str) -> AbstractContextManager[httpx.Response]:
    """Return the stream of a run's page."""
    return browser.client.stream("GET", f"/ui/runs/{run_id}/live")


def test_a_run_is_shown_live_until_it_ends_and_when_it_goes_on(as_: BrowserAs) -> None:
    browser = as_("ada", "runs,approve")
    run_id = submitted(browser.client, "narrator", live=True)
    with live(browser, run_id) as response:
        shown = Live(response)
        for text in ("RUNNING", "What it writes", "Once 0. Once 1."):
            shown.wait_for(text)
        _STORY.release()
        shown.wait_for("COMPLETED")
    run_id = ended(browser.client, "clerk", "send")["run_id"]
    with live(browser, run_id) as response:
        shown = Live(response)
        shown.wait_for("Waits for a person")
        browser.press(run_page(browser, run_id), "Approve")
        shown.wait_for("The call says: sent to ada")


def test_a_run_that_does_not_go_on_says_why(as_: BrowserAs) -> None:
    browser = as_("ada")
    run_id = submitted(browser.client, run_at="2100-01-01T00:00:00Z")
    page = run_page(browser, run_id)
    assert "PENDING" in page.text
    assert "scheduled for 2100-01-01" in page.text
    assert "Why it does not go on" in page.text
    assert "It has not begun." in page.text
