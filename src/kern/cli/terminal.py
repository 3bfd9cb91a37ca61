"""What the commands share that show runs to people."""

import json
import re
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.text import Text

from kern.run.base import RunStatus
from kern.run.printable import one_line, printable
from kern.run.record import RunRecord

STYLES = {
    RunStatus.pending: "yellow",
    RunStatus.running: "cyan",
    RunStatus.paused: "bold yellow",
    RunStatus.completed: "green",
    RunStatus.error: "bold red",
    RunStatus.cancelled: "magenta",
}

# What is not a terminal has room for lines of any length.
_WIDE = 10_000

_WORDS = re.compile(r'"content":"((?:[^"\\]|\\u[0-9a-f]{4}|\\[^u])*)')


def console() -> Console:
    """Return where to print."""
    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=_WIDE)


def cell(text: str | None, style: str = "", most: int = 300) -> Text:
    """Return a text from the database in one line, which neither marks up nor commands."""
    return Text(one_line(text or "", most), style)


def status_of(record: RunRecord) -> Text:
    """Return where a run is, in its colour."""
    shown = Text(record.status.value, STYLES[record.status])
    if record.status is RunStatus.pending and record.waiting:
        shown.append(" waiting", "dim")
    elif record.status is RunStatus.pending and record.run_at and record.run_at > _now():
        shown.append(f" in {_about(record.run_at - _now())}", "dim")
    return shown


def age(record: RunRecord) -> str:
    """Return about how long ago a run was accepted."""
    return _about(_now() - record.created_at)


def took(record: RunRecord) -> str:
    """Return how long a run has executed, since its first attempt began."""
    if record.started_at is None:
        return ""
    ended = record.finished_at
    if ended is None and record.status is not RunStatus.running:
        return ""
    return span((ended or _now()) - record.started_at)


def span(time: timedelta) -> str:
    """Return a span of time."""
    seconds = max(0.0, time.total_seconds())
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86400))
    if minutes < 60:
        return f"{minutes}m {int(seconds) % 60:02}s"
    return f"{hours}h {minutes % 60:02}m" if hours < 48 else f"{days}d"


def _about(time: timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def first_words(record: RunRecord) -> str:
    """Return how the input of a listed run begins: of its JSON text there is a part only."""
    found = _WORDS.search(record.beginning or "")
    try:
        return printable(json.loads(f'"{found[1]}"')) if found else ""
    except ValueError:
        return ""


def _now() -> datetime:
    return datetime.now(UTC)
