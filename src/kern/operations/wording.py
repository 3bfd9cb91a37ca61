"""How runs are told in words: how old they are, how long they took, what they cost."""

import json
import re
from datetime import datetime, timedelta

from kern.run.base import RunStatus
from kern.run.duration import format_duration
from kern.run.message import Metrics
from kern.run.printable import printable
from kern.run.record import RunRecord

_WORDS = re.compile(r'"content":"((?:[^"\\]|\\u[0-9a-f]{4}|\\[^u])*)')


def age(record: RunRecord, now: datetime) -> str:
    """Return about how long ago a run was accepted."""
    return about(now - record.created_at)


def took(record: RunRecord, now: datetime) -> str:
    """Return how long a run has executed, since its first attempt began."""
    if record.started_at is None:
        return ""
    ended = record.finished_at
    if ended is None and record.status is not RunStatus.running:
        return ""
    return format_duration((ended or now) - record.started_at)


def about(time: timedelta) -> str:
    """Return a span of time in one unit."""
    seconds = max(0, int(time.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def seconds(length: float | None) -> str:
    """Return a length of time, also one of less than a tenth of a second."""
    if length is None:
        return ""
    return f"{length:.2g}s" if length < 1 else format_duration(timedelta(seconds=length))


def dollars(cost: float) -> str:
    """Return an amount of US dollars, with more digits the smaller it is."""
    if not cost:
        return "$0"
    return f"${cost:,.{2 if cost >= 100 else 4 if cost >= 0.01 else 6}f}"


def lasted(time: timedelta) -> str:
    """Return a span of time as people read it, also one of less than a second."""
    seconds = time.total_seconds()
    return f"{max(0, seconds) * 1000:.0f}ms" if seconds < 1 else format_duration(time)


def used_text(metrics: Metrics) -> str:
    """Return what a model call has used, and how soon its answer began."""
    used = f"{metrics.input_tokens} + {metrics.output_tokens} tokens"
    if metrics.cost:
        used += f", {dollars(metrics.cost)}"
    if metrics.time_to_first_token is not None:
        first = lasted(timedelta(seconds=metrics.time_to_first_token))
        used += f", first token after {first}"
    return used


def cost_text(metrics: Metrics) -> str:
    """Return what a run cost, and of how many model calls that is not known."""
    known = "" if metrics.cost is None else dollars(metrics.cost)
    if not metrics.unpriced_calls:
        return known
    calls = "model call" if metrics.unpriced_calls == 1 else "model calls"
    return f"{known and f'{known} and '}unknown for {metrics.unpriced_calls} {calls}"


def first_words(record: RunRecord) -> str:
    """Return how the input of a listed run begins: of its JSON text there is a part only."""
    return words_in(record.beginning or "")


def words_in(beginning: str) -> str:
    """Return how an input begins of whose JSON text there is a part only."""
    found = _WORDS.search(beginning)
    try:
        return printable(json.loads(f'"{found[1]}"')) if found else ""
    except ValueError:
        return ""
