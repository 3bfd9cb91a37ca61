"""From the chunks of a streamed completion to the pieces of an answer."""

import base64
from collections.abc import Sequence

from typing_extensions import override

from kern.errors import ModelError
from kern.models.base import Audio, CallArguments, Piece, Reasoning, Text
from kern.models.calls import arguments_of, ids_in, own_id
from kern.models.hosted import unfinished
from kern.models.openai.api import Reader
from kern.models.openai.chat.answer import read_completion
from kern.models.openai.chat.parts import text_in, thoughts_in
from kern.models.openai.failed import check_for_error
from kern.models.openai.media import decoded
from kern.models.origin import Origin
from kern.models.values import Json, object_at, objects_in, text_at
from kern.run.message import Message

# Lists of a message that come piece by piece.
_LISTS = ("annotations", "images")


class Chunks(Reader):
    """Reads the chunks of one completion, and puts the whole together from them."""

    def __init__(self, origin: Origin, messages: Sequence[Message] = ()) -> None:
        """Begin.

        Args:
            origin: who answers.
            messages: the conversation before it.
        """
        super().__init__()
        self._origin = origin
        self._messages = messages
        self._head: Json = {}
        self._usage: object = None
        self._reason: object = None
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[Json]] = {}
        self._details: list[Json] = []
        self._calls: list[_Call] = []
        self._taken: set[str] = set()
        self._sound: _Sound | None = None
        self._more: Json = {}

    @override
    def read(self, event: Json) -> Sequence[Piece]:
        choices = objects_in(event.get("choices"))
        for each in (event, *choices[:1]):
            check_for_error(each, self._origin.model, self.text)
        self._head = self._head or event
        self._usage = event.get("usage") or self._usage
        if not choices:
            return ()
        self._reason = choices[0].get("finish_reason") or self._reason
        # Some servers answer a request for a stream with the whole at once.
        return self._delta(object_at(choices[0], "delta") or object_at(choices[0], "message"))

    @override
    def end(self) -> Sequence[Piece]:
        if self._reason is None:
            raise unfinished(self._origin.model)
        message: Json = {name: "".join(said) for name, said in self._texts.items()}
        message |= self._lists | self._more
        if self._calls:
            message["tool_calls"] = [each.whole() for each in self._calls]
        if self._details:
            message["reasoning_details"] = self._details
        if self._sound is not None:
            message["audio"] = self._sound.whole()
        choice = {"message": message, "finish_reason": self._reason}
        whole = {**self._head, "choices": [choice], "usage": self._usage}
        return (read_completion(whole, self._origin, self._messages),)

    def _delta(self, delta: Json) -> list[Piece]:
        pieces: list[Piece] = []
        name, thought = thoughts_in(delta)
        if thought:
            self._texts.setdefault(name, []).append(thought)
            pieces.append(Reasoning(thought))
        for name in ("content", "refusal"):
            value = delta.get(name)
            if value and (text := text_in(value)):
                self._texts.setdefault(name, []).append(text)
                self.texts.append(text)
                pieces.append(Text(text))
        for call in objects_in(delta.get("tool_calls")):
            pieces.append(self._call(call))
        if sound := object_at(delta, "audio"):
            pieces.append(self._audio(sound))
        for name in _LISTS:
            if more := objects_in(delta.get(name)):
                self._lists.setdefault(name, []).extend(more)
        for detail in objects_in(delta.get("reasoning_details")):
            _add_detail(self._details, detail)
        if extra := delta.get("extra_content"):
            self._more["extra_content"] = extra
        return pieces

    def _call(self, values: Json) -> CallArguments:
        last = len(self._calls) - 1
        for place in range(last, -1, -1):
            if self._calls[place].is_meant_by(values, is_last=place == last):
                return CallArguments(place, None, None, self._calls[place].add(values))
        if not self._calls:
            self._taken = ids_in(self._messages)
        call = _Call(values, self._taken)
        self._calls.append(call)
        text = call.add(values)
        return CallArguments(last + 1, call.id, call.name or None, text)

    def _audio(self, values: Json) -> Audio:
        self._sound = self._sound or _Sound()
        piece = self._sound.add(values)
        if piece is None:
            raise ModelError(
                f"{self._origin.model} answered with sound that is no base64.", kind="malformed"
            )
        return piece


class _Call:
    """A tool call, as far as it has come."""

    def __init__(self, values: Json, taken: set[str]) -> None:
        self.name = ""
        self._index, self._given_id = values.get("index"), text_at(values, "id")
        self.id = own_id(self._given_id, taken)
        self._values: Json = {}
        self._arguments: list[str] = []

    def is_meant_by(self, values: Json, *, is_last: bool) -> bool:
        """Say whether a piece belongs to this call; some servers number all alike, or none."""
        index, id = values.get("index"), text_at(values, "id")
        if id and self._given_id and id != self._given_id:
            return False
        if index is not None:
            return index == self._index
        has_name = bool(text_at(object_at(values, "function"), "name"))
        return id == self._given_id if id else is_last and not has_name

    def add(self, values: Json) -> str:
        """Take a piece in, and return what it has of the arguments."""
        custom = object_at(values, "custom")
        said = custom or object_at(values, "function")
        self.name = self.name or text_at(said, "name") or ""
        text = arguments_of(said.get("input" if custom else "arguments"))
        self._arguments.append(text)
        self._values |= {name: value for name, value in values.items() if value is not None}
        return text

    def whole(self) -> Json:
        """Return the call as it is without a stream."""
        is_custom = "custom" in self._values
        said = {"name": self.name, "input" if is_custom else "arguments": "".join(self._arguments)}
        return {**self._values, "id": self.id, "custom" if is_custom else "function": said}


class _Sound:
    """An answer as sound, as far as it has come."""

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._transcript: list[str] = []
        self._values: Json = {}

    def add(self, values: Json) -> Audio | None:
        """Take a piece in, and return it, or None where it is no base64."""
        data = decoded(values.get("data") or "")
        if data is None:
            return None
        said = text_at(values, "transcript") or ""
        self._data.append(data)
        self._transcript.append(said)
        self._values |= values
        return Audio(data, said)

    def whole(self) -> Json:
        """Return the sound as it is without a stream."""
        data = base64.b64encode(b"".join(self._data)).decode()
        return {**self._values, "data": data, "transcript": "".join(self._transcript)}


def _add_detail(details: list[Json], more: Json) -> None:
    """Add a piece of reasoning to those before it, of which it may be the continuation."""
    last = details[-1] if details else {}
    marks = ("type", "index")
    if not details or "index" not in more or any(last.get(k) != more.get(k) for k in marks):
        details.append(dict(more))
        return
    for name, value in more.items():
        if name in ("text", "summary") and isinstance(value, str):
            last[name] = (text_at(last, name) or "") + value
        elif value is not None:
            last[name] = value
