"""Promise 4 inside a tool: a step that was committed is not done again, wherever it is killed."""

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from charging import work
from elsewhere import Elsewhere
from leases import expire
from stores import CLAIM, execute

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.dispatch.opening import open_runtime
from kern.execution import steps
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.entry import read_row
from kern.run.tool_steps import SleepBegun, StepEnded
from kern.testing import Reply, ResponsesServer
from kern.tools import tool
from kern.tools.rules import Interrupt

WAIT = 20.0

DYING = """
from charging import kill_around_writes, work
kill_around_writes()
dying = Agent("Tester", agent.model, db=db, tools=[work])
await dying.arun("Work", background=True, run_id="run")
await asyncio.Event().wait()
"""

# The rows: the model's answer, a, b, the sleep, c, the tool's result.
POINTS = [
    *("before a", "in a", "after write 2", "before write 4", "after write 4", "in c"),
    *("after write 5", "after write 6"),
]
# These leave behind what another one does.
SAME = ["before write 2", "after a", "after b", "after sleep", "before write 5", "at the end"]
SAME += ["before write 6"]
# At these points a step was done and not committed.
TWICE = {"in a": "a", "in c": "c", "before write 2": "a", "before write 5": "c"}


async def go_on(agent: Agent, db: Database) -> RunOutput:
    """Carry the run on in this process, whose executor elsewhere was lost."""
    await expire(db, "run")
    (await open_runtime(db)).serve(agent)
    run = await agent.await_run("run", timeout=WAIT)
    assert run is not None
    return run


async def journaled(db: Database, *kinds: type[Any]) -> list[Any]:
    rows = await (await db.store()).events("run", 0)
    return [step for row in rows if isinstance(step := read_row(row).step, kinds)]


