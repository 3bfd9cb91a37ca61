"""The page of schedules: what agents do by themselves, when next, and whether they go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from fastapi import Request, Response

from kern.errors import InvalidInputError, ScheduleNotFoundError
from kern.run.codec import check_id
from kern.run.cron import Cron
from kern.run.schedule import Schedule
from kern.server.caller import Scope
from kern.server.runs.actions import check_may
from kern.server.runs.reach import Place
from kern.server.ui.forms import Acting, done
from kern.server.ui.live import every, live
from kern.server.ui.rendering import page, part
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewer, Viewing

router = pages_router()

_PART = "parts/schedules.html"

# How many schedules are shown, and how many of the next moments of each.
_MOST, _NEXT = 200, 3

# Seconds between two looks.
_PACE = 2.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A schedule as the page shows it.

    Attributes:
        schedule: the schedule.
        next: the moments of its next runs, in its own time zone; none while it is paused.
        last_run_id: the run that it has started last.
    """

    schedule: Schedule
    next: Sequence[datetime]
    last_run_id: str | None


@router.get("/schedules")
async def schedules(request: Request, viewer: Viewing) -> Response:
    """The schedules."""
    shown, many = await _listed(viewer)
    return page(request, viewer, "schedules.html", schedules=shown, many=many, agent=_agent(viewer))


@router.get("/schedules/live")
async def schedules_live(request: Request, viewer: Viewing) -> Response:
    """The same, when it changes."""

    async def render() -> dict[str, str]:
        shown, many = await _listed(viewer)
        return {"schedules": part(_PART, viewer=viewer, schedules=shown, many=many)}

    await render()  # What is refused is refused before the stream begins.
    return live(request, viewer, render, every(_PACE))


@router.post("/schedules/{name:path}/pause")
async def pause(name: str, actor: Acting) -> Response:
    """Have a schedule start no runs, until it is resumed."""
    place, found = await _steered(actor, name)
    await place.store.schedules.pause(found.name, found.agent_id, actor.reach.steers)
    return done(actor, f"{found.name} is paused. It starts no runs until it is resumed.")


@router.post("/schedules/{name:path}/resume")
async def resume(name: str, actor: Acting) -> Response:
    """Have a paused schedule go on; what it missed meanwhile is skipped."""
    place, found = await _steered(actor, name)
    resumed = await place.store.schedules.resume(found.name, found.agent_id, actor.reach.steers)
    return done(
        actor, f"{found.name} goes on. It runs next at {_next_of(resumed)[0]:%Y-%m-%d %H:%M}."
    )


def _agent(viewer: Viewer) -> str | None:
    agent = viewer.request.query_params.get("agent")
    return check_id("agent", agent) if agent else None


async def _listed(viewer: Viewer) -> tuple[list[Listed], int]:
    """Return the first of the schedules that a viewer sees, by name, and how many these are."""
    reach, agent = viewer.reach, _agent(viewer)
    found = [
        each
        for place in await reach.places()
        for each in await place.store.schedules.find(agent, reach.reads)
        if viewer.caller.sees(each.agent_id)
    ]
    shown = sorted(found, key=lambda each: each.name)[:_MOST]
    return [
        Listed(each, () if each.paused else _next_of(each), _last_run_id(each)) for each in shown
    ], len(found)


async def _steered(actor: Viewer, name: str) -> tuple[Place, Schedule]:
    """Return a schedule that a caller may change, and where it is.

    Raises:
        RequestError: the caller may change none (403).
        ScheduleNotFoundError: there is none of this name that it may.
    """
    check_may(actor.caller, Scope.runs)
    check_id("name", name)
    for place in await actor.reach.places():
        found = await place.store.schedules.get_for(name, actor.reach.steers)
        if found is not None and actor.caller.sees(found.agent_id):
            return place, found
    raise ScheduleNotFoundError(f"There is no schedule {name!r:.100}.")


def _next_of(schedule: Schedule) -> Sequence[datetime]:
    return _next(schedule.cron, schedule.timezone, schedule.next_at)


@lru_cache(2 * _MOST)
def _next(cron: str, timezone: str, next_at: datetime) -> Sequence[datetime]:
    """Return the next moment and those after it, in the time zone where that is known here."""
    try:
        ticks = Cron(cron, timezone)
    except InvalidInputError:  # Another machine's database of time zones has it.
        return (next_at,)
    moments = [next_at]
    while len(moments) < _NEXT:
        moments.append(ticks.after(moments[-1]))
    return tuple(each.astimezone(ticks.zone) for each in moments)


def _last_run_id(schedule: Schedule) -> str | None:
    return None if schedule.last_at is None else schedule.run_id(schedule.last_at)
