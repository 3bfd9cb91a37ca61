"""One POST, sent to addresses that were checked, and nowhere else.

Imported at the first delivery only. httpcore sends one request and has no mind of its own: it
follows no redirects and reads no proxies from the environment.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from functools import cache
from http.client import responses

import httpcore2
from typing_extensions import override

from kern.errors import WebhookError
from kern.webhooks.address import Target

# Seconds for each address, and for the TLS handshake.
_CONNECT = 10.0

_GONE = 410
_LONGEST_PAUSE = 86400.0


class _Pinned(httpcore2.AnyIOBackend):
    """Connects to addresses, whatever the name; TLS still checks the name."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        *others, last = self._addresses
        for address in others:
            try:
                return await super().connect_tcp(address, port, timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await super().connect_tcp(last, port, timeout)


async def post(
    target: Target, addresses: list[str], headers: Mapping[str, str], body: bytes
) -> None:
    """Send one request; of the answer only its head is read.

    Args:
        target: where to.
        addresses: the target's addresses, tried in turn.
        headers: the headers besides Host and Content-Length.
        body: the content.

    Raises:
        WebhookError: it was not answered with 2xx.
    """
    url = httpcore2.URL(
        scheme=target.scheme, host=target.host, port=target.port, target=target.path
    )
    try:
        # The machine's certificates are read on the first call.
        tls = await asyncio.to_thread(_tls) if target.scheme == "https" else None
        connection = httpcore2.AsyncHTTPConnection(
            url.origin, ssl_context=tls, network_backend=_Pinned(addresses)
        )
        async with (
            connection,
            connection.stream(
                "POST",
                url,
                headers=[("Host", target.authority), *headers.items()],
                content=body,
                extensions={"timeout": {"connect": _CONNECT}},
            ) as answer,
        ):
            _check_answer(target, answer)
    except (
        httpcore2.NetworkError,
        httpcore2.TimeoutException,
        httpcore2.ProtocolError,
        OSError,
    ) as error:
        raise WebhookError(f"{target.origin} cannot be told: {_root(error)}") from None


def _check_answer(target: Target, answer: httpcore2.Response) -> None:
    if 200 <= answer.status < 300:
        return
    # Not the words of the answer: nobody knows what they are.
    phrase = responses.get(answer.status, "")
    pause = {name.lower(): value for name, value in answer.headers}.get(b"retry-after", b"")
    raise WebhookError(
        f"{target.origin} answered {answer.status} {phrase}".rstrip(),
        permanent=answer.status == _GONE,
        retry_after=min(float(pause), _LONGEST_PAUSE) if pause.isdigit() else 0.0,
    )


@cache
def _tls() -> ssl.SSLContext:
    return httpcore2.default_ssl_context()


def _root(error: BaseException) -> str:
    """Return what lies behind an error, in its own words."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{str(error) or type(error).__name__:.200}"
