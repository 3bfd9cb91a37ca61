"""What is told of what happened over the last hours or weeks."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from stores import execute

from kern.agent import Agent
from kern.db.database import Database
from kern.db.figures import BOUNDS, POINTS, Tally
from kern.db.sqlite import SqliteDb
from kern.operations.figures import (
    SPANS,
    Course,
    added_up,
    as_json,
    course_of,
    mean,
    percentile,
)
from kern.testing import FunctionModel

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def counts(**within: int) -> tuple[int, ...]:
    """Return how many there are within bounds, such as ``_5=2``."""
    known = {float(bound.strip("_").replace("_", ".")): n for bound, n in within.items()}
    return tuple(known.get(bound, 0) for bound in (*BOUNDS, 1e9))


def tally(minute: int, **values: object) -> Tally:
    return Tally(NOON + timedelta(minutes=minute), 60, **values)  # type: ignore[arg-type] # of a test


@pytest.mark.parametrize("span", SPANS)
def test_the_steps_of_a_time_are_few_enough_and_make_up_those_of_its_table(span: str) -> None:
    length, step, row = SPANS[span]
    assert length // step <= POINTS
    assert length // row <= 30
    assert not row % step
    assert not length % row


def test_a_percentile_lies_between_the_bounds_within_which_it_was_counted() -> None:
    some = counts(_1=50, _2=50)
    assert percentile(some, 0.5) == 1.0
    assert percentile(some, 0.75) == 1.5
    assert percentile(some, 1.0) == 2.0
    assert percentile(counts(_0_01=4), 0.5) == 0.005
    assert percentile(counts(_1=1, _1000000000=9), 0.95) == BOUNDS[-1]
    assert percentile(counts(), 0.5) is None


def test_steps_are_added_up_and_means_are_those_of_the_samples() -> None:
    first = tally(0, samples=1, due=4, submitted=2, cost=0.5, waits=counts(_1=1))
    last = tally(1, samples=1, submitted=3, cost=0.25, waits=counts(_1=2, _5=1))
    whole = added_up([first, last])
    assert (whole.begins_at, whole.seconds, whole.submitted, whole.cost) == (NOON, 120, 5, 0.75)
    assert whole.waits == counts(_1=3, _5=1)
    assert (mean(whole, "due"), mean(whole, "executing")) == (2.0, 0.0)
    assert mean(tally(0), "due") is None
    assert added_up([]).seconds == 0


def test_a_table_has_longer_steps_than_a_plot() -> None:
    course = Course("1h", [tally(minute, submitted=minute) for minute in range(3, 12)])
    assert [(each.begins_at - NOON, each.seconds, each.submitted) for each in course.rows] == [
        (timedelta(0), 120, 7),
        (timedelta(minutes=5), 300, 35),
        (timedelta(minutes=10), 120, 21),
    ]


def test_as_json_it_says_means_and_percentiles() -> None:
    step = tally(0, samples=2, due=3, completed=1, cost=0.5, durations=counts(_2=2))
    found = as_json(Course("1h", [step]))
    assert (found["span"], found["step"]) == ("1h", 60.0)
    assert found["whole"] == {
        "begins_at": "2026-06-01T12:00:00+00:00",
        "seconds": 60,
        **{"executing": 0.0, "due": 1.5, "waiting": 0.0},
        **{"submitted": 0, "completed": 1, "failed": 0, "cancelled": 0},
        **{"input_tokens": 0, "output_tokens": 0, "cost": 0.5},
        **{"wait_p50": None, "wait_p95": None, "duration_p50": 1.5, "duration_p95": 1.95},
    }
    assert as_json(Course("1h", []))["whole"] is None


async def test_what_was_never_counted_has_no_steps(db: Database) -> None:
    store = await db.store()
    for span in SPANS:
        assert (await course_of(store, span)).steps == []


async def test_a_process_that_executes_counts(
    sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    agent = Agent("Counted", FunctionModel(lambda _: "Hello."), db=sqlite_db)
    store = await sqlite_db.store()
    run = await agent.arun("Hello?", background=True)
    assert await agent.await_run(run.run_id, timeout=30) is not None
    long_ago = ", ".join(
        f"{each} = {each} - 200" for each in ("created_at", "started_at", "finished_at")
    )
    await execute(store, f"UPDATE {{runs}} SET {long_ago}")
    await execute(store, "UPDATE {tick} SET counted_until = 0")
    async with asyncio.timeout(30):
        while not (course := await course_of(store, "1h")).steps:  # noqa: ASYNC110 # nobody says so
            await asyncio.sleep(0.05)
    assert (course.whole.submitted, course.whole.completed) == (1, 1)
