"""What is journaled when a run that stood still is resumed: a person's decisions, or a retry."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from kern.db.base import Store
from kern.dispatch.answer import Answer
from kern.errors import RunStateError
from kern.execution.approvals import Recorded, consult
from kern.execution.blobs import put_large
from kern.execution.decisions import decided
from kern.run.agent import RunOutput
from kern.run.answers import of_tools
from kern.run.approval import Approval
from kern.run.base import RunStatus
from kern.run.entry import Entry, write_row
from kern.run.fold import RunState, fold
from kern.run.record import JournalRow, RunRecord
from kern.run.requirement import RunRequirement
from kern.run.steps import AnyStep, AttemptFailed, CallBroken, Continued
from kern.run.tool_steps import ToolEnded


class Decided(NamedTuple):
    """What is written where a run goes on that stood still.

    Attributes:
        rows: those of its journal.
        resolved: the records of approvals that are resolved by it.
    """

    rows: list[JournalRow]
    resolved: tuple[Approval, ...] = ()


async def decide(store: Store, record: RunRecord, answer: Answer) -> Decided:
    """Return what is written where a run goes on that stood still.

    Args:
        store: where the run is.
        record: the run, in ERROR or PAUSED; or RUNNING, where its executor is gone.
        answer: what it is given to go on with. Where it has no requirements, calls of unknown
            outcome are made again.

    Raises:
        RunStateError: the run does not wait for one of these, or the answer comes too late.
        InvalidInputError: a part of an answer cannot be used.
        JournalError: what is stored of it cannot be read.
    """
    run_id, by, messages = record.run_id, answer.by, answer.messages
    state = fold(await store.events(run_id, 0))
    recorded = Recorded()
    if record.status is RunStatus.paused:
        given = (_given(run_id, state, answer), answer.results)
        recorded = await consult(store, record, state.requirements, *given, by)
        is_known = not (answer.decides or messages or recorded.known)
        if is_known and all(each.kind != "unknown_outcome" for each in state.requirements):
            return Decided([], recorded.resolved)  # The attempt decides by what is known.
        known, by = recorded.known, by or recorded.by
        now = await time_for(store, state.requirements)
        steps = decided(run_id, state, *given, now, known=known, by=by, messages=messages)
    else:
        if messages and not (state.turns and state.turns[-1].message.tool_calls):
            raise RunStateError(
                f"Run {run_id} is {record.status}, and its model has not called tools last, after "
                "which it could be told more. Begin a new run with its messages: fork=True."
            )
        steps = [*_standing(record, state), Continued(by=by, messages=messages)]
    rows: list[JournalRow] = []
    for step in steps:
        if isinstance(step, ToolEnded):
            step = replace(step, content=await put_large(store.blobs, run_id, step.content))
        event = state.call_event if isinstance(step, CallBroken) else state.next_event
        entry = Entry(state.last_seq + 1, event, step)
        state.apply(entry)
        rows.append(write_row(run_id, entry))
    return Decided(rows, recorded.resolved)


async def time_for(store: Store, requirements: Sequence[RunRequirement]) -> float:
    """Return the moment that says which requirements have expired, in seconds since 1970.

    It is by the clock of the database, which is only asked where one of them can expire.
    """
    if all(each.expires_at is None for each in requirements):
        return 0.0
    return (await store.overview.now()).timestamp()


def _standing(record: RunRecord, state: RunState) -> list[AnyStep]:
    """Return what is to be said of the attempt that came to nothing."""
    steps: list[AnyStep] = []
    if (call := state.call) is not None:  # The last attempt was lost in it.
        steps.append(CallBroken("".join(call.texts), call.slices))
    if record.status is RunStatus.error:
        run = RunOutput.from_record(record)
        steps.append(AttemptFailed(run.error, run.error_kind, run.error_details))
    return steps


def _given(run_id: str, state: RunState, answer: Answer) -> Sequence[RunRequirement] | None:
    """Return what is answered: requirements, or calls in the place of some.

    Raises:
        RunStateError: the run waits for none of these calls.
    """
    if answer.tools is None:
        return answer.requirements
    known = {each.id for each in answer.requirements or ()}
    called = of_tools(state.requirements, answer.tools)
    if not called:
        names = ", ".join(each.tool_call_id for each in answer.tools) or "nothing"
        raise RunStateError(f"Run {run_id} does not wait for any of these calls: {names:.500}.")
    return [*(answer.requirements or ()), *(each for each in called if each.id not in known)]
