"""The page of workers: which processes execute runs, and why runs go on or do not."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fastapi import Request, Response

from kern.db.processes import KEPT, Process
from kern.operations.fleet import Alike, counts, runs_by_reason
from kern.server.caller import Scope
from kern.server.problems import RequestError
from kern.server.runs.reach import Place
from kern.server.ui.live import every, live
from kern.server.ui.rendering import page, part
from kern.server.ui.route import pages_router
from kern.server.ui.viewing import Viewer, Viewing

router = pages_router()

_PART = "parts/workers.html"

# Seconds between two looks: each groups all runs that have not ended.
_PACE = 2.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """The processes that execute runs, and the runs that have not ended.

    Attributes:
        agent: the agent that both are limited to, or None.
        processes: the processes, those that are alive first.
        counts: how many they are, and how many runs they execute.
        waiting: the runs by agent and reason, those first that the fleet cannot execute.
    """

    agent: str | None
    processes: Sequence[Process]
    counts: dict[str, int]
    waiting: Sequence[Alike]


@router.get("/workers")
async def workers(request: Request, viewer: Viewing) -> Response:
    """The workers, and why runs go on or do not."""
    return page(request, viewer, "workers.html", fleet=await _fleet(viewer))


@router.get("/workers/live")
async def workers_live(request: Request, viewer: Viewing) -> Response:
    """The same, when it changes."""

    async def render() -> dict[str, str]:
        return {"workers": part(_PART, viewer=viewer, fleet=await _fleet(viewer))}

    await render()  # What is refused is refused before the stream begins.
    return live(request, viewer, render, every(_PACE))


async def _fleet(viewer: Viewer) -> Fleet:
    """Return how the fleet stands.

    Raises:
        RequestError: the viewer sees its own runs only, and the fleet executes everybody's (403).
    """
    if viewer.reach.reads is not None:
        raise RequestError(
            403,
            f"Workers execute the runs of all users. To see them needs the scope {Scope.read_all}.",
            code="insufficient_scope",
        )
    agent = viewer.request.query_params.get("agent") or None
    places = await viewer.reach.places()
    found = await asyncio.gather(*(_fleet_at(each) for each in places))

    def is_shown(agent_id: str) -> bool:
        return viewer.caller.sees(agent_id) and agent in (None, agent_id)

    processes = [
        replace(each, agents=tuple(filter(viewer.caller.sees, each.agents)))
        for fleet, _ in found
        for each in fleet
        if any(map(is_shown, each.agents))
    ]
    waiting = [each for _, runs in found for each in runs if is_shown(each.first.agent_id)]
    return Fleet(
        agent,
        sorted(processes, key=lambda each: not each.is_alive),
        counts(processes),
        sorted(waiting, key=lambda each: not each.is_stuck),
    )


async def _fleet_at(place: Place) -> tuple[list[Process], list[Alike]]:
    return await place.store.processes.find(KEPT), await runs_by_reason(place.store)
