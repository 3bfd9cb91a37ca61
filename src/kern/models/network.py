"""The connections to models' servers, and what it means when nothing comes over them."""

import aiohttp
from httpx2 import HTTPError, InvalidURL, Limits, ProxyError, TimeoutException, UnsupportedProtocol

from kern.errors import ModelError

LIMITS = Limits(max_connections=0, keepalive_expiry=15.0)
"""Any number of connections: how many runs are in flight is limited elsewhere.

For aiohttp 0 is any number; None would be its default of 100.
"""

# Of aiohttp, with which all requests travel, and of httpx2, behind which it is for most SDKs.
_PROXY = (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError, ProxyError)
_ADDRESS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, InvalidURL, UnsupportedProtocol)
_NETWORK = (aiohttp.ClientError, HTTPError, OSError, EOFError)


def network_error(
    error: Exception, model: str, timeout: float | None, *, address: str, server: str
) -> ModelError:
    """Return the error of ours for one that was raised on the way.

    Args:
        error: what was raised.
        model: the model's id.
        timeout: the seconds for which an answer was waited for, or None for any.
        address: what to check where the address is wrong.
        server: what to check where nothing answers.
    """
    causes = [error]
    while isinstance(cause := causes[-1].__cause__, Exception):
        causes.append(cause)
    reason = (str(causes[-1]) or type(causes[-1]).__name__).rstrip(".")

    def is_one(kinds: tuple[type[Exception], ...]) -> bool:
        return any(isinstance(each, kinds) for each in causes)

    if is_one(_PROXY):
        text = f"The proxy before {model} refused: {reason}. Check HTTPS_PROXY."
        return ModelError(text, kind="connection", transient=True)
    if _is_timeout(causes):
        within = "in time" if timeout is None else f"within {timeout:g} s. Raise timeout"
        return ModelError(f"{model} did not answer {within}.", kind="timeout", transient=True)
    if is_one((aiohttp.ClientResponseError,)):
        # Something did answer, and it may have worked for it.
        text = f"{model} answered with something that is no HTTP: {reason}."
        return ModelError(text, kind="malformed")
    if is_one(_ADDRESS):
        text = f"{model} has no usable address: {reason}. Check {address}."
        return ModelError(text, kind="invalid_request")
    if is_one(_NETWORK):
        text = f"The server of {model} cannot be reached: {reason}. Check the network and {server}."
        return ModelError(text, kind="connection", transient=True)
    if isinstance(error, ValueError):  # The SDK refuses what it is given.
        return ModelError(f"{model} cannot be called: {reason}.", kind="invalid_request")
    return ModelError(f"{model} failed: {type(error).__name__}: {reason}.")


def _is_timeout(causes: list[Exception]) -> bool:
    """Say whether an answer took too long; a lost connection is none, though an SDK says so."""
    for cause in reversed(causes):
        if isinstance(cause, aiohttp.ClientError) and not isinstance(cause, TimeoutError):
            return False
        if isinstance(cause, TimeoutError | TimeoutException):
            return True
    return False
