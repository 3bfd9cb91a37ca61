"""Schedules are seen with their next runs, and are paused and resumed, by who may."""

from dataclasses import replace
from typing import Any

import pytest

from kern.db.base import Store
from kern.run.schedule import Schedule
from kern.server.ui import schedules


async def create(store: Store, name: str, user_id: str | None = None, **more: Any) -> Schedule:
    """Have an agent run by itself."""
    now = await store.schedules.now()
    options = {"cron": "30 6 * * *", "timezone": "Europe/Berlin", "user_id": user_id, **more}
    return await store.schedules.create(Schedule.new(name, "echo", "Hi", now=now, **options))


async def is_paused(store: Store, name: str) -> bool:
    """Say how a schedule stands."""
    found = await store.schedules.get(name)
    assert found is not None
    return found.paused


@pytest.mark.parametrize("name", ["nightly", "a/b", "<b>&?#% ü", "x/pause"])
async def test_a_schedule_is_paused_and_resumed(as_: Any, store: Store, name: str) -> None:
    await create(store, name, "ann")
    browser = as_("ann")
    page = browser.open("/ui/schedules")
    assert page.tags["b"] == 0
    assert page.text.count(" 06:30") == 3
    page = browser.press(page, f"Pause {name}")
    assert f"{name} is paused." in page.text
    assert " 06:30" not in page.text
    assert "none while it is paused" in page.text
    assert await is_paused(store, name)
    page = browser.press(page, f"Resume {name}")
    assert f"{name} goes on." in page.text
    assert not await is_paused(store, name)
    await store.schedules.delete(name)


async def test_a_schedule_is_changed_only_by_who_may(as_: Any, store: Store) -> None:
    await create(store, "everybody's")
    await create(store, "ada's", "ada")
    ada, bob, eve = as_("ada"), as_("bob"), as_("eve", "read:all,approve")
    assert "ada's" in ada.open("/ui/schedules").text
    assert "everybody's" not in ada.open("/ui/schedules").text
    assert "ada's" in ada.open("/ui/schedules?agent=echo").text
    assert "ada's" not in ada.open("/ui/schedules?agent=typed").text
    assert "ada's" not in bob.open("/ui/schedules").text
    seen = eve.open("/ui/schedules")
    assert "ada's" in seen.text
    assert "everybody's" in seen.text
    assert not any(each.action.endswith("pause") for each in seen.forms)
    path = next(each.action for each in ada.open("/ui/schedules").forms if each.buttons)
    for browser, status in ((bob, 404), (eve, 403)):
        csrf = browser.open("/ui/schedules").csrf
        response = browser.client.post(path, data={"csrf": csrf})
        assert response.status_code == status
    assert not await is_paused(store, "ada's")
    admin = as_("root", "admin")
    assert "ada's is paused." in admin.press(admin.open("/ui/schedules"), "Pause ada's").text


async def test_the_last_run_of_a_schedule_is_linked(as_: Any, store: Store) -> None:
    schedule = await create(store, "hourly", "kim")
    has_run = replace(schedule, last_at=schedule.created_at)
    assert await store.schedules.update(schedule, has_run)
    page = as_("kim").open("/ui/schedules")
    assert any("/ui/runs/hourly%40" in each for each in page.links.values())


async def test_only_of_those_that_are_shown_it_is_looked_when_they_run(
    as_: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "_MOST", 1)
    for number in range(3):
        await create(store, f"many-{number}", "zoe", cron=f"{number} 4 3 2 *")
    before = schedules._next.cache_info().misses
    assert "The first 1 of 3, by name." in as_("zoe").open("/ui/schedules").text
    assert schedules._next.cache_info().misses == before + 1
    for number in range(3):
        await store.schedules.delete(f"many-{number}")
