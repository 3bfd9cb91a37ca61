"""What is journaled when a run that stood still is resumed: a person's decisions, or a retry."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kern.db.base import Store
from kern.errors import RunStateError
from kern.execution.blobs import put_large
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.entry import Entry, write_row
from kern.run.fold import RunState, fold
from kern.run.record import JournalRow, RunRecord
from kern.run.requirement import RunRequirement
from kern.run.steps import AnyStep, AttemptFailed, CallBroken, Continued, ToolEnded


async def decide(
    store: Store,
    record: RunRecord,
    results: Mapping[str, str],
    requirements: Sequence[RunRequirement] | None = None,
) -> list[JournalRow]:
    """Return the rows with which a run's journal goes on.

    Args:
        store: where the run is.
        record: the run, in ERROR or PAUSED.
        results: by tool call id, what calls returned that were made elsewhere.
        requirements: those of the paused run, answered. Where none are given, calls of unknown
            outcome are made again.

    Raises:
        RunStateError: the run does not wait for one of these, or the answer comes too late.
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
        steps = _decided(record.run_id, state, results, requirements)
    rows: list[JournalRow] = []
    for step in steps:
        if isinstance(step, ToolEnded):
            step = replace(step, content=await put_large(store.blobs, record.run_id, step.content))
        event = state.call_event if isinstance(step, CallBroken) else state.next_event
        entry = Entry(state.last_seq + 1, event, step)
        state.apply(entry)
        rows.append(write_row(record.run_id, entry))
    return rows


def _decided(
    run_id: str,
    state: RunState,
    results: Mapping[str, str],
    requirements: Sequence[RunRequirement] | None,
) -> list[AnyStep]:
    waits = {each.id: each for each in state.requirements}
    answers = {each.id: each for each in requirements or ()}
    calls = {each.tool_execution.tool_call_id: each for each in waits.values()}
    if unknown := sorted({*(answers.keys() - waits.keys()), *(results.keys() - calls.keys())}):
        names = ", ".join(calls) or "nothing"
        raise RunStateError(
            f"Run {run_id} does not wait for {', '.join(unknown)}, but for {names}."
        )
    steps: list[AnyStep] = []
    allowed: list[int] = []
    for place, call in state.turns[-1].open_calls if state.turns else ():
        if (requirement := calls.get(call.id)) is None:
            continue
        answer = answers.get(requirement.id, requirement)
        result = results.get(call.id, answer.external_execution_result)
        if answer.is_resolved() or call.id in results:
            _check_time(requirement)
        if result is not None:
            steps.append(ToolEnded(place, result))
        elif (rejection := answer.rejection) is not None:
            steps.append(ToolEnded(place, rejection, error=True))
        elif answer.confirmation or (
            requirements is None and requirement.kind == "unknown_outcome"
        ):
            allowed.append(place)
    return [*steps, Continued(tuple(allowed))]


def _check_time(requirement: RunRequirement) -> None:
    if requirement.expires_at is not None and requirement.expires_at < time.time():
        raise RunStateError(
            f"The requirement {requirement.id} has expired. Retry the run, or cancel it."
        )
