"""What the server shall answer, and how."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeAlias

ToolCall: TypeAlias = tuple[str, Mapping[str, Any] | str]
"""A tool's name and its arguments; a string goes out as it is, valid JSON or not."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens that a response counts.

    Attributes:
        input_tokens: all tokens read, cached ones included.
        output_tokens: all tokens written, reasoning included.
        cached_tokens: the part of the input that came from the cache.
        reasoning_tokens: the part of the output that was reasoning.
        cache_write_tokens: the part of the input that was put into the cache.
        audio_input_tokens: the part of the input that was audio.
        audio_output_tokens: the part of the output that was audio.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> model = ScriptedModel([Reply.text("Hi.").counting(Usage(input_tokens=900))])
        >>> Agent("Greeter", model).run("Hello").metrics.input_tokens
        900
    """

    input_tokens: int = 10
    output_tokens: int = 5
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A reasoning item.

    Attributes:
        summary: the summary's text; empty for none.
        encrypted_content: what the client hands back in the next turn.

    Example:
        >>> Reasoning("They asked for the capital.").summary
        'They asked for the capital.'
    """

    summary: str = ""
    encrypted_content: str | None = None


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An HTTP answer that no protocol has, sent as it is.

    Attributes:
        status: the HTTP status.
        body: sent as it is.
        headers: sent beside the content length.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An HTTP error, in the form of the protocol that the client speaks.

    Attributes:
        status: the HTTP status.
        message: what the error says.
        code: the provider's word for it.
        headers: sent beside the content's length and type.
    """

    status: int
    message: str
    code: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted reply. Make it with a factory, refine it with the methods below those.

    A reply holds no state but its gate, so one reply can answer any number of requests.

    Attributes:
        deltas: the pieces of the text as they are streamed; the text is their sum.
        calls: the tool calls, after the text.
        reasoning: the reasoning items, before the text.
        refused: the refusal, in place of a text.
        items: more items of the output, as they are, after the calls.
        status: how the response ends.
        error: the code and message of a failed response.
        reason: why a response is incomplete.
        usage: the tokens that the response counts; None leaves them out.
        delay: seconds before the first byte.
        pause: seconds after each delta; a reply that is not streamed takes as long in all.
        trickle: seconds after each byte of a reply that is no stream, or has none.
        trickle_from: whether that begins with the headers or with the body.
        raw: an HTTP answer, or an HTTP error, in place of a response.
        drop: where the server closes the connection: before any byte, within the headers, or after
            this many deltas.
        resumable: whether a background response can be streamed once more; polled it can be anyway.
        gate: done when the test releases the reply.
        gate_after: the number of deltas before the gate; None holds back the first byte.

    Example:
        >>> Reply.text("Par", "is.").deltas
        ('Par', 'is.')
    """

    deltas: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    reasoning: tuple[Reasoning, ...] = ()
    refused: str | None = None
    items: tuple[Mapping[str, Any], ...] = ()
    status: Literal["completed", "incomplete", "failed"] = "completed"
    error: tuple[str, str] | None = None
    reason: str = "max_output_tokens"
    usage: Usage | None = Usage()
    delay: float = 0.0
    pause: float = 0.0
    trickle: float = 0.0
    trickle_from: Literal["head", "body"] = "body"
    raw: RawAnswer | ErrorAnswer | None = None
    drop: Literal["connection", "headers"] | int | None = None
    resumable: bool = True
    gate: Future[None] | None = field(default=None, compare=False, repr=False)
    gate_after: int | None = None

    @classmethod
    def text(cls, *deltas: str) -> Self:
        """Answer with a text, streamed in these pieces. Any string goes, lone surrogates too."""
        return cls(deltas=deltas)

    @classmethod
    def tool_calls(cls, *calls: ToolCall) -> Self:
        """Answer with tool calls, each a name with its arguments (a mapping or a raw string)."""
        return cls(calls=calls)

    @classmethod
    def refusal(cls, refusal: str = "I can't help with that.") -> Self:
        """Answer with a refusal."""
        return cls(refused=refusal)

    @classmethod
    def incomplete(cls, *deltas: str, reason: str = "max_output_tokens") -> Self:
        """Answer with a text that ended early, and for which reason."""
        return cls(deltas=deltas, status="incomplete", reason=reason)

    @classmethod
    def output(cls, *items: Mapping[str, Any]) -> Self:
        """Answer with these items as they are, whether the API knows them or not.

        What an item is depends on the protocol: an item of the output of Responses, a content block
        of Anthropic's, a part of Google's, fields of the message of Chat Completions.
        """
        return cls(items=items)

    @classmethod
    def failed(
        cls,
        code: str = "server_error",
        message: str = "The model failed to answer.",
        *deltas: str,
    ) -> Self:
        """Answer with HTTP 200 and a response of status ``failed``, after this much text."""
        return cls(deltas=deltas, status="failed", error=(code, message))

    @classmethod
    def http_error(
        cls,
        status: int,
        message: str = "Scripted error.",
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Answer with an HTTP error in the form of the client's protocol.

        Args:
            status: the HTTP status, from 400 to 599.
            message: what the error says.
            code: the provider's word for it: OpenAI's ``code`` (``rate_limit_exceeded``),
                Anthropic's ``type`` (``overloaded_error``), Google's ``status``
                (``RESOURCE_EXHAUSTED``). Without one, the latter two have the status's usual.
            headers: more headers, such as ``retry-after``.
        """
        return cls(raw=ErrorAnswer(status, message, code, headers or {}))

    @classmethod
    def garbage(
        cls,
        body: str | bytes = "<html>",
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Answer with HTTP 200 and a body that is no response object."""
        content = body.encode() if isinstance(body, str) else body
        return cls(raw=RawAnswer(200, content, {"content-type": content_type, **(headers or {})}))

    @classmethod
    def dropped(cls, within: Literal["connection", "headers"] = "connection") -> Self:
        """Close the connection before any byte of the answer, or within its headers."""
        return cls(drop=within)

    @classmethod
    def hang(cls) -> Self:
        """Never answer: hold the connection until the client or the server goes away."""
        return cls().held()

    def calling(self, *calls: ToolCall) -> Self:
        """Return this reply with these tool calls after its text."""
        return replace(self, calls=calls)

    def thinking(self, summary: str = "", encrypted_content: str | None = None) -> Self:
        """Return this reply with one more reasoning item before its text."""
        return replace(self, reasoning=(*self.reasoning, Reasoning(summary, encrypted_content)))

    def counting(self, usage: Usage | None) -> Self:
        """Return this reply with this usage, or with none."""
        return replace(self, usage=usage)

    def slow(self, delay: float = 0.0, pause: float = 0.0) -> Self:
        """Return this reply with seconds before its first byte, and seconds after each delta."""
        return replace(self, delay=delay, pause=pause)

    def trickling(self, pause: float, begin: Literal["head", "body"] = "body") -> Self:
        """Return this reply sent byte by byte, with seconds after each; of a stream each event.

        Args:
            pause: the seconds.
            begin: whether that begins with the headers or with the body.
        """
        return replace(self, trickle=pause, trickle_from=begin)

    def dropping(self, after: int) -> Self:
        """Return this reply with its connection closed after so many deltas.

        One that is not streamed is closed in the middle of its body.
        """
        return replace(self, drop=after)

    def not_resumable(self) -> Self:
        """Return this reply refused with HTTP 400 where a client asks for its stream again."""
        return replace(self, resumable=False)

    def held(self, after: int | None = None) -> Self:
        """Return this reply held back until :meth:`release`.

        Args:
            after: the number of deltas to send before; None holds back the first byte.
        """
        gate: Future[None] = Future()
        # A running future ignores the cancel that a request passes on when its client leaves.
        gate.set_running_or_notify_cancel()
        return replace(self, gate=gate, gate_after=after)

    def release(self) -> None:
        """Let every request go on that this reply holds, now and later; from any thread.

        Raises:
            RuntimeError: the reply was not made by :meth:`held` or :meth:`hang`.
        """
        if self.gate is None:
            raise RuntimeError("Only a held reply can be released.")
        if not self.gate.done():
            self.gate.set_result(None)

    async def begin(self) -> None:
        """Wait until the first byte may leave."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.gate and self.gate_after is None:
            await asyncio.wrap_future(self.gate)
