"""A server that speaks the Messages API: JSON and events go in and out, what fails is ours.

The SDK opens the connections, signs and sends; it does not read what comes back, and repeats
nothing: ``kern.models.retries`` does.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from kern.aio.limit import Allowance
from kern.aio.per_loop import PerLoop
from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.extras import extra
from kern.models.anthropic.pieces import WANTED
from kern.models.sse import read_events
from kern.run.codec import parse

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from httpx2 import Response

_ANTHROPIC = "https://api.anthropic.com"
_PATH = "/v1/messages"
_SIGNED = ("authorization", "x-api-key")


class Service:
    """The server of one model, with its connections for each event loop.

    A body is posted as its parameters, each of them JSON already.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        auth_token: str | None,
        base_url: str | None,
        timeout: float | None,
        headers: Mapping[str, str],
        query: Mapping[str, object],
        client_params: Mapping[str, object],
    ) -> None:
        """Prepare, without opening anything.

        Args:
            model: the model's id, for errors.
            api_key: the key; by default what ``ANTHROPIC_API_KEY`` holds at the first call.
            auth_token: in place of a key; by default what ``ANTHROPIC_AUTH_TOKEN`` holds.
            base_url: the server; by default ``ANTHROPIC_BASE_URL``, else Anthropic's.
            timeout: seconds to wait for an answer in all, from the connection to its last byte;
                None for any time.
            headers: headers to send with each call.
            query: what to add to the address of each call, behind its ``?``.
            client_params: more arguments of the SDK's client.
        """
        self._model = model
        self._api_key = api_key
        self._auth_token = auth_token
        self._base_url = base_url
        self._timeout = timeout
        self._headers = headers
        self._query = query
        self._client_params = client_params
        self._clients = PerLoop(self._client)

    @property
    def server(self) -> str:
        """Which server it is: its host, port and path, with nothing secret.

        Where connections are open, it is theirs, whatever the environment says since then.
        """
        address = self._base_url
        if address is None and (client := self._clients.opened) is not None:
            address = str(client.base_url)
        try:
            url = urlsplit(address or os.environ.get("ANTHROPIC_BASE_URL") or _ANTHROPIC)
        except ValueError:  # The first call will say so.
            return ""
        return url.netloc.rpartition("@")[2].lower() + url.path.rstrip("/")

    async def prepare(self) -> None:
        """Load the SDK and open a client.

        Raises:
            MissingKeyError: there is no key.
            ConfigurationError: the server's address is none.
            MissingExtraError: the SDK is not installed.
        """
        await self._clients.get()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.aclose()

    def close(self) -> None:
        """Close the connections of the loops in other threads.

        Raises:
            ConfigurationError: it was called on an event loop that uses them.
        """
        self._clients.close()

    async def post(self, body: Mapping[str, bytes]) -> object:
        """Return the JSON with which the server answers a body.

        Raises:
            ModelError: it refused, or did not answer with JSON.
        """
        client = await self._clients.get()
        try:
            with Allowance(self._timeout) as allowance:
                response = await allowance.wait(_send(client, body, stream=False))
            return parse(response.content)
        except Exception as error:
            raise self.failed(error) from None

    async def events(self, body: Mapping[str, bytes]) -> AsyncGenerator[dict[str, object], None]:
        """Yield the events with which the server answers a body, those that are read.

        Raises:
            ModelError: it refused, or the stream broke off or is no JSON.
        """
        client = await self._clients.get()
        try:
            with Allowance(self._timeout) as allowance:
                streamed = {**body, "stream": b"true"}
                response = await allowance.wait(_send(client, streamed, stream=True))
                try:
                    async with (
                        aclosing(allowance.each(response.aiter_bytes())) as chunks,
                        aclosing(read_events(chunks, WANTED)) as events,
                    ):
                        async for event in events:
                            if isinstance(event, dict):
                                yield event
                finally:
                    await response.aclose()
        except Exception as error:
            raise self.failed(error) from None

    def failed(self, error: Exception) -> ModelError:
        """Return what went wrong in words of ours, without the key, which the server may quote.

        Args:
            error: what went wrong; not to be shown beside the result, for the same reason.
        """
        from kern.models.anthropic.transport import model_error

        given = self._api_key or self._auth_token
        environment = (os.environ.get(f"ANTHROPIC_{each}") for each in ("API_KEY", "AUTH_TOKEN"))
        key = given or next(filter(None, environment), "")
        return model_error(error, self._model, self._timeout, key)

    async def _client(self) -> AsyncGenerator["AsyncAnthropic", None]:
        with extra("anthropic"):
            from anthropic import AsyncAnthropic, CredentialsError
            from httpx2 import InvalidURL

            from kern.models.anthropic.transport import open_http_client

        http_client = open_http_client()
        arguments: dict[str, object] = {
            "api_key": self._api_key,
            "auth_token": self._auth_token,
            "base_url": self._base_url,
            "timeout": self._timeout,
            "max_retries": 0,
            "default_headers": self._headers,
            "default_query": self._query,
            "http_client": http_client,
            **self._client_params,
        }
        try:
            client = AsyncAnthropic(**arguments)  # type: ignore[arg-type] # The SDK looks at them.
        except CredentialsError as error:
            await http_client.aclose()
            raise MissingKeyError(
                f"There is no API key for {self._model}: {error}", kind="authentication"
            ) from error
        except (InvalidURL, TypeError, ValueError) as error:
            await http_client.aclose()
            raise ConfigurationError(
                f"{self._model} cannot be asked: {error}. Check base_url, ANTHROPIC_BASE_URL and "
                "client_params."
            ) from error
        if not self._is_signed(client):
            await client.close()
            raise MissingKeyError(
                f"There is no API key for {self._model}: set ANTHROPIC_API_KEY, or pass api_key. "
                "For a server of your own that asks for none, any value will do.",
                kind="authentication",
            )
        for each, loop in list(_open_clients.items()):
            if loop.is_closed():
                _open_clients.pop(each, None)
        _open_clients[client] = asyncio.get_running_loop()
        try:
            yield client
        finally:
            _open_clients.pop(client, None)
            await client.close()

    def _is_signed(self, client: "AsyncAnthropic") -> bool:
        """Say whether requests have something to be known by."""
        has_header = any(name in _SIGNED for name in self._headers)
        return has_header or bool(client.api_key or client.auth_token or client.credentials)


# Held for as long as they are open: a client that becomes garbage together with its model would
# complain that nobody has closed it, before the model's generator can do that.
_open_clients: "dict[AsyncAnthropic, asyncio.AbstractEventLoop]" = {}


async def _send(client: "AsyncAnthropic", body: Mapping[str, bytes], *, stream: bool) -> "Response":
    """Send a request without the SDK's types, and return the answer without its objects.

    Both hold every block against every type that it can have: they cost more than the rest.
    """
    from anthropic import AsyncStream
    from httpx2 import Response

    members = b",".join(json.dumps(name).encode() + b":" + value for name, value in body.items())
    answer = await client.post(
        _PATH,
        cast_to=Response,
        content=b"{%b}" % members,
        options={"headers": _HEADERS},
        stream=stream,
        stream_cls=AsyncStream[object] if stream else None,
    )
    return cast(Response, answer)


_HEADERS = {"content-type": "application/json"}
