"""Sessions are seen as conversations, with their state and summary, by whom they belong to."""

from typing import Any

from msgspec import structs
from runs_api import ended, ok

from kern.db.base import Store

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> \u202e![](https://example.com/a.png)"
)


def test_sessions_are_found_by_name_and_agent(as_: Any) -> None:
    browser = as_("gil")
    for name in ("a", "b", "c"):
        ended(browser.client, session_id=f"gil {name}", input=f"Hello {name}")
    ok(browser.client.patch("/v1/sessions/gil%20b", json={"name": "The trip"}))
    page = browser.open("/ui/sessions")
    assert page.text.index("gil c") < page.text.index("The trip") < page.text.index("gil a")
    assert "Hello a" in page.text
    found = browser.open("/ui/sessions?name=TRIP&agent=").text
    assert "The trip" in found
    assert "gil a" not in found
    assert "gil a" in browser.open("/ui/sessions?agent=echo").text
    page = browser.open("/ui/sessions?limit=2")
    assert "gil a" not in page.text
    assert "gil a" in browser.open(page.links["Older"]).text
    browser.open("/ui/sessions?agent=none", status=404)


def test_a_session_is_a_conversation_with_a_state(as_: Any) -> None:
    browser = as_("hal")
    for number in range(3):
        state = {"n": number}
        ended(browser.client, input=f"Say {number}", session_id="talk", session_state=state)
    page = browser.open("/ui/sessions/talk")
    said = [page.text.index(f"You said: Say {number}") for number in range(3)]
    assert said == sorted(said)
    assert page.text.count("You said: Say 1") == 1
    assert '"n": 2' in page.text
    assert page.tags["article"] == 3
    page = browser.open("/ui/sessions/talk?limit=2")
    assert "Say 0" not in page.text
    assert "You said: Say 0" in browser.open(page.links["Earlier"]).text


async def test_a_session_has_a_summary_and_says_where_it_comes_from(as_: Any, store: Store) -> None:
    browser = as_("lea")
    ended(browser.client, session_id="origin", metadata={"team": "red"})
    forked = await store.sessions.fork("origin", "lea")
    assert forked is not None
    row = await store.sessions.get(forked)
    assert row is not None
    summary = '{"summary": "A <b>greeting</b>.", "topics": ["manners", "words"]}'
    assert await store.sessions.put(structs.replace(row, summary=summary))
    page = browser.open(f"/ui/sessions/{forked}")
    assert "A <b>greeting</b>." in page.text
    assert page.tags["b"] == 0
    assert "manners, words" in page.text
    assert '"team": "red"' in page.text
    assert page.links["origin"] == "/ui/sessions/origin"
    assert "You said: Hi" in page.text


def test_what_has_failed_or_waits_is_part_of_it(as_: Any) -> None:
    browser = as_("isa")
    ended(browser.client, "fragile", "Break", session_id="mixed")
    run = ended(browser.client, "clerk", "pay", session_id="mixed")
    page = browser.open("/ui/sessions/mixed")
    assert "ERROR" in page.text
    assert "Not today." in page.text
    assert "PAUSED" in page.text
    assert page.links[run["run_id"]] == f"/ui/runs/{run['run_id']}"
    assert "nothing is answered yet" in browser.open("/ui/sessions").text


def test_what_was_said_is_text_whatever_it_looks_like(as_: Any) -> None:
    browser = as_("joe")
    plain = browser.open("/ui/sessions").tags
    ended(browser.client, input=HOSTILE, session_id="hostile", session_state={"x": HOSTILE})
    ok(browser.client.patch("/v1/sessions/hostile", json={"name": HOSTILE}))
    for path in ("/ui/sessions", "/ui/sessions/hostile"):
        page = browser.open(path)
        assert page.tags["img"] == 0
        assert page.tags["script"] == plain["script"]
        assert "\u202e" not in page.html
        assert "<script>alert(1)</script>" in page.text


def test_anothers_session_is_not_found(as_: Any) -> None:
    ended(as_("ada").client, session_id="ada's")
    as_("bob").open("/ui/sessions/ada's", status=404)
    assert as_("bob").client.get("/ui/sessions/ada's/live").status_code == 404
    assert "ada's" not in as_("bob").open("/ui/sessions").text
    assert "ada's" in as_("eve", "read:all").open("/ui/sessions").text
    assert "You said" in as_("eve", "read:all").open("/ui/sessions/ada's").text
    as_("bob").open("/ui/sessions?user=ada", status=403)


def test_an_open_conversation_grows(as_: Any) -> None:
    browser = as_("kay")
    ended(browser.client, input="First", session_id="grows")
    with browser.client.stream("GET", "/ui/sessions/grows/live") as response:
        lines = response.iter_lines()
        assert any("You said: First" in line for line in lines)
        ended(browser.client, input="Second", session_id="grows")
        assert any("You said: Second" in line for line in lines)
