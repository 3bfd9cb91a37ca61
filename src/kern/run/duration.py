"""Spans of time, as people write them."""

import re
from datetime import timedelta

from kern.errors import ConfigurationError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORM = re.compile(rf"([0-9]{{1,9}})([{''.join(_UNITS)}])")
_LONGEST = timedelta(days=36500)


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
        if span <= _LONGEST:
            return span
    raise ConfigurationError(
        f"{name} must be a number and a unit, such as 90s, 45m, 12h, 30d or 8w, not {text!r:.50}."
    )
