"""The servers of OpenAI and Anthropic, whose SDKs the same generator (Stainless) has made.

Requests travel over aiohttp, which the SDKs offer for many at a time: their own transport looks at
all its connections for every request, so with a hundred runs in flight it takes more processor
time than everything else together.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
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

_TELLING = (
    *("X-Stainless-Lang", "X-Stainless-Package-Version", "X-Stainless-OS", "X-Stainless-Arch"),
    *("X-Stainless-Runtime", "X-Stainless-Runtime-Version", "X-Stainless-Async"),
)


def headers_with(headers: Mapping[str, str], omit: object) -> dict[str, object]:
    """Return the headers of a client's requests: without those that tell of the machine.

    No provider needs these, and the SDK's way with headers is a tenth of what a run costs.

    Args:
        headers: those to send with each call.
        omit: what stands for a header that the SDK leaves out.
    """
    return {**dict.fromkeys(_TELLING, omit), **headers}


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

    # The SDK copies its defaults anew for each request, all that is inside of them, too.
    given: dict[str, object] = {
        "cast_to": Response,
        "options": {"headers": {}, "max_retries": 0, "timeout": client.timeout},
        "stream": stream_class is not None,
        "stream_cls": stream_class,
    }
    get: Callable[..., Awaitable[Response]] = client.get
    post: Callable[..., Awaitable[Response]] = client.post
    return get(path, **given) if method == "GET" else post(path, content=body, **given)
