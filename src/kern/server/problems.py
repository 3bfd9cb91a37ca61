"""What a request is refused with: one list of errors, in both forms in which clients read them."""

import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kern.errors import (
    BlobNotFoundError,
    BudgetExceededError,
    ComponentNotFoundError,
    ContextWindowExceededError,
    DatabaseUnavailableError,
    InputCheckError,
    InvalidInputError,
    KernError,
    ModelAuthenticationError,
    ModelError,
    ModelRateLimitError,
    OutcomeUnknownError,
    OutputCheckError,
    OutputSchemaError,
    QueueFullError,
    RequirementExpiredError,
    RunCancelledError,
    RunConflictError,
    RunNotFoundError,
    RunStateError,
    RunTimeoutError,
    ScheduleNotFoundError,
    ServerShutdownError,
    SessionBusyError,
    SessionNotFoundError,
    ThreadLimitError,
    UsageLimitError,
)

logger = logging.getLogger("kern.server")

# Below these, errors have the form of OpenAI's; elsewhere they are problem details.
_OPENAI = ("/v1/responses", "/v1/conversations", "/v1/models", "/v1/chat")

# The types of errors that OpenAI's clients know.
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class RequestError(KernError):
    """A request that is refused.

    It becomes problem details (RFC 9457) in the runs API, and ``{"error": {…}}`` in OpenAI's.

    Attributes:
        status: the HTTP status.
        detail: what happened, why, and what to do.
        code: a word for programs, such as ``"agent_not_found"``.
        param: the parameter that it is about, or None.
        headers: headers of the response, such as ``Retry-After``.

    Example:
        >>> error = RequestError(401, "Sign in first.", code="not_signed_in")
        >>> error.status, str(error)
        (401, 'Sign in first.')
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def as_openai(self) -> dict[str, object]:
        """Return it as OpenAI's API says errors, without the ``{"error": …}`` around it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "message": self.detail,
            "type": _TYPES.get(self.status, kind),
            "param": self.param,
            "code": self.code,
        }

    def as_problem(self) -> dict[str, object]:
        """Return it as problem details, with the members ``code`` and ``param`` beside."""
        problem: dict[str, object] = {
            "type": "about:blank",
            "title": _phrase(self.status),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return problem if self.param is None else problem | {"param": self.param}

    def response(self, request: Request) -> Response:
        """Return the response to a request, in the form in which its client reads errors."""
        # Not that of the URL, in which the client's word for the host is a part.
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if any(path == each or path.startswith(f"{each}/") for each in _OPENAI):
            content = encoded({"error": self.as_openai()})
            return Response(content, self.status, self.headers, "application/json")
        content = encoded(self.as_problem())
        return Response(content, self.status, self.headers, "application/problem+json")


class _Rule(NamedTuple):
    """How an error of kern is told.

    Attributes:
        status: the HTTP status.
        code: the word for programs.
        detail: what is said in place of the error's own words, where those are about the inside.
        retry_after: the seconds after which to ask again, where the error does not say it itself.
    """

    status: int
    code: str
    detail: str | None = None
    retry_after: float | None = None


_INTERNAL = _Rule(500, "internal_error", "Something went wrong in the server; its log says what.")

# A class that is not here is told as the nearest class above it.
_RULES: dict[type, _Rule] = {
    KernError: _INTERNAL,
    InvalidInputError: _Rule(400, "invalid_input"),
    InputCheckError: _Rule(400, "input_refused"),
    ContextWindowExceededError: _Rule(400, "context_length_exceeded"),
    RunNotFoundError: _Rule(404, "run_not_found"),
    SessionNotFoundError: _Rule(404, "session_not_found"),
    ComponentNotFoundError: _Rule(404, "component_not_found"),
    ScheduleNotFoundError: _Rule(404, "schedule_not_found"),
    BlobNotFoundError: _Rule(404, "content_not_found"),
    RunConflictError: _Rule(409, "run_conflict"),
    RunStateError: _Rule(409, "wrong_status"),
    RunCancelledError: _Rule(409, "run_cancelled"),
    RequirementExpiredError: _Rule(409, "requirement_expired"),
    SessionBusyError: _Rule(409, "session_busy"),
    OutputCheckError: _Rule(422, "output_refused"),
    OutputSchemaError: _Rule(422, "output_malformed"),
    UsageLimitError: _Rule(422, "usage_limit"),
    QueueFullError: _Rule(429, "queue_full", "Too many runs wait already.", retry_after=1.0),
    BudgetExceededError: _Rule(429, "insufficient_quota"),
    ModelRateLimitError: _Rule(429, "rate_limit_exceeded", retry_after=1.0),
    ModelError: _Rule(502, "model_error"),
    ModelAuthenticationError: _Rule(502, "model_error", "The model refuses the server's key."),
    DatabaseUnavailableError: _Rule(503, "unavailable", "The database is away. Try again.", 1.0),
    OutcomeUnknownError: _Rule(
        503,
        "outcome_unknown",
        "The database did not answer, so it may have been done or not. Try again, with the same "
        "Idempotency-Key if you gave one.",
        1.0,
    ),
    ServerShutdownError: _Rule(503, "server_shutdown", retry_after=1.0),
    ThreadLimitError: _Rule(503, "unavailable", "The server is too busy. Try again.", 1.0),
    RunTimeoutError: _Rule(504, "run_timeout"),
}


def problem_of(error: KernError) -> RequestError:
    """Return what a request is refused with that has met an error of kern.

    What a 5xx says is in the log, not in the response, unless it is about the caller's own run.
    """
    if isinstance(error, RequestError):
        return error
    rule = next(_RULES[each] for each in type(error).__mro__ if each in _RULES)
    headers = _retrying(error, rule.retry_after)
    return RequestError(rule.status, rule.detail or str(error), code=rule.code, headers=headers)


def _retrying(error: KernError, after: float | None) -> dict[str, str]:
    """Return the headers that say when to try again."""
    if isinstance(error, BudgetExceededError):
        # OpenAI's clients try a 429 again by themselves, which is of no use here.
        headers = {"x-should-retry": "false"}
        if error.resets_at is None:
            return headers
        left = (error.resets_at - datetime.now(UTC)).total_seconds()
        return headers | {"Retry-After": str(max(math.ceil(left), 1))}
    if isinstance(error, ModelRateLimitError) and error.retry_after is not None:
        after = error.retry_after
    return {} if after is None else {"Retry-After": str(max(math.ceil(after), 1))}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _of_framework(request: Request, error: HTTPException) -> RequestError:
    """Return what the framework refuses a request with: there is no such route, or method."""
    phrase = _phrase(error.status_code)
    detail = error.detail
    if detail == phrase and error.status_code in (404, 405):
        what = "route" if error.status_code == 404 else "method"
        detail = f"There is no {what} {request.method:.20} {request.scope['path']:.200}."
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return RequestError(error.status_code, detail, code=code, headers=error.headers)


def _of_validation(error: RequestValidationError) -> RequestError:
    """Return what a request is refused with whose parameters or body do not have their form."""
    found = error.errors()
    if found[0]["type"] == "json_invalid":
        why, where = found[0]["ctx"]["error"], found[0]["loc"][-1]
        return RequestError(400, f"The body is no JSON: {why} at {where}.", code="invalid_json")
    named = [(".".join(str(part) for part in each["loc"][1:]), each["msg"]) for each in found]
    detail = "; ".join(f"{name}: {text}" if name else text for name, text in named[:5])
    return RequestError(400, f"{detail}.", code="invalid_request", param=named[0][0] or None)


def refusal_of(request: Request, error: Exception) -> RequestError:
    """Return what a request is refused with that has met an error; what nobody foresaw is logged.

    Args:
        request: the request.
        error: what it has met.
    """
    match error:
        case HTTPException():
            return _of_framework(request, error)
        case RequestValidationError():
            return _of_validation(error)
        case KernError():
            refused = problem_of(error)
            if refused.status == 500:
                _log(request.scope, error)
            return refused
        case ClientDisconnect():  # It reads nothing.
            return RequestError(400, "The client has left.", code="client_left")
    _log(request.scope, error)
    return problem_of(KernError())


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer a request that has met an error."""
    return refusal_of(request, error).response(request)


def _log(scope: Scope, error: Exception) -> None:
    # Never the query or the headers: they may hold a key.
    logger.error("%s %r has failed.", scope["method"], scope["path"], exc_info=error)


class _Unexpected:
    """Middleware that answers what nobody expected with a 500, and logs it once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise  # The server logs it, and closes the connection, so that the client sees it.
            request = Request(scope)
            await refusal_of(request, error).response(request)(scope, receive, send)


def add_problems(app: FastAPI) -> None:
    """Have an application answer every error in the form that the path has."""
    for each in (KernError, HTTPException, RequestValidationError, ClientDisconnect):
        app.add_exception_handler(each, _refuse)
    app.add_middleware(_Unexpected)


def encoded(value: object) -> bytes:
    """Return a value as JSON in bytes."""
    return msgspec.json.encode(value)
