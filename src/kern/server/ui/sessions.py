"""The pages of sessions: conversations, with their runs, state and summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import Request, Response

from kern.db.listing import RunFilter
from kern.db.sessions import SessionRow
from kern.db.stored import session_of_row
from kern.operations.listed import error_of, given_to, output_of
from kern.operations.wording import words_in
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.run.record import RunRecord
from kern.run.state import values_of
from kern.server.runs.cursors import Paged
from kern.server.runs.reach import Place
from kern.server.runs.sessions import SessionQuery, find_runs, find_sessions
from kern.server.runs.shown import without_reserved
from kern.server.ui.filters import asked_in, has_several, next_of
from kern.server.ui.live import every, live
from kern.server.ui.rendering import page, part
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewer, Viewing
from kern.session.agent import AgentSession

router = pages_router()

_LIST, _FACTS, _TALK = "parts/sessions.html", "parts/session.html", "parts/conversation.html"

# Seconds between two looks.
_PACE = 2.0

# How many runs of a conversation are on a page.
_RUNS = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as the list shows it.

    Attributes:
        row: the session.
        words: how its first answered run was asked.
    """

    row: SessionRow
    words: str


class Said(NamedTuple):
    """A message of a conversation.

    Attributes:
        message: the message.
        others: the kinds of its parts that are no text, such as ``image``.
        name: what its whole text is called on the page of the run.
    """

    message: Message
    others: Sequence[str]
    name: str


@dataclass(frozen=True, slots=True)
class Told:
    """A run of a conversation.

    Attributes:
        record: the run.
        status: where it is; of one that another has replaced, that.
        messages: what was said in it; before it has ended, what it was given.
        error: what went wrong.
    """

    record: RunRecord
    status: RunStatus
    messages: Sequence[Said]
    error: str | None


class Listing(NamedTuple):
    """What the list of sessions shows.

    Attributes:
        asked: what was asked for.
        sessions: the sessions.
        has_several: whether there are several databases, and this is of one.
        following: where the next page is, if there is one.
    """

    asked: SessionQuery
    sessions: Sequence[Listed]
    has_several: bool
    following: str | None


class Facts(NamedTuple):
    """What there is to say of a session beside its conversation.

    Attributes:
        row: the session as it is stored.
        session: the session as users have it.
        state: its state.
        metadata: what is attached to it, without what is kern's own.
    """

    row: SessionRow
    session: AgentSession
    state: Mapping[str, object]
    metadata: Mapping[str, object] | None


@router.get("/sessions")
async def sessions(request: Request, viewer: Viewing) -> Response:
    """The sessions, the last begun first."""
    return page(request, viewer, "sessions.html", **(await _listed(viewer))._asdict())


@router.get("/sessions/live")
async def sessions_live(request: Request, viewer: Viewing) -> Response:
    """The same, when they change."""

    async def render() -> dict[str, str]:
        return {"sessions": part(_LIST, viewer=viewer, **(await _listed(viewer))._asdict())}

    await render()  # What is refused is refused before the stream begins.
    return live(request, viewer, render, every(_PACE))


@router.get("/sessions/{session_id:path}/live")
async def session_live(request: Request, viewer: Viewing, session_id: str) -> Response:
    """What is on the page of a session, when it changes."""
    shown: tuple[object, str] = None, ""

    async def render() -> dict[str, str]:
        nonlocal shown
        place, row = await viewer.reach.session(session_id, viewer.reach.reads)
        runs, earlier = await _runs(viewer, place, row)
        if shown[0] != runs:  # What was said is long, and is read only where a run has moved on.
            told = await _told(place, runs)
            shown = runs, part(_TALK, viewer=viewer, runs=told, earlier=earlier)
        facts = part(_FACTS, viewer=viewer, **(await _facts(place, row))._asdict())
        return {"session": facts, "conversation": shown[1]}

    await render()  # What is refused is refused before the stream begins.
    return live(request, viewer, render, every(_PACE))


@router.get("/sessions/{session_id:path}")
async def session(request: Request, viewer: Viewing, session_id: str) -> Response:
    """A session as a conversation, with its state and summary."""
    place, row = await viewer.reach.session(session_id, viewer.reach.reads)
    runs, earlier = await _runs(viewer, place, row)
    told, facts = await _told(place, runs), await _facts(place, row)
    return page(request, viewer, "session.html", runs=told, earlier=earlier, **facts._asdict())


async def _listed(viewer: Viewer) -> Listing:
    asked = await asked_in(viewer, SessionQuery)
    found, following = await find_sessions(viewer.reach, asked)
    words: dict[str, str] = {}
    place = await viewer.reach.place(asked.agent)
    if place is not None and found:
        begun = await place.store.sessions.previews([each.session_id for each in found], 1)
        words = {each.session_id: words_in(each.input) for each in begun}
    listed = [Listed(each, words.get(each.session_id, "")) for each in found]
    following = following and next_of(viewer, following)
    return Listing(asked, listed, await has_several(viewer), following)


async def _runs(
    viewer: Viewer, place: Place, row: SessionRow
) -> tuple[list[RunRecord], str | None]:
    """Return runs of a session, the newest first, and where those before them are."""
    asked = await asked_in(viewer, Paged, limit=str(_RUNS))
    wanted = RunFilter(
        session_id=row.session_id,
        seen_by=viewer.reach.reads,
        without_children=True,
        agents=place.agents,
    )
    found, following = await find_runs(place, wanted, asked)
    return found, following and next_of(viewer, following)


async def _told(place: Place, runs: Sequence[RunRecord]) -> list[Told]:
    """Return what was said in runs, the oldest first."""
    found = await place.store.sessions.records([each.run_id for each in runs])
    return [_told_of(each) for each in found]


def _told_of(record: RunRecord) -> Told:
    output = output_of(record)
    said = [
        Said(each, _others(each), f"message-{place}")
        for place, each in enumerate(output.messages)
        if each.role != "system" and not each.from_history
    ]
    if not said:
        said = [Said(each, _others(each), "input") for each in given_to(record)]
    return Told(record, output.status, said, error_of(record) if record.error else None)


def _others(message: Message) -> list[str]:
    kinds = (str(each.__struct_config__.tag) for each in message.parts)
    return [kind for kind in kinds if kind != "text"]


async def _facts(place: Place, row: SessionRow) -> Facts:
    state = values_of((await place.store.states.of(row.session_id)).texts)
    session = session_of_row(row)
    return Facts(row, session, state, without_reserved(session.metadata))
