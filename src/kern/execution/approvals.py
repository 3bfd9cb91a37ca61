"""Records of approvals and the runs that wait for them: made, read, and resolved by answers."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import msgspec

from kern.aio.retry import until_available
from kern.db.approvals import ApprovalFilter, how, status_at
from kern.db.base import Store
from kern.errors import InvalidInputError, RunStateError
from kern.execution.attempt import Attempt
from kern.run.agent import RunOutput
from kern.run.answers import answered
from kern.run.approval import RESOLVED, Approval, answer_of
from kern.run.codec import dump
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement


class Recorded(NamedTuple):
    """What is to be done where a paused run is continued.

    Attributes:
        known: what it waits for, as records have answered it.
        resolved: records as the answers leave them with which the run is continued.
        by: who has decided, where the records say that.
    """

    known: tuple[RunRequirement, ...] = ()
    resolved: tuple[Approval, ...] = ()
    by: str | None = None


def asked_for(output: RunOutput) -> tuple[Approval, ...]:
    """Return the records that are made as a run pauses.

    Args:
        output: the run, with what it waits for.
    """
    waiting = [each for each in output.requirements if _has_record(each)]
    names = [each.tool_execution.tool_name for each in waiting]
    return tuple(
        _record(output, each, names) for each in waiting if each.approval_type == "required"
    )


async def answers_of_records(attempt: Attempt) -> Recorded:
    """Return what a paused run waits for, as records have answered it.

    Args:
        attempt: the attempt that is about to go on with it.

    Raises:
        DatabaseError: the records could not be read.
    """
    store = attempt.store
    waiting = [
        each
        for each in attempt.state.requirements
        if _has_record(each) and each.approval_type == "required"
    ]
    if store is None or not waiting:
        return Recorded()
    records = await _records(store, waiting)
    answers: list[RunRequirement] = []
    deciders: list[str | None] = []
    for each in waiting:
        record = records.get(each.approval_id or "")
        if record is None:
            continue
        if record.is_pending and status_at(record, attempt.now()) == "expired":
            expire = partial(store.approvals.update, record.id, "expired", {"status": "expired"})
            if await until_available(expire) is None:  # Somebody has decided at this moment.
                record = await until_available(partial(store.approvals.get, record.id))
        if record is not None and record.status in RESOLVED:
            answers.append(_answer(each, record))
            deciders.append(record.resolved_by)
            metadata = attempt.output.metadata or {}
            attempt.output.metadata = {**metadata, "approval": record.to_dict()}
    return Recorded(tuple(answers), by=_together(deciders))


async def consult(
    store: Store,
    run: RunRecord,
    waiting: Sequence[RunRequirement],
    requirements: Sequence[RunRequirement] | None,
    results: Mapping[str, str],
    by: str | None = None,
) -> Recorded:
    """Return what records have to say where a paused run is continued.

    Answers pass a pending record by, unless it is strict; a background run resolves it by them.
    Without answers the records decide, all of which must be resolved.

    Args:
        store: where the run is.
        run: the run, PAUSED.
        waiting: what it waits for.
        requirements: the same, answered; None where it is continued without answers.
        results: by tool call id, what calls returned that were made elsewhere.
        by: who has answered, where that is known.

    Raises:
        RunStateError: only a record can decide that nobody has resolved.
        InvalidInputError: an answer cannot be used, or a record lacks the answer.
    """
    recorded = [each for each in waiting if each.approval_id is not None]
    if not recorded:
        return Recorded()
    records = await _records(store, recorded)
    answers = _answers(recorded, requirements, results)
    is_silent = requirements is None and not results
    known: list[RunRequirement] = []
    resolved: list[Approval] = []
    deciders: list[str | None] = []
    for each in recorded:
        record, answer = records.get(each.approval_id or ""), answers.get(each.id)
        if each.approval_type == "audit":
            if answer is not None and each.member_run_id is None:
                made = _record(RunOutput.from_record(run), each, [each.tool_execution.tool_name])
                resolved.append(_resolved(made, answer, by))
            continue
        is_resolved = record is not None and record.status in RESOLVED
        if (is_silent or (each.strict and answer is not None)) and not is_resolved:
            raise _undecided(run, each, record)
        if record is None:
            continue
        if is_resolved and (answer is None or each.strict):
            known.append(answer_of(each, record))
            deciders.append(record.resolved_by)
        elif (
            answer is not None
            and record.is_pending
            and not run.foreground
            and each.member_run_id is None
        ):
            resolved.append(_resolved(record, answer, by))
    return Recorded(tuple(known), tuple(resolved), _together(deciders))


async def decided_by(store: Store, run_id: str, wanted: Collection[str]) -> str | None:
    """Return who has decided about a run by a record last, and when; None where nobody has.

    Args:
        store: where the run is.
        run_id: the run.
        wanted: the ids of what it was about.
    """
    found = await store.approvals.find(ApprovalFilter(run_id=run_id), 100)
    resolved = [each for each in found if each.status in RESOLVED and each.requirement_id in wanted]
    last = max(resolved, key=lambda each: each.resolved_at or 0.0, default=None)
    return None if last is None else f"Its approval {last.id} {how(last, last.status)}."


def _together(deciders: Sequence[str | None]) -> str | None:
    """Return those who have decided, as one text."""
    return ", ".join(dict.fromkeys(each for each in deciders if each)) or None


def _has_record(requirement: RunRequirement) -> bool:
    """Say whether there is a record of this run: a child's is the child's."""
    return requirement.approval_id is not None and requirement.member_run_id is None


async def _records(store: Store, waiting: Sequence[RunRequirement]) -> dict[str, Approval]:
    ids = dict.fromkeys(each.approval_id for each in waiting if each.approval_id is not None)
    found = await asyncio.gather(
        *(until_available(partial(store.approvals.get, each)) for each in ids)
    )
    return {each.id: each for each in found if each is not None}


def _answers(
    recorded: Sequence[RunRequirement],
    requirements: Sequence[RunRequirement] | None,
    results: Mapping[str, str],
) -> dict[str, RunRequirement]:
    """Return what is answered by those who continue the run, by id."""
    given = {each.id: each for each in requirements or ()}
    answers: dict[str, RunRequirement] = {}
    for each in recorded:
        answer = answered(each, given[each.id]) if each.id in given else each
        if (result := results.get(each.tool_execution.tool_call_id)) is not None:
            answer = replace(each, external_execution_result=result)
        if answer.is_resolved():
            answers[each.id] = answer
    return answers


def _answer(waiting: RunRequirement, record: Approval) -> RunRequirement:
    """Return a requirement as its record answers it; the run has to go on either way."""
    try:
        return answer_of(waiting, record)
    except InvalidInputError as error:
        return replace(waiting, confirmation=False, confirmation_note=str(error))


def _record(output: RunOutput, requirement: RunRequirement, names: Sequence[str]) -> Approval:
    """Return the record of what a run waits for, which nobody has decided yet."""
    assert requirement.approval_id is not None, "it was looked at"
    call, metadata = requirement.tool_execution, output.metadata or {}
    schedule = metadata.get("schedule") if "scheduled_for" in metadata else None
    context = {"tool_names": names, "source_name": output.agent_name}
    if requirement.message is not None:
        context["message"] = requirement.message
    return Approval(
        id=requirement.approval_id,
        run_id=output.run_id,
        requirement_id=requirement.id,
        session_id=output.session_id,
        approval_type=requirement.approval_type or "required",
        pause_type=requirement.pause_type,
        tool_name=call.tool_name,
        tool_args=dump(call.tool_args),
        source_type="agent" if output.team_id is None else "team",
        source_name=output.agent_name,
        agent_id=output.agent_id,
        team_id=output.team_id,
        user_id=output.user_id,
        requirements=dump([requirement.to_dict()]),
        context=dump(context),
        expires_at=requirement.expires_at,
        run_status="PAUSED",
        schedule_id=schedule if isinstance(schedule, str) else None,
        schedule_run_id=output.run_id if isinstance(schedule, str) else None,
        strict=requirement.strict,
    )


def _resolved(record: Approval, answer: RunRequirement, by: str | None) -> Approval:
    """Return a record as an answer leaves it."""
    data: dict[str, Any] = {"note": answer.confirmation_note}
    if answer.confirmation is not False:
        data |= {"result": answer.external_execution_result, "values": answer.values or None}
        if answer.arguments is not None:
            data["arguments"] = msgspec.json.decode(answer.arguments)
    data = {name: value for name, value in data.items() if value is not None}
    now = time.time()
    return msgspec.structs.replace(
        record,
        status="rejected" if answer.confirmation is False else "approved",
        resolution_data=dump(data) if data else None,
        resolved_by=by,
        resolved_at=now,
        updated_at=now,
    )


def _undecided(
    run: RunRecord, requirement: RunRequirement, record: Approval | None
) -> RunStateError:
    name = requirement.tool_execution.tool_name
    if record is None:
        advice = "Cancel it" if requirement.strict else "Answer its requirements, or cancel it"
        return RunStateError(
            f"Run {run.run_id} waits for an approval of {name} whose record was deleted. {advice}."
        )
    strict = ", which is strict: only its record decides" if requirement.strict else ""
    stands = "is pending" if record.is_pending else how(record, record.status)
    return RunStateError(
        f"Run {run.run_id} waits for the approval {record.id} of {name}{strict}; it {stands}. "
        f"Resolve it: kern approvals approve {record.id}, or db.update_approval({record.id!r}, "
        "status='approved')."
    )
