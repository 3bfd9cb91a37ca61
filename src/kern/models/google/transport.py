"""What it means when a request does not arrive, or its answer does not."""

import aiohttp
from google.auth.exceptions import GoogleAuthError, TransportError

from kern.errors import ModelError

# What is shorter is a stand-in such as "none", and may be a part of any word.
_SHORTEST_KEY = 7

_NETWORK = (aiohttp.ClientError, TransportError, OSError, EOFError)


def model_error(error: Exception, model: str, timeout: float | None, key: str) -> ModelError:
    """Return the error of ours for whatever a call raised.

    Args:
        error: an error of aiohttp, of the SDK, or of ours.
        model: the model's id.
        timeout: the seconds for which an answer was waited for, or None for any.
        key: is cut out of the text.
    """
    found = error if isinstance(error, ModelError) else _explained(error, model, timeout)
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


def _explained(error: Exception, model: str, timeout: float | None) -> ModelError:
    reason = (str(error) or type(error).__name__).rstrip(".")
    if isinstance(error, TimeoutError):
        within = "in time" if timeout is None else f"within {timeout:g} s. Raise timeout"
        text = f"{model} did not answer {within}."
        return ModelError(text, kind="timeout", transient=True)
    if isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError):
        text = f"The proxy before {model} refused: {reason}. Check HTTPS_PROXY."
        return ModelError(text, kind="connection", transient=True)
    if isinstance(error, aiohttp.ClientResponseError):
        # Something did answer, and it may have worked for it.
        text = f"{model} answered with something that is no HTTP: {reason}."
        return ModelError(text, kind="malformed")
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        text = (
            f"{model} has no usable address: {reason}. Check base_url and GOOGLE_GEMINI_BASE_URL."
        )
        return ModelError(text, kind="invalid_request")
    if isinstance(error, _NETWORK):
        text = (
            f"The server of {model} cannot be reached: {reason}. Check the network and "
            "GOOGLE_GEMINI_BASE_URL."
        )
        return ModelError(text, kind="connection", transient=True)
    if isinstance(error, GoogleAuthError):
        text = (
            f"Google Cloud gives no access to {model}: {reason}. Check "
            "GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud."
        )
        return ModelError(text, kind="authentication")
    if isinstance(error, ValueError):  # The SDK refuses what it is given.
        return ModelError(f"{model} cannot be called: {reason}.", kind="invalid_request")
    return ModelError(f"{model} failed: {type(error).__name__}: {reason}.")
