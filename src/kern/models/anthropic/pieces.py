"""From the events of a streamed message to the pieces of an answer, and to the whole.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from kern.models.anthropic.answer import failure_in
from kern.models.base import CallArguments, Piece, Reasoning, Text
from kern.models.calls import object_of
from kern.models.values import Json, text_at

WANTED = frozenset(
    (
        b"message_start",
        b"content_block_start",
        b"content_block_delta",
        b"message_delta",
        b"message_stop",
        b"error",
    )
)
"""The events that are read; the others say nothing more."""

_APPENDED = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
}
"""What is added to a block piece by piece: the kind of the piece, and its member."""


class Pieces:
    """Reads the events of one message.

    Attributes:
        texts: the pieces of text so far.
        is_complete: whether the message has ended.
    """

    def __init__(self, model: str) -> None:
        """Begin.

        Args:
            model: the model's id, for errors.
        """
        self.texts: list[str] = []
        self.is_complete: bool = False
        self._model = model
        self._message: Json = {}
        self._usage: Json = {}
        self._blocks: dict[int, Json] = {}
        self._written: dict[int, dict[str, list[str]]] = {}
        self._calls: dict[int, int] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)

    @property
    def message(self) -> Json:
        """The message so far, as the API would have sent it whole."""
        content = [self._block(place) for place in self._blocks]
        return {**self._message, "content": content, "usage": self._usage}

    def read(self, event: Json) -> Piece | None:
        """Return the piece in an event, or None where it has none.

        Raises:
            ModelError: the event says that the answer failed.
        """
        match event.get("type"):
            case "message_start":
                self._learn(event.get("message"))
            case "content_block_start":
                return self._begin(event.get("index"), event.get("content_block"))
            case "content_block_delta":
                return self._add(event.get("index"), event.get("delta"))
            case "message_delta":
                self._learn(event.get("delta"))
                self._learn({"usage": event.get("usage")})
            case "message_stop":
                self.is_complete = True
            case "error":
                raise failure_in(event, self._model, self.text)
            case None if "error" in event:
                raise failure_in(event, self._model, self.text)
        return None

    def _learn(self, values: object) -> None:
        if isinstance(values, dict):
            known = {name: value for name, value in values.items() if value is not None}
            usage = known.pop("usage", None)
            self._message |= known
            if isinstance(usage, dict):  # Each says all that was used by then.
                self._usage |= {name: value for name, value in usage.items() if value is not None}

    def _begin(self, place: object, block: object) -> Piece | None:
        if not isinstance(block, dict) or not isinstance(place, int):
            return None
        self._blocks[place], self._written[place] = block, {}
        match block.get("type"):
            case "tool_use":
                index = self._calls[place] = len(self._calls)
                return CallArguments(index, text_at(block, "id"), text_at(block, "name"), "")
            case "text" if isinstance(text := block.get("text"), str) and text:
                self.texts.append(text)
                return Text(text)
            case "thinking" if isinstance(text := block.get("thinking"), str) and text:
                return Reasoning(text)
        return None

    def _add(self, place: object, delta: object) -> Piece | None:
        if not isinstance(delta, dict) or not isinstance(place, int) or place not in self._blocks:
            return None
        kind = str(delta.get("type"))
        if kind == "citations_delta":
            block = self._blocks[place]
            known = block.get("citations")
            sources = known if isinstance(known, list) else []
            self._blocks[place] = {**block, "citations": [*sources, delta.get("citation")]}
            return None
        name = _APPENDED.get(kind)
        if name is None:
            # What is yet to come is kept as the block's own.
            own = {key: value for key, value in delta.items() if key != "type"}
            self._blocks[place] = {**self._blocks[place], **own}
            return None
        piece = delta.get(name)
        if not isinstance(piece, str):
            return None
        self._written[place].setdefault(name, []).append(piece)
        return self._piece(name, piece, place)

    def _piece(self, name: str, piece: str, place: int) -> Piece | None:
        if name == "text":
            self.texts.append(piece)
            return Text(piece)
        if name == "thinking":
            return Reasoning(piece)
        if name == "partial_json" and (index := self._calls.get(place)) is not None:
            return CallArguments(index, None, None, piece)
        return None

    def _block(self, place: int) -> Json:
        """Return a block with what was added to it."""
        block = dict(self._blocks[place])
        for name, pieces in self._written[place].items():
            text = "".join(pieces)
            if name != "partial_json":
                block[name] = str(block.get(name) or "") + text
            elif text.strip():
                block["input"] = text if place in self._calls else object_of(text)
        return block
