"""Which moments a cron line names, above all where clocks are changed."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.errors import InvalidInputError
from kern.run.cron import Cron

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Asia/Kolkata"]

FIXED = st.builds(
    "{} {} {} * {}".format,
    st.sampled_from(["0", "30", "59", "0,30", "10-20/5"]),
    st.sampled_from(["0", "2", "1,2,3", "1-3", "23", "2-23/7"]),
    st.sampled_from(["*", "L", "*/2", "25-31"]),
    st.sampled_from(["*", "SUN", "0-6/2"]),
)
PASSING = st.builds(
    "{} {} * * {}".format,
    st.sampled_from(["*", "*/7", "*/30"]),
    st.sampled_from(["*", "*/2", "1-4"]),
    st.sampled_from(["*", "SUN", "MON-FRI"]),
)

# Around the nights in which the clocks of one of the zones are changed, and any other time.
NIGHTS = [
    datetime(2026, *day, 22, tzinfo=UTC)
    for day in [(3, 7), (3, 28), (4, 23), (6, 1), (10, 24), (10, 29), (10, 31)]
]
MOMENTS = st.builds(
    lambda night, seconds: night + timedelta(seconds=seconds),
    st.sampled_from(NIGHTS),
    st.floats(0, 12 * 3600),
)


def ticks(cron: Cron, begin: datetime, number: int) -> list[datetime]:
    found = [cron.after(begin)]
    while len(found) < number:
        found.append(cron.after(found[-1]))
    return found


def clocks(line: str, zone: str, begin: datetime, number: int) -> list[str]:
    """Return what the clocks of the zone show at the moments."""
    found = ticks(Cron(line, zone), begin, number)
    return [f"{tick.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for tick in found]


@given(FIXED | PASSING, st.sampled_from(ZONES), MOMENTS)
def test_moments_come_one_after_another(line: str, zone: str, begin: datetime) -> None:
    found = ticks(Cron(line, zone), begin, 30)
    assert found == sorted({*found})
    assert begin < found[0]
    assert {tick.second + tick.microsecond for tick in found} == {0}


@given(FIXED | PASSING, st.sampled_from(ZONES), MOMENTS, st.floats(0, 3 * 86400))
def test_backwards_are_the_same_moments(
    line: str, zone: str, begin: datetime, seconds: float
) -> None:
    cron, end = Cron(line, zone), begin + timedelta(seconds=seconds)
    back = [*takewhile(lambda tick: tick > begin, islice(cron.until(end), 5000))]
    forth: list[datetime] = []
    while (tick := cron.after(forth[-1] if forth else begin)) <= end:
        forth.append(tick)
    assert back[::-1] == forth


@given(st.integers(0, 59), st.integers(0, 23), st.sampled_from(ZONES), MOMENTS)
def test_a_fixed_time_comes_once_on_every_day(
    minute: int, hour: int, zone: str, begin: datetime
) -> None:
    found = ticks(Cron(f"{minute} {hour} * * *", zone), begin, 5)
    local = [tick.astimezone(ZoneInfo(zone)) for tick in found]
    days = [tick.date() for tick in local]
    assert days == [days[0] + timedelta(days=number) for number in range(5)]
    wrong = [tick for tick in local if (tick.hour, tick.minute) != (hour, minute)]
    assert len(wrong) <= 1
    for tick in wrong:  # The end of the hour that was left out: a minute ago it was another time.
        before = (tick.astimezone(UTC) - timedelta(minutes=1)).astimezone(tick.tzinfo)
        assert tick.utcoffset() != before.utcoffset()


@given(st.sampled_from(ZONES), MOMENTS)
def test_every_hour_is_every_hour(zone: str, begin: datetime) -> None:
    found = ticks(Cron("0 * * * *", zone), begin, 24)
    steps = {after - before for before, after in pairwise(found)}
    assert steps == {timedelta(hours=1)}


def test_a_time_that_is_left_out_comes_when_the_clocks_are_changed() -> None:
    begin = datetime(2026, 3, 28, 12, tzinfo=UTC)
    expected = ["29 03:00 +0200", "30 02:30 +0200"]
    assert clocks("30 2 * * *", "Europe/Berlin", begin, 2) == expected
    expected = ["29 03:00 +0200", "30 02:00 +0200", "30 02:30 +0200"]
    assert clocks("0,30 2 * * *", "Europe/Berlin", begin, 3) == expected


def test_a_time_that_comes_twice_counts_once() -> None:
    expected = ["25 02:30 +0200", "26 02:30 +0100"]
    begin = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert clocks("30 2 * * *", "Europe/Berlin", begin, 2) == expected
    # Between the two, shortly before the second one, and after it.
    for minute in (40, 70, 100):
        later = datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=minute)
        assert clocks("30 2 * * *", "Europe/Berlin", later, 1) == expected[1:]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("61 * * * *", "Bad minute"),
        ("* 24 * * *", "Bad hour"),
        ("* * * * FRI-MON", "Bad day-of-week"),
        ("* * * *", "does not have five fields"),
        ("* * * * * *", "does not have five fields"),
        ("@daily", "does not have five fields"),
        ("", "does not have five fields"),
        ("0 0 31 2 *", "Bad day-of-month"),
        ("0 0 31 4,6,9,11 *", "Bad day-of-month"),
        ("0 0 LW * */7", "no moment that ever comes"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused(line: str, what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        Cron(line, "UTC")


def test_the_error_shows_what_a_right_line_looks_like() -> None:
    with pytest.raises(InvalidInputError) as raised:
        Cron("every day", "UTC")
    assert "'30 9 * * MON-FRI'" in str(raised.value)
    Cron("30 9 * * MON-FRI", "UTC")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Berln", "Did you mean Europe/Berlin"),
        ("berlin", "Did you mean Europe/Berlin"),
        ("europe/BERLIN", "Did you mean Europe/Berlin"),
        ("Mars", "such as Europe/Berlin, or UTC"),
        ("America", "such as Europe/Berlin, or UTC"),
        ("", "such as Europe/Berlin, or UTC"),
        ("../UTC", "such as Europe/Berlin, or UTC"),
    ],
)
def test_a_time_zone_that_is_not_known_is_refused(name: str, hint: str) -> None:
    with pytest.raises(InvalidInputError, match=hint):
        Cron("* * * * *", name)
