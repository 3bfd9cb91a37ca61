"""OpenAI's Responses API, over the official SDK.

Source: https://platform.openai.com/docs/api-reference/responses
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace

from typing_extensions import override

from kern.errors import ConfigurationError, ModelError
from kern.keywords import explained
from kern.models.base import Kept, Model, ModelRequest, ModelResponse, Piece, Reasoning, Text
from kern.models.openai.answer import read_response
from kern.models.openai.kept import CREATED, KeptAnswer, handle_in, path_of
from kern.models.openai.params import joined
from kern.models.openai.parts import Json
from kern.models.openai.pieces import ENDS, WANTED, Pieces
from kern.models.openai.service import Service
from kern.models.openai.wire import Origin, request_body
from kern.models.retries import Retries
from kern.run.numbers import check_count, check_seconds
from kern.run.printable import one_line

logger = logging.getLogger("kern")

# How long the end of a stream is waited for once the answer is complete, in seconds: a connection
# that is read to its end serves the next call.
_DRAIN = 0.1

# How long the provider may take to cancel an answer, in seconds: a run that has ended waits for it.
_CANCEL = 10.0


class OpenAIResponses(Model):
    """A model behind OpenAI's Responses API."""

    provider = "OpenAI"

    @explained
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
        timeout: float | None = 600.0,
        max_retries: int = 4,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
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
            timeout: seconds that one try of a call may take, from the connection to the last byte
                of the answer, whole or streamed, with redirects. Each repetition has as many again;
                with ``background``, each look at the answer. None for any time.
            max_retries: how often a call is repeated after a failure that may pass: 408, 409, 429,
                5xx, a lost connection, and a failure of that kind within an answer. The pauses are
                those that the server asks for (``Retry-After``; above two minutes the call fails at
                once), or else 0.5 s and twice as long each time, up to 8 s. What has been streamed
                in part is repeated only by the run.
            default_headers: headers to send with each call.
            default_query: what to add to the address of each call, behind its ``?``.
            request_params: more parameters of the API. Tools, ``include``, ``metadata``,
                ``reasoning`` and the like are joined with what kern sends; ``extra_headers``,
                ``extra_query`` and ``extra_body`` as well.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself; or a number
                cannot be used.
        """
        if timeout is not None:
            check_seconds("timeout", timeout, ConfigurationError)
        self.id = id
        self.keeps_answers = background
        self._max_retries = check_count("max_retries", max_retries, ConfigurationError, least=0)
        own: dict[str, object] = {
            "temperature": temperature,
            "top_p": top_p,
            "max_output_tokens": max_output_tokens,
            "reasoning": {"effort": reasoning_effort} if reasoning_effort else None,
            "store": store,
        }
        params = joined(own, request_params or {}, default_headers or {}, default_query or {})
        self._params = params.body
        self._service = Service(
            id,
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            default_headers=params.headers,
            default_query=params.query,
        )

    def __repr__(self) -> str:
        return f"OpenAIResponses({self.id!r})"

    @property
    @override
    def origin(self) -> str:
        return " ".join((self.provider, self._service.server, self.id))

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
        asked, retries = self._asked(request), Retries(self._max_retries)
        body = self._body(request, asked)
        while True:
            try:
                answer = await self._service.post("/responses", body)
                return read_response(answer, asked, request.messages)
            except ModelError as error:
                failure = self._service.failed(error)
            await retries.wait(failure)

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        retries, picked_up = Retries(self._max_retries), request.handle
        while True:
            pieces, is_handed_out = Pieces(self.id), False
            try:
                async with aclosing(self._answer(request, pieces, retries)) as answer:
                    async for piece in answer:
                        if isinstance(piece, Kept):
                            request = replace(request, handle=piece.handle)
                        elif not isinstance(piece, Reasoning) and piece != Text(""):
                            is_handed_out = True
                        yield piece
                return
            except ModelError as error:
                failure = self._service.failed(error)
                failure.content = failure.content or pieces.text
            if is_handed_out:
                raise failure
            if failure.kind == "empty" and request.handle is not None:
                was_picked_up = request.handle == picked_up
                request = replace(request, handle=None)  # It will not be more the next time.
                if was_picked_up:
                    continue
            await retries.wait(failure)

    @override
    async def cancel(self, handle: str) -> None:
        try:
            async with asyncio.timeout(_CANCEL):
                await self._service.post(f"{path_of(handle)}/cancel", None)
        except TimeoutError:
            logger.warning("%s did not cancel an answer within %g s.", self.id, _CANCEL)
        except ModelError as error:
            logger.warning("%s", one_line(str(error), 2000))

    @override
    async def aclose(self) -> None:
        await self._service.aclose()

    @override
    def close(self) -> None:
        self._service.close()

    async def _answer(
        self, request: ModelRequest, pieces: Pieces, retries: Retries
    ) -> AsyncGenerator[Piece, None]:
        """Ask once, and yield the pieces of the answer as ``pieces`` reads them."""
        asked = self._asked(request)
        body = self._body(request, asked)
        if self.keeps_answers:
            events = KeptAnswer(self._service, request.handle, body, retries).events()
        else:
            events = self._service.events("/responses", {**body, "stream": b"true"}, WANTED)
        async with aclosing(events):
            async for event in events:
                kind = event.get("type")
                if kind in ENDS:
                    whole = pieces.whole(event.get("response"))
                    response = read_response(whole, asked, request.messages)
                    await _drain(events)
                    if rest := pieces.rest(response.message.text):
                        yield rest
                    yield response
                    return
                handle = handle_in(event) if kind == CREATED and self.keeps_answers else None
                if handle is not None and handle != request.handle:
                    yield Kept(handle)
                elif (piece := pieces.read(event)) is not None:
                    yield piece
        raise ModelError(
            f"{self.id} ended its answer before it was complete.", kind="connection", transient=True
        )

    def _body(self, request: ModelRequest, asked: Origin) -> dict[str, bytes]:
        return request_body(request, asked, {"model": self.id, **self._params})

    def _asked(self, request: ModelRequest) -> Origin:
        model = request.settings.get("model", self.id)
        return Origin(self.provider, self._service.server, str(model))


async def _drain(events: AsyncGenerator[Json, None]) -> None:
    with suppress(TimeoutError, ModelError):
        async with asyncio.timeout(_DRAIN):
            async for _ in events:
                pass
