"""What there is and what happened: the first page."""

import asyncio
from collections.abc import Mapping
from typing import Literal

from fastapi import Request, Response

from kern.db.processes import KEPT
from kern.operations.figures import SPANS, Course, course_of, percentile
from kern.operations.fleet import counts, runs_by_reason
from kern.operations.wording import seconds
from kern.server.runs.reach import Place
from kern.server.streaming import EventStream
from kern.server.ui.live import every, live
from kern.server.ui.plots import TITLES, plots_of
from kern.server.ui.rendering import page, part
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewer, Viewing

router = pages_router()

Span = Literal["1h", "24h", "7d", "30d"]

# How often is looked how things stand, and what was counted, in seconds.
_LOOKED, _COUNTED = 5.0, 30.0


class _Overview:
    """What the page shows of one database, to one who sees the runs of all users."""

    def __init__(self, viewer: Viewer, place: Place, span: Span, agent: str) -> None:
        self._viewer = viewer
        self._store = place.store
        self._span = span
        # Who may see some agents only is not told what the others do.
        self._sees_all = viewer.caller.agents is None
        self._agents = [agent] if agent else None if self._sees_all else [*place.agents]
        self._course: Course | None = None
        self._counted_at = float("-inf")

    async def parts(self) -> Mapping[str, str]:
        """Return the parts of the page, by the ids of their elements."""
        load, fleet, reasons, course = await asyncio.gather(
            self._store.load(),
            self._store.processes.find(KEPT),
            runs_by_reason(self._store),
            self._what_happened(),
        )
        sees = self._viewer.caller.sees
        now = part(
            "parts/now.html",
            viewer=self._viewer,
            load=load if self._sees_all else None,
            workers=counts([each for each in fleet if any(map(sees, each.agents))]),
            stuck=[each for each in reasons if each.is_stuck and sees(each.first.agent_id)],
        )
        whole = course.whole
        happened = part(
            "parts/happened.html",
            whole=whole if course.steps else None,
            wait=seconds(percentile(whole.waits, 0.95)),
            duration=seconds(percentile(whole.durations, 0.95)),
        )
        plots = {
            f"{each.name}-figures": part("parts/plot.html", plot=each) for each in plots_of(course)
        }
        return {"now": now, "happened": happened, **plots}

    async def _what_happened(self) -> Course:
        now = asyncio.get_running_loop().time()
        if self._course is None or now - self._counted_at >= _COUNTED:
            self._course = await course_of(self._store, self._span, self._agents)
            self._counted_at = now
        return self._course


@router.get("")
async def overview(
    request: Request, viewer: Viewing, last: Span = "24h", agent: str = ""
) -> Response:
    """Show how the runs stand, and what happened."""
    shown = await _shown(viewer, last, agent)
    return page(
        request,
        viewer,
        "overview.html",
        last=last,
        spans=SPANS,
        titles=TITLES,
        agent=agent,
        agents=sorted(viewer.reach.agents),
        parts=None if shown is None else await shown.parts(),
    )


@router.get("/live")
async def overview_live(
    request: Request, viewer: Viewing, last: Span = "24h", agent: str = ""
) -> EventStream:
    """Send what has changed of it."""
    shown = await _shown(viewer, last, agent)

    async def render() -> Mapping[str, str]:
        return {} if shown is None else await shown.parts()

    return live(request, viewer, render, every(_LOOKED))


async def _shown(viewer: Viewer, last: Span, agent: str) -> _Overview | None:
    """Return what is shown; None to one who sees only what is their own, or where there is nothing.

    Where agents have several databases it is that of the agent that is asked for, or the first.
    """
    if viewer.reach.reads is not None:
        return None
    if agent:
        place = await viewer.reach.place(agent)
    else:
        place = next(iter(await viewer.reach.places()), None)
    return None if place is None else _Overview(viewer, place, last, agent)
