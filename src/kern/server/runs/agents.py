"""The routes of agents: which there are, and what they take and answer."""

from fastapi import APIRouter, Depends, Response

from kern.server.runs.documented import answered, no_query, refused
from kern.server.runs.reach import EVERYWHERE, Looking
from kern.server.runs.shown import Page, ShownAgent, agent_shown

router = APIRouter(
    prefix="/v1/agents", tags=["agents"], dependencies=[*EVERYWHERE, Depends(no_query)]
)


@router.get(
    "",
    operation_id="list_agents",
    summary="List agents",
    response_model=Page[ShownAgent],
    responses=refused(),
)
async def list_agents(reach: Looking) -> Response:
    """The agents that the caller may use, all on one page."""
    return answered({"data": [*map(agent_shown, reach.agents.values())], "next": None})


@router.get(
    "/{agent_id}",
    operation_id="get_agent",
    summary="Get an agent",
    response_model=ShownAgent,
    responses=refused(404),
)
async def get_agent(agent_id: str, reach: Looking) -> Response:
    """An agent. One that the caller may not use is not found."""
    return answered(agent_shown(reach.agent(agent_id)))
