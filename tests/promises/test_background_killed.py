"""The end of a run in the background is told once, after whichever statement a process is killed.

The process is parent, child and sender at once.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from random import randrange

import pytest
from in_background import (
    TOLD,
    Company,
    child_of,
    children_of,
    delivered,
    follower_of,
    is_killed_after,
    times_told,
)
from leases import expire
from load import ended
from stores import execute, same, seconds_ago

from kern.agent.serving import serve
from kern.db.database import Database

WAYS = {
    "in time": (False, False),
    "late": (True, False),
    "late, in the foreground": (True, True),
}


@pytest.mark.nightly
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.timeout(300)
async def test_it_is_told_once_after_whichever_statement_a_process_is_killed(
    shared_db: Database, way: str
) -> None:
    told = await _killed_and_told(shared_db, way, range(1000))
    assert {*told} - {(0, 0)} == ({(1, 0)} if way == "in time" else {(1, 0), (0, 1)})


@pytest.mark.parametrize(
    ("way", "kind"),
    [("in time", "sqlite"), ("late", "postgres"), ("late, in the foreground", "sqlite")],
)
@pytest.mark.timeout(240)
async def test_it_is_told_once_wherever_a_process_is_killed(
    request: pytest.FixtureRequest, way: str, kind: str
) -> None:
    db: Database = request.getfixturevalue(f"{kind}_db")
    told = await _killed_and_told(db, way, range(randrange(4), 1000, 4))
    assert told  # How many statements there are depends on what came together.


async def _killed_and_told(db: Database, way: str, places: Iterable[int]) -> list[tuple[int, int]]:
    """Have a process die after each of some of its statements; return how the end was told."""
    is_late, foreground = WAYS[way]
    await (await db.store()).ping()
    killed = partial(is_killed_after, db=db, is_late=is_late, foreground=foreground)
    told: list[tuple[int, int]] = []
    for statements in places:
        if not await asyncio.to_thread(killed, statements, run_id := f"run{statements}"):
            break
        told.append(await _told_after_all(db, run_id))
    return told


async def _told_after_all(db: Database, run_id: str) -> tuple[int, int]:
    """Have a killed process's runs go on here, and return how often the end was told."""
    store = await db.store()
    if await store.get(run_id) is None:
        return 0, 0  # It was not accepted.
    for each in (run_id, *(child.run_id for child in await children_of(store, run_id))):
        await expire(db, each)
    past = seconds_ago(store, 1)
    await execute(store, f"UPDATE {{webhooks}} SET due_at = {past} WHERE due_at IS NOT NULL")
    stopping, there = asyncio.Event(), same(db)
    company = Company(there)
    company.may_answer.set()
    serving = asyncio.create_task(
        serve([company.boss, company.researcher], grace=5.0, stopping=stopping)
    )
    await ended(company.boss, run_id, 30)
    child = await child_of(store, run_id)
    await delivered(store)
    told = await times_told(store, child)
    assert sum(told) == 1, (run_id, told)
    if told[1]:
        assert (await follower_of(company.boss, store, child)).content == f"{TOLD}29 m"
    stopping.set()
    await serving
    await there.aclose()
    return told
