"""The routes below ``/v1/responses``: OpenAI's Responses API, with agents as models."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any

from fastapi import APIRouter, Request, Response

from kern.agent.streamed import stream_of
from kern.errors import RunConflictError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.server.caller import Caller, RunsCaller
from kern.server.gone import unless_gone
from kern.server.ids import keyed_run_id, reused_key
from kern.server.queries import Query
from kern.server.responses.begin import Beginning, Begun
from kern.server.responses.events import Translator, encoded
from kern.server.responses.ids import ResponseId
from kern.server.responses.items import first_approval, read_input, refused
from kern.server.responses.listing import input_items
from kern.server.responses.reading import (
    Found,
    RunEvents,
    find,
    find_run,
    folded,
    followed,
    framed,
    frames,
    standing,
    steers,
    stored_events,
)
from kern.server.responses.references import resolved
from kern.server.responses.request import INCLUDABLE, Asked, json_object, read_request
from kern.server.responses.stored import Place, view_of
from kern.server.service import Service, service_of
from kern.server.streaming import EventStream

router = APIRouter(prefix="/v1/responses", include_in_schema=False)

_CANCELLING = 30.0
"""Seconds for which a cancel waits until its run has ended; it is in force before that."""


@router.post("")
async def create(request: Request, caller: RunsCaller) -> Response:
    """Have an agent answer."""
    service = service_of(request)
    asked = read_request(json_object(await request.body()))
    agent = service.agent(asked.body.model, caller)
    if asked.body.stream:
        service.streams.check(caller.user_id)
    run_id = keyed_run_id(request.headers.get("idempotency-key"), caller, agent.id)
    if run_id is not None:
        earlier = await _earlier(service, caller, asked, run_id)
        if earlier is not None:
            return await _told_again(request, service, caller, asked, earlier)
    if asked.body.background:
        await service.check_queue(agent, caller)
    given = asked.body.input or []
    start = first_approval(given) if asked.body.previous_response_id is None else 0
    said = read_input(await resolved(service, caller, given, start), start)
    begun = await Beginning(service, caller, agent, asked, said, run_id).begun()
    try:
        return await _begun(request, service, caller, asked, begun)
    except RunConflictError as error:  # Both have come at once.
        raise (error if run_id is None else reused_key()) from error


async def _begun(
    request: Request, service: Service, caller: Caller, asked: Asked, begun: Begun
) -> Response:
    """Have a run begin, or go on, and answer with it."""
    if asked.body.background:
        return await _in_background(service, caller, asked, begun)
    if not asked.body.stream:
        return _json(await unless_gone(request, _answer(begun)))
    events: RunEvents = stream_of(begun.work)
    first = await anext(events)  # What it is refused for is no stream.
    translator = _translator(begun, first.run_id, first.session_id)
    told = followed([*begun.earlier, first], events)
    return _stream(service, caller, translator, told, foreground=True)


@router.get("/{response_id}")
async def retrieve(request: Request, caller: RunsCaller, response_id: str) -> Response:
    """Return a response as it stands, or stream its events, from the first or a later one on."""
    query = Query.of(request, "stream", "starting_after", "include", "include_obfuscation")
    streamed, after = query.flag("stream"), query.count("starting_after")
    query.choices("include", INCLUDABLE)
    if query.flag("include_obfuscation"):
        raise refused(
            "include_obfuscation", "include_obfuscation is not supported.", "unsupported_parameter"
        )
    if after is not None and not streamed:
        raise refused("starting_after", "starting_after is for stream=true only.")
    service = service_of(request)
    found = await find(service, caller, response_id, caller.reads)
    if not streamed:
        body, headers = await standing(found)
        return _json(body, headers)
    service.streams.check(caller.user_id)
    return await _from(service, caller, found, -1 if after is None else after)


@router.post("/{response_id}/cancel")
async def cancel(request: Request, caller: RunsCaller, response_id: str) -> Response:
    """Cancel a background response; one that has ended stays as it is."""
    found = await find(service_of(request), caller, response_id, steers(caller))
    if not found.view().background:
        raise refused(
            "response_id",
            "Only responses that were created with background=true can be cancelled. Close the "
            "connection of one that was not.",
        )
    if not found.record.status.is_terminal:
        run_id = found.record.run_id
        await found.agent.acancel_run(run_id)
        with suppress(TimeoutError):  # Its process is away; the cancel is kept until it is back.
            await found.agent.await_run(run_id, _CANCELLING, until="end")
        found = await find(service_of(request), caller, response_id, steers(caller))
    return _json((await standing(found))[0])


@router.delete("/{response_id}")
async def delete(request: Request, caller: RunsCaller, response_id: str) -> Response:
    """Delete a response, and with it the others of its run; one that has not ended is cancelled."""
    found = await find(service_of(request), caller, response_id, steers(caller))
    await found.agent.aerase_run(found.record.run_id)
    return _json({"id": response_id, "object": "response", "deleted": True})


@router.get("/{response_id}/input_items")
async def list_input_items(request: Request, caller: RunsCaller, response_id: str) -> Response:
    """Return what a response was given, in pages."""
    query = Query.of(request, "after", "include", "limit", "order")
    include = query.choices("include", INCLUDABLE)
    found = await find(service_of(request), caller, response_id, caller.reads)
    items = await input_items(found, with_images="message.input_image.image_url" in include)
    return _json(query.page(items))


async def _earlier(service: Service, caller: Caller, asked: Asked, run_id: str) -> Found | None:
    """Return the response that a request with the same key has begun before; None for none.

    Raises:
        RequestError: that one had another body (422).
    """
    known = await find_run(service, caller, run_id, caller.user_id)
    if known is None:
        return await _continued_earlier(service, caller, asked, run_id)
    agent, store, record = known
    found = Found(agent, store, record, ResponseId(record.run_id))
    remembered = found.remembered
    if remembered is None or remembered.stretches[0].body != asked.fingerprint:
        raise reused_key()
    return found


async def _continued_earlier(
    service: Service, caller: Caller, asked: Asked, run_id: str
) -> Found | None:
    """Return the response that has continued a run for a request with the same key."""
    previous = asked.body.previous_response_id
    if previous is None:
        return None
    found = await find(service, caller, previous, caller.user_id, "previous_response_id")
    remembered = found.remembered
    for place, each in enumerate(() if remembered is None else remembered.stretches):
        if place and each.key == run_id:
            if each.body != asked.fingerprint:
                raise reused_key()
            return found._replace(response=ResponseId(found.record.run_id, place))
    return None


async def _told_again(
    request: Request, service: Service, caller: Caller, asked: Asked, found: Found
) -> Response:
    """Answer a request that was sent before."""
    if asked.body.stream:
        return await _from(service, caller, found, -1)
    if not asked.body.background:
        waiting = found.agent.await_run(found.record.run_id)
        await unless_gone(request, waiting)
        record = await found.store.get(found.record.run_id)
        found = found if record is None else found._replace(record=record)
    body, headers = await standing(found)
    return _json(body, headers)


async def _in_background(service: Service, caller: Caller, asked: Asked, begun: Begun) -> Response:
    """Submit a response, and return it as it was accepted, or the stream of its events."""
    streamed = bool(asked.body.stream)
    work = begun.work.to_be_read() if streamed else begun.work
    run = await work.submit()
    translator = _translator(begun, run.run_id, run.session_id)
    if streamed:
        return _stream(service, caller, translator, stored_events(begun.agent, run.run_id))
    if run.status is not RunStatus.pending:  # It was cancelled before; or submitted before.
        found = await find(
            service, caller, str(ResponseId(run.run_id, begun.stretch)), caller.user_id
        )
        body, headers = await standing(found)
        return _json(body, headers)
    translator.begin()
    return _json(translator.response(), {"openai-poll-after-ms": "500"})


async def _answer(begun: Begun) -> dict[str, Any]:
    """Carry a response out here and now, and return it as it ended."""
    translator: Translator | None = None
    async with aclosing(followed(begun.earlier, stream_of(begun.work))) as events:
        async for each in events:
            if translator is None:
                translator = _translator(begun, each.run_id, each.session_id)
                translator.begin()
            if isinstance(each, RunOutput):
                translator.end(each)
            else:
                translator.take(each)
    assert translator is not None, "a run that has ended has events"
    return translator.response()


async def _from(service: Service, caller: Caller, found: Found, after: int) -> Response:
    """Return the stream of a response's events after a number.

    Raises:
        RequestError: the response has ended before that number (400).
    """
    live = (RunStatus.pending, RunStatus.running)
    if found.record.status in live and found.response.stretch >= await found.current():
        translator = Translator(found.view(), stretch=found.response.stretch)
        events = stored_events(found.agent, found.record.run_id)
        return _stream(service, caller, translator, events, after)
    _, told = await folded(found)
    last = told[-1]["sequence_number"]
    if after > last:
        raise refused(
            "starting_after", f"The last event of this response has the number {last}, not {after}."
        )

    async def rest() -> AsyncIterator[bytes]:
        yield framed(told, after)

    return EventStream(rest(), service.streams, user_id=caller.user_id)


def _translator(begun: Begun, run_id: str, session_id: str) -> Translator:
    place = Place(ResponseId(run_id, begun.stretch), begun.agent.id, session_id)
    return Translator(view_of(place, begun.metadata, begun.remembered), stretch=begun.stretch)


def _stream(
    service: Service,
    caller: Caller,
    translator: Translator,
    events: RunEvents,
    after: int = -1,
    *,
    foreground: bool = False,
) -> Response:
    return EventStream(
        frames(events, translator, after),
        service.streams,
        user_id=caller.user_id,
        foreground=foreground,
    )


def _json(body: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(body), 200, headers, "application/json")
