"""What the failures of a provider mean, in one table: by its code for them, or else by status."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kern.errors import ModelError, ModelErrorKind
from kern.run.duration import LONGEST_PAUSE, pause_of


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failure means.

    Attributes:
        kind: what went wrong.
        transient: whether the same call may succeed later.
    """

    kind: ModelErrorKind
    transient: bool


def _passes(kind: ModelErrorKind) -> Failure:
    return Failure(kind, transient=True)


def _stays(kind: ModelErrorKind) -> Failure:
    return Failure(kind, transient=False)


# The codes of the providers, OpenAI's first, Google's in capitals. What is not in the table stays.
_CODES: Mapping[str, Failure] = {
    "server_error": _passes("server"),
    "internal_server_error": _passes("server"),
    "internal_error": _passes("server"),
    "api_error": _passes("server"),
    "rate_limit_exceeded": _passes("rate_limit"),
    "rate_limit_error": _passes("rate_limit"),
    "too_many_requests": _passes("rate_limit"),
    "slow_down": _passes("overloaded"),
    "overloaded": _passes("overloaded"),
    "overloaded_error": _passes("overloaded"),
    "engine_overloaded": _passes("overloaded"),
    "server_overloaded": _passes("overloaded"),
    "service_unavailable": _passes("overloaded"),
    "timeout": _passes("timeout"),
    "vector_store_timeout": _passes("timeout"),
    "failed_to_download_image": _passes("connection"),
    # What is used up comes back with a payment, not with time.
    "insufficient_quota": _stays("rate_limit"),
    "billing_hard_limit_reached": _stays("rate_limit"),
    "billing_not_active": _stays("rate_limit"),
    "invalid_api_key": _stays("authentication"),
    "account_deactivated": _stays("authentication"),
    "permission_denied": _stays("authentication"),
    "model_not_found": _stays("not_found"),
    "deployment_not_found": _stays("not_found"),
    "context_length_exceeded": _stays("context_length"),
    "exceed_context_size_error": _stays("context_length"),
    "string_above_max_length": _stays("context_length"),
    "content_filter": _stays("content_filter"),
    "content_policy_violation": _stays("content_filter"),
    "image_content_policy_violation": _stays("content_filter"),
    "moderation_blocked": _stays("content_filter"),
    "bio_policy": _stays("refused"),
    "cyber_policy": _stays("refused"),
    "misalignment_policy_violation": _stays("refused"),
    "invalid_prompt": _stays("invalid_request"),
    "data_residency_mismatch": _stays("invalid_request"),
    # Anthropic's, where they are others.
    "timeout_error": _passes("timeout"),
    "authentication_error": _stays("authentication"),
    "permission_error": _stays("authentication"),
    "billing_error": _stays("rate_limit"),
    "contract_spend_limit_reached": _stays("rate_limit"),
    "enforced_spend_limit_reached": _stays("rate_limit"),
    "linked_organization_spend_limit_reached": _stays("rate_limit"),
    "not_found_error": _stays("not_found"),
    "ABORTED": _passes("server"),
    "CANCELLED": _passes("server"),
    "DEADLINE_EXCEEDED": _passes("timeout"),
    "FAILED_PRECONDITION": _stays("invalid_request"),
    "INTERNAL": _passes("server"),
    "INVALID_ARGUMENT": _stays("invalid_request"),
    "NOT_FOUND": _stays("not_found"),
    "OUT_OF_RANGE": _stays("invalid_request"),
    "PERMISSION_DENIED": _stays("authentication"),
    "RESOURCE_EXHAUSTED": _passes("rate_limit"),
    "UNAUTHENTICATED": _stays("authentication"),
    "UNAVAILABLE": _passes("overloaded"),
    "UNIMPLEMENTED": _stays("invalid_request"),
    "UNKNOWN": _passes("server"),
}

_STATUSES: Mapping[int, Failure] = {
    401: _stays("authentication"),
    403: _stays("authentication"),
    404: _stays("not_found"),
    408: _passes("timeout"),
    409: _passes("server"),
    425: _passes("server"),
    429: _passes("rate_limit"),
    503: _passes("overloaded"),
    504: _passes("timeout"),
    529: _passes("overloaded"),
}


# Not every server has a code for a conversation that is too long.
_TOO_LONG = re.compile(
    r"context (length|window|size|limit)|prompt is too long"
    r"|too many tokens|maximum number of tokens",
    re.I,
)

# Some servers quote a whole request, in which media is in base64.
_MEDIA = re.compile(r"[A-Za-z0-9+/_-]{256,}={0,2}")


def failure_of(code: object, status: int | None = None, message: str = "") -> Failure:
    """Return what a failure means.

    Args:
        code: the provider's code for it, where it gave one; goes before the status.
        status: the HTTP status of its answer, or None for one within an answer.
        message: what the provider says of it.
    """
    found = _failure_of(code, status)
    if found.kind == "invalid_request" and _TOO_LONG.search(message):
        return _stays("context_length")
    return found


def _failure_of(code: object, status: int | None) -> Failure:
    if isinstance(code, str) and (known := _CODES.get(code)):
        return known
    if status is None:
        return _stays("invalid_request" if isinstance(code, str) and code else "other")
    if status >= 500:
        return _STATUSES.get(status, _passes("server"))
    return _STATUSES.get(status, _stays("invalid_request"))


def refusal(
    model: str,
    failure: Failure,
    said: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    key: str = "api_key",
    server: str = "base_url",
    content: str | None = None,
) -> ModelError:
    """Return the error for what a provider answered in place of an answer.

    Args:
        model: the model's id.
        failure: what it means.
        said: what the provider says of it.
        status: the HTTP status of its answer, or None for an error within an answer.
        headers: of its answer, by names of any case or in lower case.
        key: what to check where the key is refused.
        server: what to check where there is nothing.
        content: the text that there was by then.
    """
    headers = headers or {}
    said = _MEDIA.sub("…", said)
    transient = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    answered = "failed" if status is None else f"answered {status}"
    remedy = _remedy(failure.kind, status, key, server)
    return ModelError(
        f"{model} {answered}: {said.strip().rstrip('.')}.{remedy}",
        kind=failure.kind,
        transient=failure.transient if transient is None else transient,
        retry_after=retry_after(headers),
        status_code=status,
        content=content,
    )


def _remedy(kind: ModelErrorKind, status: int | None, key: str, server: str) -> str:
    match kind:
        case "authentication" if status == 403:
            return f" Check {key}, and what it may do."
        case "authentication":
            return f" Check {key}."
        case "not_found":
            return f" Check the model's id and {server}."
        case "rate_limit":
            return " Wait, or ask the provider for a higher limit."
        case "context_length":
            return " Show it less of the history, or take a model that reads more."
        case "invalid_request" if status == 413:
            return " Show it less of the history, or give media by their URLs."
    return ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds for which a provider asks to be left alone, at most a day, or None.

    Args:
        headers: of its answer, by names of any case or in lower case.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if milliseconds.isascii() and milliseconds.replace(".", "", 1).isdecimal():
        return min(float(milliseconds) / 1000, LONGEST_PAUSE)
    return pause_of(headers)
