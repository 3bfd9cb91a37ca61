"""The messages of a run as they are sent: each is encoded once, though each call sends all."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import attrgetter
from typing import Self

from kern.models.base import ModelRequest
from kern.models.openai.api import Origin
from kern.run.message import Message


class Encoded(ABC):
    """Messages in the form of a protocol.

    Attributes:
        items: the conversation, each item as JSON.
        origin: whose answers are handed back as they were, with reasoning and ids.
    """

    def __init__(self, origin: Origin) -> None:
        """Begin with none."""
        self.items: list[bytes] = []
        self.origin = origin
        self._values: list[object] = []

    def of(self, request: ModelRequest) -> Self:
        """Return the messages of a request, which remembers what is encoded for the next one.

        Raises:
            ModelError: a message holds something that the API does not take.
        """
        known = request.memo.get(self.origin.provider)
        if not (isinstance(known, type(self)) and known.key == self.key):
            known = self
        request.memo[self.origin.provider] = known
        known._update(request.messages)
        return known

    @property
    def key(self) -> object:
        """What has to be the same for messages to be encoded alike."""
        return self.origin

    def is_own(self, message: Message) -> bool:
        """Say whether the provider's items of a message mean something to who is asked."""
        return bool(message.provider_items) and self.origin == _origin_of(message)

    def clear(self) -> None:
        """Hold no messages."""
        self.items, self._values = [], []

    @abstractmethod
    def add(self, message: Message) -> None:
        """Encode one more message."""

    def goes_on_with(self, message: Message) -> bool:
        """Say whether a message may follow those that are encoded."""
        return True

    def end(self) -> None:  # noqa: B027 # most have nothing to add
        """Encode what has to follow the last message."""

    def _update(self, messages: Sequence[Message]) -> None:
        """Hold these messages; what is encoded already stays where they begin with it."""
        values: list[object] = [*map(_values_of, messages)]
        known = len(self._values)
        if values[:known] != self._values or (
            known < len(values) and not self.goes_on_with(messages[known])
        ):
            self.clear()
        for message in messages[len(self._values) :]:
            self.add(message)
            self._values.append(values[len(self._values)])
        self.end()


_origin_of = attrgetter("provider", "server", "model")
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
)
