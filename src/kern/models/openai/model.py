"""What the models of this room share: how they are asked in a protocol, and through whom."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from kern.errors import ModelError
from kern.models.base import Kept, ModelRequest, ModelResponse, OutputMode, Piece
from kern.models.cache import ResponseCache, response_cache
from kern.models.hosted import Call, HostedModel
from kern.models.openai.api import Api, Reader
from kern.models.openai.options import ClientOptions
from kern.models.openai.provider import OPENAI, Provider
from kern.models.openai.service import OpenAIService
from kern.models.params import Params
from kern.models.prices import Price, check_price
from kern.models.retries import Retries
from kern.models.service import drain
from kern.models.values import to_object

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class OpenAIModel(HostedModel):
    """A model that is asked in one of OpenAI's protocols.

    Attributes:
        at: who serves it, as the class says.
    """

    at: ClassVar[Provider] = OPENAI
    _service: OpenAIService

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
        self.provider: str = self.at.name
        self.price: Price | None = check_price(options.get("price"))
        self.supports_native_structured_outputs: bool = self.at.has_json_schema
        self._api, self._suffix = api, api.suffix
        service = OpenAIService(id, self.at, options, headers=params.headers, query=params.query)
        retries = options.get("retries")
        if retries is None:
            retries = options.get("max_retries", 4)
        super().__init__(
            id,
            service,
            retries,
            options.get("delay_between_retries"),
            options.get("exponential_backoff"),
        )
        self.response_cache: ResponseCache | None = response_cache(
            options.get("cache_response", False),
            options.get("cache_ttl"),
            options.get("cache_dir"),
            params.body,
        )

    @override
    def output_mode(self, request: ModelRequest) -> OutputMode:
        model = str(request.settings.get("model", self.id))
        if self.at is OPENAI and _WITHOUT_FORMS.fullmatch(model):
            return "tool" if request.tools else "json"
        return super().output_mode(request)

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
    def _call(self, request: ModelRequest, retries: Retries) -> Call:
        return _Call(self, self._api, self._service, request, retries)


class _Call(Call):
    """A call in one of the protocols."""

    def __init__(
        self,
        model: OpenAIModel,
        api: Api,
        service: OpenAIService,
        request: ModelRequest,
        retries: Retries,
    ) -> None:
        self._model, self._api, self._service = model, api, service
        self._request = request
        self._retries = retries
        self._picked_up = request.handle
        self._reader: Reader | None = None

    @property
    @override
    def text(self) -> str:
        return "" if self._reader is None else self._reader.text

    @override
    async def respond(self) -> ModelResponse:
        if self._model.keeps_answers:
            return await self._followed()
        request, origin = self._request, self._model.asked(self._request)
        body = to_object(self._api.body(request, origin))
        answer = await self._service.post(self._api.path, body)
        return self._api.read(answer, origin, request.messages)

    @override
    async def stream(self) -> AsyncGenerator[Piece, None]:
        request, origin = self._request, self._model.asked(self._request)
        reader = self._reader = self._api.reader(request, origin)
        body = self._api.body(request, origin)
        async with aclosing(
            self._api.events(self._service, request, body, self._retries)
        ) as events:
            async for event in events:
                for piece in reader.read(event):
                    if isinstance(piece, ModelResponse):
                        await drain(events)
                        yield piece
                        return
                    if isinstance(piece, Kept):
                        self._request = replace(request, handle=piece.handle)
                    yield piece
        for piece in reader.end():
            yield piece

    async def _followed(self) -> ModelResponse:
        """Return an answer that the provider keeps, and whose handle nobody is told."""
        try:
            async with aclosing(self.stream()) as pieces:
                async for piece in pieces:
                    if isinstance(piece, ModelResponse):
                        return piece
        except asyncio.CancelledError:
            if (handle := self._request.handle) is not None:  # So nobody else can stop it.
                await self._model.cancel(handle)
            raise
        raise AssertionError("a stream ends with its response or an error")

    @override
    def changes_after(self, error: ModelError) -> bool:
        if error.kind != "empty" or self._request.handle is None:
            return False
        was_picked_up = self._request.handle == self._picked_up
        self._request = replace(self._request, handle=None)  # It will not be more the next time.
        return was_picked_up


# The models of OpenAI that take no JSON Schema as the form of an answer.
_WITHOUT_FORMS = re.compile(r"gpt-3\.5.*|gpt-4(-\d.*|-turbo.*)?|gpt-4o-2024-05-13|chatgpt.*")
