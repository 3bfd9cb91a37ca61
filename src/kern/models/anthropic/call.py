"""One call of the Messages API, over as many requests as the model takes pauses."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from typing_extensions import override

from kern.models.anthropic.answer import is_paused, read_answer
from kern.models.anthropic.pieces import WANTED, Pieces
from kern.models.anthropic.service import AnthropicService
from kern.models.anthropic.wire import continued
from kern.models.base import ModelResponse, Piece, Text
from kern.models.hosted import Call, unfinished
from kern.models.origin import Origin
from kern.models.service import drain
from kern.models.values import Json, to_object
from kern.run.message import Message

_PATH = "/v1/messages"

# How often a model that pauses within an answer, for its own tools take long, is asked to go on.
_MOST_PAUSES = 16

# An answer of more tokens may take longer than an idle connection lives, so it is streamed though
# nobody reads it. The SDK refuses to ask for one otherwise.
_MOST_TOKENS_AT_ONCE = 21_333


class MessageCall(Call):
    """A call of the Messages API."""

    def __init__(
        self,
        service: AnthropicService,
        origin: Origin,
        body: Mapping[str, bytes],
        messages: Sequence[Message],
    ) -> None:
        """Prepare.

        Args:
            service: the server.
            origin: who is asked.
            body: what is asked, each parameter as JSON.
            messages: the conversation; an answer's calls have other ids than those in it.
        """
        self._service = service
        self._origin = origin
        self._body = body
        self._messages = messages
        self._paused: list[Json] = []
        self._said = ""
        self._pieces = Pieces(origin.model)

    @property
    @override
    def text(self) -> str:
        return self._said + self._pieces.text

    @override
    async def respond(self) -> ModelResponse | None:
        tokens = self._body["max_tokens"]
        if tokens.isdigit() and int(tokens) > _MOST_TOKENS_AT_ONCE:
            async with aclosing(self._read()) as pieces:
                async for _ in pieces:
                    pass
            return self._response(self._pieces.message)
        body = to_object(continued(self._body, self._paused))
        return self._response(await self._service.post(_PATH, body))

    @override
    async def stream(self) -> AsyncGenerator[Piece, None]:
        async with aclosing(self._read()) as pieces:
            async for piece in pieces:
                yield piece
        has_text = bool(self.text)
        if (response := self._response(self._pieces.message)) is None:
            return
        if not has_text and response.message.text:
            yield Text(response.message.text)
        yield response

    async def _read(self) -> AsyncGenerator[Piece, None]:
        """Ask once, and yield the pieces of the answer."""
        pieces = self._pieces = Pieces(self._origin.model)
        body = to_object({**continued(self._body, self._paused), "stream": b"true"})
        async with aclosing(self._service.events(_PATH, body, WANTED)) as events:
            async for event in events:
                if (piece := pieces.read(event)) is not None:
                    yield piece
                if pieces.is_complete:
                    await drain(events)
                    return
        raise unfinished(self._origin.model)

    def _response(self, message: object) -> ModelResponse | None:
        """Return the answer that a message completes, or None where it has only paused."""
        if is_paused(message) and len(self._paused) < _MOST_PAUSES:
            self._paused.append(message)
            self._said, self._pieces = self.text, Pieces(self._origin.model)
            return None
        return read_answer([*self._paused, message], self._origin, self._messages)
