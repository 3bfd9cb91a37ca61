"""What Google's errors say: their code for kern's table, how long to wait, and a remedy."""

from collections.abc import Mapping

from kern.errors import ModelError
from kern.models.failures import failure_of, refusal
from kern.models.values import Json, number_at, object_at, objects_in, text_at
from kern.run.duration import LONGEST_PAUSE


def failed(
    payload: Mapping[str, object],
    model: str,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> ModelError:
    """Return the error of ours for one of the API.

    Args:
        payload: the answer, which holds ``error``.
        model: the model's id.
        status: the HTTP status of the answer; None for an error within an answer of 200.
        headers: of the answer.
    """
    error = object_at(payload, "error")
    said = text_at(error, "message") or text_at(error, "status") or "it does not say why"
    failure = failure_of(_code_of(error), status or number_at(error, "code") or None, said)
    found = refusal(
        model,
        failure,
        said,
        status=status,
        headers=headers,
        key="GOOGLE_API_KEY",
        server="GOOGLE_GEMINI_BASE_URL",
    )
    if found.retry_after is None:
        found.retry_after = _pause_in(error)
    return found


def _code_of(error: Json) -> str | None:
    reasons = [text_at(each, "reason") for each in objects_in(error.get("details"))]
    if "API_KEY_INVALID" in reasons:  # It comes with the status 400.
        return "invalid_api_key"
    return text_at(error, "status")


def _pause_in(error: Json) -> float | None:
    """Return the seconds that an error asks for in its details, or None."""
    for each in objects_in(error.get("details")):
        delay = (text_at(each, "retryDelay") or "").removesuffix("s")
        if delay.isascii() and delay.replace(".", "", 1).isdecimal():
            return min(float(delay), LONGEST_PAUSE)
    return None
