"""Whether a service lives, whether it takes requests, and what it counts."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from kern.server.caller import Caller, Scope, needs
from kern.server.metrics import CONTENT_TYPE, as_text
from kern.server.problems import encoded
from kern.server.service import service_of

router = APIRouter(tags=["health"])


class Status(msgspec.Struct, omit_defaults=True):
    """How a service is.

    Attributes:
        status: ``ok`` or ``unavailable``.
        reason: why it is not available.
    """

    status: str
    reason: str | None = None


def _described(description: str, **example: str) -> dict[str, Any]:
    """Return what OpenAPI says of an answer."""
    properties = {name: {"type": "string"} for name in Status.__struct_fields__}
    schema = {"type": "object", "properties": properties, "required": ["status"]}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"description": description, "content": content}


_OK = _described("It does.", status="ok")
_UNAVAILABLE = _described("Not now.", status="unavailable", reason="the database is away")


@router.get("/healthz", summary="Whether the service lives", responses={200: _OK})
async def healthz() -> Response:
    """Answer 200 whenever the event loop answers; where it does not, restart the process."""
    return _answer(None)


@router.get(
    "/readyz",
    summary="Whether the service takes requests",
    responses={200: _OK, 503: _UNAVAILABLE},
)
async def readyz(request: Request) -> Response:
    """Answer 200 while the databases answer; 503 with the reason otherwise, and at the end."""
    return _answer(await service_of(request).readiness.reason())


@router.get(
    "/metrics",
    summary="What the service counts",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"example": "kern_streams_open 3.0\n"}}}},
)
async def metrics(
    request: Request, _: Annotated[Caller, Depends(needs(Scope.metrics))]
) -> Response:
    """Return counters named ``kern_…`` in the text format of Prometheus."""
    load = await service_of(request).readiness.load()
    return Response(as_text(load), media_type=CONTENT_TYPE)


def _answer(reason: str | None) -> Response:
    status = Status("ok") if reason is None else Status("unavailable", reason)
    code = 200 if reason is None else 503
    return Response(encoded(status), code, media_type="application/json")
