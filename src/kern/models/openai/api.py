"""What the models of this room need of a protocol: Responses, or Chat Completions."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import ClassVar

from kern.models.base import ModelRequest, ModelResponse, Piece
from kern.models.openai.service import OpenAIService
from kern.models.origin import Origin
from kern.models.retries import Retries
from kern.models.values import Json
from kern.run.message import Message


class Reader(ABC):
    """Reads the events of one streamed answer.

    Attributes:
        texts: the pieces of text so far.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.texts: list[str] = []

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)

    @abstractmethod
    def read(self, event: Json) -> Sequence[Piece]:
        """Return the pieces in an event; the response is the last one where it is whole by now.

        Raises:
            ModelError: the event says that the answer failed.
        """

    @abstractmethod
    def end(self) -> Sequence[Piece]:
        """Return what there is once no event follows: the response at the end of it.

        Raises:
            ModelError: the answer is not complete, or cannot be used.
        """


class Api(ABC):
    """A protocol, with the parameters that a model sends in it.

    Attributes:
        path: where a conversation is posted.
        suffix: what tells its items from those of the provider's main protocol.
    """

    path: ClassVar[str]
    suffix: ClassVar[str] = ""

    @abstractmethod
    def body(self, request: ModelRequest, origin: Origin) -> dict[str, bytes]:
        """Return the body of a request: its parameters, each as JSON.

        The same messages always give the same bytes, so that a provider's prompt cache still hits.

        Args:
            request: the conversation, the tools, and how to answer.
            origin: whose answers are handed back as they were, with reasoning and ids.

        Raises:
            ModelError: a message holds something that the API does not take, a parameter has no
                JSON form, or the request sets what kern does.
        """

    @abstractmethod
    def read(self, payload: object, origin: Origin, messages: Sequence[Message]) -> ModelResponse:
        """Return the answer in what the server sent.

        Args:
            payload: the whole of it, as parsed JSON.
            origin: who answered.
            messages: the conversation; an answer's calls have other ids than those in it.

        Raises:
            ModelError: it failed, is incomplete or empty, or is no answer at all.
        """

    @abstractmethod
    def reader(self, request: ModelRequest, origin: Origin) -> Reader:
        """Return what reads the events of one answer to a request."""

    @abstractmethod
    def events(
        self,
        service: OpenAIService,
        request: ModelRequest,
        body: Mapping[str, bytes],
        retries: Retries,
    ) -> AsyncGenerator[Json, None]:
        """Ask for an answer in pieces, and yield its events.

        Raises:
            ModelError: the server refused, or the stream broke off or is no JSON.
        """
