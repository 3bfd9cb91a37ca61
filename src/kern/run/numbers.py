"""Numbers that users give: seconds, how many, and how large."""

import math
import os
import re

from kern.errors import ConfigurationError, InvalidInputError, KernError

LARGEST = 2**31 - 1
"""The largest number that is taken: PostgreSQL's integer."""

_SIZE = re.compile(r"(\d{1,12})\s*(|k|m|g)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def check_seconds(
    name: str,
    value: object,
    error: type[KernError] = InvalidInputError,
    *,
    from_zero: bool = False,
) -> float:
    """Return a length of time.

    Args:
        name: what it is for, for the error.
        value: what should be a number of seconds.
        error: what is raised.
        from_zero: whether it may be 0.

    Raises:
        KernError: it is no number of seconds above 0, or has no end.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value < math.inf or (value == 0 and from_zero))
    ):
        least = "from 0 on" if from_zero else "above 0"
        raise error(f"{name} must be a number of seconds {least}, not {value!r:.50}.")
    return float(value)


def check_wait(value: object) -> float | None:
    """Return how long a caller waits; None for any time.

    Raises:
        InvalidInputError: it is no number of seconds from 0 on.
    """
    return None if value is None else check_seconds("timeout", value, from_zero=True)


def check_count(
    name: str, value: object, error: type[KernError] = InvalidInputError, *, least: int = 1
) -> int:
    """Return a number of things.

    Args:
        name: what is counted, for the error.
        value: what should be a whole number.
        error: what is raised.
        least: the least that it may be.

    Raises:
        KernError: it is no whole number, or too small or large.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        raise error(f"{name} must be a whole number from {least} on, not {value!r:.50}.")
    return value


def size_in(variable: str, default: str) -> int:
    """Return the number of bytes that a variable of the environment says, such as ``20MB``.

    Args:
        variable: its name.
        default: what it says where it is not set.

    Raises:
        ConfigurationError: it is no size.
    """
    value = os.environ.get(variable) or default
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ConfigurationError(f"{variable} must be a size such as 20MB, not {value!r:.50}.")
    return int(found[1]) * _UNITS[found[2].lower()]
