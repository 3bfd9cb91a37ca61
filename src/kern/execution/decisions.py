"""What is journaled of what people have decided, or of what is known without them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kern.errors import InvalidInputError, RequirementExpiredError, RunStateError
from kern.execution.approvals import answers_of_records
from kern.execution.attempt import Attempt
from kern.execution.blobs import keep_result
from kern.execution.child_calls import answers_of_children
from kern.run.answers import answered, arguments_of
from kern.run.content import Content
from kern.run.fold import RunState
from kern.run.message import Message
from kern.run.requirement import RunRequirement, place_of
from kern.run.steps import AnyStep, Continued
from kern.run.tool_steps import ToolConcluded, ToolEnded


def decided(
    run_id: str,
    state: RunState,
    requirements: Sequence[RunRequirement] | None,
    results: Mapping[str, str],
    now: float,
    *,
    known: Sequence[RunRequirement] = (),
    by: str | None = None,
    messages: tuple[Message, ...] = (),
) -> list[AnyStep]:
    """Return the steps with which a paused run goes on, by answers that come from outside.

    Args:
        run_id: the run.
        state: what its steps say.
        requirements: what it waits for, answered; it pauses again for those that are not, unless
            they have expired. Where this is None, calls of unknown outcome are made again.
        results: by tool call id, what calls returned that were made elsewhere.
        now: what time it is by the clock of the database, in seconds since 1970.
        known: what it waits for, as records have answered it; they have the last word.
        by: who has answered, where that is known.
        messages: what the model is told after the results of the calls.

    Returns:
        The steps; none where the run ends with what has expired, which its next attempt finds out.

    Raises:
        RequirementExpiredError: the run ends with what has expired; the answers are not taken.
        RunStateError: the run does not wait for one of these, only a record decides about it, or
            the answer comes too late.
        InvalidInputError: a part of an answer cannot be used.
    """
    given = _given(run_id, state.requirements, requirements, results)
    of_records = {each.id: each for each in known}
    for each in given.values():
        if each.id not in of_records:
            _check_open(each, now)
    answers = given | of_records
    if requirements is None:
        for each in state.requirements:
            if each.kind == "unknown_outcome" and each.id not in answers:
                answers[each.id] = replace(each, confirmation=True)
    open_ones = [each for each in state.requirements if each.id not in answers]
    try:
        expired = [*_expired(run_id, open_ones, now)]
    except RequirementExpiredError:
        if given:  # They must not be lost without a word.
            raise
        return []
    answers |= {each.id: each for each in expired}
    return steps_for(state, answers.values(), by=by, messages=messages)


def steps_for(
    state: RunState,
    answers: Iterable[RunRequirement],
    *,
    by: str | None = None,
    messages: tuple[Message, ...] = (),
) -> list[AnyStep]:
    """Return the steps with which a paused run goes on.

    Args:
        state: what its steps say.
        answers: what it waits for, answered; those that are not are left out.
        by: who has answered, where that is known.
        messages: what the model is told after the results of the calls.
    """
    given: dict[int, list[RunRequirement]] = {}
    for each in answers:
        if each.is_resolved():
            given.setdefault(place_of(each), []).append(each)
    steps: list[AnyStep] = []
    allowed: list[int] = []
    arguments: list[tuple[int, str]] = []
    passed: list[tuple[int, tuple[RunRequirement, ...]]] = []
    for place, _ in state.turns[-1].open_calls if state.turns else ():
        own = given.get(place, [])
        ended = [step for each in own if (step := _ended(place, each)) is not None]
        if ended:
            steps.append(ended[0])
            continue
        for each in own:
            if not each.passes:
                allowed.append(place)
                if (edited := arguments_of(each)) is not None:
                    arguments.append((place, edited))
        # What a call has asked for while it was made, it finds when it is made again.
        if asked := [each for each in own if each.call is not None]:
            passed.append((place, tuple(asked)))
    return [Continued(tuple(allowed), tuple(arguments), by, messages, tuple(passed)), *steps]


async def decide_known(attempt: Attempt) -> None:
    """Have a paused run go on by what is known though nobody has answered it itself.

    What makes a paused run due (a record of an approval, an expiry, a child that goes on) writes
    nothing into its journal: the attempt that begins then does.

    Args:
        attempt: the attempt, which has not gone on yet.

    Raises:
        RequirementExpiredError: the run ends with a requirement that nobody has answered.
    """
    recorded = await answers_of_records(attempt)
    answers = {each.id: each for each in [*await answers_of_children(attempt), *recorded.known]}
    open_ones = [each for each in attempt.state.requirements if each.id not in answers]
    expired = _expired(attempt.output.run_id, open_ones, attempt.now())
    known = [*answers.values(), *expired]
    for step in steps_for(attempt.state, known, by=recorded.by):
        await _keep(attempt, step)


async def _keep(attempt: Attempt, step: AnyStep) -> None:
    if not isinstance(step, ToolEnded):
        return attempt.journal.keep(step)

    def keep(content: Content) -> None:
        attempt.journal.keep(replace(step, content=content))

    await keep_result(attempt.store, attempt.output.run_id, step.content, keep, attempt.loaded)


def _given(
    run_id: str,
    waiting: Sequence[RunRequirement],
    requirements: Sequence[RunRequirement] | None,
    results: Mapping[str, str],
) -> dict[str, RunRequirement]:
    """Return what a run waits for with the answers to it, by id; what is not answered is not in it.

    Raises:
        RunStateError: the run does not wait for one of these, or an answer is for another call.
        InvalidInputError: a part of an answer cannot be used.
    """
    waits = {each.id: each for each in waiting}
    calls: dict[str, list[RunRequirement]] = {}
    for each in waiting:
        calls.setdefault(each.tool_execution.tool_call_id, []).append(each)
    answers: dict[str, RunRequirement] = {}
    for each in requirements or ():
        if not isinstance(each, RunRequirement):
            kind = type(each).__name__
            raise InvalidInputError(f"requirements must be a list of RunRequirement, not {kind}.")
        if each.id in answers:
            raise InvalidInputError(f"The requirement {each.id} is given twice.")
        if each.id not in waits:
            raise _not_awaited(run_id, each.id, [*waits])
        answers[each.id] = answered(waits[each.id], each)
    for call_id, result in results.items():
        if call_id not in calls:
            raise _not_awaited(run_id, call_id, [*calls])
        own, *others = calls[call_id]
        if others:
            names = ", ".join(each.id for each in calls[call_id])
            raise InvalidInputError(
                f"Several calls that run {run_id} waits for have the id {call_id:.255}. Give their "
                f"results by requirements: {names}."
            )
        answers[own.id] = replace(own, external_execution_result=result)
    return {id: each for id, each in answers.items() if each.is_resolved()}


def _not_awaited(run_id: str, name: str, known: Sequence[str]) -> RunStateError:
    names = ", ".join(known) or "nothing"
    return RunStateError(f"Run {run_id} does not wait for {name:.255}, but for {names}.")


def _ended(place: int, answer: RunRequirement) -> ToolEnded | None:
    """Return the step with which an answer ends the call at a place, if it does."""
    if answer.passes:
        return None
    if (result := answer.external_execution_result) is not None:
        if answer.tool_execution.stop_after_tool_call:
            return ToolConcluded(place, result, ends=True, shown=True)
        return ToolEnded(place, result)
    if (rejection := answer.rejection) is None:
        return None
    return ToolConcluded(place, rejection, error=True, rejected=answer.confirmation_note or "")


def _check_open(answer: RunRequirement, now: float) -> None:
    """Make sure that an answer from outside may decide about a requirement.

    Raises:
        RunStateError: it may not.
    """
    if answer.expires_at is not None and answer.expires_at < now:
        raise RunStateError(
            f"The requirement {answer.id} has expired. Continue the run without this answer, or "
            "cancel it."
        )
    if answer.strict:
        raise RunStateError(
            f"Only the record of its approval decides about {answer.id}: it is strict. Resolve "
            f"the approval {answer.approval_id}, and continue the run without this requirement."
        )


def _expired(
    run_id: str, waiting: Sequence[RunRequirement], now: float
) -> Iterable[RunRequirement]:
    """Yield what has expired at a moment, as rejected.

    Raises:
        RequirementExpiredError: the run ends with one of these.
    """
    for each in waiting:
        if each.expires_at is None or each.expires_at > now:
            continue
        if each.on_expiry == "fail":
            raise RequirementExpiredError(
                f"Nobody has answered in time what run {run_id} waited for: {each.pause_type} of "
                f"{each.tool_execution.tool_name} ({each.id}). Retry it to have it asked again."
            )
        note = "Nobody has answered in time."
        yield replace(each, confirmation=False, confirmation_note=note)
