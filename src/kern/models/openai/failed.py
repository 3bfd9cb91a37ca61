"""Failures within an answer that came with HTTP 200."""

from kern.errors import ModelError
from kern.models.failures import failure_of, refusal
from kern.models.values import Json


def failed_answer(error: Json, model: str, content: str | None = None) -> ModelError:
    """Return what went wrong in words of ours.

    Args:
        error: the server's error object; its code is a name, or an HTTP status as gateways say it.
        model: the model's id.
        content: the text that there was by then.
    """
    code = error.get("code") or error.get("type")
    status = code if isinstance(code, int) and 400 <= code <= 599 else None
    reason = str(error.get("message") or code or "it does not say why")
    failure = failure_of(error.get("type") if status else code, status, reason)
    found = refusal(model, failure, reason, content=content)
    found.status_code = status
    return found


def check_for_error(payload: Json, model: str, content: str | None = None) -> None:
    """Look whether something that came with HTTP 200 holds an error.

    Raises:
        ModelError: it does.
    """
    error = payload.get("error")
    if isinstance(error, str) and error:
        error = {"message": error}
    if isinstance(error, dict):
        raise failed_answer(error, model, content)
