"""Which runs a schedule starts, and for which moments."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kern.errors import InvalidInputError
from kern.run.codec import decode_object
from kern.run.input import RunInput
from kern.run.schedule import Schedule

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days")
)


def hourly(**changes: Any) -> Schedule:
    values: dict[str, Any] = {"cron": "0 * * * *", "now": NOON - SECOND}
    return Schedule.new("hourly", "agent", "Go", **values | changes)


def test_a_schedule_begins_after_now() -> None:
    assert hourly().next_at == NOON
    assert hourly(now=NOON).next_at == NOON + HOUR


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_a_moment_that_has_come_starts_one_run(missed: str) -> None:
    schedule = hourly(missed=missed)
    for late in (timedelta(), SECOND, MINUTE):
        assert schedule.due(NOON + late) == [NOON]


def test_what_was_missed_is_skipped() -> None:
    schedule = hourly(missed="skip")
    assert schedule.due(NOON + MINUTE + SECOND) == []
    assert schedule.due(NOON + 3 * HOUR) == [NOON + 3 * HOUR]
    assert schedule.due(NOON + 3.5 * HOUR) == []


def test_what_was_missed_is_made_up_for_once() -> None:
    schedule = hourly(missed="once")
    assert schedule.due(NOON + 3.5 * HOUR) == [NOON + 3 * HOUR]
    assert schedule.due(NOON + 400 * DAY) == [NOON + 400 * DAY]


def test_what_was_missed_is_made_up_for_in_order() -> None:
    schedule = hourly(missed="all")
    expected = [NOON + number * HOUR for number in range(4)]
    assert schedule.due(NOON + 3.5 * HOUR) == expected


def test_of_very_much_the_last_thousand_are_made_up_for() -> None:
    due = hourly(missed="all").due(NOON + 400 * DAY)
    assert (len(due), due[-1]) == (1000, NOON + 400 * DAY)
    assert due == sorted(due)


def test_what_was_missed_in_the_hour_that_comes_twice_is_not_forgotten() -> None:
    begin = datetime(2026, 10, 24, 12, tzinfo=UTC)
    schedule = Schedule.new(
        "night", "agent", "Go", now=begin, cron="0,30 2 * * *", timezone="Europe/Berlin"
    )
    # 2:10 for the second time.
    now = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    first = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    assert replace(schedule, missed="all").due(now) == [first, first + 30 * MINUTE]
    assert schedule.due(now) == [first + 30 * MINUTE]


def test_a_run_is_the_same_in_every_process() -> None:
    schedule = hourly(timezone="Europe/Berlin", metadata={"team": "red"}, user_id="ada")
    run = schedule.run(NOON)
    assert run == schedule.run(NOON.astimezone())
    assert run.run_id == run.session_id == "hourly@2026-06-01T12:00Z"
    assert (run.agent_id, run.user_id) == ("agent", "ada")
    assert run.input == RunInput.of("Go").to_json()
    assert decode_object(run.metadata) == {
        "team": "red",
        "schedule": "hourly",
        "scheduled_for": "2026-06-01T14:00:00+02:00",
    }
    assert run.parent_run_id is None
    assert hourly(session_id="chat").run(NOON).session_id == "chat"


def test_the_longest_name_makes_a_run_id_that_can_be_used() -> None:
    assert len(replace(hourly(), name="n" * 200).run(NOON).run_id) <= 255


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"timezone": "Europe/Berln"}, "Europe/Berlin"),
        ({"missed": "twice"}, "'skip', 'once' or 'all', not 'twice'"),
        ({"metadata": ["a"]}, "metadata must be a dict"),
        ({"metadata": {"a": object()}}, "metadata has no JSON form"),
        ({"session_id": ""}, "session_id"),
        ({"user_id": 7}, "user_id"),
    ],
)
def test_a_wrong_argument_is_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        hourly(**changes)


@pytest.mark.parametrize("name", ["", "a\nb", "n" * 201, None])
def test_a_wrong_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidInputError, match="name"):
        Schedule.new(name, "agent", "Go", now=NOON, cron="* * * * *")
