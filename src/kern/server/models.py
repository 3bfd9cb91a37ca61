"""The routes below ``/v1/models``: the agents that a caller may use, as models."""

import time

from fastapi import APIRouter, Request, Response

from kern.server.caller import RunsCaller
from kern.server.problems import encoded
from kern.server.service import AnyAgent, service_of

router = APIRouter(prefix="/v1/models", include_in_schema=False)

_SINCE = int(time.time())


@router.get("")
async def list_models(request: Request, caller: RunsCaller) -> Response:
    """Return the agents that the caller may use."""
    agents = [_model(each) for each in service_of(request).visible(caller)]
    return Response(encoded({"object": "list", "data": agents}), media_type="application/json")


@router.get("/{model:path}")
async def get_model(request: Request, caller: RunsCaller, model: str) -> Response:
    """Return one agent."""
    agent = service_of(request).agent(model, caller)
    return Response(encoded(_model(agent)), media_type="application/json")


def _model(agent: AnyAgent) -> dict[str, object]:
    return {"id": agent.id, "object": "model", "created": _SINCE, "owned_by": "kern"}
