"""Spans of time, as people and web servers write them."""

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from kern.errors import ConfigurationError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORM = re.compile(rf"([0-9]{{1,9}})([{''.join(_UNITS)}])")
LONGEST = timedelta(days=36500)
"""The longest span that is taken, a hundred years: every database can count it back from now."""

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")
LONGEST_PAUSE = 86_400.0
"""The longest that another server's wish is met, in seconds: it may be in another unit."""


def format_duration(time: timedelta) -> str:
    """Return a span of time as people read it, such as ``4.2s``, ``3m 07s`` or ``9d``."""
    seconds = max(0.0, time.total_seconds())
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86400))
    if minutes < 60:
        return f"{minutes}m {int(seconds) % 60:02}s"
    return f"{hours}h {minutes % 60:02}m" if hours < 48 else f"{days}d"


def parse_duration(name: str, text: str) -> timedelta:
    """Return the span that a text such as ``30d`` names.

    Args:
        name: what it is for, for the error.
        text: a whole number and a unit: s, m, h, d or w.

    Raises:
        ConfigurationError: it is anything else, or longer than a hundred years.
    """
    found = _FORM.fullmatch(text)
    if found is not None:
        span = timedelta(**{_UNITS[found[2]]: int(found[1])})
        if span <= LONGEST:
            return span
    raise ConfigurationError(
        f"{name} must be a number and a unit, such as 90s, 45m, 12h, 30d or 8w, not {text!r:.50}."
    )


def parse_moment(name: str, text: str, now: datetime) -> datetime:
    """Return the moment that a text names.

    Args:
        name: what it is for, for the error.
        text: how long ago it was, such as ``30d``; or ISO 8601, here where it names no time zone.
        now: the present.

    Raises:
        ConfigurationError: it is anything else.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        pass
    try:
        return now - parse_duration(name, text)
    except ConfigurationError:
        raise ConfigurationError(
            f"{name} must be a number and a unit, such as 90s, 45m, 12h, 30d or 8w, or a moment "
            f"such as 2026-01-31T12:00, not {text!r:.50}."
        ) from None


def pause_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds for which an HTTP answer's ``Retry-After`` asks to be left alone, or None.

    Where it names a date, the pause begins at the answer's own ``Date``, if that can be read: so a
    clock that is wrong, here or there, changes nothing.

    Args:
        headers: of the answer, by names of any case or in lower case.

    Returns:
        The seconds, at most a day; None for a date that has passed, and for anything else.
    """
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), LONGEST_PAUSE)
    end = _http_date(text)
    if end is None:
        return None
    begin = _http_date(headers.get("date", "")) or datetime.now(UTC)
    return min((end - begin).total_seconds(), LONGEST_PAUSE) if end >= begin else None


def _http_date(text: str) -> datetime | None:
    """Return the moment that a date of HTTP names, in one of its three forms, or None."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
