"""Runs of agents that have no database: executed for a caller who waits, and kept nowhere else."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from kern.db.values import Accepted
from kern.dispatch.foreground import carry
from kern.dispatch.submission import record_of
from kern.errors import RunStateError
from kern.execution.cancellation import cancellations
from kern.execution.decisions import decided
from kern.execution.executor import Executor
from kern.execution.from_record import attempt_of
from kern.execution.journal import Emit
from kern.execution.observing import traced
from kern.execution.spec import Definition, Spec
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import encode
from kern.run.message import Message
from kern.run.record import NewRun, RunRecord
from kern.run.requirement import RunRequirement


async def execute_alone(
    definition: Definition,
    run: NewRun,
    emit: Emit | None,
    dependencies: Mapping[str, object] | None = None,
) -> RunOutput:
    """Execute a run, and keep nothing of it.

    Args:
        definition: the agent.
        run: the run.
        emit: called with each event.
        dependencies: the run's own, over the agent's.

    Raises:
        Exception: what the run failed of.
    """
    now = datetime.now(UTC)
    if cancellations.take_pending(run.run_id, run.user_id):
        return RunOutput.from_record(record_of(run, Accepted(RunStatus.cancelled, now)))
    run = msgspec.structs.replace(run, run_id=cancellations.run_id(run.run_id, run.user_id))
    spec = Spec.of(definition, dependencies)
    if spec.middleware:
        run = traced(run, spec.middleware)
    record = record_of(run, Accepted(RunStatus.running, now))
    attempt = attempt_of(record, spec, None, emit=emit, foreground=True)
    return await carry(Executor(), attempt)


async def continue_alone(
    definition: Definition,
    paused: RunOutput,
    requirements: Sequence[RunRequirement] | None,
    results: Mapping[str, str],
    emit: Emit | None,
    *,
    by: str | None = None,
    messages: tuple[Message, ...] = (),
    dependencies: Mapping[str, object] | None = None,
) -> RunOutput:
    """Have a paused run go on from its output, which nothing is left of: it goes on once.

    Args:
        definition: the agent.
        paused: the run as it paused, in this process or from ``RunOutput.from_dict``.
        requirements: what it waits for, answered; by default those of the output.
        results: by tool call id, what calls returned that were made elsewhere.
        emit: called with each event.
        by: who has answered, where that is known.
        messages: what the model is told after the results of the calls.
        dependencies: the run's own, over the agent's.

    Raises:
        RunStateError: the output has nothing to go on from, or the run does not wait for these.
        InvalidInputError: a part of an answer cannot be used.
        JournalError: the output is damaged.
        Exception: what the run failed of.
    """
    kept, attempts = paused.kept, paused.attempt + 1
    if kept is None:
        raise RunStateError(
            f"Run {paused.run_id} cannot go on from this output: it has gone on already, or is "
            "not the one with which it paused. Give the agent a db to continue runs by their id."
        )
    record = RunRecord(
        paused.run_id,
        paused.session_id,
        paused.agent_id,
        paused.user_id,
        RunStatus.running,
        attempts,
        datetime.fromtimestamp(paused.created_at, UTC),
        metadata=None if paused.metadata is None else encode(paused.metadata, "metadata"),
        timeout=kept.timeout,
        claimed_at=time.time(),
        parent_run_id=paused.parent_run_id,
        usage_limits=kept.usage_limits,
        output_schema=paused.output_schema,
        input=kept.input,
        media=kept.media,
    )
    spec = Spec.of(definition, dependencies)
    attempt = attempt_of(record, spec, None, emit=emit, foreground=True)
    for row in kept.journal:
        attempt.journal.restore(row)
    given = paused.requirements if requirements is None else requirements
    now, run_id = attempt.now(), paused.run_id
    for step in decided(run_id, attempt.state, given, results, now, by=by, messages=messages):
        attempt.journal.keep(step)
    paused.kept = None
    if cancellations.take_pending(paused.run_id, paused.user_id):
        return replace(paused, status=RunStatus.cancelled, error=None, requirements=[])
    return await carry(Executor(), attempt)
