"""Operators see who executes runs, and why runs go on or do not."""

from dataclasses import replace
from typing import Any

from kern.db.base import Store
from kern.db.processes import Process
from kern.run.record import NewRun

OPERATOR = ("ops", "read:all")


def process(executor: str, agent: str, **more: Any) -> Process:
    """Return a process that serves an agent."""
    return Process(executor, "host-<b>", 7, (agent,), "0.1.0", 4, 2, **more)


async def test_workers_are_seen_with_their_slots_agents_and_heartbeat(
    as_: Any, store: Store
) -> None:
    await store.processes.beat(process("alive-1", "echo"))
    gone = process("gone-1", "typed", heartbeat=1e-9)
    await store.processes.beat(replace(gone, agents=("typed", "hidden")))
    page = as_(*OPERATOR).open("/ui/workers")
    assert page.text.index("alive-1") < page.text.index("gone-1")
    assert "process 7 on host-<b>" in page.text
    assert page.tags["b"] == 0
    for words in ("alive", "gone", "2 of 4", "0.1.0", "Last heartbeat"):
        assert words in page.text
    few = as_(*OPERATOR).open("/ui/workers?agent=typed")
    assert "gone-1" in few.text
    assert "alive-1" not in few.text
    limited = as_("ops", "read:all", "typed").open("/ui/workers").text
    assert "gone-1" in limited
    assert "alive-1" not in limited
    assert "hidden" not in limited.partition("Processes")[2]


async def test_runs_that_nobody_serves_are_seen_with_the_reason(as_: Any, store: Store) -> None:
    for number in range(3):
        run = NewRun(f"lonely-{number}", f"lonely-{number}", "lonely", None, '{"messages":[]}')
        await store.submit(run)
    page = as_(*OPERATOR).open("/ui/workers")
    assert "unserved" in page.text
    assert "no worker serves the agent 'lonely'" in page.text
    assert page.links["lonely-0"] == "/ui/runs/lonely-0"
    assert "lonely" not in as_("ops", "read:all", "echo").open("/ui/workers").text
    for number in range(3):
        await store.cancel(f"lonely-{number}")
    assert "lonely" not in as_(*OPERATOR).open("/ui/workers").text


def test_who_sees_only_their_own_runs_does_not_see_the_fleet(as_: Any) -> None:
    assert "needs the scope read:all" in as_("ada").open("/ui/workers", status=403).text
    assert as_("ada").client.get("/ui/workers/live").status_code == 403
