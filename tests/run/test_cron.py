"""Which moments a cron line names, above all where clocks are changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
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
@settings(deadline=None)
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
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 0 0 1 *", "Bad day-of-month"),
        ("0 0 15W * *", "Bad day-of-month"),
        ("0 0 * 13 *", "Bad month"),
        ("0 0 * JANUARY *", "Bad month"),
        ("0 0 * * 8", "Bad day-of-week"),
        ("0 0 * * MON#6", "Bad day-of-week"),
        ("0 0 * * ?", r"'\?' is of another kind of cron: write '\*'"),
        ("@reboot", "does not have five fields"),
        ("@Daily", "Write '0 0 \\* \\* \\*' for it"),
        ("@hourly", "Write '0 \\* \\* \\* \\*' for it"),
        ("0 22-2 * * *", "'22-2' goes backwards: write 22-23,0-2"),
        ("50-10/5 * * * *", "goes backwards: write 50-59,0-10"),
        ("0 0 * NOV-FEB *", "goes backwards: write NOV-DEC,JAN-FEB"),
        ("0 0 * * fri-mon", "goes backwards: write FRI-SAT,SUN-MON"),
        ("0 0 * * SAT-SUN", "goes backwards: write SAT-SAT,SUN-SUN"),
        ("0 0 25-5 * *", "goes backwards: write 25-31,1-5"),
        ("*/90 * * * *", r"'\*/90' steps over all that there is"),
        ("0 */36 * * *", "steps over all that there is"),
        ("0 0 1/4000000000 * *", "steps over all that there is"),
        ("*/0 * * * *", "Bad minute"),
        ("-5 * * * *", "Bad minute"),
        ("1,,2 * * * *", "Bad minute"),
        ("٣ * * * *", "Bad minute"),
        ("9" * 5000 + " * * * *", "cannot be used"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused(line: str, what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        Cron(line, "UTC")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 0 29 2 *", ["2028-02-29", "2032-02-29"]),
        ("0 0 29 2 MON", ["2027-02-01", "2027-02-08"]),
        ("0 0 29 2 */1", ["2028-02-29", "2032-02-29"]),
        ("0 0 L 2 *", ["2027-02-28", "2028-02-29"]),
        ("0 0 LW * *", ["2026-03-31", "2026-04-30"]),
        ("0 0 13 * FRI", ["2026-03-06", "2026-03-13"]),
        ("0 0 * * 7", ["2026-03-01", "2026-03-08"]),
        ("0 0 * * 0", ["2026-03-01", "2026-03-08"]),
        ("0 0 * * 5-7", ["2026-03-01", "2026-03-06"]),
        ("0 0 * * sun,mon-tue", ["2026-03-01", "2026-03-02"]),
        ("0 0 * * MON#1", ["2026-03-02", "2026-04-06"]),
        ("0 0 * * 5L", ["2026-03-27", "2026-04-24"]),
        ("0 0 1 jan-mar/2 *", ["2026-03-01", "2027-01-01"]),
        ("0 0 10/10 * *", ["2026-03-10", "2026-03-20"]),
        ("*/60 */24 1 * *", ["2026-03-01", "2026-04-01"]),
    ],
)
def test_days_are_named_in_any_way(line: str, expected: list[str]) -> None:
    found = ticks(Cron(line, "UTC"), datetime(2026, 2, 28, 12, tzinfo=UTC), 2)
    assert [f"{tick:%Y-%m-%d}" for tick in found] == expected


def test_a_leap_day_is_missed_in_a_century_without_one() -> None:
    found = ticks(Cron("0 0 29 2 *", "UTC"), datetime(2096, 1, 1, tzinfo=UTC), 2)
    assert [tick.year for tick in found] == [2096, 2104]


# One night for each kind of change: by an hour, by half an hour, by two hours, at midnight, of
# the standard time, over a whole day, and where a zone is a quarter of an hour apart.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15)),
    ("Antarctica/Troll", datetime(2026, 3, 29, 1)),
    ("Antarctica/Troll", datetime(2026, 10, 25, 1)),
    ("Africa/Cairo", datetime(2026, 4, 23, 22)),
    ("Africa/Cairo", datetime(2026, 10, 29, 21)),
    ("America/Havana", datetime(2026, 3, 8, 5)),
    ("America/St_Johns", datetime(2006, 4, 2, 3, 31)),
    ("America/St_Johns", datetime(2006, 10, 29, 2, 31)),
    ("Asia/Pyongyang", datetime(2018, 5, 4, 15)),
    ("Asia/Kathmandu", datetime(1985, 12, 31, 18, 30)),
    ("America/Caracas", datetime(2007, 12, 9, 7)),
    ("America/Caracas", datetime(2016, 5, 1, 7)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10)),
    ("Pacific/Chatham", datetime(2026, 9, 26, 14)),
    ("Pacific/Kwajalein", datetime(1993, 8, 21, 12)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2)),
    ("Africa/Casablanca", datetime(2026, 3, 22, 2)),
]
MINUTES = ["0", "30", "15,45", "*", "*/10", "5-50/15", "59", "*/7"]
HOURS = ["0", "1", "2", "3", "*", "*/2", "1-3", "23", "22-23,0-2"]
LINES = st.tuples(st.sampled_from(MINUTES), st.sampled_from(HOURS))


def numbers(field: str, end: int) -> set[int]:
    """Return the numbers that a field of minutes or hours names."""
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = (f"0-{end - 1}" if span == "*" else span).partition("-")
        found |= {*range(int(first), int(last or first) + 1, int(step or 1))}
    return found


def as_debian(minute: str, hour: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    """Return the moments, found as Debian's cron finds them: by looking at the clock each minute.

    When the clock is put forward by up to three hours, jobs of fixed times that were left out are
    begun; when it is put back, they are not begun again before the clock shows new times.
    """
    minutes, hours = numbers(minute, 60), numbers(hour, 24)
    passes = minute[0] == "*" or hour[0] == "*"
    found, shown, step = [], None, timedelta(minutes=1)
    moment = begin - timedelta(hours=4)
    while moment <= end:
        clock = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        ahead = timedelta(0) if shown is None else clock - shown - step
        due = [clock]
        if not passes and shown is not None:
            skipped = ahead // step if timedelta(0) < ahead <= timedelta(hours=3) else 0
            due = [clock - number * step for number in range(skipped + 1)]
            due = [each for each in due if each > shown]
        if any(each.minute in minutes and each.hour in hours for each in due):
            found.append(moment)
        shown = clock if passes or shown is None else max(shown, clock)
        moment += step
    return [each for each in found if begin < each]


@given(LINES, st.sampled_from(CHANGES), st.integers(-800, 200))
@example(("*/10", "3"), ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30)), -120)
@example(("*/30", "2"), ("Australia/Lord_Howe", datetime(2026, 4, 4, 15)), -120)
@example(("*/30", "0"), ("Africa/Cairo", datetime(2026, 4, 23, 22)), -120)
@example(("30", "2"), ("Pacific/Apia", datetime(2011, 12, 30, 10)), -600)
@settings(deadline=None)
def test_every_change_of_clocks_is_met_as_debians_cron_does(
    line: tuple[str, str], change: tuple[str, datetime], minutes: int
) -> None:
    zone, moment = change
    begin = moment.replace(tzinfo=UTC) + timedelta(minutes=minutes)
    end = begin + timedelta(hours=15)
    cron = Cron(f"{line[0]} {line[1]} * * *", zone)
    expected = as_debian(*line, zone, begin, end)
    assert [*takewhile(lambda tick: tick <= end, _forth(cron, begin))] == expected
    back = [*takewhile(lambda tick: tick > begin, cron.until(end))]
    assert back[::-1] == expected


def _forth(cron: Cron, begin: datetime) -> Iterator[datetime]:
    while True:
        yield (begin := cron.after(begin))


def test_a_day_that_a_zone_has_left_out_is_not_made_up_for() -> None:
    begin = datetime(2011, 12, 29, 12, tzinfo=UTC)
    expected = ["29 09:00 -1000", "31 09:00 +1400", "01 09:00 +1400"]
    assert clocks("0 9 * * *", "Pacific/Apia", begin, 3) == expected
    assert clocks("0 9 30 12 *", "Pacific/Apia", begin, 1) == ["30 09:00 +1400"]  # Of 2012.


def test_a_machine_without_time_zones_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kern.run.cron.available_timezones", set)
    with pytest.raises(InvalidInputError, match="pip install tzdata"):
        Cron("0 0 * * *", "Europe/Nowhere")


def test_the_error_shows_what_a_right_line_looks_like() -> None:
    with pytest.raises(InvalidInputError) as raised:
        Cron("every day", "UTC")
    assert "'30 9 * * MON-FRI'" in str(raised.value)
    Cron("30 9 * * MON-FRI", "UTC")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Berln", "Did you mean Europe/Berlin"),
        ("localtime", "is not known"),
        ("posixrules", "is not known"),
        ("Factory", "is not known"),
        ("right/Europe/Berlin", "Did you mean Europe/Berlin"),
        ("berlin", "Did you mean Europe/Berlin"),
        ("europe/BERLIN", "Did you mean Europe/Berlin"),
        ("Mars", "such as Europe/Berlin, or UTC"),
        ("America", "such as Europe/Berlin, or UTC"),
        ("", "such as Europe/Berlin, or UTC"),
        ("../UTC", "such as Europe/Berlin, or UTC"),
        ("UTC+2", "such as Europe/Berlin, or UTC"),
        ("/etc/localtime", "such as Europe/Berlin, or UTC"),
        ("Europe/Berlin\0", "Did you mean Europe/Berlin"),
        ("Europe/Z\u00fcrich", "Did you mean Europe/Zurich"),
        ("\ud800" * 300, "such as Europe/Berlin, or UTC"),
    ],
)
def test_a_time_zone_that_is_not_known_is_refused(name: str, hint: str) -> None:
    with pytest.raises(InvalidInputError, match=hint):
        Cron("* * * * *", name)
