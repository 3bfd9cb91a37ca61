"""What kern needs of a model: the port behind which the providers stand."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

from kern.run.message import Message, Metrics
from kern.run.tool import ToolSchema


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked.

    Attributes:
        messages: the conversation.
        tools: what the model may call.
        handle: where the provider keeps answers, the one that an earlier attempt asked for and
            this one is to pick up.
        keep: where the provider keeps answers, awaited with the handle of this one before
            anything else is done, so that a later attempt can pick it up.
    """

    messages: Sequence[Message]
    tools: Sequence[ToolSchema] = ()
    handle: str | None = None
    keep: Callable[[str], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """What a model answered to one call.

    Attributes:
        message: the assistant's message, with what the provider needs to go on from it.
        metrics: what the call used.
    """

    message: Message
    metrics: Metrics


class Model(ABC):
    """A model at a provider. One object serves all runs of all agents and event loops.

    Attributes:
        id: the model's name at the provider.
        provider: the provider's name.
        keeps_answers: whether the provider goes on with an answer nobody waits for.
    """

    id: str
    provider: str
    keeps_answers: bool = False

    async def prepare(self) -> None:  # noqa: B027 # most have nothing to load
        """Load what the first call needs, before others have to wait for it.

        Raises:
            ConfigurationError: no call can succeed in this process, and why.
        """

    @abstractmethod
    async def respond(self, request: ModelRequest) -> ModelResponse:
        """Answer a conversation.

        Cancelling the call closes the connection to the provider.

        Raises:
            ModelError: there was no usable answer.
        """

    @abstractmethod
    def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse, None]:
        """Answer a conversation piece by piece: texts, then the whole response, once.

        Raises:
            ModelError: there was no usable answer; its ``content`` is the text until then.
        """

    async def cancel(self, handle: str) -> None:  # noqa: B027 # most providers keep no answers
        """Have the provider stop an answer that it keeps, as far as it can."""

    async def aclose(self) -> None:  # noqa: B027 # not every model keeps connections
        """Close the connections of the running event loop; the next call opens others.

        They are closed with the event loop anyway, and where the model is not used any more. A
        call that is under way fails.
        """

    def close(self) -> None:  # noqa: B027
        """Close the connections that synchronous code, or a loop in another thread, has opened.

        Raises:
            ConfigurationError: it was called on an event loop that uses the model: await
                :meth:`aclose` there.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
