"""The servers of OpenAI and Anthropic, whose SDKs the same generator (Stainless) has made.

Requests travel over aiohttp, which the SDKs offer for many at a time: their own transport looks at
all its connections for every request, so with a hundred runs in flight it takes more processor
time than everything else together.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from typing_extensions import override

from kern.models.origin import server_at
from kern.models.service import Service, Stream

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic, AsyncAnthropicBedrockMantle
    from httpx2 import Response
    from openai import AsyncOpenAI

    AnyClient: TypeAlias = AsyncOpenAI | AsyncAnthropic | AsyncAnthropicBedrockMantle

Client = TypeVar("Client", bound="AnyClient")


class StainlessService(Service[Client]):
    """The server of one model, behind an SDK that Stainless has made."""

    _last: tuple[object, str] = (None, "")

    def _server_of(self, client: Client) -> str:
        """Return the server that a client of ours asks."""
        last = self._last
        if last[0] is not client:  # Each call wants to know, and it takes long to put together.
            last = self._last = client, server_at(str(client.base_url))
        return last[1]

    @override
    async def _whole(self, client: Client, method: str, path: str, body: bytes | None) -> bytes:
        response = await _sent(client, method, path, body, None)
        return response.content

    @override
    async def _stream(self, client: Client, path: str, body: bytes | None) -> Stream:
        method = "GET" if body is None else "POST"
        response = await _sent(client, method, path, body, self._stream_class())
        return Stream(response.aiter_bytes(), response.aclose)

    @abstractmethod
    def _stream_class(self) -> object:
        """Return the SDK's class of streams."""


def _sent(
    client: "AnyClient",
    method: str,
    path: str,
    body: bytes | None,
    stream_class: object,
) -> Awaitable["Response"]:
    """Send a request without the SDK's types; the answer comes without its objects.

    Both hold every item against every type that it can have: they cost more than the rest.
    """
    from httpx2 import Response

    get: Callable[..., Awaitable[Response]] = client.get
    post: Callable[..., Awaitable[Response]] = client.post
    is_streamed = stream_class is not None
    if method == "GET":
        return get(path, cast_to=Response, stream=is_streamed, stream_cls=stream_class)
    return post(path, cast_to=Response, content=body, stream=is_streamed, stream_cls=stream_class)
