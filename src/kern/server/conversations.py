"""The routes below ``/v1/conversations``: sessions, as OpenAI's clients know them.

A conversation is a session: responses that name it are its runs, in order. Its items are read from
those; they are added by responses only.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from kern.db.base import Store
from kern.db.listing import RunFilter
from kern.db.methods import Methods
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import shown
from kern.run.identity import new_id
from kern.run.record import RunRecord
from kern.server.caller import Caller, RunsCaller
from kern.server.problems import RequestError
from kern.server.queries import Query, page_of
from kern.server.responses.body import Strict
from kern.server.responses.events import encoded
from kern.server.responses.ids import CONVERSATION, ResponseId, no_conversation, session_of
from kern.server.responses.items import refused
from kern.server.responses.listing import input_items
from kern.server.responses.object import Json
from kern.server.responses.reading import Found, folded, steers
from kern.server.responses.references import run_in
from kern.server.responses.request import INCLUDABLE, check_metadata, checked, json_object
from kern.server.service import Service, service_of
from kern.session.agent import AgentSession

router = APIRouter(prefix="/v1/conversations", include_in_schema=False)

_LIVE = (RunStatus.pending, RunStatus.running)
_PAGE = 50

# It has a session have metadata of its own, and not that of its first run.
_MARK = {"kern.conversation": True}


class Created(Strict, frozen=True):
    """The parameters of a new conversation."""

    metadata: dict[str, str] | None = None


class Updated(Strict, frozen=True):
    """What can be changed of a conversation."""

    metadata: dict[str, str] | None


class There(NamedTuple):
    """A conversation that exists.

    Attributes:
        db: where it is.
        session: the session.
        name: its id, as the caller calls it.
    """

    db: Methods
    session: AgentSession
    name: str


@router.post("")
async def create(request: Request, caller: RunsCaller) -> Response:
    """Begin a conversation."""
    raw = await request.body()
    given = json_object(raw) if raw.strip() else {}
    body = checked(given, Created, {"items": (None, [])})
    check_metadata(body.metadata)
    db = _databases(service_of(request), caller)[0]
    session = AgentSession(
        new_id(), user_id=caller.user_id, metadata={**(body.metadata or {}), **_MARK}
    )
    stored = await db.aupsert_session(session)
    assert stored is not None, "it was asked for"
    return _json(_conversation(There(db, stored, CONVERSATION + stored.session_id)))


@router.get("/{conversation_id}")
async def get(request: Request, caller: RunsCaller, conversation_id: str) -> Response:
    """Return a conversation."""
    there = await _found(service_of(request), caller, conversation_id, caller.reads)
    return _json(_conversation(there))


@router.post("/{conversation_id}")
async def update(request: Request, caller: RunsCaller, conversation_id: str) -> Response:
    """Replace the metadata of a conversation."""
    body = checked(json_object(await request.body()), Updated, {})
    check_metadata(body.metadata)
    there = await _found(service_of(request), caller, conversation_id, steers(caller))
    there.session.metadata = {**(body.metadata or {}), **_MARK}
    stored = await there.db.aupsert_session(there.session)
    assert stored is not None, "it was asked for"
    return _json(_conversation(there._replace(session=stored)))


@router.delete("/{conversation_id}")
async def delete(request: Request, caller: RunsCaller, conversation_id: str) -> Response:
    """Cancel what runs in a conversation, and delete it with all of its responses."""
    there = await _found(service_of(request), caller, conversation_id, steers(caller))
    await there.db.adelete_session(there.session.session_id)
    return _json({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


@router.get("/{conversation_id}/items")
async def list_items(request: Request, caller: RunsCaller, conversation_id: str) -> Response:
    """Return what was said in a conversation, in pages; by default the last item first."""
    query = Query.of(request, "after", "include", "limit", "order")
    query.choices("include", INCLUDABLE)
    limit, after, oldest_first = query.limit(), query.text("after"), query.is_oldest_first()
    service = service_of(request)
    there = await _found(service, caller, conversation_id, caller.reads)
    store = await there.db.store()
    start: str | None = None
    if after is not None:
        first = await _run_of(store, there, caller, after)
        if first is None:
            raise _no_cursor(after)
        start = first.run_id
    items: list[Json] = []
    is_begun = after is None
    runs = _runs(store, there, caller, start, oldest_first=oldest_first)
    async with aclosing(runs) as records:
        async for record in records:
            said = await _items_of(service, caller, store, record)
            for item in said if oldest_first else reversed(said):
                if is_begun:
                    items.append(item)
                is_begun = is_begun or item["id"] == after
            if len(items) > limit:
                break
    if not is_begun:
        raise _no_cursor(after)
    return _json(page_of(items[:limit], has_more=len(items) > limit))


@router.get("/{conversation_id}/items/{item_id:path}")
async def get_item(
    request: Request, caller: RunsCaller, conversation_id: str, item_id: str
) -> Response:
    """Return one item of a conversation."""
    Query.of(request, "include").choices("include", INCLUDABLE)
    service = service_of(request)
    there = await _found(service, caller, conversation_id, caller.reads)
    store = await there.db.store()
    record = await _run_of(store, there, caller, item_id)
    for item in () if record is None else await _items_of(service, caller, store, record):
        if item["id"] == item_id:
            return _json(item)
    raise refused("item_id", f"There is no item {item_id!r:.100}.", "not_found", 404)


def _databases(service: Service, caller: Caller) -> list[Methods]:
    """Return the databases of the agents that a caller may use."""
    found = {id(each.db): each.db for each in service.visible(caller)}
    databases = [each for each in found.values() if isinstance(each, Methods)]
    if databases:
        return databases
    raise RequestError(404, "There is no agent that you may use.", code="model_not_found")


async def _found(service: Service, caller: Caller, name: str, user_id: str | None) -> There:
    """Return a conversation.

    Raises:
        RequestError: there is none (404).
    """
    session_id = session_of(name)
    for db in _databases(service, caller):
        session = await db.aget_session(session_id, user_id=user_id)
        if session is not None and (session.agent_id is None or caller.sees(session.agent_id)):
            return There(db, session, name)
    raise no_conversation(name)


def _conversation(there: There) -> dict[str, object]:
    """Return a conversation as JSON values."""
    metadata = there.session.metadata or {}
    return {
        "id": there.name,
        "object": "conversation",
        "created_at": int(there.session.created_at or 0),
        "metadata": {
            name: shown(value) for name, value in metadata.items() if not name.startswith("kern.")
        },
    }


async def _runs(
    store: Store, there: There, caller: Caller, start: str | None, *, oldest_first: bool
) -> AsyncGenerator[RunRecord, None]:
    """Yield the runs of a conversation from one on; the oldest first costs a look at all."""
    wanted = RunFilter(
        session_id=there.session.session_id, seen_by=caller.reads, without_children=True
    )
    before: str | None = None
    if start is not None and not oldest_first:
        first = await store.get(start)
        if first is not None:
            yield first
        before = start
    found: list[RunRecord] = []
    while page := await store.find(wanted, _PAGE, before):
        before = page[-1].run_id
        if oldest_first:
            found += page
            continue
        for record in page:
            yield record
    is_begun = start is None
    for record in reversed(found):
        is_begun = is_begun or record.run_id == start
        if is_begun:
            yield record


async def _run_of(store: Store, there: There, caller: Caller, item_id: str) -> RunRecord | None:
    """Return the run of a conversation that has an item; None where the caller sees none such."""
    run_id = run_in(item_id)
    record = None if run_id is None else await store.get_for(run_id, caller.reads)
    is_here = record is not None and record.session_id == there.session.session_id
    return record if is_here else None


async def _items_of(
    service: Service, caller: Caller, store: Store, record: RunRecord
) -> list[Json]:
    """Return what was said in a run, the first first; nothing of one that has not ended."""
    run: RunOutput[Any] = RunOutput.from_record(record)
    agent = service.agents.get(record.agent_id)
    is_apart = run.forked_from_run_id is not None or run.status is RunStatus.regenerated
    if record.status in _LIVE or is_apart or record.unstored:
        return []
    if agent is None or not caller.sees(record.agent_id):
        return []
    found = Found(agent, store, record, ResponseId(record.run_id))
    items: list[Json] = []
    for stretch in range(await found.current() + 1):
        one = found._replace(response=ResponseId(record.run_id, stretch))
        translator, _ = await folded(one)
        items += await input_items(one)
        items += translator.response()["output"]
    return items


def _no_cursor(item_id: object) -> RequestError:
    return refused("after", f"after is no item of this conversation: {item_id!r:.100}.")


def _json(body: object) -> Response:
    return Response(encoded(body), media_type="application/json")
