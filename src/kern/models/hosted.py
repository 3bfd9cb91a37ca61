"""Models behind a server: how they are asked, and asked again where that may help."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from kern.errors import ConfigurationError, ModelError
from kern.keywords import is_fixed
from kern.models.base import Kept, Model, ModelRequest, ModelResponse, Piece, Reasoning, Text
from kern.models.origin import Origin
from kern.models.retries import Retries, check_delay
from kern.models.service import Service
from kern.run.numbers import check_count


class Call(ABC):
    """One call of a model, and what has come of it so far.

    A model that pauses within its answer is asked to go on: then a try ends without a response.
    """

    @property
    @abstractmethod
    def text(self) -> str:
        """The text so far, which is kept with an error."""

    @abstractmethod
    async def respond(self) -> ModelResponse | None:
        """Try once.

        Raises:
            ModelError: there was no usable answer.
        """

    @abstractmethod
    def stream(self) -> AsyncGenerator[Piece, None]:
        """Try once, and yield the pieces, the response as the last one.

        Raises:
            ModelError: there was no usable answer.
        """

    def changes_after(self, error: ModelError) -> bool:
        """Get ready for the next try; say whether it asks for something else, and need not wait."""
        return False


class HostedModel(Model):
    """A model behind a server."""

    _service: Service[Any]
    _suffix: str = ""

    def __init__(
        self,
        id: str,
        service: Service[Any],
        max_retries: int,
        delay_between_retries: float | None = None,
        exponential_backoff: bool | None = None,
    ) -> None:
        """Prepare, without opening anything.

        Args:
            id: the model's name.
            service: the server.
            max_retries: how often a call is repeated.
            delay_between_retries: see :class:`~kern.models.base.Model`.
            exponential_backoff: likewise.

        Raises:
            ConfigurationError: that is no number of times, or of seconds.
        """
        self.id = id
        self.delay_between_retries: float | None = check_delay(delay_between_retries)
        self.exponential_backoff = exponential_backoff
        self._service = service
        self._max_retries = check_count("max_retries", max_retries, ConfigurationError, least=0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    @override
    def __setattr__(self, name: str, value: object) -> None:
        if is_fixed(self, name):
            kind = type(self).__name__
            raise AttributeError(
                f"{name} is read when a {kind} is made, and setting it would change nothing. Give "
                f"the agent another model: agent.model = {kind}({self.id!r}, {name}=...)."
            )
        super().__setattr__(name, value)

    @property
    @override
    def origin(self) -> str:
        return " ".join((self.provider, self._service.server, self.id))

    @property
    @override
    def server_address(self) -> str:
        return self._service.server

    @override
    async def prepare(self) -> None:
        await self._service.prepare()

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        retries = Retries(self._max_retries, self.delay_between_retries, self.exponential_backoff)
        call = self._call(request, retries)
        while True:
            try:
                response = await call.respond()
            except ModelError as error:
                failure = self._failed(error)
            else:
                if response is not None:
                    return response
                retries.reset()
                continue
            if not call.changes_after(failure):
                await retries.wait(failure)

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        retries = Retries(self._max_retries, self.delay_between_retries, self.exponential_backoff)
        call = self._call(request, retries)
        began, waited = time.monotonic(), None
        while True:
            is_handed_out = False
            try:
                async with aclosing(call.stream()) as answer:
                    async for piece in answer:
                        if isinstance(piece, ModelResponse):
                            piece.metrics.time_to_first_token = waited
                            yield piece
                            return
                        if not isinstance(piece, Kept) and piece != Text(""):
                            waited = waited or time.monotonic() - began
                            is_handed_out = is_handed_out or not isinstance(piece, Reasoning)
                        yield piece
            except ModelError as error:
                failure = self._failed(error)
                failure.content = failure.content or call.text
            else:
                retries.reset()
                continue
            if is_handed_out:
                raise failure
            if not call.changes_after(failure):
                await retries.wait(failure)

    @override
    async def aclose(self) -> None:
        await self._service.aclose()

    @override
    def close(self) -> None:
        self._service.close()

    def _failed(self, error: ModelError) -> ModelError:
        failure = self._service.failed(error)
        failure.model_name, failure.model_id = type(self).__name__, self.id
        return failure

    @abstractmethod
    def _call(self, request: ModelRequest, retries: Retries) -> Call:
        """Return what tries to answer a request.

        Raises:
            ModelError: the request cannot be made.
        """

    def asked(self, request: ModelRequest) -> Origin:
        """Return who is asked."""
        model = request.settings.get("model", self.id)
        return Origin(self.provider + self._suffix, self._service.server, str(model))


def unfinished(model: str) -> ModelError:
    """Return the error for a stream that has ended before its answer was complete."""
    return ModelError(
        f"{model} ended its answer before it was complete.", kind="connection", transient=True
    )
