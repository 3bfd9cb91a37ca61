"""What all routes of the runs API have in common: how they answer, and are documented."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from kern.run.codec import dump
from kern.server.problems import RequestError

Responses: TypeAlias = dict[int | str, dict[str, Any]]
"""What a route may answer, for its documentation."""

_MAY_REPEAT = frozenset({"status"})

_REFUSALS = {
    400: ("The request cannot be understood, or holds a value that cannot be used.", "bad_request"),
    401: ("Nobody knows who sends the request: the key or token is missing or wrong.", "no_caller"),
    403: ("The caller lacks a scope.", "insufficient_scope"),
    404: ("There is no such thing, or it is another user's.", "run_not_found"),
    409: ("It stands otherwise than this needs.", "wrong_status"),
    413: ("The body is too large.", "request_too_large"),
    422: ("The Idempotency-Key was sent with another request before.", "idempotency_key_reused"),
    429: ("Too much was asked for; Retry-After says when to ask again.", "rate_limit_exceeded"),
    503: ("The database is away; Retry-After says when to ask again.", "unavailable"),
}

_ALWAYS = (400, 401, 403, 429, 503)


class Problem(BaseModel):
    """What a request is refused with: problem details (RFC 9457)."""

    type: str = Field("about:blank", description="The kind of problem, as a URI.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened, why, and what to do.")
    code: str = Field(description="The same in a word, for programs.")
    param: str | None = Field(None, description="The parameter that it is about.")


_PROBLEM = {"$ref": f"#/components/schemas/{Problem.__name__}"}  # The application has it there.


class Body(BaseModel):
    """A JSON body of a request, or its query: what it does not know it refuses by name."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Shown(BaseModel):
    """A JSON body of a response; it is only documented so, and may have further members."""

    model_config = ConfigDict(extra="allow")


def refused(*statuses: int) -> Responses:
    """Return the documentation of what a route refuses requests with.

    Args:
        statuses: those beside what every route may answer.
    """
    return {status: _refusal(status) for status in sorted({*_ALWAYS, *statuses})}


def _refusal(status: int) -> dict[str, Any]:
    description, code = _REFUSALS[status]
    example = {"title": "…", "status": status, "detail": description, "code": code}
    content = {"schema": _PROBLEM, "example": {"type": "about:blank", **example}}
    refusal: dict[str, Any] = {
        "description": description,
        "content": {"application/problem+json": content},
    }
    if status in (429, 503):
        what = {"description": "Seconds to wait.", "schema": {"type": "string"}}
        refusal["headers"] = {"Retry-After": what}
    return refusal


def answered(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a body of JSON values."""
    return Response(dump(body).encode(), status, headers, "application/json")


def location(request: Request, path: str, name: str) -> str:
    """Return where something is found: below where the application is mounted.

    Args:
        request: the request.
        path: the path of what is of its kind, such as ``/v1/runs``.
        name: its id.
    """
    return f"{request.scope.get('root_path', '')}{path}/{quote(name, safe='')}"


def check_query(request: Request) -> None:
    """Refuse a parameter that is given twice.

    Raises:
        RequestError: one is (400).
    """
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if count > 1 and name not in _MAY_REPEAT:
            raise RequestError(
                400, f"{name:.100} is given {count} times.", code="contradiction", param=name
            )


def no_query(request: Request) -> None:
    """Refuse every parameter of a route that takes none.

    Raises:
        RequestError: there is one (400).
    """
    for name in request.query_params:
        raise RequestError(
            400, f"There is no parameter {name!r:.100} here.", code="unknown_parameter", param=name
        )
