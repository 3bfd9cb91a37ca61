"""Models in the process of the test, which ask nobody."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from inspect import isawaitable
from typing import TypeAlias
from uuid import uuid4

from typing_extensions import override

from kern.errors import ConfigurationError, ModelError, ModelErrorKind
from kern.models.base import (
    CallArguments,
    Model,
    ModelRequest,
    ModelResponse,
    Piece,
    Reasoning,
    Text,
)
from kern.models.failures import failure_of, retry_after
from kern.models.prices import Price
from kern.run.message import Message, Metrics
from kern.run.tool import ToolCall
from kern.testing.protocols.base import arguments_of, halves
from kern.testing.reply import RawAnswer, Reply, Usage

Answer: TypeAlias = Reply | str
"""What a model answers; a string is a text in one piece."""


class FunctionModel(Model):
    """A model that answers what a function of the request returns.

    A reply that fails raises the :class:`~kern.errors.ModelError` that a provider's model raises
    once it has repeated the call in vain; nothing is repeated here.

    Attributes:
        requests: what was asked, oldest first.
        price: what its answers cost: nothing, unless it is set.

    Example:
        >>> model = FunctionModel(lambda request: request.messages[-1].text.upper())
    """

    provider = "testing"
    price: Price | None = Price(0, 0)

    def __init__(
        self,
        function: Callable[[ModelRequest], Answer | Awaitable[Answer]],
        *,
        id: str = "function",
    ) -> None:
        """Answer by a function.

        Args:
            function: takes what the model is asked, and returns the answer or awaits it.
            id: the model's name.
        """
        self.id = id
        self.requests: list[ModelRequest] = []
        self._function = function

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        async with aclosing(self.stream(request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, ModelResponse):
                    return piece
        raise AssertionError("the last piece is the response")

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        self.requests.append(replace(request, messages=tuple(request.messages)))
        answer = self._function(request)
        if isawaitable(answer):
            answer = await answer
        reply = Reply.text(answer) if isinstance(answer, str) else answer
        if reply.items:
            raise ConfigurationError(
                "Reply.output holds what one provider sends; ask its model of a ProtocolServer."
            )
        await reply.begin()
        self._check_start(reply)
        calls = [
            ToolCall(f"call_{uuid4().hex}", name, arguments_of(arguments))
            for name, arguments in reply.calls
        ]
        count, text = 0, ""
        await self._reach(reply, count, text)
        for piece in _pieces(reply, calls):
            yield piece
            if isinstance(piece, CallArguments) and piece.name:
                continue
            count, text = count + 1, text + (piece.text if isinstance(piece, Text) else "")
            await asyncio.sleep(reply.pause)
            await self._reach(reply, count, text)
        self._check_end(reply, text)
        yield self._response(reply, calls)

    async def _reach(self, reply: Reply, count: int, text: str) -> None:
        """Do what the reply does after so many pieces."""
        if reply.drop == count:
            raise self._dropped(text)
        if reply.gate and reply.gate_after == count:
            await asyncio.wrap_future(reply.gate)

    def _check_start(self, reply: Reply) -> None:
        """Raise what goes wrong before an answer begins."""
        if isinstance(reply.drop, str):
            raise self._dropped("")
        if isinstance(reply.raw, RawAnswer):
            raise ModelError(f"{self.id} answered with something unusable.", kind="malformed")
        if reply.raw:
            failure = failure_of(reply.raw.code, reply.raw.status)
            raise ModelError(
                f"{self.id} answered {reply.raw.status}: {reply.raw.message}",
                kind=failure.kind,
                transient=failure.transient,
                retry_after=retry_after(reply.raw.headers),
                status_code=reply.raw.status,
            )

    def _check_end(self, reply: Reply, text: str) -> None:
        """Raise what goes wrong with an answer that has begun."""
        if reply.error:
            code, message = reply.error
            failure = failure_of(code)
            raise ModelError(
                f"{self.id} failed: {message}",
                kind=failure.kind,
                transient=failure.transient,
                content=text,
            )
        if reply.status == "incomplete":
            raise ModelError(
                f"{self.id} broke off its answer: {reply.reason}.",
                kind=_BROKEN_OFF.get(reply.reason, "incomplete"),
                content=text,
            )
        if not (text or reply.calls or reply.refused is not None):
            raise ModelError(f"{self.id} gave an empty answer.", kind="empty", transient=True)

    def _dropped(self, text: str) -> ModelError:
        message = f"{self.id} dropped the connection."
        return ModelError(message, kind="connection", transient=True, content=text or None)

    def _response(self, reply: Reply, calls: list[ToolCall]) -> ModelResponse:
        is_refusal = reply.refused is not None
        content = reply.refused if is_refusal else "".join(reply.deltas) or None
        return ModelResponse(
            Message(
                "assistant", content, tool_calls=[] if is_refusal else calls, refusal=is_refusal
            ),
            _metrics(reply.usage or Usage(0, 0)),
            "refusal" if is_refusal else "tool_calls" if calls else "stop",
            self.id,
            f"answer_{uuid4().hex}",
        )


class ScriptedModel(FunctionModel):
    """A model that answers by script, as :class:`~kern.testing.ProtocolServer` does over HTTP.

    Attributes:
        script: the next answers, first in first out.
        default: the answer when the script is empty.

    Example:
        >>> model = ScriptedModel([Reply.tool_calls(("add", {"a": 1, "b": 2})), "It is 3."])
    """

    def __init__(
        self,
        script: Iterable[Answer | Callable[[ModelRequest], Answer]] = (),
        *,
        default: Answer | Callable[[ModelRequest], Answer] = "Hello.",
        id: str = "scripted",
    ) -> None:
        """Prepare the script.

        Args:
            script: the first answers, or functions of the request that make them.
            default: the answer when the script is empty.
            id: the model's name.
        """
        super().__init__(self._next, id=id)
        self.script: deque[Answer | Callable[[ModelRequest], Answer]] = deque(script)
        self.default = default

    def _next(self, request: ModelRequest) -> Answer:
        answer = self.script.popleft() if self.script else self.default
        return answer(request) if callable(answer) else answer


_BROKEN_OFF: Mapping[str, ModelErrorKind] = {
    "content_filter": "content_filter",
    "max_output_tokens": "output_limit",
}


def _pieces(reply: Reply, calls: list[ToolCall]) -> Iterator[Reasoning | Text | CallArguments]:
    for one in reply.reasoning:
        if one.summary:
            yield Reasoning(one.summary)
    if reply.refused is not None:
        yield Text(reply.refused)
        return
    for delta in reply.deltas:
        yield Text(delta)
    for index, call in enumerate(calls):
        yield CallArguments(index, call.id, call.name, "")
        for piece in halves(call.arguments):
            yield CallArguments(index, None, None, piece)


def _metrics(usage: Usage) -> Metrics:
    return Metrics(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        model_calls=1,
    )
