"""How the SDK's requests travel, and what it means when they do not arrive.

They travel over aiohttp, which the SDK offers for many at a time: its own transport looks at all
its connections for every request, so with a hundred runs in flight it takes more processor time
than everything else together.
"""

import aiohttp
from httpx2 import (
    AsyncClient,
    HTTPError,
    InvalidURL,
    Limits,
    ProxyError,
    TimeoutException,
    UnsupportedProtocol,
)
from openai import APIConnectionError, APIStatusError, DefaultAioHttpClient

from kern.errors import ModelError, ModelErrorKind
from kern.models.failures import failure_of, retry_after
from kern.models.openai.provider import Provider

# What is shorter is a stand-in such as "none", and may be a part of any word.
_SHORTEST_KEY = 7


def open_http_client() -> AsyncClient:
    """Return a client with any number of connections: the runs in flight are limited elsewhere."""
    # For aiohttp 0 is any number; None would be its default of 100.
    return DefaultAioHttpClient(limits=Limits(max_connections=0, keepalive_expiry=15.0))


def model_error(
    error: Exception, model: str, provider: Provider, timeout: float | None, key: str
) -> ModelError:
    """Return the error of ours for whatever a call raised.

    Args:
        error: an error of the SDK, of what it stands on, or of ours.
        model: the model's id.
        provider: whose server it is.
        timeout: the seconds for which an answer was waited for, or None for any.
        key: is cut out of the text.
    """
    if isinstance(error, ModelError):
        found = error
    elif isinstance(error, APIStatusError):
        found = _status_error(error, model, provider)
    elif isinstance(error, ValueError | RecursionError) and not isinstance(error, _NETWORK):
        found = ModelError(f"{model} answered with something that is no JSON.", kind="malformed")
    else:
        found = _connection_error(error, model, provider, timeout)
    text = str(found)
    if len(key) < _SHORTEST_KEY or key not in text:
        return found
    return ModelError(
        text.replace(key, "***"),
        kind=found.kind,
        transient=found.transient,
        retry_after=found.retry_after,
        status_code=found.status_code,
        content=found.content,
    )


def _status_error(error: APIStatusError, model: str, provider: Provider) -> ModelError:
    status, headers = error.status_code, error.response.headers
    failure = failure_of(error.code or error.type, status, str(error))
    transient = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    said = str(error).removeprefix(f"Error code: {status} - ").rstrip(".")
    return ModelError(
        f"{model} answered {status}: {said}.{_remedy(failure.kind, status, provider)}",
        kind=failure.kind,
        transient=failure.transient if transient is None else transient,
        retry_after=retry_after(headers),
        status_code=status,
    )


def _remedy(kind: ModelErrorKind, status: int, provider: Provider) -> str:
    if kind == "context_length":
        return " Show it less of the history, or take a model that reads more."
    match status:
        case 401:
            return f" Check {provider.key_variable or 'api_key'}."
        case 403:
            return f" Check {provider.key_variable or 'api_key'}, and what it may do."
        case 413:
            return " Show it less of the history, or give media by their URLs."
        case 404:
            return f" Check the model's id and {provider.url_variable or 'base_url'}."
        case 429:
            return " Wait, or ask the provider for a higher limit."
    return ""


_NETWORK = (aiohttp.ClientError, HTTPError, APIConnectionError, OSError, EOFError)


def _connection_error(
    error: Exception, model: str, provider: Provider, timeout: float | None
) -> ModelError:
    causes = [error]
    while isinstance(cause := causes[-1].__cause__, Exception):
        causes.append(cause)
    reason = (str(causes[-1]) or type(causes[-1]).__name__).rstrip(".")
    if any(isinstance(each, ProxyError) for each in causes):
        text = f"The proxy before {model} refused: {reason}. Check HTTPS_PROXY."
        return ModelError(text, kind="connection", transient=True)
    if _is_timeout(causes):
        within = "in time" if timeout is None else f"within {timeout:g} s. Raise timeout"
        text = f"{model} did not answer {within}."
        return ModelError(text, kind="timeout", transient=True)
    if any(isinstance(each, aiohttp.ClientResponseError) for each in causes):
        # Something did answer, and it may have worked for it.
        text = f"{model} answered with something that is no HTTP: {reason}."
        return ModelError(text, kind="malformed")
    if any(isinstance(each, UnsupportedProtocol | InvalidURL) for each in causes):
        text = f"{model} has no usable address: {reason}. Check {provider.address_hint}."
        return ModelError(text, kind="invalid_request")
    if any(isinstance(each, _NETWORK) for each in causes):
        text = (
            f"The server of {model} cannot be reached: {reason}. Check the network and "
            f"{provider.url_variable or 'base_url'}."
        )
        return ModelError(text, kind="connection", transient=True)
    return ModelError(f"{model} failed: {type(error).__name__}: {reason}.")


def _is_timeout(causes: list[Exception]) -> bool:
    """Say whether an answer took too long; a lost connection is none, though the SDK says so."""
    for cause in reversed(causes):
        if isinstance(cause, aiohttp.ClientError) and not isinstance(cause, TimeoutError):
            return False
        if isinstance(cause, TimeoutError | TimeoutException):
            return True
    return False
