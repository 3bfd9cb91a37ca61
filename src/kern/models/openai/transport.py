"""How the SDK's requests travel: over aiohttp, which the SDK offers for many at a time.

The SDK's own transport looks at all its connections for every request, so with a hundred runs in
flight it takes more processor time than everything else together.
"""

import aiohttp
from httpx2 import AsyncClient, Limits
from openai import APIConnectionError, APITimeoutError, DefaultAioHttpClient


def open_http_client() -> AsyncClient:
    """Return a client with any number of connections: the runs in flight are limited elsewhere."""
    # For aiohttp 0 is any number; None would be its default of 100.
    return DefaultAioHttpClient(limits=Limits(max_connections=0, keepalive_expiry=15.0))


def reason(error: APIConnectionError) -> str:
    """Return why a server could not be reached."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return str(cause) or type(cause).__name__


def is_timeout(error: APIConnectionError) -> bool:
    """Say whether an answer took too long; a lost connection is none, though the SDK says so."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aiohttp.ClientError) and not isinstance(cause, TimeoutError):
            return False
        cause = cause.__cause__
    return isinstance(error, APITimeoutError)
