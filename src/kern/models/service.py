"""The server of a model: JSON and events go in and out, what fails is ours.

The provider's SDK opens the connections, signs and sends; it does not read what comes back, and
repeats nothing: ``kern.models.retries`` does.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Generic, NamedTuple, TypeVar

from kern.aio.limit import Allowance
from kern.aio.per_loop import PerLoop
from kern.errors import ModelError
from kern.models.sse import read_events
from kern.models.values import Json
from kern.run.codec import parse

Client = TypeVar("Client")

# How long the end of a stream is waited for once the answer is complete, in seconds: a connection
# that is read to its end serves the next call.
_DRAIN = 0.1

# What is shorter is a stand-in such as "none", and may be a part of any word.
_SHORTEST_KEY = 7


class Stream(NamedTuple):
    """An answer that is read as it comes.

    Attributes:
        chunks: its bytes.
        aclose: gives the connection back, or closes it where it was not read to its end.
    """

    chunks: AsyncIterable[bytes]
    aclose: Callable[[], Awaitable[None]]


class Service(ABC, Generic[Client]):
    """The server of one model, with a client of the SDK for each event loop."""

    def __init__(self, model: str, timeout: float | None) -> None:
        """Prepare, without opening anything.

        Args:
            model: the model's id, for errors.
            timeout: seconds to wait for an answer in all, from the connection to its last byte;
                None for any time.
        """
        self._model = model
        self._timeout = timeout
        self._clients = PerLoop(self._open)

    @property
    @abstractmethod
    def server(self) -> str:
        """Which server it is: its host, port and path, with nothing secret.

        Where connections are open, it is theirs, whatever the environment says since then.
        """

    async def prepare(self) -> None:
        """Load the SDK and open a client.

        Raises:
            MissingKeyError: there is no key, or there are no credentials.
            ConfigurationError: the SDK cannot use what it was given.
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

    async def get(self, path: str) -> object:
        """Return the JSON at a path.

        Raises:
            ModelError: there is none, or it did not come.
        """
        return await self.post(path, None, method="GET")

    async def post(self, path: str, body: bytes | None, *, method: str = "POST") -> object:
        """Return the JSON with which a path answers.

        Args:
            path: where to ask, as the SDK wants it: a path, or the id of a model.
            body: what to send, as JSON, or None for nothing.
            method: the HTTP method.

        Raises:
            ModelError: the server refused, or did not answer with JSON.
        """
        client = await self._ready()
        try:
            with Allowance(self._timeout) as allowance:
                content = await allowance.wait(self._whole(client, method, path, body))
            try:
                return parse(content)
            except (ValueError, RecursionError):
                raise self._no_json() from None
        except Exception as error:
            raise self.failed(error) from None

    async def events(
        self, path: str, body: bytes | None, wanted: Collection[bytes]
    ) -> AsyncGenerator[Json, None]:
        """Yield the events with which a path answers, those that are JSON objects.

        Args:
            path: where to ask, as the SDK wants it.
            body: what to post, as JSON, or None to get.
            wanted: the names of the events to yield, see :func:`read_events`.

        Raises:
            ModelError: the server refused, or the stream broke off or is no JSON.
        """
        client = await self._ready()
        try:
            with Allowance(self._timeout) as allowance:
                stream = await allowance.wait(self._stream(client, path, body))
                try:
                    async with (
                        aclosing(allowance.each(stream.chunks)) as chunks,
                        aclosing(read_events(chunks, wanted)) as events,
                    ):
                        async for event in events:
                            if isinstance(event, dict):
                                yield event
                        await drain(chunks)
                except (ValueError, RecursionError):
                    raise self._no_json() from None
                finally:
                    await stream.aclose()
        except Exception as error:
            raise self.failed(error) from None

    def failed(self, error: Exception) -> ModelError:
        """Return what went wrong in words of ours, without the key, which the server may quote.

        Args:
            error: what went wrong; not to be shown beside the result, for the same reason.
        """
        found = error if isinstance(error, ModelError) else self._explained(error)
        return _without_key(found, self._key())

    async def _ready(self) -> Client:
        """Return the client of the running loop."""
        return await self._clients.get()

    @abstractmethod
    def _open(self) -> AsyncGenerator[Client, None]:
        """Yield a client for the running loop, and close it after that."""

    @abstractmethod
    async def _whole(self, client: Client, method: str, path: str, body: bytes | None) -> bytes:
        """Return the answer to a request; a refusal is raised, in whatever form."""

    @abstractmethod
    async def _stream(self, client: Client, path: str, body: bytes | None) -> Stream:
        """Return the answer to a request as it begins; a refusal is raised, in whatever form."""

    @abstractmethod
    def _key(self) -> str | None:
        """Return the key, which no error may show."""

    @abstractmethod
    def _explained(self, error: Exception) -> ModelError:
        """Return what an error of the SDK, or of what it stands on, means."""

    def _no_json(self) -> ModelError:
        text = f"{self._model} answered with something that is no JSON."
        return ModelError(text, kind="malformed")


# Held while they are open: a client that becomes garbage together with its model would complain
# that nobody has closed it, before the model's generator can do that.
_held: dict[object, asyncio.AbstractEventLoop] = {}


@contextmanager
def held(client: object) -> Iterator[None]:
    """Keep a client of the running loop from becoming garbage before it is closed."""
    for each, loop in list(_held.items()):
        if loop.is_closed():
            _held.pop(each, None)
    _held[client] = asyncio.get_running_loop()
    try:
        yield
    finally:
        _held.pop(client, None)


async def drain(rest: AsyncGenerator[object, None]) -> None:
    """Read what follows an answer that is complete, if it comes at once."""
    with suppress(Exception):
        async with asyncio.timeout(_DRAIN):
            async for _ in rest:
                pass


def _without_key(error: ModelError, key: str | None) -> ModelError:
    """Return an error whose text does not hold a key, which a server may quote."""
    text = str(error)
    if not key or len(key) < _SHORTEST_KEY or key not in text:
        return error
    return ModelError(
        text.replace(key, "***"),
        kind=error.kind,
        transient=error.transient,
        retry_after=error.retry_after,
        status_code=error.status_code,
        content=error.content,
    )
