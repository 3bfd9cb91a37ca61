"""OpenAI's Responses API, over the official SDK.

Source: https://platform.openai.com/docs/api-reference/responses
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from kern.aio.per_loop import PerLoop
from kern.errors import MissingKeyError, ModelError
from kern.extras import extra
from kern.models.base import Model, ModelRequest, ModelResponse
from kern.models.openai.wire import read_response, request_body

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.responses import ResponseStreamEvent

logger = logging.getLogger("kern")


class OpenAIResponses(Model):
    """A model behind OpenAI's Responses API."""

    provider = "OpenAI"

    def __init__(
        self,
        id: str = "gpt-5-mini",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_output_tokens: int | None = None,
        reasoning_effort: str | None = None,
        store: bool | None = None,
        background: bool = False,
        timeout: float = 600.0,
        max_retries: int = 4,
        default_headers: Mapping[str, str] | None = None,
        request_params: Mapping[str, object] | None = None,
    ) -> None:
        """Choose the model; nothing is opened before the first call.

        Args:
            id: the model's name.
            api_key: the key; by default what ``OPENAI_API_KEY`` holds at the first call.
            base_url: the server; by default ``OPENAI_BASE_URL``, else OpenAI's.
            temperature: the sampling temperature, 0 to 2.
            top_p: the share of probability to sample from, 0 to 1.
            max_output_tokens: tokens of an answer at most; one that is cut off is an error.
            reasoning_effort: ``"minimal"``, ``"low"``, ``"medium"`` or ``"high"``.
            store: whether the provider keeps the response; by default the provider decides.
            background: have the provider go on with an answer though the connection is lost, so
                that a run whose process crashed picks it up instead of paying for it again.
            timeout: seconds to wait for an answer.
            max_retries: how often a call is repeated, with growing pauses, after 408, 409, 429,
                5xx and lost connections.
            default_headers: headers to send with each call.
            request_params: more parameters of the API, sent as they are.
        """
        self.id = id
        self._api_key = api_key
        self._base_url = base_url
        self.keeps_answers = background
        self._timeout = timeout
        self._max_retries = max_retries
        self._default_headers = default_headers
        self._params: dict[str, object] = {
            name: value
            for name, value in {
                "temperature": temperature,
                "top_p": top_p,
                "max_output_tokens": max_output_tokens,
                "reasoning": {"effort": reasoning_effort} if reasoning_effort else None,
                "store": store,
                # Without it, a provider that keeps nothing cannot go on from its own reasoning.
                "include": ["reasoning.encrypted_content"] if store is False else None,
            }.items()
            if value is not None
        } | dict(request_params or {})
        self._clients = PerLoop(self._client)

    def __repr__(self) -> str:
        return f"OpenAIResponses({self.id!r})"

    @override
    async def prepare(self) -> None:
        await self._clients.get()

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        if self.keeps_answers:
            async with aclosing(self.stream(request)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, ModelResponse):
                        return piece
            raise AssertionError("a stream ends with its response or an error")
        client = await self._clients.get()
        from httpx2 import Response

        try:
            # Asked without the SDK's types and read without its objects, both of which hold every
            # item against every type that it can have: they cost more than the rest of the call.
            raw = await client.post("/responses", cast_to=Response, body=self._whole_body(request))
            return read_response(json.loads(raw.content), self.id, self.provider)
        except _failures() as error:
            raise self._model_error(error) from None

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse, None]:
        client = await self._clients.get()
        open_events = self._kept_events if self.keeps_answers else self._events
        texts: list[str] = []
        try:
            async with aclosing(open_events(client, request)) as events:
                async for event in events:
                    # The SDK takes what comes for what it should be; it need not be that.
                    match getattr(event, "type", None), event:
                        case (
                            "response.output_text.delta" | "response.refusal.delta",
                            object(delta=str(text)),
                        ):
                            texts.append(text)
                            yield text
                        case (
                            "response.completed" | "response.incomplete" | "response.failed",
                            object(response=answer),
                        ):
                            yield read_response(_as_json(answer), self.id, self.provider)
                            return
                        case "error", object(message=message):
                            raise ModelError(f"{self.id} failed: {message}")
            raise ModelError(f"{self.id} ended its answer before it was complete.", transient=True)
        except _failures() as error:
            raise self._model_error(error, "".join(texts)) from None

    @override
    async def cancel(self, handle: str) -> None:
        client = await self._clients.get()
        try:
            await client.responses.cancel(handle)
        except _failures() as error:
            logger.warning("%s", self._model_error(error))

    @override
    async def aclose(self) -> None:
        await self._clients.aclose()

    @override
    def close(self) -> None:
        self._clients.close()

    async def _events(
        self, client: "AsyncOpenAI", request: ModelRequest
    ) -> AsyncGenerator["ResponseStreamEvent", None]:
        async with await client.responses.create(**self._body(request), stream=True) as events:
            async for event in events:
                yield event

    async def _kept_events(
        self, client: "AsyncOpenAI", request: ModelRequest
    ) -> AsyncGenerator["ResponseStreamEvent", None]:
        """Have the provider keep the answer, and come back to it when the connection is lost.

        Source: https://platform.openai.com/docs/guides/background
        """
        from openai import APIConnectionError, NotFoundError, omit

        handle, seen, losses = request.handle, -1, 0
        while True:
            try:
                if handle is None:
                    stream = await client.responses.create(
                        **self._body(request), background=True, stream=True
                    )
                else:
                    stream = await client.responses.retrieve(
                        handle, stream=True, starting_after=seen if seen >= 0 else omit
                    )
                async with stream:
                    async for event in stream:
                        if handle is None and event.type == "response.created":
                            handle = event.response.id
                            if request.keep is not None:
                                await request.keep(handle)
                        seen = event.sequence_number
                        yield event
                return
            except NotFoundError:
                if handle is None or seen >= 0:
                    raise
                handle = None  # The provider has dropped what an earlier attempt asked for.
            except APIConnectionError:
                losses += 1
                if handle is None or losses > self._max_retries:
                    raise

    def _whole_body(self, request: ModelRequest) -> dict[str, object]:
        return {"model": self.id} | self._params | request_body(request, self.provider)

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        # What is extra goes out as it is.
        return {"model": self.id, "extra_body": self._whole_body(request)}

    async def _client(self) -> AsyncGenerator["AsyncOpenAI", None]:
        with extra("openai"):
            import openai.resources.responses  # noqa: F401 # the largest part, loaded on first use
            from openai import AsyncOpenAI

            from kern.models.openai.transport import open_http_client

        key = self._api_key or os.environ.get("OPENAI_API_KEY")
        if not key:
            raise MissingKeyError(
                f"There is no API key for {self.id}: set OPENAI_API_KEY, or pass api_key. For a "
                "server of your own that asks for none, any value will do."
            )
        client = AsyncOpenAI(
            api_key=key,
            base_url=self._base_url,
            timeout=self._timeout,
            max_retries=self._max_retries,
            default_headers=self._default_headers,
            http_client=open_http_client(),
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

    def _model_error(self, error: Exception, content: str | None = None) -> ModelError:
        """Return what went wrong in words of ours, without the key, which the server may quote.

        Args:
            error: what went wrong; not to be shown beside the result, for the same reason.
            content: the text until then.
        """
        from openai import APIConnectionError, APIStatusError

        from kern.models.openai.transport import is_timeout, reason

        status = error.status_code if isinstance(error, APIStatusError) else None
        transient = isinstance(error, APIConnectionError) or (
            status is not None and (status in (408, 409, 429) or status >= 500)
        )
        if isinstance(error, ModelError):
            transient = error.transient
            text, content = str(error), error.content or content
        elif isinstance(error, APIConnectionError) and is_timeout(error):
            text = f"{self.id} did not answer within {self._timeout:g} s. Raise timeout."
        elif isinstance(error, APIConnectionError):
            text = (
                f"The server of {self.id} cannot be reached: {reason(error).rstrip('.')}. "
                "Check the network and OPENAI_BASE_URL."
            )
        elif status is not None:
            said = str(error).removeprefix(f"Error code: {status} - ").rstrip(".")
            text = f"{self.id} answered {status}: {said}.{_REMEDIES.get(status, '')}"
        elif isinstance(error, ValueError | RecursionError):
            text = f"{self.id} answered with something that is no JSON."
        else:
            text = f"{self.id} failed: {error}"
        key = self._api_key or os.environ.get("OPENAI_API_KEY") or ""
        if len(key) >= _SHORTEST_KEY:
            text = text.replace(key, "***")
        return ModelError(text, status_code=status, content=content, transient=transient)


# Held for as long as they are open: a client that becomes garbage together with its model would
# complain that nobody has closed it, before the model's generator can do that.
_open_clients: "dict[AsyncOpenAI, asyncio.AbstractEventLoop]" = {}

# What is shorter is a stand-in such as "none", and may be a part of any word.
_SHORTEST_KEY = 7

_REMEDIES = {
    401: " Check OPENAI_API_KEY.",
    404: " Check the model's id and OPENAI_BASE_URL.",
    429: " Wait, or ask the provider for a higher limit.",
}


def _failures() -> tuple[type[Exception], ...]:
    """Return what a call may raise; only now is the SDK imported."""
    from openai import OpenAIError

    return ModelError, OpenAIError, ValueError, RecursionError


def _as_json(answer: object) -> object:
    """Return the JSON that an object of the SDK was made of."""
    from openai import BaseModel

    return answer.to_dict(mode="python", warnings=False) if isinstance(answer, BaseModel) else None
