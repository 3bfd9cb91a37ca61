"""The messages of a run as they are sent: each is encoded once, though each call sends all."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Self

from kern.models.base import ModelRequest
from kern.models.media import last_answer, taken
from kern.models.openai.api import Origin
from kern.models.openai.values import Json, encode
from kern.run.content import AudioPart, Content, Part, TextPart, text_of
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
        self._media: list[Part] = []
        self._has_ended_with_media = False

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
        self.items, self._values, self._media = [], [], []
        self._has_ended_with_media = False

    @abstractmethod
    def add(self, message: Message) -> None:
        """Encode one more message."""

    @abstractmethod
    def media_of(self, message: Message) -> Sequence[Part]:
        """Return what only a user can give here, so that it has to stand in a message of its own.

        Args:
            message: of the assistant, or of a tool.
        """

    @abstractmethod
    def shown(self, parts: Sequence[Part]) -> Json:
        """Return a message of the user with these parts."""

    def _update(self, messages: Sequence[Message]) -> None:
        """Hold these messages; what is encoded already stays where they begin with it."""
        values: list[object] = [*map(_values_of, messages)]
        known = len(self._values)
        # Between the results of one turn there can be no message of the user.
        is_torn = self._has_ended_with_media and messages[known:] and messages[known].role == "tool"
        if values[:known] != self._values or is_torn:
            self.clear()
        for message in messages[len(self._values) :]:
            if message.role != "tool":
                self._show_media()
            self._has_ended_with_media = False
            place = len(self._values)
            if isinstance(message.content, tuple) and (
                message.role == "tool" or place < last_answer(messages)
            ):
                message = self._takeable(message)
            self.add(message)
            self._values.append(values[place])
            if message.role in ("assistant", "tool"):
                self._media += taken(self.media_of(message), self._take)
        self._has_ended_with_media = self._show_media() or self._has_ended_with_media

    def _takeable(self, message: Message) -> Message:
        """Return a message with a text in place of the media that the API does not take.

        What another model was given, or a tool has made, nobody here can choose.
        """
        if message.role == "assistant":
            return message
        return replace(message, content=taken(message.parts, self._take))

    def _take(self, part: Part) -> object:
        return self.shown((part,))

    def _show_media(self) -> bool:
        """Encode what waits for the results of a turn to be complete; say whether there was any."""
        if not self._media:
            return False
        self.items.append(encode(self.shown((_INTRODUCTION, *self._media))))
        self._media = []
        return True


def parts_of(message: Message) -> Sequence[Part]:
    """Return the parts of a message; none where it is a text."""
    return message.content if isinstance(message.content, tuple) else ()


def said(content: Content | None) -> str:
    """Return an answer's text, or what it says aloud."""
    if not isinstance(content, tuple):
        return content or ""
    spoken = [part.transcript or "" for part in content if isinstance(part, AudioPart)]
    return text_of(content) or " ".join(spoken)


_INTRODUCTION = TextPart("The messages before this one gave:")
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
