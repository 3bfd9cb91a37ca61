"""What a caller does with runs: the routes of the runs API and the page's forms both call these."""

from contextlib import suppress
from typing import Any

from fastapi import Request

from kern.agent.continuation import ContinueOptions
from kern.errors import InvalidInputError, RunConflictError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import dump
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement
from kern.server.caller import Caller, Scope
from kern.server.problems import RequestError
from kern.server.runs.given import Answer, Continuation, Fork, Regeneration, input_of
from kern.server.runs.reach import Reach
from kern.server.runs.shown import output_of
from kern.server.runs.submitting import Keyed
from kern.server.service import service_of

# How long a cancel waits for the run to have stopped, in seconds.
_STOPPING = 2.0


async def cancel(reach: Reach, run_id: str) -> RunRecord:
    """Stop a run, and return it as it stands then.

    It has stopped by then, but for one whose process does not answer.

    Raises:
        RequestError: the caller lacks the scope (403), there is no such run (404), or it had ended
            before otherwise (409).
    """
    check_may(reach.caller, Scope.runs)
    agent, record = await reach.run(run_id, reach.steers)
    if not record.status.is_terminal:
        await agent.acancel_run(record.run_id, user_id=reach.steers)
        with suppress(TimeoutError):
            await agent.await_run(record.run_id, _STOPPING, until="end", user_id=reach.steers)
        _, record = await reach.run(record.run_id, reach.steers)
    if record.status.is_terminal and record.status is not RunStatus.cancelled:
        raise _wrong(record.run_id, record.status, "It had ended before, which is for good.")
    return record


async def retry(reach: Reach, run_id: str) -> RunOutput[Any]:
    """Have a run that ended in ERROR go on.

    Raises:
        RequestError: the caller lacks the scope (403), or there is no such run (404).
        RunStateError: it is not in ERROR.
    """
    check_may(reach.caller, Scope.runs)
    agent, record = await reach.run(run_id, reach.steers)
    return await agent.aretry_run(record.run_id, user_id=reach.steers)


async def proceed(reach: Reach, run_id: str, given: Continuation) -> RunOutput[Any]:
    """Have a run go on that is PAUSED, with what people have decided, or in ERROR.

    Raises:
        RequestError: the caller lacks a scope (403), there is no such run (404), or it stands
            otherwise, or does not wait for one of these (409).
        InvalidInputError: an answer contradicts itself, or does not fit.
        RunStateError: somebody has answered before, or it is too late.
    """
    caller, decides = reach.caller, bool(given.requirements)
    says = not decides or given.input is not None or given.metadata is not None
    for scope in (*([Scope.approve] if decides else ()), *([Scope.runs] if says else ())):
        check_may(caller, scope)
    user_id = reach.steers if says else reach.reads
    agent, record = await reach.run(run_id, user_id)
    if not given.requirements and record.status not in (RunStatus.paused, RunStatus.error):
        raise _wrong(record.run_id, record.status, "Only one that is PAUSED or in ERROR goes on.")
    options: ContinueOptions = {
        "background": True,
        "user_id": user_id,
        "by": decided_by(caller),
        "metadata": given.metadata,
    }
    if given.requirements:
        options["requirements"] = _answered(record, given.requirements)
    if given.input is not None:
        options["input"] = input_of(given.input)
    return await agent.acontinue_run(record.run_id, stream=False, **options)


def as_fork(given: Fork) -> ContinueOptions:
    """Return how a run begins with the messages, or the steps, of another."""
    return {
        "fork": True,
        "input": None if given.input is None else input_of(given.input),
        "continue_from": given.continue_from,
        "from_seq": given.from_seq,
        "session_id": given.session_id,
        "metadata": given.metadata,
    }


def as_regeneration(given: Regeneration) -> ContinueOptions:
    """Return how a run answers once more what another was asked."""
    options: ContinueOptions = {
        "regenerate": True,
        "additional_instructions": given.additional_instructions,
        "metadata": given.metadata,
    }
    if not given.replace_original:
        options["replace_original"] = False
    return options


async def begin(
    request: Request, reach: Reach, run_id: str, given: object, options: ContinueOptions
) -> RunOutput[Any]:
    """Begin a run with what another has said, in the background.

    Args:
        request: the request, which may have an ``Idempotency-Key``.
        reach: what its caller reaches.
        run_id: the other run.
        given: its body, as JSON values.
        options: how it begins; see :func:`as_fork` and :func:`as_regeneration`.

    Raises:
        RequestError: the caller lacks the scope (403), there is no such run (404), the key was sent
            with another request (422), or too many runs of this user wait already (429).
        InvalidInputError: an option cannot be used.
        RunStateError: a run that has not ended cannot be replaced.
    """
    check_may(reach.caller, Scope.runs)
    agent, record = await reach.run(run_id, reach.steers)
    keyed = Keyed.of(request, reach.caller, agent.id, given, options.get("metadata"))
    await keyed.check_queue(service_of(request), reach.caller, agent)
    options |= {
        "background": True,
        "user_id": reach.steers,
        "metadata": keyed.metadata,
        "new_run_id": keyed.run_id,
    }
    try:
        run = await agent.acontinue_run(record.run_id, stream=False, **options)
    except RunConflictError as error:
        raise keyed.refused(error) from error
    keyed.check(run)
    return run


def check_may(caller: Caller, scope: Scope) -> None:
    """Check that a caller has a scope.

    Raises:
        RequestError: it has not (403).
    """
    if not caller.may(scope):
        raise RequestError(403, f"This needs the scope {scope}.", code="insufficient_scope")


def decided_by(caller: Caller) -> str:
    """Return who has decided, where a caller answers."""
    return caller.user_id or "anonymous"


def _answered(record: RunRecord, answers: list[Answer]) -> list[RunRequirement]:
    """Return what a run waits for, as far as it is answered.

    Of a run that does not wait any more it is only which: that is refused, with who was first.

    Raises:
        RequestError: it does not wait for one of these (409).
        InvalidInputError: an answer contradicts itself, or does not fit.
        RunStateError: one is answered twice.
    """
    if record.status is not RunStatus.paused:
        return [RunRequirement(each.id, "confirmation") for each in answers]
    waiting = {each.id: each for each in output_of(record).requirements}
    for answer in answers:
        requirement = waiting.get(answer.id)
        if requirement is None:
            raise RequestError(
                409,
                f"The run does not wait for {answer.id!r:.300}. Read its requirements again.",
                code="unknown_requirement",
                param="requirements",
            )
        _answer(requirement, answer)
    return [waiting[answer.id] for answer in answers]


def _answer(requirement: RunRequirement, answer: Answer) -> None:
    given = answer.model_dump(exclude_none=True, exclude={"id"})
    match given:
        case {"confirmed": True, **rest} if rest.keys() <= {"arguments"}:
            requirement.confirm(answer.arguments)
        case {"confirmed": False, **rest} if rest.keys() <= {"note"}:
            requirement.reject(answer.note)
        case {"result": result, **rest} if not rest:
            text = result if isinstance(result, str) else dump(result)
            requirement.set_external_execution_result(text)
        case {"values": values, **rest} if not rest:
            if requirement.kind == "user_feedback":
                requirement.provide_user_feedback(values)
            else:
                requirement.provide_user_input(values)
        case _:
            raise InvalidInputError(
                f"The answer to {requirement.id} needs exactly one of confirmed, values and "
                "result; arguments only with confirmed true, note only with confirmed false."
            )


def _wrong(run_id: str, status: RunStatus, why: str) -> RequestError:
    return RequestError(409, f"Run {run_id} is {status.value}. {why}", code="wrong_status")
