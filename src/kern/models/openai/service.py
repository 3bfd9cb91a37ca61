"""A server that speaks OpenAI's protocols: JSON and events go in and out, what fails is ours.

The SDK opens the connections, signs and sends; it does not read what comes back, and repeats
nothing: ``kern.models.retries`` does.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Collection, Mapping
from contextlib import aclosing, suppress
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from kern.aio.limit import Allowance
from kern.aio.per_loop import PerLoop
from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.extras import extra
from kern.models.openai.options import ClientOptions
from kern.models.openai.provider import OPENAI, Provider
from kern.models.sse import read_events
from kern.run.codec import parse
from kern.run.numbers import check_seconds

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response
    from openai import AsyncOpenAI

# How long the end of a stream is waited for once the answer is complete, in seconds: a connection
# that is read to its end serves the next call.
_DRAIN = 0.1


class Service:
    """The server of one model, with its connections for each event loop.

    A body is posted as its parameters, each of them JSON already.
    """

    def __init__(
        self,
        model: str,
        provider: Provider,
        options: ClientOptions,
        *,
        headers: Mapping[str, str],
        query: Mapping[str, object],
    ) -> None:
        """Prepare, without opening anything.

        Args:
            model: the model's id, for errors.
            provider: whose server it is.
            options: how it is reached.
            headers: headers to send with each call.
            query: what to add to the address of each call, behind its ``?``.

        Raises:
            ConfigurationError: the client that is to be used is no asynchronous one, or the
                timeout is no number of seconds.
        """
        self.client: AsyncOpenAI | None
        self._asked_through: AsyncOpenAI | None
        self.base_url = options.get("base_url")
        self.api_key = options.get("api_key")
        self._model = model
        self._provider = provider
        self._options = options
        self._timeout = options.get("timeout", 600.0)
        self._headers = headers
        self._query = query
        self._opened = (self.base_url, self.api_key)
        self._clients = PerLoop(self._open)
        if self._timeout is not None:
            check_seconds("timeout", self._timeout, ConfigurationError)
        self.use(options.get("async_client") or options.get("client"))

    def use(self, client: "AsyncOpenAI | None") -> None:
        """Ask through a client of the user's from the next call on, or no more.

        Raises:
            ConfigurationError: it is no asynchronous one.
        """
        if client is not None and not iscoroutinefunction(getattr(client, "post", None)):
            raise ConfigurationError(
                f"The model's client is a {type(client).__name__}; kern needs an asynchronous one: "
                "pass async_client=AsyncOpenAI(...)."
            )
        self.client, self._asked_through = client, None
        if client is not None:
            # kern repeats, the SDK does not.
            self._asked_through = client.with_options(
                max_retries=0, default_headers=self._headers, default_query=self._query
            )

    @property
    def server(self) -> str:
        """Which server it is: its host, port and path, with nothing secret.

        Where connections are open, it is theirs, whatever the environment says since then.
        """
        client = self.client
        if client is None and self.base_url is self._opened[0] is None:
            client = self._clients.opened
        return _server_at(self._address() if client is None else str(client.base_url))

    async def prepare(self) -> None:
        """Load the SDK and open a client.

        Raises:
            MissingKeyError: there is no key.
            ConfigurationError: the server's address is none.
            MissingExtraError: the SDK is not installed.
        """
        await self._ready()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.aclose()

    def close(self) -> None:
        """Close the connections of the loops in other threads.

        Raises:
            ConfigurationError: it was called on an event loop that uses them.
        """
        self._clients.close()

    def get(self, path: str) -> Awaitable[object]:
        """Return the JSON at a path, once it is awaited.

        Raises:
            ModelError: there is none, or it did not come.
        """
        return self._whole("GET", path, None)

    def post(self, path: str, body: Mapping[str, bytes] | None) -> Awaitable[object]:
        """Return the JSON with which a path answers a body, or no body, once it is awaited.

        Raises:
            ModelError: it refused, or did not answer with JSON.
        """
        return self._whole("POST", path, body)

    async def events(
        self, path: str, body: Mapping[str, bytes] | None, wanted: Collection[bytes]
    ) -> AsyncGenerator[dict[str, object], None]:
        """Yield the events with which a path answers, those that are JSON objects.

        Args:
            path: where to ask, with the query.
            body: what to post, or None to get.
            wanted: the names of the events to yield, see :func:`read_events`.

        Raises:
            ModelError: it refused, or the stream broke off or is no JSON.
        """
        client = await self._ready()
        method = "GET" if body is None else "POST"
        try:
            with Allowance(self._timeout) as allowance:
                response = await allowance.wait(_send(client, method, path, body, stream=True))
                try:
                    async with (
                        aclosing(allowance.each(response.aiter_bytes())) as chunks,
                        aclosing(read_events(chunks, wanted)) as events,
                    ):
                        async for event in events:
                            if isinstance(event, dict):
                                yield event
                        await _drain(chunks)
                finally:
                    await response.aclose()
        except Exception as error:
            raise self.failed(error) from None

    def failed(self, error: Exception) -> ModelError:
        """Return what went wrong in words of ours, without the key, which the server may quote.

        Args:
            error: what went wrong; not to be shown beside the result, for the same reason.
        """
        from kern.models.openai.transport import model_error

        key = self.client.api_key if self.client else self._key()
        return model_error(error, self._model, self._provider, self._timeout, key or "")

    async def _whole(self, method: str, path: str, body: Mapping[str, bytes] | None) -> object:
        client = await self._ready()
        try:
            with Allowance(self._timeout) as allowance:
                response = await allowance.wait(_send(client, method, path, body, stream=False))
            return parse(response.content)
        except Exception as error:
            raise self.failed(error) from None

    def _address(self) -> str:
        return self.base_url or self._provider.address()

    def _key(self) -> str | None:
        return self.api_key or self._provider.key()

    async def _ready(self) -> "AsyncOpenAI":
        """Return the client of the running loop, with the address and key of this moment."""
        if self._asked_through is not None:
            return self._asked_through
        client = await self._clients.get()
        if (self.base_url, self.api_key) == self._opened:
            return client
        return client.with_options(base_url=self._address(), api_key=self._key())

    async def _open(self) -> AsyncGenerator["AsyncOpenAI", None]:
        with extra("openai"):
            from httpx2 import InvalidURL

            from kern.models.openai.transport import open_http_client

        key, address, hint = self._key(), self._address(), self._provider.address_hint
        if not key:
            raise MissingKeyError(
                f"There is no API key for {self._model}: set {self._provider.key_variable}, or "
                "pass api_key. For a server of your own that asks for none, any value will do.",
                kind="authentication",
            )
        if not address:
            raise ConfigurationError(f"{self._model} has no address. Set {hint}.")
        given = self._options.get("http_client")
        http_client = given or open_http_client()
        try:
            client = self._made(key, address, http_client)
        except InvalidURL as error:
            if given is None:
                await http_client.aclose()
            raise ConfigurationError(
                f"{self._model} has no usable address: {error}. Check {hint}."
            ) from error
        if given is not None:
            yield client
            return
        for each, loop in list(_open_clients.items()):
            if loop.is_closed():
                _open_clients.pop(each, None)
        _open_clients[client] = asyncio.get_running_loop()
        try:
            yield client
        finally:
            _open_clients.pop(client, None)
            await client.close()

    def _made(self, key: str, address: str, http_client: "AsyncClient") -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        given: dict[str, Any] = {
            "api_key": key,
            "base_url": address,
            "organization": self._options.get("organization"),
            "timeout": self._timeout,
            "max_retries": 0,
            "default_headers": self._headers,
            "default_query": self._query,
            "http_client": http_client,
            **(self._options.get("client_params") or {}),
        }
        client = AsyncOpenAI(**given)
        if self._provider is not OPENAI:
            # The SDK takes these from OpenAI's variables, and they concern nobody else.
            client.organization, client.project = given["organization"], given.get("project")
        return client


# Held for as long as they are open: a client that becomes garbage together with its model would
# complain that nobody has closed it, before the model's generator can do that.
_open_clients: "dict[AsyncOpenAI, asyncio.AbstractEventLoop]" = {}


@lru_cache
def _server_at(address: str) -> str:
    try:
        url = urlsplit(address)
    except ValueError:  # The first call will say so.
        return ""
    return url.netloc.rpartition("@")[2].lower() + url.path.rstrip("/")


async def _send(
    client: "AsyncOpenAI",
    method: str,
    path: str,
    body: Mapping[str, bytes] | None,
    *,
    stream: bool,
) -> "Response":
    """Send a request without the SDK's types, and return the answer without its objects.

    Both hold every item against every type that it can have: they cost more than the rest.
    """
    from httpx2 import Response
    from openai import AsyncStream

    kind = AsyncStream[object] if stream else None
    if method == "GET":
        answer = await client.get(path, cast_to=Response, stream=stream, stream_cls=kind)
    else:
        content = None if body is None else _joined(body)
        answer = await client.post(
            path, cast_to=Response, content=content, stream=stream, stream_cls=kind
        )
    return cast(Response, answer)


def _joined(body: Mapping[str, bytes]) -> bytes:
    members = [json.dumps(name).encode() + b":" + value for name, value in body.items()]
    return b"{%b}" % b",".join(members)


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read what follows the last event, if it comes at once; the answer is complete without it."""
    with suppress(Exception):
        async with asyncio.timeout(_DRAIN):
            async for _ in chunks:
                pass
