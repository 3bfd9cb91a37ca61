"""What kern needs of a model: the port behind which the providers stand."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from kern.run.message import Message, Metrics


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
    """

    id: str
    provider: str

    @abstractmethod
    async def respond(self, messages: Sequence[Message]) -> ModelResponse:
        """Answer a conversation.

        Cancelling the call closes the connection to the provider.

        Raises:
            ModelError: there was no usable answer.
        """

    @abstractmethod
    def stream(self, messages: Sequence[Message]) -> AsyncGenerator[str | ModelResponse, None]:
        """Answer a conversation piece by piece: texts, then the whole response, once.

        Raises:
            ModelError: there was no usable answer; its ``content`` is the text until then.
        """
