"""What Google's errors say: their code for kern's table, how long to wait, and a remedy."""

from collections.abc import Mapping

from kern.errors import ModelError
from kern.models.failures import failure_of, retry_after
from kern.models.google.values import Json, a_number, a_text, an_object, objects
from kern.run.duration import LONGEST_PAUSE

_REMEDIES = {
    "authentication": " Check GOOGLE_API_KEY.",
    "context_length": " Shorten the conversation, or take a model that reads more.",
    "not_found": " Check the model's id, and GOOGLE_GEMINI_BASE_URL.",
    "rate_limit": " Wait, or ask the provider for a higher limit.",
}

_TOO_LARGE = " Show it less of the history, or give media by their URLs."

# Google has no code for a conversation that is too long.
_TOO_LONG = ("input token count", "exceeds the maximum number of tokens")


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
    error = an_object(payload, "error")
    said = a_text(error, "message") or a_text(error, "status") or "it does not say why"
    failure = failure_of(_code_of(error, said), status or a_number(error, "code"))
    remedy = _TOO_LARGE if status == 413 else _REMEDIES.get(failure.kind, "")
    answered = "failed" if status is None else f"answered {status}"
    asked = retry_after(headers or {})
    return ModelError(
        f"{model} {answered}: {said.strip().rstrip('.')}.{remedy}",
        kind=failure.kind,
        transient=failure.transient,
        retry_after=_pause_in(error) if asked is None else asked,
        status_code=status,
    )


def _code_of(error: Json, said: str) -> str | None:
    lowered = said.lower()
    if all(words in lowered for words in _TOO_LONG):
        return "context_length_exceeded"
    reasons = [a_text(each, "reason") for each in objects(error, "details")]
    if "API_KEY_INVALID" in reasons:  # It comes with the status 400.
        return "invalid_api_key"
    return a_text(error, "status")


def _pause_in(error: Json) -> float | None:
    """Return the seconds that an error asks for in its details, or None."""
    for each in objects(error, "details"):
        delay = (a_text(each, "retryDelay") or "").removesuffix("s")
        if delay.isascii() and delay.replace(".", "", 1).isdecimal():
            return min(float(delay), LONGEST_PAUSE)
    return None
