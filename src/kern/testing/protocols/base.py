"""What the server asks of a protocol, and the frames of its streams."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from typing import Protocol as Port

from kern.testing.reply import Reply

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event.

    Attributes:
        data: its content; a string goes out as it is.
        event: its name; empty for none.
        kind: whether it opens the stream, before anything is generated; is a piece of a text or of
            arguments, which the waits of a reply count; or is neither.
    """

    data: Json | str
    event: str = ""
    kind: Literal["opening", "delta", "other"] = "other"

    def encode(self) -> bytes:
        """Return the frame as it is sent."""
        data = self.data if isinstance(self.data, str) else json.dumps(self.data)
        name = f"event: {self.event}\n" if self.event else ""
        return f"{name}data: {data}\n\n".encode()


class Protocol(Port):
    """How one provider's API says what a reply holds; each module beside this one is one."""

    def whole(self, reply: Reply, body: Mapping[str, Any]) -> Json:
        """Return the answer to a request with this body, not streamed."""

    def frames(self, reply: Reply, body: Mapping[str, Any]) -> Iterator[Frame]:
        """Yield the answer to a request with this body, streamed."""

    def error(self, status: int, message: str, code: str | None = None) -> Json:
        """Return the body of an HTTP error."""

    def id_of(self, answer: Json) -> str:
        """Return the id of an answer, given it whole or by the first frame of its stream."""

    def tools_of(self, body: Mapping[str, Any]) -> dict[str, Json]:
        """Return the functions that a request offers: the schema of the arguments by name."""

    def messages_of(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the conversation that a request holds, each part as its role and its text.

        The roles are ``system``, ``user``, ``assistant``, ``reasoning`` (the text shown), ``call``
        (the tool's name, a space, its arguments as JSON), ``tool`` (a result) and ``media`` (the
        type of the part, as the provider calls it).
        """


def halves(text: str) -> tuple[str, ...]:
    """Return a text in two pieces, or in one where it is that short."""
    middle = len(text) // 2
    return tuple(piece for piece in (text[:middle], text[middle:]) if piece)


def arguments_of(arguments: Mapping[str, Any] | str) -> str:
    """Return a call's arguments as they are sent where the protocol wants a string."""
    return arguments if isinstance(arguments, str) else json.dumps(dict(arguments))


def call_text(name: object, arguments: object) -> str:
    """Return a call as :meth:`Protocol.messages_of` writes it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return f"{name} {text}"
