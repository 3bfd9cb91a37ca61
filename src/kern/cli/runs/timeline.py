"""What happened in a run, for people and for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from kern.dispatch.streams import event_in
from kern.errors import JournalError
from kern.run.agent import ENDINGS, RunEvent, RunOutputEvent
from kern.run.message import Metrics
from kern.run.printable import one_line
from kern.run.record import JournalRow, RunRecord
from kern.run.tool import ToolCall

_FAILED = (RunEvent.run_error, RunEvent.tool_call_error, RunEvent.run_cancelled)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened in a run.

    Attributes:
        seq: its number.
        kind: what kind of event it is.
        at: when, in seconds since 1970.
        detail: what there is to say about it, in one line.
        failed: whether something went wrong.
        payload: what the journal holds of it; a text where that cannot be read.
    """

    seq: int
    kind: str
    at: float
    detail: str = ""
    failed: bool = False
    payload: object = None


def timeline(record: RunRecord, rows: Sequence[JournalRow]) -> Iterator[Moment]:
    """Yield what happened in a run, and its end.

    Args:
        record: the run.
        rows: its journal.
    """
    calls: list[ToolCall] = []
    for row in rows:
        try:
            event, calls = event_in(record, row, calls)
            payload = json.loads(row.payload)
            detail = _with_tokens(event, describe(event) or _asked(event, calls), payload)
            failed = event.event in _FAILED
        except (JournalError, LookupError, ValueError, TypeError) as error:
            payload, detail, failed = row.payload, one_line(f"cannot be read: {error}", 200), True
        yield Moment(row.seq, row.type, row.created_at, detail, failed, payload)
    if (ending := ENDINGS.get(record.status)) is not None:
        at = (record.finished_at or record.created_at).timestamp()
        seq = rows[-1].seq + 1 if rows else 1
        yield Moment(seq, ending.value, at, failed=ending in _FAILED)


def describe(event: RunOutputEvent) -> str:
    """Return what there is to say about an event, in one line."""
    if event.tool is None:
        return one_line(event.content or "", 160)
    called = _call(event.tool.tool_name, event.tool.tool_args)
    return called if event.content is None else f"{called} → {one_line(event.content, 100)}"


def _asked(event: RunOutputEvent, calls: Sequence[ToolCall]) -> str:
    if event.event is not RunEvent.model_request_completed:
        return ""
    return "asks for " + ", ".join(_call(each.name, each.arguments) for each in calls[:3])


def _call(name: str, arguments: str) -> str:
    return f"{one_line(name, 60)}({one_line(arguments, 60)})"


def _with_tokens(event: RunOutputEvent, detail: str, payload: dict[str, object]) -> str:
    if event.event is not RunEvent.model_request_completed:
        return detail
    metrics = Metrics.from_dict(cast(dict[str, object], payload["metrics"]))
    return f"{metrics.input_tokens} + {metrics.output_tokens} tokens: {detail}"
