"""The routes by which runs are stopped, go on, and begin anew."""

from contextlib import suppress

from fastapi import APIRouter, Depends, Request, Response

from kern.agent.continuation import ContinueOptions
from kern.errors import InvalidInputError, RunConflictError
from kern.run.base import RunStatus
from kern.run.codec import dump
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement
from kern.server.caller import Caller, Scope
from kern.server.problems import RequestError
from kern.server.runs.documented import answered, no_query, refused
from kern.server.runs.given import Answer, Continuation, Fork, Regeneration, input_of
from kern.server.runs.reach import EVERYWHERE, Looking, Reach, Steering
from kern.server.runs.runs import ACCEPTED, KEYED
from kern.server.runs.shown import ShownRun, output_of, record_shown
from kern.server.runs.submitting import PATH, Keyed, accepted

router = APIRouter(
    prefix=f"{PATH}/{{run_id}}", tags=["runs"], dependencies=[*EVERYWHERE, Depends(no_query)]
)

# How long a cancel waits for the run to have stopped, in seconds.
_STOPPING = 2.0


@router.post(
    "/cancel",
    operation_id="cancel_run",
    summary="Cancel a run",
    response_model=ShownRun,
    responses=refused(404, 409),
)
async def cancel_run(run_id: str, reach: Steering) -> Response:
    """Stop a run, wherever it executes; what it has produced is kept.

    It has stopped when this answers, but for a run whose process does not answer: that one is
    stopped as soon as it does. To cancel a run once more changes nothing.
    """
    agent, record = await reach.run(run_id, reach.steers)
    if not record.status.is_terminal:
        await agent.acancel_run(record.run_id, user_id=reach.steers)
        with suppress(TimeoutError):
            await agent.await_run(record.run_id, _STOPPING, until="end", user_id=reach.steers)
        _, record = await reach.run(record.run_id, reach.steers)
    if record.status.is_terminal and record.status is not RunStatus.cancelled:
        raise _wrong(record.run_id, record.status, "It had ended before, which is for good.")
    return answered(record_shown(record))


@router.post(
    "/retry",
    operation_id="retry_run",
    summary="Retry a run",
    status_code=202,
    response_model=ShownRun,
    responses={**ACCEPTED, **refused(404, 409)},
)
async def retry_run(request: Request, run_id: str, reach: Steering) -> Response:
    """Have a run that ended in ERROR go on: what is done is not done again."""
    agent, record = await reach.run(run_id, reach.steers)
    return accepted(request, await agent.aretry_run(record.run_id, user_id=reach.steers))


@router.post(
    "/continue",
    operation_id="continue_run",
    summary="Continue a run",
    status_code=202,
    response_model=ShownRun,
    responses={**ACCEPTED, **refused(404, 409, 413)},
)
async def continue_run(
    request: Request, run_id: str, body: Continuation, reach: Looking
) -> Response:
    """Have a run go on that is PAUSED, with what people have decided, or in ERROR.

    To answer requirements needs the scope `approve`; who has decided is the caller. All else is
    said by the run's own user, with the scope `runs`.
    """
    caller, decides = reach.caller, bool(body.requirements)
    says = not decides or body.input is not None or body.metadata is not None
    for scope in (*([Scope.approve] if decides else ()), *([Scope.runs] if says else ())):
        _check_may(caller, scope)
    user_id = reach.steers if says else reach.reads
    agent, record = await reach.run(run_id, user_id)
    if not body.requirements and record.status not in (RunStatus.paused, RunStatus.error):
        raise _wrong(record.run_id, record.status, "Only one that is PAUSED or in ERROR goes on.")
    options: ContinueOptions = {
        "background": True,
        "user_id": user_id,
        "by": decided_by(caller),
        "metadata": body.metadata,
    }
    if body.requirements:
        options["requirements"] = _answered(record, body.requirements)
    if body.input is not None:
        options["input"] = input_of(body.input)
    return accepted(request, await agent.acontinue_run(record.run_id, stream=False, **options))


@router.post(
    "/fork",
    operation_id="fork_run",
    summary="Fork a run",
    status_code=202,
    response_model=ShownRun,
    responses={**ACCEPTED, **refused(404, 409, 413, 422)},
    openapi_extra=KEYED,
)
async def fork_run(request: Request, run_id: str, body: Fork, reach: Steering) -> Response:
    """Begin a new run with the messages, or the steps, of another; that stays as it is."""
    given = body.model_dump(mode="json", exclude_none=True)
    options: ContinueOptions = {
        "fork": True,
        "input": None if body.input is None else input_of(body.input),
        "continue_from": body.continue_from,
        "from_seq": body.from_seq,
        "session_id": body.session_id,
        "metadata": body.metadata,
    }
    return await _begun(request, run_id, reach, given, options)


@router.post(
    "/regenerate",
    operation_id="regenerate_run",
    summary="Answer once more",
    status_code=202,
    response_model=ShownRun,
    responses={**ACCEPTED, **refused(404, 409, 413, 422)},
    openapi_extra=KEYED,
)
async def regenerate_run(
    request: Request, run_id: str, body: Regeneration, reach: Steering
) -> Response:
    """Begin a new run that answers once more what another was asked."""
    options: ContinueOptions = {
        "regenerate": True,
        "additional_instructions": body.additional_instructions,
        "metadata": body.metadata,
    }
    if not body.replace_original:
        options["replace_original"] = False
    given = body.model_dump(mode="json", exclude_none=True)
    return await _begun(request, run_id, reach, given, options)


async def _begun(
    request: Request, run_id: str, reach: Reach, given: object, options: ContinueOptions
) -> Response:
    """Begin a run with what another has said."""
    agent, record = await reach.run(run_id, reach.steers)
    keyed = Keyed(request, reach.caller, agent.id, given, options.get("metadata"))
    await keyed.check_queue(request, reach.caller, agent)
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
    return keyed.accepted(request, run)


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


def _check_may(caller: Caller, scope: Scope) -> None:
    if not caller.may(scope):
        raise RequestError(403, f"This needs the scope {scope}.", code="insufficient_scope")


def _wrong(run_id: str, status: RunStatus, why: str) -> RequestError:
    return RequestError(409, f"Run {run_id} is {status.value}. {why}", code="wrong_status")
