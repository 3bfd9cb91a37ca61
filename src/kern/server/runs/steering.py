"""The routes by which runs are stopped, go on, and begin anew."""

from fastapi import APIRouter, Depends, Request, Response

from kern.server.runs import actions
from kern.server.runs.documented import answered, no_query, refused
from kern.server.runs.given import Continuation, Fork, Regeneration
from kern.server.runs.reach import EVERYWHERE, Looking, Steering
from kern.server.runs.runs import ACCEPTED, KEYED
from kern.server.runs.shown import ShownRun, record_shown
from kern.server.runs.submitting import PATH, accepted

router = APIRouter(
    prefix=f"{PATH}/{{run_id}}", tags=["runs"], dependencies=[*EVERYWHERE, Depends(no_query)]
)


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
    return answered(record_shown(await actions.cancel(reach, run_id)))


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
    return accepted(request, await actions.retry(reach, run_id))


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
    return accepted(request, await actions.proceed(reach, run_id, body))


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
    run = await actions.begin(request, reach, run_id, given, actions.as_fork(body))
    return accepted(request, run)


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
    given = body.model_dump(mode="json", exclude_none=True)
    run = await actions.begin(request, reach, run_id, given, actions.as_regeneration(body))
    return accepted(request, run)
