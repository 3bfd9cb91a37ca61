"""The contract of the port: what happened in each minute and hour."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stores import LEASE, execute, new_run, same

from kern.db.base import Store
from kern.db.database import Database
from kern.db.figures import BOUNDS, GRACE, HOUR, KEPT, MINUTE, POINTS, Tally
from kern.db.postgres import PostgresDb
from kern.db.postgres.figures import _count
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite import SqliteDb

MINUTES = timedelta(minutes=1)

USED = """'{{"input_tokens":100,"output_tokens":20,"cost":0.5}}'"""


def at(store: Store, moment: datetime) -> str:
    """Return the expression of a moment."""
    if isinstance(store, PostgresStore):
        return f"'{moment.isoformat()}'::timestamptz"
    return str(moment.timestamp())


async def past_minute(store: Store, minutes: int = 3) -> datetime:
    """Return when a minute began that has passed, and have nothing counted yet."""
    epoch = "'epoch'" if isinstance(store, PostgresStore) else "0"
    await execute(store, f"UPDATE {{tick}} SET counted_until = {epoch}")
    now = await store.overview.now()
    return now.replace(second=0, microsecond=0) - timedelta(minutes=minutes)


async def minutes_over(store: Store) -> int:
    """Return how many minutes have been over for long enough; another may be while a test runs."""
    return int((await store.overview.now()).timestamp() - GRACE) // 60


async def add(
    store: Store,
    run_id: str,
    created: datetime,
    *,
    wait: float | None = 0.0,
    duration: float | None = None,
    status: str = "COMPLETED",
    agent_id: str = "agent",
) -> None:
    """Put a run into the table."""
    started = None if wait is None else created + timedelta(seconds=wait)
    finished = None if duration is None else (started or created) + timedelta(seconds=duration)
    moments = [at(store, each) if each else "NULL" for each in (created, started, finished)]
    await execute(
        store,
        "INSERT INTO {runs} (run_id, session_id, agent_id, status, usage, created_at, started_at, "
        f"finished_at) VALUES ('{run_id}', 's', '{agent_id}', '{status}', {USED}, "
        f"{', '.join(moments)})",
    )


async def count_all(store: Store) -> int:
    counted = 0
    while found := await store.figures.count():
        counted += found
    return counted


async def minutes_of(store: Store, since: datetime, *agents: str) -> list[Tally]:
    until = since + timedelta(minutes=30)
    return await store.figures.between(since, until, MINUTES, agents or None)


def within(counts: tuple[int, ...]) -> dict[float, int]:
    """Return how many there are within each bound, without those of which there are none."""
    return {bound: n for bound, n in zip((*BOUNDS, 1e9), counts, strict=True) if n}


async def test_a_minute_is_counted_by_agent_once_it_has_passed(store: Store) -> None:
    minute = await past_minute(store)
    await add(store, "before", minute - timedelta(seconds=30), wait=0.3, duration=40)
    await add(store, "within", minute, wait=0.0, duration=7)
    await add(store, "failed", minute, wait=3.0, duration=7, status="ERROR")
    await add(store, "late", minute, wait=20_000, status="RUNNING")
    await add(store, "other", minute, wait=None, duration=1, status="CANCELLED", agent_id="b")
    assert await count_all(store) > 0

    [first, *_] = await minutes_of(store, minute)
    assert (first.begins_at, first.seconds) == (minute, 60)
    assert (first.submitted, first.completed, first.failed, first.cancelled) == (4, 2, 1, 1)
    assert (first.input_tokens, first.output_tokens, first.cost) == (400, 80, 2.0)
    assert within(first.waits) == {0.01: 1, 0.5: 1, 5.0: 1}
    assert within(first.durations) == {10.0: 2, 50.0: 1}
    [of_b, *_] = await minutes_of(store, minute, "b")
    assert (of_b.submitted, of_b.completed, of_b.cancelled, of_b.cost) == (1, 0, 1, 0.5)
    [before] = await store.figures.between(minute - MINUTES, minute, MINUTES)
    assert (before.submitted, before.completed) == (1, 0)


async def test_who_counts_twice_or_at_once_changes_nothing(shared_db: Database) -> None:
    store, other = await shared_db.store(), await same(shared_db).store()
    minute, over = await past_minute(store), await minutes_over(store)
    await add(store, "run", minute, duration=7)
    await asyncio.gather(*(each.figures.count() for each in (store, other) * 4))
    once = await minutes_of(store, minute)
    assert (once[0].submitted, once[0].completed) == (1, 1)
    assert await other.figures.count() <= await minutes_over(store) - over
    assert (await minutes_of(other, minute))[: len(once)] == once


async def test_a_minute_that_may_not_be_over_for_all_is_not_counted(store: Store) -> None:
    minute = await past_minute(store, 0)
    await add(store, "old", minute - 4 * MINUTES)
    await add(store, "run", minute)
    await count_all(store)
    since = minute - timedelta(minutes=5)
    found = await store.figures.between(since, minute + MINUTES, MINUTES)
    now = await store.overview.now()
    assert now - (found[-1].begins_at + MINUTES) >= timedelta(seconds=GRACE)
    assert sum(each.submitted for each in found) == 1


async def test_a_minute_is_counted_half_a_minute_after_its_end(sqlite_db: SqliteDb) -> None:
    store, began = await sqlite_db.store(), datetime(2026, 6, 1, 12, tzinfo=UTC)
    await add(store, "run", began)
    for after, submitted in ((GRACE - 1, 0), (GRACE, 1)):
        sqlite_db._file.clock = (began + timedelta(seconds=60 + after)).timestamp
        await count_all(store)
        found = await store.figures.between(began - 5 * MINUTES, began + MINUTES, MINUTES)
        assert sum(each.submitted for each in found) == submitted


async def test_minutes_without_anything_are_left_out_and_told_as_such(store: Store) -> None:
    minute, over = await past_minute(store, 12), await minutes_over(store)
    await add(store, "old", minute - timedelta(hours=5), duration=7)
    await add(store, "run", minute, duration=7)
    others = await count_all(store) - 3  # Those of the two runs, and the last one.
    assert 0 <= others <= await minutes_over(store) - over
    found = await minutes_of(store, minute)
    assert [each.submitted for each in found][:3] == [1, 0, 0]
    assert [each.begins_at for each in found[:2]] == [minute, minute + MINUTES]
    assert len(found) in (11, 12, 13), "up to the last minute that was counted"


async def test_what_nobody_has_counted_for_a_day_stays_uncounted(store: Store) -> None:
    minute = await past_minute(store)
    old = minute - timedelta(days=2)
    await add(store, "old", old, duration=7)
    await count_all(store)
    found = await store.figures.between(old, minute, timedelta(hours=1))
    assert sum(each.submitted for each in found) == 0


async def test_a_sweep_counts_a_few_minutes_at_most(store: Store) -> None:
    minute = await past_minute(store, 30)
    for number in range(25):
        await add(store, f"{number}", minute + number * MINUTES, duration=1)
    assert await store.figures.count() == 10
    found = await minutes_of(store, minute)
    assert [each.submitted for each in found] == [1] * 10


async def test_hours_are_the_sums_of_their_minutes(store: Store) -> None:
    minute = await past_minute(store, 200)
    hour = minute.replace(minute=0)
    for number in range(4):
        moment = hour + timedelta(minutes=7 * number)
        await add(store, f"{number}", moment, wait=number, duration=3)
    await count_all(store)
    [found, *_] = await store.figures.between(hour, hour + timedelta(hours=9), timedelta(hours=1))
    assert (found.begins_at, found.seconds) == (hour, HOUR)
    assert (found.submitted, found.completed, found.input_tokens) == (4, 4, 400)
    assert sum(found.waits) == sum(found.durations) == 4
    half = await store.figures.between(hour, hour + timedelta(hours=1), timedelta(minutes=30))
    assert [each.completed for each in half] == [4, 0]
    assert tuple(map(sum, zip(*(each.waits for each in half), strict=True))) == found.waits


async def test_it_is_sampled_how_many_runs_there_are(store: Store) -> None:
    await past_minute(store)
    await store.submit(new_run("executing", lease=LEASE, executor="here"))
    await store.submit(new_run("due", session_id="b"))
    await store.submit(new_run("ordered", ordered=True))
    await store.submit(new_run("waiting", ordered=True))
    await store.submit(new_run("other", session_id="c", agent_id="b"))
    now = await store.overview.now()
    await store.figures.count()
    # A sample is told once its minute has passed, too.
    later = at(store, now + timedelta(minutes=2))
    await execute(store, f"UPDATE {{tick}} SET counted_until = {later}")
    [found] = [
        each
        for each in await store.figures.between(now - 3 * MINUTES, now + MINUTES, MINUTES)
        if each.samples
    ]
    assert (found.samples, found.executing, found.due, found.waiting) == (1, 1, 3, 1)
    [of_b] = [each for each in await minutes_of(store, now - MINUTES, "b") if each.samples]
    assert (of_b.executing, of_b.due, of_b.waiting) == (0, 1, 0)


async def test_where_nobody_counted_there_is_nothing_to_tell(store: Store) -> None:
    now = await store.overview.now()
    assert await store.figures.between(now - timedelta(hours=1), now, MINUTES) == []


async def test_old_figures_are_deleted(store: Store) -> None:
    now = await past_minute(store, 0)
    for span, kept in KEPT.items():
        for age in (kept - timedelta(hours=2), kept + timedelta(hours=2)):
            await execute(
                store,
                "INSERT INTO {figures} (span, begins_at, agent_id) "
                f"VALUES ({span}, {at(store, now - age)}, '{age}')",
            )
    await store.retention.clean()
    left = await execute(store, "SELECT span, agent_id FROM {figures} ORDER BY span")
    assert [row["span"] for row in left] == [MINUTE, HOUR]
    assert {row["agent_id"] for row in left} == {
        str(kept - timedelta(hours=2)) for kept in KEPT.values()
    }


@pytest.mark.parametrize(
    ("step", "hours", "reason"),
    [
        (timedelta(0), 1, "whole minutes"),
        (timedelta(seconds=90), 1, "whole minutes"),
        (timedelta(minutes=1, microseconds=1), 1, "whole minutes"),
        (timedelta(minutes=1), 24, f"more than {POINTS}"),
    ],
)
async def test_steps_that_cannot_be_are_refused(
    store: Store, step: timedelta, hours: int, reason: str
) -> None:
    now = datetime.now(UTC)
    with pytest.raises(ValueError, match=reason):
        await store.figures.between(now - timedelta(hours=hours), now, step)


async def test_an_erased_run_is_counted_without_what_it_used(store: Store) -> None:
    minute = await past_minute(store)
    await add(store, "run", minute, duration=7)
    assert await store.erasing.hide("run")
    await store.erasing.erase(["run"])
    await count_all(store)
    [found, *_] = await minutes_of(store, minute)
    assert (found.submitted, found.completed, found.input_tokens, found.cost) == (1, 1, 0, 0.0)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of a plan."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


async def test_in_postgresql_a_minute_among_many_is_found_by_indexes(
    postgres_db: PostgresDb,
) -> None:
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    await store.pool.execute(f"""
INSERT INTO {store.names.runs} (run_id, session_id, agent_id, status, created_at, started_at,
    finished_at)
SELECT n::text, n::text, 'agent', 'COMPLETED', at, at, at + interval '5 s' FROM (
    SELECT n, now() - make_interval(secs => n * 5) AS at FROM generate_series(1, 20000) AS n) AS run
""")
    await store.pool.execute(f"VACUUM ANALYZE {store.names.runs}")
    await past_minute(store)
    statement = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {_count(store.names)}"
    [plan] = json.loads(await store.pool.fetchval(statement))
    # What an expression does that changes something is in none but its own figures.
    pages = max(
        node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in nodes(plan["Plan"])
    )
    assert 10 < pages < 150, plan
