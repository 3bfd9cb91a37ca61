"""The name of a test's parameter, the same in every process and no longer than a line."""

import re


def plain(value: object) -> str:
    """Return the repr of a parameter in ASCII, its middle left out, without addresses in memory."""
    text = re.sub(" at 0x[0-9a-f]+", "", ascii(value))
    return text if len(text) <= 100 else f"{text[:50]}...{text[-47:]}"
