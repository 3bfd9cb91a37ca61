"""The messages of a run as they are sent: each is encoded once, though each call sends all."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import attrgetter
from typing import Self

from kern.models.base import ModelRequest
from kern.models.origin import Origin
from kern.run.message import Message

_values_of = attrgetter(
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "provider",
    "provider_items",
    "server",
    "model",
    "is_error",
)


class Encoded(ABC):
    """Messages in the form of a protocol.

    Attributes:
        origin: whose answers are handed back as they were, with reasoning, signatures and ids.
    """

    def __init__(self, origin: Origin) -> None:
        """Begin with none.

        Args:
            origin: whose answers are handed back as they were.
        """
        self.origin = origin
        self._values: list[object] = []
        self.clear()

    def of(self, request: ModelRequest) -> Self:
        """Return the messages of a request, which remembers what is encoded for the next one.

        Raises:
            ModelError: a message holds something that the API does not take.
        """
        known = request.memo.get(self.origin.provider)
        if not (isinstance(known, type(self)) and known.key == self.key):
            known = self
        request.memo[self.origin.provider] = known
        known.update(request.messages)
        return known

    @property
    def key(self) -> object:
        """What has to be the same for messages to be encoded alike."""
        return self.origin

    def update(self, messages: Sequence[Message]) -> None:
        """Hold these messages; what is encoded already stays where they begin with it.

        Raises:
            ModelError: a message holds something that the API does not take.
        """
        values: list[object] = [*map(_values_of, messages)]
        known = len(self._values)
        if known and (
            values[:known] != self._values
            or not all(map(self.may_follow, messages[known : known + 1]))
        ):
            self._values = []
            self.clear()
        last = len(messages) - 1
        while last > 0 and messages[last].role != "assistant":
            last -= 1
        for place in range(len(self._values), len(messages)):
            message = messages[place]
            # What another model was given, or a tool has made, nobody here can choose.
            self.add(message, is_past=place < last or message.role == "tool")
            self._values.append(values[place])
        self.end()

    @abstractmethod
    def clear(self) -> None:
        """Hold no messages."""

    @abstractmethod
    def add(self, message: Message, *, is_past: bool) -> None:
        """Encode one more message.

        Args:
            message: the next one.
            is_past: whether it is answered already, by another model perhaps: then what the API
                does not take of it is left out.

        Raises:
            ModelError: it holds something that the API does not take.
        """

    def may_follow(self, message: Message) -> bool:
        """Say whether a message may follow those that are encoded."""
        return True

    def end(self) -> None:  # noqa: B027 # most have nothing to do
        """Encode what has waited for the last message."""
