"""A schedule starts each run once, whatever the processes do and whatever they miss."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from elsewhere import Elsewhere
from stores import execute

from kern.agent import Agent
from kern.db.base import Store
from kern.db.database import Database
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.schedule import Missed, Schedule
from kern.testing import ResponsesServer

Found = TypeVar("Found")

# So seldom that nothing comes while a test runs, except at New Year.
YEARLY = "0 0 1 1 *"

SERVE = f"""
await agent.aschedule("own", "Go", cron="{YEARLY}")
say("ready")
await asyncio.Event().wait()
"""

DIE_BEFORE_IT_IS_NOTED = f"""
async def die(*_):
    os.kill(os.getpid(), 9)

(await db.store()).schedules.update = die
await agent.aschedule("due", "Go", cron="{YEARLY}")
await asyncio.Event().wait()
"""


def yearly(name: str, missed: Missed = "once", session_id: str | None = None) -> Schedule:
    now = datetime.now(UTC)
    return Schedule.new(
        name, "tester", "Go", now=now, cron=YEARLY, missed=missed, session_id=session_id
    )


def minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


async def run_ids(store: Store) -> list[str]:
    rows = await execute(store, "SELECT run_id FROM {runs} ORDER BY position")
    return [str(row["run_id"]) for row in rows]


async def soon(look: Callable[[], Awaitable[Found | None]]) -> Found:
    """Look until there is something; nobody tells of a run that is only to come."""
    async with asyncio.timeout(20):
        while (found := await look()) is None:  # noqa: ASYNC110 # another process does it
            await asyncio.sleep(0.02)
    return found


async def completed(agent: Agent, run_id: str) -> RunOutput:
    """Wait until a run is accepted, and then for its end."""
    run = await soon(lambda: agent.await_run(run_id))
    assert run.status is RunStatus.completed
    return run


async def noted(store: Store, name: str, has: Callable[[Schedule], bool]) -> Schedule:
    """Wait until a schedule is as it has to be."""

    async def look() -> Schedule | None:
        found = await store.schedules.get(name)
        return found if found is not None and has(found) else None

    return await soon(look)


async def test_many_processes_start_each_run_once(
    shared_db: Database, agent: Agent, elsewhere: Elsewhere, server: ResponsesServer
) -> None:
    store = await shared_db.store()
    processes = [elsewhere(SERVE) for _ in range(2)]
    for process in processes:
        assert await process.said() == "ready"

    moment, names = minute(), [f"due {number}" for number in range(5)]
    for name in names:
        await store.schedules.put(replace(yearly(name), next_at=moment))
    expected = [f"{name}@{moment:%Y-%m-%dT%H:%MZ}" for name in names]
    outputs = [await completed(agent, run_id) for run_id in expected]
    for name in names:
        await noted(store, name, lambda schedule: schedule.last_at == moment)

    assert sorted(await run_ids(store)) == expected
    assert len(server.requests) == len(expected)
    for name, output in zip(names, outputs, strict=True):
        assert output.session_id == output.run_id
        assert output.metadata == {"schedule": name, "scheduled_for": moment.isoformat()}


async def test_a_process_that_dies_after_the_start_leaves_one_run(
    shared_db: Database, agent: Agent, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    store, moment = await shared_db.store(), minute()
    await store.schedules.put(replace(yearly("due"), next_at=moment))
    process = elsewhere(DIE_BEFORE_IT_IS_NOTED, KERN_HEARTBEAT="1")
    assert await process.ended() == -signal.SIGKILL
    left = await store.schedules.get("due")
    assert left is not None
    assert (left.next_at, left.last_at) == (moment, None)

    await agent.aschedule("due", "Go", cron=YEARLY)
    await noted(store, "due", lambda schedule: schedule.last_at == moment)
    [run_id] = await run_ids(store)
    assert run_id == f"due@{moment:%Y-%m-%dT%H:%MZ}"
    await completed(agent, run_id)


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
async def test_what_nobody_was_there_for_is_made_up_for_as_wanted(
    shared_db: Database, agent: Agent, missed: Missed
) -> None:
    store, this_year = await shared_db.store(), datetime.now(UTC).year
    past = replace(yearly("due", missed, "chat"), next_at=datetime(2020, 1, 1, tzinfo=UTC))
    await store.schedules.put(past)
    # What a program says at every start forgets nothing.
    await agent.aschedule("due", "Go", cron=YEARLY, missed=missed, session_id="chat")

    await noted(store, "due", lambda schedule: schedule.next_at.year > this_year)
    years = {"skip": [], "once": [this_year], "all": [*range(2020, this_year + 1)]}[missed]
    assert await run_ids(store) == [f"due@{year}-01-01T00:00Z" for year in years]
    for run_id in await run_ids(store):
        assert (await completed(agent, run_id)).session_id == "chat"


async def test_a_paused_schedule_starts_nothing_and_skips_what_it_missed(
    shared_db: Database, agent: Agent
) -> None:
    store, moment = await shared_db.store(), minute()
    await agent.aschedule("paused", "Go", cron=YEARLY)
    await agent.apause_schedule("paused")
    paused = await noted(store, "paused", lambda schedule: schedule.paused)
    assert await store.schedules.update(paused, replace(paused, next_at=moment))
    # The process that starts this one has seen the other.
    await store.schedules.put(replace(yearly("due"), next_at=moment))
    await completed(agent, f"due@{moment:%Y-%m-%dT%H:%MZ}")

    assert (await agent.aresume_schedule("paused")).next_at > datetime.now(UTC)
    await store.schedules.put(replace(yearly("due 2"), next_at=moment))
    await completed(agent, f"due 2@{moment:%Y-%m-%dT%H:%MZ}")
    assert len(await run_ids(store)) == 2


async def test_a_deleted_schedule_starts_nothing(shared_db: Database, agent: Agent) -> None:
    store, moment = await shared_db.store(), minute()
    await store.schedules.put(replace(yearly("due"), next_at=moment))
    assert await agent.adelete_schedule("due")
    await agent.aschedule("other", "Go", cron=YEARLY)
    await store.schedules.put(replace(yearly("due 2"), next_at=moment))
    await completed(agent, f"due 2@{moment:%Y-%m-%dT%H:%MZ}")
    assert len(await run_ids(store)) == 1
