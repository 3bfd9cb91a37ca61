"""What happened in a run, for people and for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kern.dispatch.explanation import describe_requirement
from kern.errors import JournalError
from kern.operations.asides import answer_for_people
from kern.operations.wording import used_text
from kern.reasoning.step import ReasoningSteps
from kern.run.beside_steps import Beside
from kern.run.codec import shown
from kern.run.content import text_of
from kern.run.entry import Entry, read_row
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.fold import RunState, apply_entry
from kern.run.happened import FIRST_EVENT, Happened, ending
from kern.run.printable import call_line, one_line
from kern.run.record import JournalRow, RunRecord
from kern.run.steps import (
    AnswerRefused,
    AttemptBegun,
    Continued,
    HookEnded,
    ModelAnswered,
    SecondaryAnswered,
)
from kern.run.tool_steps import SleepBegun, StepEnded

_FAILED = (RunEvent.run_error, RunEvent.tool_call_error, RunEvent.run_cancelled)

# What tells what a model's answer has used.
_ANSWERED = (
    RunEvent.model_request_completed,
    RunEvent.output_model_response_completed,
    RunEvent.parser_model_response_completed,
    RunEvent.followups_completed,
    RunEvent.reasoning_completed,
    RunEvent.compression_completed,
    RunEvent.compaction_completed,
    RunEvent.session_summary_completed,
    RunEvent.memory_update_completed,
)

_HOOK_ENDED = (RunEvent.pre_hook_completed, RunEvent.post_hook_completed)

# What a row tells beside what it is about.
_TOLD_ELSEWHERE = (
    RunEvent.model_request_started,
    RunEvent.run_content,
    RunEvent.run_content_voided,
    RunEvent.tool_call_started,
    RunEvent.reasoning_started,
    RunEvent.reasoning_content_delta,
    RunEvent.reasoning_step,
    RunEvent.compression_started,
    RunEvent.compaction_started,
)


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
    state = RunState()
    begun = bool(rows) or record.executor is not None
    if begun:
        started_at = (record.started_at or record.created_at).timestamp()
        if rows:  # A later attempt starts after what the first has done.
            started_at = min(started_at, rows[0].created_at)
        yield Moment(FIRST_EVENT, RunEvent.run_started.value, started_at)
    for row in rows:
        try:
            entry = read_row(row)
            happened = apply_entry(state, entry, row)
        except JournalError as error:
            detail = one_line(f"cannot be read: {error}", 200)
            yield Moment(row.event, row.type, row.created_at, detail, True, row.payload)
            continue
        for each in happened:
            yield _moment(each, entry, json.loads(row.payload))
        if isinstance(entry.step, StepEnded | SleepBegun):
            yield _inside(entry.step, entry, json.loads(row.payload))
    at = (record.finished_at or record.created_at).timestamp()
    seq = state.next_event if begun else FIRST_EVENT
    for each in ending(seq, record.status, None, None):
        if each.event is not RunEvent.run_content_completed:
            yield Moment(each.seq, each.event.value, at, failed=each.event in _FAILED)


def _moment(happened: Happened, entry: Entry, payload: object) -> Moment:
    """Return an event; the last one that a row tells has its payload."""
    kind = happened.event
    detail = describe(happened)
    step = entry.step
    if kind is RunEvent.model_request_completed and isinstance(step, ModelAnswered):
        detail = detail or "asks for " + ", ".join(
            call_line(each.name, each.arguments) for each in step.message.tool_calls[:3]
        )
    elif isinstance(step, AnswerRefused):
        detail = one_line(f"does not fit: {step.reason}", 160)
    elif isinstance(step, HookEnded):
        detail = step.name
        payload = payload if kind in _HOOK_ENDED else None
    elif kind is RunEvent.custom_event:
        detail = one_line(f"{happened.more['kind']} {shown(happened.more['values'])}", 160)
    elif isinstance(step, SecondaryAnswered) and kind in _ANSWERED:
        detail = one_line(answer_for_people(step), 160)
    elif isinstance(step, AttemptBegun) and kind is RunEvent.run_resumed:
        detail = f"attempt {step.attempt}"
    elif isinstance(step, Continued) and step.by:
        detail = one_line(f"by {step.by}", 160)
    elif step is not None and kind in _TOLD_ELSEWHERE:
        payload = None
    if isinstance(step, Beside):
        detail = _beside(happened)
    if isinstance(step, ModelAnswered | SecondaryAnswered | Beside) and kind in _ANSWERED:
        used = step.metrics
        detail = f"{used_text(used)}: {detail}"
    failed = kind in _FAILED
    return Moment(happened.seq, kind.value, entry.created_at, detail, failed, payload)


def _beside(happened: Happened) -> str:
    """Return what was thought, or how much smaller a context was made."""
    more = happened.more
    match happened.event:
        case RunEvent.reasoning_step | RunEvent.reasoning_content_delta:
            return one_line(str(more["reasoning_content"]), 160)
        case RunEvent.compression_completed:
            return f"{more['original_size']} characters of results in {more['compressed_size']}"
        case RunEvent.compaction_completed:
            return f"{more['messages_compacted']} messages, summed up"
        case RunEvent.reasoning_completed if isinstance(happened.content, ReasoningSteps):
            return f"thought in {len(happened.content.steps)} steps"
    return ""


def _inside(step: StepEnded | SleepBegun, entry: Entry, payload: object) -> Moment:
    """Return a step inside a tool call, which is no event: its number is that of the next one."""
    if isinstance(step, SleepBegun):
        until = datetime.fromtimestamp(step.until, UTC)
        detail, failed = f"until {until:%Y-%m-%d %H:%M:%S} UTC", False
    else:
        detail = one_line(f"{step.name} → {text_of(step.content)}", 160)
        failed = step.error is not None
    return Moment(entry.event, type(step).__name__, entry.created_at, detail, failed, payload)


def describe(event: RunOutputEvent | Happened) -> str:
    """Return what there is to say about an event, in one line."""
    if event.requirements:
        return ", ".join(describe_requirement(each) for each in event.requirements)
    if event.tool is None:
        return one_line(shown(event.content), 160)
    called = call_line(event.tool.tool_name, event.tool.arguments)
    if event.tool.child_run_id is not None:
        called += f", run {event.tool.child_run_id}"
    return called if event.content is None else f"{called} → {one_line(shown(event.content), 100)}"
