"""The list of runs: filters, search and pages, live."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from fastapi import Request, Response

from kern.db.listing import SEARCHED, RunFilter
from kern.errors import ConfigurationError, RunNotFoundError
from kern.operations.listed import error_of, output_of
from kern.operations.looking import Look, look_at
from kern.operations.wording import first_words
from kern.run.base import RunStatus
from kern.run.codec import check_id
from kern.run.duration import parse_duration
from kern.run.record import RunRecord
from kern.server.problems import RequestError
from kern.server.runs.reach import Place
from kern.server.streaming import EventStream
from kern.server.ui.live import every, live
from kern.server.ui.rendering import page, part
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewer, Viewing

router = pages_router()

# How many runs are on a page.
_LIMIT = 50

# How often they are looked at, in seconds.
_OFTEN = 1.0

SINCE = ("1h", "24h", "7d", "30d")
"""How long ago the runs that are shown may have been accepted."""


class Listed(NamedTuple):
    """A run as the list shows it.

    Attributes:
        record: the run.
        output: the same, as its caller sees it.
        said: how its input begins.
        error: what it failed of.
    """

    record: RunRecord
    output: object
    said: str
    error: str | None

    @classmethod
    def of(cls, record: RunRecord) -> "Listed":
        """Show a run."""
        return cls(record, output_of(record), first_words(record), error_of(record))


class Listing(NamedTuple):
    """A page of the list.

    Attributes:
        runs: the runs.
        look: who executes each, or why nobody does; None where there are none.
        following: the run with which the page ends, if there is another one.
        only: the agents whose runs these are, where the agents have several databases.
    """

    runs: list[Listed]
    look: Look | None
    following: str
    only: tuple[str, ...]


class Chosen(NamedTuple):
    """Which runs somebody wants to see, as the address of the page says it.

    Attributes:
        q: what is searched for.
        agent: the agent.
        status: the statuses.
        session: the session.
        user: the user.
        since: how long ago they may have been accepted.
        before: the run before which they were accepted.
    """

    q: str
    agent: str
    status: tuple[RunStatus, ...]
    session: str
    user: str
    since: str
    before: str

    @classmethod
    def of(cls, request: Request) -> "Chosen":
        """Return what the address of a page says.

        Raises:
            RequestError: there is no such status (400).
            InvalidInputError: a text cannot be an id.
        """
        given = request.query_params
        known = {each.value: each for each in RunStatus}
        statuses = [name for name in given.getlist("status") if name]
        for name in statuses:
            if name not in known:
                raise RequestError(400, f"There is no status {name!r:.50}.", code="invalid_request")
        texts = {
            name: given.get(name, "").strip()
            for name in ("q", "agent", "session", "user", "since", "before")
        }
        for name, text in texts.items():
            if text:
                check_id(name, text)
        return cls(status=tuple(known[name] for name in dict.fromkeys(statuses)), **texts)

    def url(self, viewer: Viewer, before: str = "") -> str:
        """Return the address of another page of the same list."""
        return viewer.url("runs", **self._replace(before=before)._asdict())

    @property
    def is_filtered(self) -> bool:
        """Whether some runs are left out."""
        return any(self._replace(before=""))

    async def wanted(self, viewer: Viewer, place: Place) -> RunFilter:
        """Return which runs these are.

        Raises:
            RequestError: the viewer may not see these (403), or a time is none (400).
        """
        since: datetime | None = None
        if self.since:
            try:
                span = parse_duration("since", self.since)
            except ConfigurationError as error:
                raise RequestError(400, str(error), code="invalid_request", param="since") from None
            since = await place.store.overview.now() - span
        return RunFilter(
            statuses=self.status,
            session_id=self.session or None,
            user_id=viewer.reach.user(self.user or None),
            since=since,
            agents=place.agents,
            text=self.q or None,
        )


@router.get("/runs")
async def show_runs(request: Request, viewer: Viewing) -> Response:
    """The runs, the last accepted first."""
    chosen = Chosen.of(request)
    return page(
        request,
        viewer,
        "runs.html",
        chosen=chosen,
        agents=sorted(viewer.reach.agents),
        statuses=[*RunStatus],
        sinces=SINCE,
        searched=SEARCHED,
        listing=await _listing(viewer, chosen),
    )


@router.get("/runs/live")
async def stream_runs(request: Request, viewer: Viewing) -> EventStream:
    """The same whenever it has changed."""
    chosen = Chosen.of(request)

    async def render() -> Mapping[str, str]:
        listing = await _listing(viewer, chosen)
        return {"runs": part("parts/runs.html", viewer=viewer, chosen=chosen, listing=listing)}

    return live(request, viewer, render, every(_OFTEN))


async def _listing(viewer: Viewer, chosen: Chosen) -> Listing:
    """Return a page of the list, and where the next one begins."""
    places = await viewer.reach.places()
    place = await viewer.reach.place(chosen.agent) if chosen.agent else next(iter(places), None)
    if place is None:
        return Listing([], None, "", ())
    wanted = await chosen.wanted(viewer, place)
    try:
        found = await place.store.page(wanted, _LIMIT + 1, chosen.before or None)
    except RunNotFoundError:
        raise RequestError(
            404, "The run where this page begins has been deleted.", code="cursor_gone"
        ) from None
    shown = found[:_LIMIT]
    return Listing(
        [*map(Listed.of, shown)],
        await look_at(place.store, shown, with_steps=True),
        shown[-1].run_id if len(found) > _LIMIT else "",
        place.agents if len(places) > 1 and not chosen.agent else (),
    )
