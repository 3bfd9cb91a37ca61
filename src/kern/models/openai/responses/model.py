"""OpenAI's Responses API, over the official SDK."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from typing_extensions import Unpack, override

from kern.errors import ConfigurationError, ModelError
from kern.models.base import ModelRequest, ModelResponse, Piece
from kern.models.openai.model import OpenAIModel
from kern.models.openai.options import ResponsesOptions, check_names
from kern.models.openai.responses.api import ResponsesApi
from kern.models.openai.responses.kept import path_of
from kern.models.openai.responses.previous import Previous, is_unknown
from kern.run.printable import in_log

logger = logging.getLogger("kern")

# How long the provider may take to cancel an answer, in seconds: a run that has ended waits for it.
_CANCEL = 10.0


class OpenAIResponses(OpenAIModel):
    """A model behind OpenAI's Responses API.

    Example:
        >>> OpenAIResponses("gpt-5.4", reasoning_effort="low", max_output_tokens=2_000)
        OpenAIResponses('gpt-5.4')
    """

    def __init__(
        self,
        id: str = "gpt-5.4-mini",
        *,
        background: bool = False,
        use_previous_response_id: bool = False,
        **options: Unpack[ResponsesOptions],
    ) -> None:
        """Choose the model; nothing is opened before the first call.

        Args:
            id: the model's name.
            background: have the provider go on with an answer though the connection is lost, so
                that a run whose process crashed picks it up instead of paying for it again.
            use_previous_response_id: send only what is new since the model's last answer, which
                the provider has stored, and everything where it does not find that.
            options: see :class:`ResponsesOptions` and :class:`ClientOptions`.

        Raises:
            ConfigurationError: a parameter is given twice, kern sets it itself, or the provider is
                to store nothing and to go on from what it has stored.
            TypeError: there is no such option.
        """
        check_names(self, options, ResponsesOptions)
        self.keeps_answers = background
        api = ResponsesApi(options, background=background)
        if use_previous_response_id and api.params.body.get("store") is False:
            raise ConfigurationError(
                "use_previous_response_id goes on from what the provider has stored, and "
                "store=False has it store nothing. Leave one of them out."
            )
        self._use_previous = use_previous_response_id
        super().__init__(id, api, api.params, options)

    @override
    def respond(self, request: ModelRequest) -> Coroutine[Any, Any, ModelResponse]:
        is_whole = not self._use_previous or self.keeps_answers
        return super().respond(request) if is_whole else self._respond(request)

    async def _respond(self, request: ModelRequest) -> ModelResponse:
        previous = self._previous(request)
        if (short := previous.shortened(request)) is not None:
            try:
                return previous.kept(await super().respond(short), request)
            except ModelError as error:
                self._check_lost(error)
        return previous.kept(await super().respond(request), request)

    @override
    def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        asked = super().stream
        return self._stream(request, asked) if self._use_previous else asked(request)

    async def _stream(
        self,
        request: ModelRequest,
        ask: Callable[[ModelRequest], AsyncGenerator[Piece, None]],
    ) -> AsyncGenerator[Piece, None]:
        previous, is_begun = self._previous(request), False
        for each in (previous.shortened(request), request):
            if each is None:
                continue
            try:
                async with aclosing(ask(each)) as pieces:
                    async for piece in pieces:
                        is_begun = True
                        if isinstance(piece, ModelResponse):
                            piece = previous.kept(piece, request)
                        yield piece
                return
            except ModelError as error:
                if is_begun or each is request:
                    raise
                self._check_lost(error)

    def _previous(self, request: ModelRequest) -> Previous:
        model = request.settings.get("model", self.id)
        return Previous(self.provider, self._service.server, str(model))

    def _check_lost(self, error: ModelError) -> None:
        """Raise the error unless it may help to send the whole conversation."""
        if not is_unknown(error):
            raise error
        told = in_log(str(error))
        logger.info("%s The whole conversation is sent.", told)

    @override
    async def cancel(self, handle: str) -> None:
        try:
            async with asyncio.timeout(_CANCEL):
                await self._service.post(f"{path_of(handle)}/cancel", None)
        except TimeoutError:
            logger.warning("%s did not cancel an answer within %g s.", self.id, _CANCEL)
        except ModelError as error:
            logger.warning("%s", in_log(str(error)))
