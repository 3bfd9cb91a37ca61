"""One POST, sent to addresses that were checked, and nowhere else.

Imported at the first delivery only. A session and a connection of its own for each: nothing that
one receiver does is known to the next.
"""

import socket
from collections.abc import Mapping
from http.client import responses

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override
from yarl import URL

from kern.errors import WebhookError
from kern.run.duration import pause_of
from kern.webhooks.address import Target

# Seconds for the connection, with the TLS handshake.
_CONNECT = 10.0

_GONE = 410


class _Pinned(AbstractResolver):
    """Answers with addresses, whatever the name; TLS still checks the name."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    @override
    async def close(self) -> None:
        """Nothing is open."""


def pinned(addresses: list[str]) -> aiohttp.ClientSession:
    """Return a session that connects to these addresses only, whatever a URL's name.

    Args:
        addresses: those that were checked; the next one is tried where one does not answer.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=_Pinned(addresses), use_dns_cache=False, force_close=True
        ),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
    )


async def post(
    target: Target, addresses: list[str], headers: Mapping[str, str], body: bytes
) -> None:
    """Send one request; of the answer only its head is read.

    Args:
        target: where to.
        addresses: the target's addresses; the next one is tried where one does not answer.
        headers: the headers besides Host and Content-Length.
        body: the content.

    Raises:
        WebhookError: it was not answered with 2xx.
    """
    try:
        async with (
            pinned(addresses) as session,
            session.post(
                URL(target.origin + target.path, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
            ) as answer,
        ):
            _check_answer(target, answer)
    except TimeoutError:
        raise WebhookError(f"{target.origin} cannot be reached within {_CONNECT:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise WebhookError(f"{target.origin} cannot be reached: {_reason(error)}") from None


def _check_answer(target: Target, answer: aiohttp.ClientResponse) -> None:
    if 200 <= answer.status < 300:
        return
    # Not the words of the answer: nobody knows what they are.
    phrase = responses.get(answer.status, "")
    raise WebhookError(
        f"{target.origin} answered {answer.status} {phrase}".rstrip(),
        permanent=answer.status == _GONE,
        retry_after=pause_of(answer.headers) or 0.0,
    )


def _reason(error: BaseException) -> str:
    """Return what the system says; aiohttp's own words may hold the path, or the answer's."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = str(error) if isinstance(error, OSError) else ""
    return f"{words or type(error).__name__:.200}"
