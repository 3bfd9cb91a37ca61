"""What the models of this room share: asking, repeating, and handing out pieces."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from kern.errors import ConfigurationError, ModelError
from kern.models.base import Kept, Model, ModelRequest, ModelResponse, Piece, Reasoning, Text
from kern.models.cache import response_cache
from kern.models.openai.api import Api, Origin, Reader
from kern.models.openai.options import ClientOptions
from kern.models.openai.params import Params
from kern.models.openai.provider import OPENAI, Provider
from kern.models.openai.service import Service
from kern.models.retries import Retries, check_delay
from kern.run.numbers import check_count

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# How long the end of a stream is waited for once the answer is complete, in seconds: a connection
# that is read to its end serves the next call.
_DRAIN = 0.1


class OpenAIModel(Model):
    """A model that is asked in one of OpenAI's protocols.

    Attributes:
        at: who serves it, as the class says.
    """

    at: ClassVar[Provider] = OPENAI

    def __init__(self, id: str, api: Api, params: Params, options: ClientOptions) -> None:
        """Choose the model; nothing is opened before the first call.

        Args:
            id: the model's name.
            api: the protocol, with the parameters of the model.
            params: the same parameters, with headers and query.
            options: how the server is reached.

        Raises:
            ConfigurationError: an option cannot be used.
        """
        self.id = id
        self.provider = self.at.name
        self._api = api
        retries = options.get("retries")
        if retries is None:
            retries = options.get("max_retries", 4)
        self._max_retries = check_count("max_retries", retries, ConfigurationError, least=0)
        self.delay_between_retries = check_delay(options.get("delay_between_retries"))
        self.exponential_backoff = options.get("exponential_backoff")
        self._service = Service(id, self.at, options, headers=params.headers, query=params.query)
        self.response_cache = response_cache(
            options.get("cache_response", False),
            options.get("cache_ttl"),
            options.get("cache_dir"),
            params.body,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def _retries(self) -> Retries:
        return Retries(self._max_retries, self.delay_between_retries, self.exponential_backoff)

    @property
    @override
    def origin(self) -> str:
        return " ".join((self.provider, self._service.server, self.id))

    @property
    def base_url(self) -> str | None:
        """The server that was chosen, or None; another one is asked from the next call on."""
        return self._service.base_url

    @base_url.setter
    def base_url(self, value: str | None) -> None:
        self._service.base_url = value

    @property
    def client(self) -> "AsyncOpenAI | None":
        """The client of the SDK that the user gave, or None; another is used from the next call."""
        return self._service.client

    @client.setter
    def client(self, value: "AsyncOpenAI | None") -> None:
        self._service.use(value)

    @override
    async def prepare(self) -> None:
        await self._service.prepare()

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        if self.keeps_answers:
            async with aclosing(self.stream(request)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, ModelResponse):
                        return piece
            raise AssertionError("a stream ends with its response or an error")
        origin, retries = self._asked(request), self._retries()
        body = self._api.body(request, origin)
        while True:
            try:
                answer = await self._service.post(self._api.path, body)
                return self._api.read(answer, origin, request.messages)
            except ModelError as error:
                failure = self._service.failed(error)
            await retries.wait(failure)

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        retries, picked_up = self._retries(), request.handle
        while True:
            reader, is_handed_out = self._api.reader(request, self._asked(request)), False
            try:
                async with aclosing(self._answer(request, reader, retries)) as answer:
                    async for piece in answer:
                        if isinstance(piece, Kept):
                            request = replace(request, handle=piece.handle)
                        elif not isinstance(piece, Reasoning) and piece != Text(""):
                            is_handed_out = True
                        yield piece
                return
            except ModelError as error:
                failure = self._service.failed(error)
                failure.content = failure.content or reader.text
            if is_handed_out:
                raise failure
            if failure.kind == "empty" and request.handle is not None:
                was_picked_up = request.handle == picked_up
                request = replace(request, handle=None)  # It will not be more the next time.
                if was_picked_up:
                    continue
            await retries.wait(failure)

    @override
    async def aclose(self) -> None:
        await self._service.aclose()

    @override
    def close(self) -> None:
        self._service.close()

    async def _answer(
        self, request: ModelRequest, reader: Reader, retries: Retries
    ) -> AsyncGenerator[Piece, None]:
        """Ask once, and yield the pieces of the answer as they are read."""
        body = self._api.body(request, self._asked(request))
        async with aclosing(self._api.events(self._service, request, body, retries)) as events:
            async for event in events:
                for piece in reader.read(event):
                    if isinstance(piece, ModelResponse):
                        await _drain(events)
                        yield piece
                        return
                    yield piece
        for piece in reader.end():
            yield piece

    def _asked(self, request: ModelRequest) -> Origin:
        model = request.settings.get("model", self.id)
        return Origin(self.provider + self._api.suffix, self._service.server, str(model))


async def _drain(events: AsyncGenerator[Mapping[str, object], None]) -> None:
    with suppress(TimeoutError, ModelError):
        async with asyncio.timeout(_DRAIN):
            async for _ in events:
                pass
