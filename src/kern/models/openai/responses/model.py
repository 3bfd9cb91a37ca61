"""OpenAI's Responses API, over the official SDK."""

import asyncio
import logging

from typing_extensions import Unpack, override

from kern.errors import ModelError
from kern.models.openai.model import OpenAIModel
from kern.models.openai.options import ResponsesOptions, check_names
from kern.models.openai.responses.api import ResponsesApi
from kern.models.openai.responses.kept import path_of
from kern.run.printable import one_line

logger = logging.getLogger("kern")

# How long the provider may take to cancel an answer, in seconds: a run that has ended waits for it.
_CANCEL = 10.0


class OpenAIResponses(OpenAIModel):
    """A model behind OpenAI's Responses API."""

    def __init__(
        self,
        id: str = "gpt-5.4-mini",
        *,
        background: bool = False,
        **options: Unpack[ResponsesOptions],
    ) -> None:
        """Choose the model; nothing is opened before the first call.

        Args:
            id: the model's name.
            background: have the provider go on with an answer though the connection is lost, so
                that a run whose process crashed picks it up instead of paying for it again.
            options: see :class:`ResponsesOptions` and :class:`ClientOptions`.

        Raises:
            ConfigurationError: a parameter is given twice, or kern sets it itself.
            TypeError: there is no such option.
        """
        check_names(self, options, ResponsesOptions)
        self.keeps_answers = background
        api = ResponsesApi(options, background=background)
        super().__init__(id, api, api.params, options)

    @override
    async def cancel(self, handle: str) -> None:
        try:
            async with asyncio.timeout(_CANCEL):
                await self._service.post(f"{path_of(handle)}/cancel", None)
        except TimeoutError:
            logger.warning("%s did not cancel an answer within %g s.", self.id, _CANCEL)
        except ModelError as error:
            logger.warning("%s", one_line(str(error), 2000))
