"""Asking a model, whole or piece by piece."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias

from kern.models.base import Model, ModelRequest, ModelResponse, Text
from kern.models.openai import OpenAIResponses
from kern.run.message import Message

Ask: TypeAlias = Callable[..., Awaitable[ModelResponse]]
"""Takes a model and what to say to it: messages, or texts that the user says."""

NewModel: TypeAlias = Callable[..., OpenAIResponses]
"""Takes the arguments of the model that differ from the usual ones of the tests."""


async def ask_for_the_whole(model: Model, *said: Message | str) -> ModelResponse:
    """Ask for the answer at once."""
    return await model.respond(_request(said))


async def ask_for_a_stream(model: Model, *said: Message | str) -> ModelResponse:
    """Ask for the answer piece by piece, and return the whole at the end of it."""
    _, response = await pieces_and_whole(model, *said)
    return response


async def pieces_and_whole(model: Model, *said: Message | str) -> tuple[list[str], ModelResponse]:
    """Ask for the answer piece by piece; return the pieces of its text, and the whole."""
    async with aclosing(model.stream(_request(said))) as answer:
        *pieces, response = [piece async for piece in answer]
    assert isinstance(response, ModelResponse)
    return [piece.text for piece in pieces if isinstance(piece, Text)], response


def _request(said: tuple[Message | str, ...]) -> ModelRequest:
    return ModelRequest([Message("user", each) if isinstance(each, str) else each for each in said])


def as_answer(text: str) -> dict[str, object]:
    """Return how an assistant's text is handed back on the wire."""
    part = {"type": "output_text", "text": text}
    return {"type": "message", "role": "assistant", "content": [part]}
