"""The routes of sessions: conversations, with their runs, messages and state."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import Field

from kern.db.listing import RunFilter
from kern.db.sessions import SessionFilter, SessionRow
from kern.errors import SessionNotFoundError
from kern.run.base import RunStatus
from kern.run.record import RunRecord
from kern.run.state import StatePatch, texts_of, values_of
from kern.server.runs.cursors import Paged, page
from kern.server.runs.documented import answered, no_query, refused
from kern.server.runs.given import Id, Moment, Rename, Values
from kern.server.runs.reach import EVERYWHERE, Looking, Place, Reach, Steering
from kern.server.runs.shown import (
    Page,
    ShownMessage,
    ShownRun,
    ShownSession,
    message_shown,
    output_of,
    record_shown,
    session_shown,
)

router = APIRouter(prefix="/v1/sessions", tags=["sessions"], dependencies=EVERYWHERE)

# How long to delete a session waits for its runs to have stopped, in seconds.
_STOPPING = 10.0

_COMPLETED = (RunStatus.completed,)


class SessionQuery(Paged):
    """Which sessions are wanted."""

    agent: Id | None = Field(None, description="Those that this agent has begun.")
    name: Id | None = Field(None, description="Those whose name holds this.")
    user: Id | None = Field(None, description="Those of this user, with the scope `read:all`.")
    created_after: Moment | None = Field(None, description="Those begun from then on.")
    created_before: Moment | None = Field(None, description="Those begun until then.")


@router.get(
    "",
    operation_id="list_sessions",
    summary="List sessions",
    response_model=Page[ShownSession],
    responses=refused(404),
)
async def list_sessions(asked: Annotated[SessionQuery, Query()], reach: Looking) -> Response:
    """Sessions, the last begun first."""
    found, following = await find_sessions(reach, asked)
    return answered({"data": [*map(session_shown, found)], "next": following})


async def find_sessions(reach: Reach, asked: SessionQuery) -> tuple[list[SessionRow], str | None]:
    """Return a page of sessions, and the cursor of the next one.

    Args:
        reach: what the caller reaches.
        asked: which are wanted.

    Raises:
        RequestError: the caller may not see these, or the cursor is that of another list.
    """
    user_id, place = reach.user(asked.user), await reach.place(asked.agent)
    if place is None:
        return [], None
    wanted = SessionFilter(
        user_id=user_id,
        name=asked.name,
        since=asked.created_after,
        until=asked.created_before,
        agents=place.agents,
    )
    sessions = place.store.sessions
    return await page(
        lambda limit, after: sessions.find(wanted, limit, oldest_first=False, after=after),
        lambda row: row.session_id,
        asked,
        "sessions",
        user_id,
    )


@router.get(
    "/{session_id}",
    operation_id="get_session",
    summary="Get a session",
    response_model=ShownSession,
    responses=refused(404),
    dependencies=[Depends(no_query)],
)
async def get_session(session_id: str, reach: Looking) -> Response:
    """A session, without its runs and its state."""
    _, row = await reach.session(session_id, reach.reads)
    return answered(session_shown(row))


@router.patch(
    "/{session_id}",
    operation_id="rename_session",
    summary="Rename a session",
    response_model=ShownSession,
    responses=refused(404, 413),
    dependencies=[Depends(no_query)],
)
async def rename_session(session_id: str, body: Rename, reach: Steering) -> Response:
    """Give a session a name."""
    place, row = await reach.session(session_id, reach.steers)
    await place.db.arename_session(row.session_id, session_name=body.name, user_id=reach.steers)
    _, row = await reach.session(row.session_id, reach.steers)
    return answered(session_shown(row))


@router.delete(
    "/{session_id}",
    operation_id="delete_session",
    summary="Delete a session",
    status_code=204,
    response_class=Response,
    responses=refused(404, 409),
    dependencies=[Depends(no_query)],
)
async def delete_session(session_id: str, reach: Steering) -> Response:
    """Cancel the runs of a session, and delete it with all of them."""
    place, row = await reach.session(session_id, reach.steers)
    await place.db.adelete_session(row.session_id, reach.steers, timeout=_STOPPING)
    return Response(status_code=204)


@router.get(
    "/{session_id}/runs",
    operation_id="list_session_runs",
    summary="List the runs of a session",
    response_model=Page[ShownRun],
    responses=refused(404),
)
async def list_session_runs(
    session_id: str, asked: Annotated[Paged, Query()], reach: Looking
) -> Response:
    """The runs of a session, the last accepted first, without what they have produced."""
    place, row = await reach.session(session_id, reach.reads)
    wanted = RunFilter(session_id=row.session_id, seen_by=reach.reads, agents=place.agents)
    found, following = await find_runs(place, wanted, asked)
    return answered(
        {"data": [record_shown(each, listed=True) for each in found], "next": following}
    )


@router.get(
    "/{session_id}/messages",
    operation_id="list_session_messages",
    summary="List the messages of a session",
    response_model=Page[ShownMessage],
    responses=refused(404),
)
async def list_session_messages(
    session_id: str, asked: Annotated[Paged, Query()], reach: Looking
) -> Response:
    """What was said in the completed runs of a session.

    A page has the messages of `limit` runs in their order; the next page has those before them.
    """
    place, row = await reach.session(session_id, reach.reads)
    wanted = RunFilter(
        statuses=_COMPLETED,
        session_id=row.session_id,
        seen_by=reach.reads,
        without_children=True,
        agents=place.agents,
    )
    found, following = await find_runs(place, wanted, asked)
    records = await place.store.sessions.records([each.run_id for each in found])
    messages = [
        message_shown(message, run.run_id)
        for run in map(output_of, records)
        for message in run.messages
        if not message.from_history
    ]
    return answered({"data": messages, "next": following})


@router.get(
    "/{session_id}/state",
    operation_id="get_session_state",
    summary="Get the state of a session",
    response_model=dict[str, Any],
    responses=refused(404),
    dependencies=[Depends(no_query)],
)
async def get_session_state(session_id: str, reach: Looking) -> Response:
    """The state of a session: JSON values by their keys."""
    place, row = await reach.session(session_id, reach.reads)
    return answered(await _state(place, row.session_id))


@router.patch(
    "/{session_id}/state",
    operation_id="update_session_state",
    summary="Change the state of a session",
    response_model=dict[str, Any],
    responses=refused(404, 413),
    dependencies=[Depends(no_query)],
)
async def update_session_state(
    session_id: str,
    body: Annotated[Values, Body(examples=[{"budget": 5}])],
    reach: Steering,
) -> Response:
    """Set keys in the state of a session; the others stay. It answers with the whole.

    A run that was accepted before does not change these keys any more.
    """
    patch = StatePatch(values_of(texts_of(body)))
    place, row = await reach.session(session_id, reach.steers)
    if body and not await place.store.states.change(row.session_id, patch):
        raise SessionNotFoundError(f"There is no session {session_id!r:.100} any more.")
    return answered(await _state(place, row.session_id))


async def _state(place: Place, session_id: str) -> dict[str, object]:
    return values_of((await place.store.states.of(session_id)).texts)


async def find_runs(
    place: Place, wanted: RunFilter, asked: Paged
) -> tuple[list[RunRecord], str | None]:
    """Return a page of the runs of a session, and the cursor of the next one.

    Args:
        place: where the session is.
        wanted: which of its runs.
        asked: which page.

    Raises:
        RequestError: the cursor is that of another list.
    """
    return await page(
        lambda limit, before: place.store.page(wanted, limit, before),
        lambda record: record.run_id,
        asked,
        *("session", wanted.session_id, [*wanted.statuses], wanted.seen_by),
    )
