"""Who executes a run, or why nobody does: the one answer that every command shows.

:func:`explain` is a pure function of what one look at the database has found, by the database's
clock. :func:`step_under_way` says what an executing run is doing.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from kern.db.overview import Standing
from kern.db.processes import Process
from kern.run.base import RunStatus
from kern.run.duration import format_duration
from kern.run.entry import read_row
from kern.run.fold import RunState, apply_entry
from kern.run.printable import call_line, one_line
from kern.run.record import JournalRow, RunRecord
from kern.run.requirement import RequirementKind, RunRequirement, requirements_from_json
from kern.run.steps import VERSION


class Reason(StrEnum):
    """Why a run goes on, or does not.

    ``executing``: a process executes it. ``cancelling``: its executor was asked to stop it.
    ``silent``: its executor extends the lease, and shows no other sign of life. ``lost``: its
    lease has expired. ``session``: it waits for the session lock. ``limit``: it waits for a limit
    of its agent or user. ``scheduled``: it is to begin later. ``retrying``: an attempt
    has failed, and the next one begins later. ``sleeping``: its tools sleep. ``refused``: who
    claimed it could not execute it.
    ``newer``: only a newer kern can execute it. ``unserved``: no worker serves its agent.
    ``full``: those that do have no free slot. ``due``: one of them is about to claim it.
    ``paused``: it waits for a person.
    """

    executing = "executing"
    cancelling = "cancelling"
    silent = "silent"
    lost = "lost"
    session = "session"
    limit = "limit"
    scheduled = "scheduled"
    retrying = "retrying"
    sleeping = "sleeping"
    refused = "refused"
    newer = "newer"
    unserved = "unserved"
    full = "full"
    due = "due"
    paused = "paused"


class Why(NamedTuple):
    """Why a run goes on, or does not.

    Attributes:
        reason: the kind of reason.
        text: the same for people, with the names that matter.
        since: since when it is so, where that is known.
        until: when that ends by itself, where it does.
        run_id: the run for which it waits: its session's, or the child that waits for a person.
        executor: who executes it, or was the last to try.
    """

    reason: Reason
    text: str
    since: datetime | None = None
    until: datetime | None = None
    run_id: str | None = None
    executor: str | None = None


class Step(NamedTuple):
    """What an executing run is doing.

    Attributes:
        text: the model call, or the tool calls.
        since: since when.
    """

    text: str
    since: datetime


def explain(record: RunRecord, standing: Standing, fleet: Sequence[Process]) -> Why | None:
    """Say who executes a run, or why nobody does.

    Args:
        record: the run.
        standing: how it stands.
        fleet: the processes that are known, those that are gone too.

    Returns:
        None where the run has moved on between the two looks.
    """
    if record.status is not standing.status:
        return None
    match record.status:
        case RunStatus.running:
            return _running(record, standing, fleet)
        case RunStatus.pending:
            return _pending(record, standing, fleet)
        case RunStatus.paused:
            return _paused(record, standing)
    return None


def step_under_way(rows: Sequence[JournalRow], begun_at: datetime) -> Step:
    """Say what an executing run is doing.

    Args:
        rows: its journal, at least from the last answer of its model on.
        begun_at: when its attempt began.

    Raises:
        JournalError: a row is damaged, or was written by a newer kern.
    """
    state, since = RunState(), begun_at.timestamp()
    calls_begun = since
    for row in rows:
        was_asked = state.call is not None
        apply_entry(state, read_row(row), row)
        if state.call is None or not was_asked:  # Pieces of an answer begin nothing.
            since = max(since, row.created_at)
        if row.type in _BEGIN_CALLS:
            calls_begun = max(calls_begun, row.created_at)
    turn = state.turns[-1] if state.turns else None
    calls = [call for place, call in turn.open_calls if place in turn.started] if turn else []
    if calls:
        shown = [call_line(call.name, call.arguments) for call in calls]
        return Step(_listed(shown), datetime.fromtimestamp(calls_begun, UTC))
    text = "storing its end" if state.is_answered else "model call"
    return Step(text, datetime.fromtimestamp(since, UTC))


# The steps with which tool calls begin.
_BEGIN_CALLS = ("ModelAnswered", "AttemptBegun")


def _running(record: RunRecord, standing: Standing, fleet: Sequence[Process]) -> Why:
    executor = _executor(record, fleet)
    where = _place(record, executor)
    begun, lease = standing.begun_at, standing.lease_until or standing.at
    if lease < standing.at:
        seen = lease
        if executor is not None and executor.beat_at is not None and not executor.is_alive:
            seen = executor.beat_at
        others = [each for each in fleet if each is not executor]
        gone = _since(seen, standing)
        text = f"its worker is gone since {gone}: {where}; {_heir(record, others)}"
        return Why(Reason.lost, text, seen, executor=record.executor)
    if standing.cancel_requested_at is not None:
        asked = standing.cancel_requested_at
        text = f"is being cancelled since {_since(asked, standing)} by {where}"
        return Why(Reason.cancelling, text, asked, executor=record.executor)
    if executor is None:
        text = f"executed by a process that takes no runs of others ({where})"
        return Why(Reason.executing, text, begun, executor=record.executor)
    if not executor.is_alive:
        silent = format_duration(timedelta(seconds=executor.silence))
        left = format_duration(lease - standing.at)
        text = f"its worker is silent since {silent}: {where}; its lease ends in {left}"
        return Why(Reason.silent, text, executor.beat_at, lease, executor=record.executor)
    return Why(Reason.executing, f"executed by {where}", begun, executor=record.executor)


def _pending(record: RunRecord, standing: Standing, fleet: Sequence[Process]) -> Why:
    if standing.waits_for_session:
        if standing.holder is None:
            return Why(Reason.session, "waits for its session, whose lock is being handed off")
        text = f"waits for run {standing.holder} of its session, which is {standing.holder_status}"
        return Why(Reason.session, text, run_id=standing.holder)
    if standing.limit is not None and (standing.counted or _serving(record, fleet)):
        return Why(Reason.limit, _limit(record, standing))
    due = standing.due_at or standing.at
    if due > standing.at:
        return _later(record, standing, due, fleet)
    return _due(record, standing, due, fleet)


def _limit(record: RunRecord, standing: Standing) -> str:
    of, setting = f"the agent {record.agent_id!r}", "max_concurrent_runs"
    if standing.limit == "user":
        of, setting = f"the user {record.user_id!r} of {of}", "max_concurrent_runs_per_user"
    if not standing.counted:
        return f"waits for {setting} of {of}, where there is room again"
    count = "1 run" if standing.counted == 1 else f"{standing.counted} runs"
    verb = "executes" if standing.counted == 1 else "execute"
    return f"over the limit {setting}: {count} of {of} {verb}"


def _later(record: RunRecord, standing: Standing, due: datetime, fleet: Sequence[Process]) -> Why:
    left = format_duration(due - standing.at)
    if record.refusal is not None:
        text = f"{_refusal(record, standing, fleet)} It is offered again in {left}."
        return Why(Reason.refused, text, standing.refused_at, due, executor=record.executor)
    if record.run_at is None or record.run_at <= standing.at:
        # A process that may not execute it has left it to others, for a moment.
        return _due(record, standing, standing.at, fleet)
    if record.failures:
        times = "1 attempt" if record.failures == 1 else f"{record.failures} attempts"
        text = f"{times} failed; the next one begins in {left}"
        return Why(Reason.retrying, text, until=due, executor=record.executor)
    at = f"{due.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if record.attempt:
        return Why(Reason.sleeping, f"sleeps until {at} UTC, for {left}", until=due)
    return Why(Reason.scheduled, f"scheduled for {at} UTC, in {left}", until=due)


def _due(record: RunRecord, standing: Standing, due: datetime, fleet: Sequence[Process]) -> Why:
    serving = _serving(record, fleet)
    if record.refusal is not None:
        text = _refusal(record, standing, fleet)
        if not serving:
            text += f" Now {_unserved(record, fleet)}."
        return Why(Reason.refused, text, standing.refused_at, executor=record.executor)
    if not serving:
        return Why(Reason.unserved, _unserved(record, fleet), due)
    if record.journal_version > VERSION:
        text = (
            f"needs a newer kern, which writes version {record.journal_version} of the journal; "
            f"this one knows version {VERSION}"
        )
        return Why(Reason.newer, text, due)
    workers = "1 worker" if len(serving) == 1 else f"{len(serving)} workers"
    if all(each.slots is not None and each.executing >= each.slots for each in serving):
        total = sum(each.slots or 0 for each in serving)
        of = f"{workers} for the agent {record.agent_id!r}"
        text = f"no free slot: all {total} of {of} are in use"
        return Why(Reason.full, text, due)
    return Why(Reason.due, f"due since {_since(due, standing)}; {workers} may claim it", due)


def _paused(record: RunRecord, standing: Standing) -> Why:
    try:
        wanted = requirements_from_json(record.requirements or "[]")
    except ValueError:
        wanted = []
    wanted = [each for each in wanted if not each.is_resolved()]
    what = _listed([describe_requirement(each) for each in wanted]) or "a decision"
    since = min((each.created_at for each in wanted), default=None)
    until = min((each.expires_at for each in wanted if each.expires_at is not None), default=None)
    expiry = None if until is None else datetime.fromtimestamp(until, UTC)
    if expiry is not None:
        left = max(expiry - standing.at, timedelta())
        what += f"; in {format_duration(left)} it is too late"
    members = {each.member_run_id for each in wanted}
    return Why(
        Reason.paused,
        f"waits for a person: {what}",
        None if since is None else datetime.fromtimestamp(since, UTC),
        expiry,
        members.pop() if len(members) == 1 else None,
        record.executor,
    )


_WANTED: Mapping[RequirementKind, str] = {
    "confirmation": "confirmation of",
    "user_input": "fields to fill in for",
    "user_feedback": "answers to",
    "external_execution": "the result, from elsewhere, of",
}


def describe_requirement(requirement: RunRequirement) -> str:
    """Return what a run waits for, in one line: with the child that asks, and what it says."""
    call, child = requirement.tool_execution, requirement.member_agent_name
    shown = call_line(call.tool_name, call.arguments)
    if requirement.kind == "user_feedback" and (questions := requirement.user_feedback_schema):
        shown = one_line(" ".join(each.question for each in questions), 120)
    if child is not None:
        shown = f"{one_line(child, 60)}'s {shown}"
    if requirement.kind == "unknown_outcome":
        return f"outcome of {shown}, which was interrupted"
    said = f" ({one_line(requirement.message, 80)})" if requirement.message else ""
    return f"{_WANTED[requirement.kind]} {shown}{said}"


def _refusal(record: RunRecord, standing: Standing, fleet: Sequence[Process]) -> str:
    times = "" if standing.refusals < 2 else f" (refused {standing.refusals} times)"
    return f"refused by {_place(record, _executor(record, fleet))}{times}: {record.refusal}"


def _unserved(record: RunRecord, fleet: Sequence[Process]) -> str:
    alive = sum(each.is_alive for each in fleet)
    others = f"{alive} serve{'s' * (alive == 1)} others" if alive else "none is alive"
    return f"no worker serves the agent {record.agent_id!r} ({others})"


def _heir(record: RunRecord, fleet: Sequence[Process]) -> str:
    """Say who goes on with a run whose worker is gone."""
    if _serving(record, fleet):
        return "another one goes on with it"
    return _unserved(record, fleet)


def _serving(record: RunRecord, fleet: Sequence[Process]) -> list[Process]:
    return [each for each in fleet if each.is_alive and record.agent_id in each.agents]


def _executor(record: RunRecord, fleet: Sequence[Process]) -> Process | None:
    return next((each for each in fleet if each.executor == record.executor), None)


def _place(record: RunRecord, executor: Process | None) -> str:
    if executor is None:
        return f"executor {record.executor}"
    return f"process {executor.pid} on {executor.host}"


def _since(moment: datetime, standing: Standing) -> str:
    return format_duration(standing.at - moment)


def _listed(texts: Sequence[str]) -> str:
    """Return the first texts of many."""
    shown = ", ".join(texts[:3])
    return shown if len(texts) <= 3 else f"{shown} and {len(texts) - 3} more"