@pytest.mark.parametrize(
    "point", [*POINTS, *(pytest.param(each, marks=pytest.mark.nightly) for each in SAME)]
)
async def test_what_was_committed_is_replayed_and_the_rest_is_done(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    ledger = tmp_path / "ledger"
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    process = elsewhere(DYING, TEST_LEDGER=str(ledger), TEST_KILL=point)
    assert await process.ended() == -9
    monkeypatch.setenv("TEST_LEDGER", str(ledger))
    run = await go_on(Agent("Tester", model, db=shared_db, tools=[work]), shared_db)
    assert run.status is RunStatus.completed
    values = ledger.read_text().split()
    assert Counter(each[0] for each in values) == Counter("abc") + Counter(TWICE.get(point, ""))
    last = {each[0]: each for each in values}
    assert run.tools[0].result == ",".join(last[name] for name in "abc")
    assert len(await journaled(shared_db, StepEnded)) == 3


STALE = """
from kern.run.base import RunContext
async def work(run_context: RunContext) -> str:
    await run_context.step("first", lambda: "old")
    say("waits")
    await hear()
    try:
        await run_context.step("second", say, "charges")
        say("went on")
    except BaseException as error:
        say(type(error).__name__)
        raise
    return "old"
stale = Agent("Tester", agent.model, db=db, tools=[work])
await stale.arun("Work", background=True, run_id="run")
await stale.await_run("run")
say("ended")
"""


async def test_a_stale_attempt_is_refused_at_its_next_step_and_stops(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    process = elsewhere(STALE, KERN_HEARTBEAT="600")  # It does not notice by its heart.
    assert await process.said() == "waits"

    async def again(run_context: RunContext) -> str:
        first: object = await run_context.step("first", lambda: pytest.fail("Done again."))
        return f"{first}, {await run_context.step('second', lambda: 'new')}"

    agent = Agent("Tester", model, db=shared_db, tools=[tool(name="work")(again)])
    run = await go_on(agent, shared_db)
    assert run.tools[0].result == "old, new"
    process.tell("go on")
    assert await process.said() == "charges"
    assert await process.said() == "CancelledError"
    assert await process.said() == "ended"
    assert [each.content for each in await journaled(shared_db, StepEnded)] == ['"old"', '"new"']


SLEEPING = """
from charging import kill_once_it_sleeps
from kern.execution import steps
from kern.run.base import RunContext
from kern.tools import tool
from kern.tools.rules import Interrupt
steps.IN_PLACE = {in_place}
if {dies}:
    kill_once_it_sleeps()
@tool(on_interrupt={rule!r})
async def work(run_context: RunContext) -> str:
    await run_context.step("first", say, "first")
    say("attempt", run_context.attempt)
    await run_context.sleep({seconds})
    say("awake")
    await asyncio.Event().wait()
sleeping = Agent("Tester", agent.model, db=db, tools=[work])
await sleeping.arun("Work", background=True, run_id="run")
await asyncio.Event().wait()
"""


class Sleeper:
    """A run whose tool sleeps in a process that is killed, and the agent that goes on with it."""

    def __init__(self, db: Database, model: OpenAIResponses, rule: Interrupt = "retry") -> None:
        self.attempts: list[int] = []
        self.db = db

        @tool(on_interrupt=rule)
        async def work(run_context: RunContext) -> str:
            self.attempts.append(run_context.attempt)
            await run_context.step("first", lambda: pytest.fail("It was done again."))
            await run_context.sleep(1000)  # It was begun with another length.
            return f"awake in {run_context.attempt}"

        self.agent = Agent("Tester", model, db=db, tools=[work])

    async def until(self) -> float:
        """Return when it is to wake, once that is known."""
        async with asyncio.timeout(WAIT):
            # It is another process that journals it.
            while not (found := await journaled(self.db, SleepBegun)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        until: float = found[0].until
        return until

    async def gave_back(self) -> None:
        store = await self.db.store()
        async with asyncio.timeout(WAIT):
            while (found := await store.get("run")) is None or found.status != "PENDING":  # noqa: ASYNC110 # nobody waits for it
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("rule", ["retry", "fail", "pause"])
async def test_a_long_sleep_goes_on_where_it_was_after_its_process_is_lost(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    rule: Interrupt,
) -> None:
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    process = elsewhere(SLEEPING.format(rule=rule, in_place=0.1, seconds=1, dies=True))
    sleeper = Sleeper(shared_db, model, rule)
    assert await process.ended() == -signal.SIGKILL
    until = await sleeper.until()
    (await open_runtime(shared_db)).serve(sleeper.agent)
    run = await sleeper.agent.await_run("run", timeout=WAIT)
    assert run is not None
    assert time.time() >= until
    assert run.tools[0].result == "awake in 2"
    assert sleeper.attempts == [2]
    assert {each.until for each in await journaled(shared_db, SleepBegun)} == {until}


async def test_a_short_sleep_is_not_begun_anew_after_its_process_is_lost(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    process = elsewhere(SLEEPING.format(rule="retry", in_place=5, seconds=1, dies=False))
    sleeper = Sleeper(shared_db, model)
    assert await process.said() == "first"
    until = await sleeper.until()
    process.send(signal.SIGKILL)
    await process.ended()
    run = await go_on(sleeper.agent, shared_db)
    assert time.time() >= until
    assert run.tools[0].result == "awake in 2"
    assert {each.until for each in await journaled(shared_db, SleepBegun)} == {until}


async def test_a_call_that_is_lost_after_its_sleep_follows_the_rule_of_its_tool(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    process = elsewhere(SLEEPING.format(rule="fail", in_place=0.1, seconds=0.3, dies=False))
    for said in ("first", "attempt 1", "attempt 2", "awake"):
        assert await process.said() == said
    process.send(signal.SIGKILL)
    await process.ended()
    sleeper = Sleeper(shared_db, model, "fail")
    run = await go_on(sleeper.agent, shared_db)
    assert str(run.tools[0].result).startswith("The outcome of this call is unknown")
    assert sleeper.attempts == []


async def test_a_sleeping_run_is_cancelled_at_once(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
) -> None:
    server.script += [Reply.tool_calls(("work", {}))]
    elsewhere(SLEEPING.format(rule="retry", in_place=0.1, seconds=3600, dies=False))
    sleeper = Sleeper(shared_db, model)
    await sleeper.until()
    await sleeper.gave_back()
    assert await sleeper.agent.acancel_run("run")
    run = await sleeper.agent.await_run("run", timeout=14)  # No sweep comes before that.
    assert run is not None
    assert run.status is RunStatus.cancelled


async def test_a_run_that_is_woken_early_sleeps_on(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "IN_PLACE", 0.1)
    server.script.append(Reply.tool_calls(("work", {})))

    async def work(run_context: RunContext) -> int:
        await run_context.sleep(3600)
        return run_context.attempt

    sleeper = Sleeper(shared_db, model)
    sleeper.agent = Agent("Tester", model, db=shared_db, tools=[work])
    await sleeper.agent.arun("Work", background=True, run_id="run")
    until = await sleeper.until()
    await sleeper.gave_back()
    store = await shared_db.store()
    await execute(store, "UPDATE {runs} SET due_at = created_at WHERE run_id = {1}", "run")
    early = await store.claim("run", CLAIM)
    assert early is not None
    await store.release("run", early.attempt)
    async with asyncio.timeout(WAIT):
        while len(await journaled(shared_db, SleepBegun)) < 3:  # noqa: ASYNC110 # the worker does it
            await asyncio.sleep(0.01)
    assert {each.until for each in await journaled(shared_db, SleepBegun)} == {until}
    await sleeper.gave_back()
    async with asyncio.timeout(WAIT):
        while not 3000 < (await store.queue.next_due(["tester"]) or 0) <= 3600:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await sleeper.agent.acancel_run("run")


@pytest.mark.parametrize("apart", [-1000.0, 1000.0], ids=["behind", "ahead"])
async def test_a_sleep_takes_its_time_on_machines_whose_clocks_are_apart(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
    apart: float,
) -> None:
    monkeypatch.setattr(steps, "IN_PLACE", 0.1)
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    right = time.time

    async def work(run_context: RunContext) -> int:
        await run_context.sleep(0.5)
        monkeypatch.setattr(time, "time", right)
        await run_context.sleep(1)
        return run_context.attempt

    sleeper = Sleeper(postgres_db, model)
    sleeper.agent = Agent("Tester", model, db=postgres_db, tools=[work])
    began = time.monotonic()
    await sleeper.agent.arun("Work", background=True, run_id="run")
    await sleeper.gave_back()
    monkeypatch.setattr(time, "time", lambda: right() + apart)
    run = await sleeper.agent.await_run("run", timeout=WAIT)
    assert run is not None
    assert (run.status, run.tools[0].result) == (RunStatus.completed, "3")
    assert time.monotonic() - began >= 1.5
