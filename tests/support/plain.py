"""The name of a test's parameter, the same in every process."""

import re


def plain(value: object) -> str:
    """Return the repr of a parameter, without addresses in memory."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))
