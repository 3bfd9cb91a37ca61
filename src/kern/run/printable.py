"""Texts that models, tools and users have written, made fit for a terminal or a page."""

import re


def printable(text: str) -> str:
    """Return ``text`` without what would command the terminal, or cannot be encoded for it."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))


def visible(text: str) -> str:
    """Return ``text`` as a page shows it: what would turn the direction of writing is named."""
    return _TURNING.sub(lambda found: f"[U+{ord(found[0]):04X}]", printable(text))


def escaped(text: str) -> str:
    """Return JSON text in which nothing is hidden from who edits it: it says the same."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str, most: int) -> str:
    """Return the beginning of ``text`` in one line of at most ``most`` characters."""
    beginning = text[: 8 * most]  # The rest may be megabytes.
    line = _TURNING.sub("", printable(" ".join(beginning.split())))
    return line if len(line) <= most and beginning == text else line[: most - 1] + "…"


def in_log(text: str) -> str:
    """Return ``text`` as a line of the log shows it."""
    return one_line(text, 2000)


def call_line(name: str, arguments: str) -> str:
    """Return a tool call in one line, its arguments cut short."""
    return f"{one_line(name, 60)}({one_line(arguments, 60)})"


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# They turn the direction of writing, for the rest of the line, too.
_TURNING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")

# In JSON text both can be in strings only, but for the end of a line.
_HIDDEN = re.compile(rf"(?!\r)(?:{_UNPRINTABLE.pattern}|{_TURNING.pattern})")
