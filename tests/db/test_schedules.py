"""Schedules as every database keeps them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stores import Recorder, same

from kern.db.base import Store
from kern.db.database import Database
from kern.db.values import Kind, Signal
from kern.errors import InvalidInputError, ScheduleNotFoundError
from kern.run.schedule import Schedule

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOLD = Signal(Kind.schedule)


def schedule(name: str = "hourly", agent_id: str = "agent", **changes: Any) -> Schedule:
    values: dict[str, Any] = {"cron": "0 * * * *", "now": NOON - HOUR / 2}
    return Schedule.new(name, agent_id, "Go", **values | changes)


async def test_a_schedule_comes_back_as_it_was(store: Store) -> None:
    wanted = schedule(
        timezone="Europe/Berlin",
        missed="all",
        session_id="chat",
        user_id="ada",
        metadata={"odd": "\x00\ud800"},
    )
    stored = await store.schedules.create(wanted)
    assert replace(stored, created_at=wanted.created_at) == wanted
    assert await store.schedules.get("hourly") == stored
    assert await store.schedules.get("daily") is None


async def test_schedules_are_found_by_agent(store: Store) -> None:
    for name, agent in [("b", "agent"), ("a", "agent"), ("c", "other")]:
        await store.schedules.create(schedule(name, agent))
    assert [each.name for each in await store.schedules.find()] == ["a", "b", "c"]
    assert [each.name for each in await store.schedules.find("agent")] == ["a", "b"]
    assert await store.schedules.agents() == ["agent", "other"]


async def test_created_again_it_keeps_its_next_moment_and_its_pause(store: Store) -> None:
    stored = await store.schedules.create(schedule())
    later = NOON + 5 * HOUR
    again = await store.schedules.create(schedule(now=later, missed="all", user_id="ada"))
    assert again == replace(stored, missed="all", user_id="ada")

    await store.schedules.pause("hourly")
    changed = await store.schedules.create(schedule(now=later, cron="30 * * * *", user_id="ada"))
    assert (changed.paused, changed.next_at) == (True, later + HOUR / 2)
    zone = await store.schedules.create(
        schedule(now=later, cron="30 * * * *", timezone="Asia/Kolkata", user_id="ada")
    )
    assert zone.next_at == later + HOUR


async def test_the_name_belongs_to_one_agent(store: Store) -> None:
    stored = await store.schedules.create(schedule())
    with pytest.raises(InvalidInputError, match="belongs to another agent"):
        await store.schedules.create(schedule(agent_id="other", cron="* * * * *"))
    with pytest.raises(ScheduleNotFoundError):
        await store.schedules.pause("hourly", "other")
    assert not await store.schedules.delete("hourly", "other")
    assert await store.schedules.get("hourly") == stored


async def test_what_is_due_and_what_comes_next(store: Store) -> None:
    cron = {"a": "0 13 * * *", "b": "30 12 * * *", "c": "0 15 * * *", "d": "0 16 * * *"}
    for name, line in cron.items():
        await store.schedules.create(schedule(name, cron=line, now=NOON))
    await store.schedules.pause("b")

    async def upcoming(now: datetime) -> list[str]:
        return [each.name for each in await store.schedules.upcoming(now)]

    assert await upcoming(NOON) == ["a"]
    assert await upcoming(NOON + HOUR) == ["a", "c"]
    assert await upcoming(NOON + 2.5 * HOUR) == ["a", "c"]
    assert await upcoming(NOON + 9 * HOUR) == ["a", "c", "d"]


async def test_an_update_of_what_has_changed_is_refused(store: Store) -> None:
    old = await store.schedules.create(schedule())
    new = replace(old, next_at=NOON + HOUR, last_at=NOON)
    assert await store.schedules.update(old, new)
    assert await store.schedules.get("hourly") == new
    assert not await store.schedules.update(old, replace(old, next_at=NOON + 2 * HOUR))
    for other in (replace(new, cron="1 * * * *"), replace(new, timezone="CET")):
        assert not await store.schedules.update(other, old)
    assert not await store.schedules.update(replace(new, paused=True), old)
    assert await store.schedules.get("hourly") == new


async def test_paused_and_resumed(store: Store) -> None:
    stored = await store.schedules.create(schedule(cron="* * * * *"))
    assert await store.schedules.pause("hourly") == replace(stored, paused=True)
    assert (await store.schedules.pause("hourly")).paused
    assert await store.schedules.upcoming(datetime.now(UTC)) == []

    before = await store.schedules.now()
    resumed = await store.schedules.resume("hourly")
    assert not resumed.paused
    assert before < resumed.next_at <= await store.schedules.now() + timedelta(minutes=1)
    assert await store.schedules.get("hourly") == resumed
    assert await store.schedules.resume("hourly") == resumed


async def test_one_that_does_not_exist(store: Store) -> None:
    for verb in (store.schedules.pause, store.schedules.resume):
        with pytest.raises(ScheduleNotFoundError, match="'hourly'"):
            await verb("hourly")
    assert not await store.schedules.delete("hourly")
    await store.schedules.create(schedule())
    assert await store.schedules.delete("hourly")
    assert await store.schedules.find() == []


async def test_who_listens_is_told_of_every_change(db: Database, store: Store) -> None:
    recorder, other = Recorder(), (await same(db).store()).schedules
    await store.listen(recorder)
    await other.create(schedule())
    await recorder.gets(TOLD, Signal(Kind.resync))
    await other.pause("hourly")
    for change in (other.resume, other.delete):
        await change("hourly")
        await recorder.gets(TOLD, Signal(Kind.resync))


async def test_the_time_is_the_time(store: Store) -> None:
    now = await store.schedules.now()
    assert now.tzinfo is not None
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=10)
