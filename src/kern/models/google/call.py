"""One call of the Gemini API, over as many requests as the answer takes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from typing_extensions import override

from kern.errors import ModelError
from kern.models.base import ModelResponse, Piece
from kern.models.google.answer import read_response, response_in
from kern.models.google.pieces import Pieces
from kern.models.google.service import GoogleService
from kern.models.google.wire import continued
from kern.models.hosted import Call, unfinished
from kern.models.origin import Origin
from kern.models.values import Json
from kern.run.message import Message

# How long more is waited for once it was said why an answer ended, in seconds: some models say so
# with each event, and a connection that is read to its end serves the next call.
_MORE = 2.0


class ContentCall(Call):
    """A call of the Gemini API."""

    def __init__(
        self, service: GoogleService, origin: Origin, body: bytes, messages: Sequence[Message]
    ) -> None:
        """Prepare.

        Args:
            service: the server.
            origin: who is asked.
            body: what is asked.
            messages: the conversation; an answer's calls have other ids than those in it.
        """
        self._service = service
        self._origin = origin
        self._body = body
        self._messages = messages
        self._pieces = Pieces(origin.model)

    @property
    @override
    def text(self) -> str:
        return self._pieces.text

    @override
    async def respond(self) -> ModelResponse:
        model, body = self._origin.model, self._body
        pieces = self._pieces = Pieces(model, self._messages)
        while True:
            pieces.read(response_in(await self._service.post(model, body), model))
            if (token := pieces.go_on()) is None:
                return read_response(pieces.whole(), self._origin, pieces.ids)
            body = continued(self._body, token)

    @override
    async def stream(self) -> AsyncGenerator[Piece, None]:
        model, body = self._origin.model, self._body
        pieces = self._pieces = Pieces(model, self._messages)
        while True:
            async with aclosing(self._service.events(model, body, ())) as events:
                while (event := await _next(events, pieces.is_complete)) is not None:
                    for piece in pieces.read(event):
                        yield piece
            if not pieces.is_complete:
                raise unfinished(model)
            if (token := pieces.go_on()) is None:
                yield read_response(pieces.whole(), self._origin, pieces.ids)
                return
            body = continued(self._body, token)


async def _next(events: AsyncGenerator[Json, None], is_complete: bool) -> Json | None:
    """Return the next event, or None at the end; what would come after a complete answer need not.

    Raises:
        ModelError: the stream broke off before the answer was complete.
    """
    if not is_complete:
        return await anext(events, None)
    try:
        async with asyncio.timeout(_MORE):
            return await anext(events, None)
    except (TimeoutError, ModelError):
        return None
