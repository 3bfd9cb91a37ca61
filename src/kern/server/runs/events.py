"""The route by which a run's events are read: server-sent events that go on where one left off."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from kern.run.codec import dump, to_json_value
from kern.run.event import RunOutputEvent
from kern.server.problems import RequestError
from kern.server.runs.documented import Body, Responses, refused
from kern.server.runs.reach import EVERYWHERE, Looking
from kern.server.runs.submitting import PATH
from kern.server.service import service_of
from kern.server.streaming import EventStream

router = APIRouter(prefix=f"{PATH}/{{run_id}}", tags=["runs"], dependencies=EVERYWHERE)

_encode = msgspec.json.Encoder(enc_hook=to_json_value).encode
_NUMBER = re.compile(r"[0-9]{1,15}")

_STREAM: Responses = {
    200: {
        "description": "The events, each with its number as `id`, its kind as `event` and its JSON "
        "as `data`. Events of runs that are tool calls of this one have no `id`.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 2\nevent: RunContent\ndata: {"event":"RunContent","seq":2,'
                '"content":"Hello"}\n\n',
            }
        },
    },
    204: {
        "description": "The run has ended, or waits for a person, and the reader has all its "
        "events: browsers ask no more then."
    },
}


class _After(Body):
    after: Annotated[
        int, Field(ge=0, lt=10**15, description="The number of the last event that the reader has.")
    ] = 0


@router.get(
    "/events",
    operation_id="stream_run_events",
    summary="Stream a run's events",
    response_class=Response,
    responses={**_STREAM, **refused(404)},
)
async def stream_run_events(
    request: Request,
    run_id: str,
    asked: Annotated[_After, Query()],
    reach: Looking,
    last_event_id: Annotated[
        str | None,
        Header(
            description="The `id` of the last event that the reader has, as browsers send it "
            "when they connect again; it goes before `after`.",
            examples=["41"],
        ),
    ] = None,
) -> Response:
    """The events of a run, live while it executes, until it ends or waits for a person.

    The numbers are the same for every reader, in every process and at every time: who was
    interrupted goes on after the last one it has, without a gap.
    """
    after = asked.after if last_event_id is None else _number(last_event_id)
    service, user_id = service_of(request), reach.reads
    agent, record = await reach.run(run_id, user_id)
    service.streams.check(reach.caller.user_id)
    events = agent.astream_run(record.run_id, after, user_id=user_id)
    first: RunOutputEvent | None = None
    if record.status.is_terminal or record.status == "PAUSED":
        first = await anext(events, None)
        if first is None:
            return Response(status_code=204)
    return EventStream(
        _encoded(events, first, record.run_id), service.streams, user_id=reach.caller.user_id
    )


async def _encoded(
    events: AsyncGenerator[RunOutputEvent, None], first: RunOutputEvent | None, run_id: str
) -> AsyncIterator[bytes]:
    async with aclosing(events):
        if first is not None:
            yield sse(first, run_id)
        async for event in events:
            yield sse(event, run_id)


def sse(event: RunOutputEvent, run_id: str) -> bytes:
    """Return an event as it is sent.

    Args:
        event: the event.
        run_id: the run whose stream it is in; only its own events have numbers there.
    """
    values: Any = event if event.tool is None else event.to_dict()
    try:
        data = _encode(values)
    except UnicodeEncodeError:  # A lone surrogate has no UTF-8, but JSON can escape it.
        data = dump(event.to_dict()).encode()
    head = f"id: {event.seq}\n" if event.run_id == run_id else ""
    return b"%bevent: %b\ndata: %b\n\n" % (head.encode(), event.event.value.encode(), data)


def _number(last_event_id: str) -> int:
    """Return the number that a reader sends as the last one that it has.

    Raises:
        RequestError: it is none (400).
    """
    if not _NUMBER.fullmatch(last_event_id):
        raise RequestError(
            400,
            f"Last-Event-ID must be the number of an event, not {last_event_id!r:.50}.",
            code="invalid_event_id",
            param="Last-Event-ID",
        )
    return int(last_event_id)
