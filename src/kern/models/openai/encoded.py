"""What both protocols of OpenAI do with the messages of a run."""

from abc import abstractmethod
from collections.abc import Sequence

from typing_extensions import override

from kern.models.encoded import Encoded
from kern.models.values import Json, encode
from kern.run.content import Part, TextPart
from kern.run.message import Message


class Items(Encoded):
    """Messages in the form of a protocol.

    Attributes:
        items: the conversation, each item as JSON.
    """

    @override
    def clear(self) -> None:
        self.items: list[bytes] = []
        self._media: tuple[Part, ...] = ()
        self._is_past = False
        self._has_ended_with_media = False

    @override
    def add(self, message: Message, *, is_past: bool) -> None:
        if self._media and message.role != "tool":
            self._show_media()
        self._has_ended_with_media = False
        self.items += map(encode, self.items_of(message, is_past=is_past))
        if message.role in ("assistant", "tool") and (media := self.media_of(message)):
            self._media += (*media,)
            self._is_past = is_past or message.role == "assistant"

    @override
    def may_follow(self, message: Message) -> bool:
        # Between the results of one turn there can be no message of the user.
        return not (self._has_ended_with_media and message.role == "tool")

    @override
    def end(self) -> None:
        if self._media:
            self._show_media()
            self._has_ended_with_media = True

    @abstractmethod
    def items_of(self, message: Message, *, is_past: bool) -> Sequence[Json]:
        """Return a message as items of the conversation, see :meth:`Encoded.add`."""

    @abstractmethod
    def media_of(self, message: Message) -> Sequence[Part]:
        """Return what only a user can give here, so that it has to stand in a message of its own.

        Args:
            message: of the assistant, or of a tool.
        """

    @abstractmethod
    def shown(self, parts: Sequence[Part], *, is_past: bool) -> Json:
        """Return a message of the user with these parts, see :meth:`Encoded.add`."""

    def _show_media(self) -> None:
        """Encode what waits for the results of a turn to be complete."""
        shown = self.shown((_INTRODUCTION, *self._media), is_past=self._is_past)
        self.items.append(encode(shown))
        self._media = ()


_INTRODUCTION = TextPart("The messages before this one gave:")
