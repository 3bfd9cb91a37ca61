"""What is journaled when a run that stood still is resumed: a person's decisions, or a retry."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kern.db.base import Store
from kern.execution.blobs import put_large
from kern.execution.decisions import decided
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.entry import Entry, write_row
from kern.run.fold import fold
from kern.run.message import Message
from kern.run.record import JournalRow, RunRecord
from kern.run.requirement import RunRequirement
from kern.run.steps import AnyStep, AttemptFailed, CallBroken, Continued, ToolEnded


async def decide(
    store: Store,
    record: RunRecord,
    results: Mapping[str, str],
    requirements: Sequence[RunRequirement] | None = None,
    *,
    by: str | None = None,
    messages: tuple[Message, ...] = (),
) -> list[JournalRow]:
    """Return the rows with which a run's journal goes on.

    Args:
        store: where the run is.
        record: the run, in ERROR or PAUSED.
        results: by tool call id, what calls returned that were made elsewhere.
        requirements: those of the paused run, answered. Where none are given, calls of unknown
            outcome are made again.
        by: who has answered, where that is known.
        messages: what the model is told after the results of the calls.

    Raises:
        RunStateError: the run does not wait for one of these, or the answer comes too late.
        InvalidInputError: a part of an answer cannot be used.
        JournalError: what is stored of it cannot be read.
    """
    state = fold(await store.events(record.run_id, 0))
    if record.status is RunStatus.error:
        run = RunOutput.from_record(record)
        failed = AttemptFailed(run.error, run.error_kind, run.error_details)
        steps: list[AnyStep] = [failed, Continued()]
        if (call := state.call) is not None:  # The last attempt was lost in it.
            steps.insert(0, CallBroken("".join(call.texts), call.slices))
    else:
        steps = decided(record.run_id, state, requirements, results, by=by, messages=messages)
    rows: list[JournalRow] = []
    for step in steps:
        if isinstance(step, ToolEnded):
            step = replace(step, content=await put_large(store.blobs, record.run_id, step.content))
        event = state.call_event if isinstance(step, CallBroken) else state.next_event
        entry = Entry(state.last_seq + 1, event, step)
        state.apply(entry)
        rows.append(write_row(record.run_id, entry))
    return rows
