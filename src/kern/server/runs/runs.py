"""The routes by which runs are submitted and looked at."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from kern.db.listing import RunFilter
from kern.errors import RunConflictError
from kern.run.base import RunStatus
from kern.server.runs.cursors import Paged, page
from kern.server.runs.documented import Body, Responses, answered, no_query, refused
from kern.server.runs.given import Id, Moment, NewRun
from kern.server.runs.reach import EVERYWHERE, Looking, Steering
from kern.server.runs.shown import (
    Page,
    ShownRequirement,
    ShownRun,
    message_shown,
    output_of,
    record_shown,
    requirement_shown,
    run_shown,
)
from kern.server.runs.submitting import PATH, Keyed, accepted, submission_of
from kern.server.service import service_of

router = APIRouter(prefix=PATH, tags=["runs"], dependencies=EVERYWHERE)

_OF_RUN = {"run_id": "$response.body#/run_id"}

LINKS: dict[str, Any] = {
    name: {"operationId": name, "parameters": _OF_RUN}
    for name in ("get_run", "stream_run_events", "cancel_run", "list_requirements")
}

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names what is asked for: the same request with the same key begins one run, "
    "however often it is sent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "example": "6f1c2f0e-8f0c-4a51-9a0a-2f1f5a1a7f3b",
}

KEYED: dict[str, Any] = {"parameters": [_KEY]}
"""What the documentation of a route says that begins runs."""

ACCEPTED: Responses = {
    202: {
        "description": "It is durable, and begins as soon as there is room for it.",
        "headers": {
            "Location": {"description": "The path of the run.", "schema": {"type": "string"}}
        },
        "links": LINKS,
    }
}


class RunQuery(Paged):
    """Which runs are wanted."""

    agent: Id | None = Field(None, description="Those of this agent.")
    status: list[RunStatus] = Field(
        [], max_length=7, description="Those that are there; it may be repeated."
    )
    session: Id | None = Field(None, description="Those of this session.")
    user: Id | None = Field(None, description="Those of this user, with the scope `read:all`.")
    created_after: Moment | None = Field(None, description="Those accepted from then on.")
    created_before: Moment | None = Field(None, description="Those accepted before that.")


class _Including(Body):
    include: Literal["messages"] | None = Field(
        None, description="`messages` for what was said, too."
    )


@router.post(
    "",
    operation_id="submit_run",
    summary="Submit a run",
    status_code=202,
    response_model=ShownRun,
    responses={**ACCEPTED, **refused(404, 409, 413, 422)},
    openapi_extra=KEYED,
    dependencies=[Depends(no_query)],
)
async def submit_run(request: Request, body: NewRun, reach: Steering) -> Response:
    """Have an agent run in the background. The run is durable when this answers."""
    caller, agent = reach.caller, reach.agent(body.agent)
    given = body.model_dump(mode="json", exclude_none=True)
    keyed = Keyed.of(request, caller, agent.id, given, body.metadata)
    await keyed.check_queue(service_of(request), caller, agent)
    try:
        run = await submission_of(agent, caller, body, keyed).submit()
    except RunConflictError as error:
        raise keyed.refused(error) from error
    keyed.check(run)
    return accepted(request, run)


@router.get(
    "",
    operation_id="list_runs",
    summary="List runs",
    response_model=Page[ShownRun],
    responses=refused(404),
)
async def list_runs(asked: Annotated[RunQuery, Query()], reach: Looking) -> Response:
    """Runs, the last accepted first, without what they have produced."""
    user_id, place = reach.user(asked.user), await reach.place(asked.agent)
    if place is None:
        return answered({"data": [], "next": None})
    wanted = RunFilter(
        statuses=tuple(dict.fromkeys(asked.status)),
        session_id=asked.session,
        user_id=user_id,
        since=asked.created_after,
        until=asked.created_before,
        agents=place.agents,
    )
    store = place.store
    found, following = await page(
        lambda limit, before: store.page(wanted, limit, before),
        lambda record: record.run_id,
        asked,
        "runs",
        user_id,
    )
    return answered(
        {"data": [record_shown(each, listed=True) for each in found], "next": following}
    )


@router.get(
    "/{run_id}",
    operation_id="get_run",
    summary="Get a run",
    response_model=ShownRun,
    responses=refused(404),
)
async def get_run(run_id: str, asked: Annotated[_Including, Query()], reach: Looking) -> Response:
    """A run as it stands, with what it has produced."""
    _, record = await reach.run(run_id, reach.reads)
    if asked.include is None:
        return answered(record_shown(record))
    run = output_of(record)
    messages = [message_shown(each, run.run_id) for each in run.messages]
    return answered({**run_shown(run), "messages": messages})


@router.get(
    "/{run_id}/requirements",
    operation_id="list_requirements",
    summary="List what a run waits for",
    response_model=Page[ShownRequirement],
    responses=refused(404),
    dependencies=[Depends(no_query)],
)
async def list_requirements(run_id: str, reach: Looking) -> Response:
    """What a paused run waits for, all on one page. Answer it by continuing the run."""
    _, record = await reach.run(run_id, reach.reads)
    waiting = output_of(record).requirements if record.status is RunStatus.paused else []
    return answered({"data": [*map(requirement_shown, waiting)], "next": None})
