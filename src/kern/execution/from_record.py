"""From the row of a run to an attempt at it: what the row says, and what its agent says."""

import time
from dataclasses import replace

from kern.db.base import Store
from kern.execution.answering import Answering
from kern.execution.attempt import Attempt
from kern.execution.journal import Emit, Journal
from kern.execution.spec import Spec
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.run.record import RunRecord
from kern.run.usage import UsageLimits


def attempt_of(
    record: RunRecord,
    spec: Spec,
    store: Store | None,
    *,
    emit: Emit | None = None,
    foreground: bool = False,
    is_pinned: bool = True,
    told: int | None = None,
) -> Attempt:
    """Return the attempt that a record is in, ready to be executed.

    Args:
        record: the run, RUNNING, as it was accepted or claimed.
        spec: the agent.
        store: where the run is kept; None for nowhere.
        emit: told of each event, where the run's own caller streams it.
        foreground: whether it belongs to a caller who waits.
        is_pinned: whether the spec is that of the run's submit, in this process.
        told: the number of the last event of earlier attempts that its caller has, who is
            told of those that follow.
    """
    output = RunOutput.from_record(record)
    output.agent_name = spec.name
    output.model, output.model_provider = spec.model.id, spec.model.provider
    if spec.agent.is_team:
        output.team_id = spec.id
    return Attempt(
        spec,
        record.input or "",
        output,
        store,
        Journal(
            *(store, output, record.attempt, emit, record.streamed),
            charged=record.budgeted,
            told=told,
        ),
        record.attempt,
        foreground=foreground,
        timeout=record.timeout,
        zero=_moment(record) - time.monotonic(),
        remaining=record.timeout if record.remaining is None else record.remaining,
        tries=_tries(record, spec, foreground=foreground),
        limits=_limits(record, spec),
        spending=() if record.budgeted else None,
        failures=record.failures,
        last_seq=record.last_seq,
        is_pinned=is_pinned,
        answering=spec.answering
        if record.output_schema is None
        else _answering(record.output_schema, spec),
        loaded={} if record.media is None else dict(record.media),
        is_new_session=record.is_new_session,
        traceparent=record.traceparent,
        unstored=record.unstored,
    )


def _moment(record: RunRecord) -> float:
    """Return when a run was claimed, or began as it was accepted."""
    if record.claimed_at is not None:
        return record.claimed_at
    return (record.started_at or record.created_at).timestamp()


def _limits(record: RunRecord, spec: Spec) -> tuple[UsageLimits, ...]:
    own = () if record.usage_limits is None else (UsageLimits.from_json(record.usage_limits),)
    return own if spec.usage_limits is None else (spec.usage_limits, *own)


def _tries(record: RunRecord, spec: Spec, *, foreground: bool) -> int:
    if foreground:  # Its caller is there to see a failure, unless the agent says otherwise.
        return 0 if spec.retrying is None else spec.retrying.times
    return max(0, (record.max_attempts or 1) - record.failures - 1)


def _answering(output_schema: str, spec: Spec) -> Answering:
    return replace(spec.answering or Answering(), form=Form.from_json(output_schema))
