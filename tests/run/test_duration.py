"""Spans of time, as people and web servers write them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.errors import ConfigurationError
from kern.run.duration import LONGEST_PAUSE, parse_duration, pause_of

# The three forms of a date that HTTP knows.
FORMS = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kathmandu"])
def _somewhere(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_somewhere")
@pytest.mark.parametrize("form", FORMS)
def test_a_date_of_http_is_read_in_each_of_its_forms(form: str) -> None:
    end = datetime.now(UTC) + timedelta(seconds=30)
    assert pause_of({"retry-after": end.strftime(form)}) == pytest.approx(30, abs=3)
    assert pause_of({"retry-after": (end - timedelta(60)).strftime(form)}) is None


@pytest.mark.parametrize("form", FORMS)
def test_the_clock_of_the_server_counts_where_it_shows_it(form: str) -> None:
    wrong = datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    headers = {
        "date": wrong.strftime(FORMS[0]),
        "retry-after": (wrong + timedelta(seconds=90)).strftime(form),
    }
    assert pause_of(headers) == 90
    assert pause_of(headers | {"date": "the ninth"}) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 7 ", 7),
        ("7.5", 7.5),
        ("86401", LONGEST_PAUSE),
        ("9" * 5000, LONGEST_PAUSE),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE),
        ("Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_PAUSE),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Sat, 01 Jan 0000 00:00:00 GMT", None),
        ("Wed, 32 Jan 2127 10:00:00 GMT", None),
        ("Sun, 06 Nov 2194 25:61:61 GMT", None),
        ("-7", None),
        ("+7", None),
        ("1e5", None),
        ("1_000", None),
        ("٣", None),
        ("nan", None),
        ("inf", None),
        ("5, 10", None),
        ("soon", None),
        ("", None),
    ],
)
def test_seconds_are_bounded_and_what_is_neither_is_nothing(
    text: str, seconds: float | None
) -> None:
    assert pause_of({"retry-after": text}) == seconds


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{1,6}.*"))
def test_no_text_of_a_server_raises(text: str) -> None:
    pause = pause_of({"retry-after": text, "date": text})
    assert pause is None or 0 <= pause <= LONGEST_PAUSE


@pytest.mark.parametrize(
    "text", ["30", "30 d", "30D", "1.5h", "-1h", "٣d", "1h30m", "P30D", "", "9" * 30 + "d"]
)
def test_a_span_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="such as 90s, 45m, 12h, 30d or 8w"):
        parse_duration("retention", text)
