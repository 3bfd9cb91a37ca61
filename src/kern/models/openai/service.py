"""A server that speaks OpenAI's protocols: JSON and events go in and out, what fails is ours.

The SDK opens the connections, signs and sends; it does not read what comes back, and repeats
nothing: ``kern.models.retries`` does.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Collection, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

from kern.aio.limit import Allowance
from kern.aio.per_loop import PerLoop
from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.extras import extra
from kern.models.sse import read_events
from kern.run.codec import parse

if TYPE_CHECKING:
    from httpx2 import Response
    from openai import AsyncOpenAI

_OPENAI = "https://api.openai.com/v1"


class _Opened(NamedTuple):
    client: "AsyncOpenAI"
    server: str


class Service:
    """The server of one model, with its connections for each event loop.

    A body is posted as its parameters, each of them JSON already.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None,
        timeout: float | None,
        default_headers: Mapping[str, str],
        default_query: Mapping[str, object],
    ) -> None:
        """Prepare, without opening anything.

        Args:
            model: the model's id, for errors.
            api_key: the key; by default what ``OPENAI_API_KEY`` holds at the first call.
            base_url: the server; by default ``OPENAI_BASE_URL``, else OpenAI's.
            timeout: seconds to wait for an answer in all, from the connection to its last byte;
                None for any time.
            default_headers: headers to send with each call.
            default_query: what to add to the address of each call, behind its ``?``.
        """
        self._model = model
        self._api_key = api_key
        self._base_url = base_url
        self._timeout = timeout
        self._default_headers = default_headers
        self._default_query = default_query
        self._clients = PerLoop(self._client)

    @property
    def _address(self) -> str:
        return self._base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI

    @property
    def server(self) -> str:
        """Which server it is: its host, port and path, with nothing secret.

        Where connections are open, it is theirs, whatever the environment says since then.
        """
        opened = self._clients.opened
        return _server_at(self._address) if opened is None else opened.server

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
        client, _ = await self._clients.get()
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

        key = self._api_key or os.environ.get("OPENAI_API_KEY")
        return model_error(error, self._model, self._timeout, key or "")

    async def _whole(self, method: str, path: str, body: Mapping[str, bytes] | None) -> object:
        client, _ = await self._clients.get()
        try:
            with Allowance(self._timeout) as allowance:
                response = await allowance.wait(_send(client, method, path, body, stream=False))
            return parse(response.content)
        except Exception as error:
            raise self.failed(error) from None

    async def _client(self) -> AsyncGenerator["_Opened", None]:
        with extra("openai"):
            from httpx2 import InvalidURL
            from openai import AsyncOpenAI

            from kern.models.openai.transport import open_http_client

        key = self._api_key or os.environ.get("OPENAI_API_KEY")
        if not key:
            raise MissingKeyError(
                f"There is no API key for {self._model}: set OPENAI_API_KEY, or pass api_key. For "
                "a server of your own that asks for none, any value will do.",
                kind="authentication",
            )
        http_client = open_http_client()
        try:
            client = AsyncOpenAI(
                api_key=key,
                base_url=self._address,
                timeout=self._timeout,
                max_retries=0,
                default_headers=self._default_headers,
                default_query=self._default_query,
                http_client=http_client,
            )
        except InvalidURL as error:
            await http_client.aclose()
            raise ConfigurationError(
                f"{self._model} has no usable address: {error}. Check base_url and OPENAI_BASE_URL."
            ) from error
        for each, loop in list(_open_clients.items()):
            if loop.is_closed():
                _open_clients.pop(each, None)
        _open_clients[client] = asyncio.get_running_loop()
        try:
            # Its address is asked for more than once a call, and takes long to be put together.
            yield _Opened(client, _server_at(str(client.base_url)))
        finally:
            _open_clients.pop(client, None)
            await client.close()


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
