"""Operators see how the runs stand, and what happened over the last hours and weeks."""

import json
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from stores import execute

from kern.db.base import Store
from kern.run.record import NewRun

OPERATOR = ("ops", "read:all")


async def happen(store: Store, agent_id: str, count: int, status: str = "COMPLETED") -> None:
    """Have runs have ended some minutes ago, and be counted."""
    await execute(store, f"DELETE FROM {{runs}} WHERE session_id = 'in {agent_id}'")
    await execute(
        store,
        "INSERT INTO {runs} (run_id, session_id, agent_id, status, usage, created_at, started_at, "
        f"finished_at) SELECT gen_random_uuid(), 'in {agent_id}', '{agent_id}', '{status}', "
        """'{{"input_tokens":1000,"output_tokens":20,"cost":0.25}}', at, """
        "at + interval '3 s', at + interval '10 s' "
        f"FROM generate_series(1, {count}), (SELECT now() - interval '10 minutes') AS t (at)",
    )
    await execute(store, "UPDATE {tick} SET counted_until = 'epoch'")
    await execute(store, "TRUNCATE {figures}")
    while await store.figures.count():
        pass


def plot(html: str, name: str) -> dict[str, Any]:
    """Return what the script of a plot is given."""
    _, _, rest = html.partition(f'id="{name}-figures" data-plot="')
    found: dict[str, Any] = json.loads(unescape(rest.partition('"')[0]))
    return found


async def test_what_happened_is_told_in_numbers_plots_and_tables(as_: Any, store: Store) -> None:
    await happen(store, "echo", 3)
    await happen(store, "typed", 1, "ERROR")
    page = as_(*OPERATOR).open("/ui?last=1h")
    for words in ("Submitted 4", "Completed 3", "Failed 1", "$1.00", "4,000 in, 80 out"):
        assert words in page.text
    assert "Wait, p95 4.8s" in page.text
    found = plot(page.html, "throughput")
    assert found["labels"] == ["Submitted", "Completed", "Failed", "Cancelled"]
    assert [sum(each) for each in found["values"][1:]] == [4, 3, 1, 0]
    moments = found["values"][0]
    assert {after - before for before, after in pairwise(moments)} == {60}
    assert plot(page.html, "cost")["unit"] == "$"
    assert page.tags["details"] == page.tags["caption"] == 6
    assert page.tags["canvas"] == 0, "the script draws"
    of_typed = as_(*OPERATOR).open("/ui?last=1h&agent=typed")
    assert "Submitted 1" in of_typed.text
    assert "Submitted 1" in as_("ops", "read:all", "typed").open("/ui?last=1h").text


@pytest.mark.parametrize("last", ["1h", "24h", "7d", "30d"])
async def test_every_time_can_be_looked_at(as_: Any, store: Store, last: str) -> None:
    await happen(store, "echo", 2)
    page = as_(*OPERATOR).open(f"/ui?last={last}&agent=echo")
    assert "Submitted 2" in page.text
    assert len(plot(page.html, "queue")["values"][0]) >= 1


async def test_how_the_runs_stand_is_told_with_those_that_nobody_executes(
    as_: Any, store: Store
) -> None:
    run = NewRun("lonely", "lonely", "<b>lonely</b>", None, '{"messages":[]}')
    await store.submit(run)
    page = as_(*OPERATOR).open("/ui")
    assert "Runs that no worker can execute" in page.text
    assert "no worker serves the agent '<b>lonely</b>'" in page.text
    assert "kern worker module:agent" in page.text
    assert page.tags["b"] == 0
    assert page.links["lonely"] == "/ui/runs/lonely"
    assert "Executing 0" in page.text
    limited = as_("ops", "read:all", "echo").open("/ui")
    assert "lonely" not in limited.text
    assert "Executing 0" not in limited.text, "others' agents are counted, too"
    await store.cancel("lonely")
    assert "no worker can execute" not in as_(*OPERATOR).open("/ui").text


def test_who_sees_only_their_own_runs_is_told_where_they_are(as_: Any) -> None:
    page = as_("ada").open("/ui")
    assert page.links["Your runs"] == "/ui/runs"
    assert "data-plot" not in page.html
    assert "hx-sse:connect" not in page.html


def test_a_time_that_there_is_not_is_refused(as_: Any) -> None:
    assert "last" in as_(*OPERATOR).open("/ui?last=2h", status=400).text
    assert as_(*OPERATOR).open("/ui?agent=unknown", status=404)


async def test_the_page_s_parts_are_sent(as_: Any, store: Store) -> None:
    await happen(store, "echo", 1)
    with as_(*OPERATOR).client.stream("GET", "/ui/live?last=1h") as stream:
        sent = ""
        for line in stream.iter_lines():
            sent += line
            if not line:
                break
    for name in ("now", "happened", "queue-figures", "tokens-figures"):
        assert f'hx-target="#{name}"' in sent
