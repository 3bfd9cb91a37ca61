"""From the events of a streamed answer to its pieces, and to the whole answer.

Each event is a response of its own, with some of the parts; the last one says why it ended.
"""

from collections.abc import Sequence

from kern.models.base import Audio, CallArguments, Piece, Reasoning, Text
from kern.models.calls import arguments_of, ids_in, own_id
from kern.models.google.failures import failed
from kern.models.google.parts import is_thought, media_of
from kern.models.values import Json, object_at, objects_in, text_at
from kern.run.content import AudioPart, Inline
from kern.run.message import Message

_PLAIN = ({"text"}, {"text", "thought"})
"""The parts that may be joined: those that hold a text and no signature."""

# How many further requests one answer may take.
_MOST_REQUESTS = 100


class Pieces:
    """Reads the events of one answer.

    Attributes:
        ids: the ids of the calls so far.
    """

    def __init__(self, model: str, messages: Sequence[Message] = ()) -> None:
        """Begin.

        Args:
            model: the model's id, for errors.
            messages: the conversation; an answer's calls have other ids than those in it.
        """
        self.ids: list[str] = []
        self._model = model
        self._messages = messages
        self._taken: set[str] = set()
        self._texts: list[str] = []
        self._parts: list[Json] = []
        self._joined: dict[int, list[str]] = {}
        self._candidate: Json = {}
        self._payload: Json = {}
        self._used: Json = {}
        self._requests = 0

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    @property
    def is_complete(self) -> bool:
        """Whether it was said why the answer ended, or that there is none."""
        feedback = object_at(self._payload, "promptFeedback")
        return "finishReason" in self._candidate or "blockReason" in feedback

    def go_on(self) -> str | None:
        """Return what a further request goes on from, and expect its events; None at the end."""
        if text_at(self._candidate, "finishReason") != "CONTINUATION":
            return None
        token = text_at(self._candidate, "continuationToken")
        self._requests += 1
        if token is None or self._requests > _MOST_REQUESTS:
            return None
        self._used = _sum(self._used, object_at(self._payload, "usageMetadata"))
        self._candidate, self._payload = {}, {}
        return token

    def read(self, event: Json) -> list[Piece]:
        """Return the pieces in an event.

        Raises:
            ModelError: the event says that the answer failed, or holds something unusable.
        """
        if isinstance(event.get("error"), dict):
            raise failed(event, self._model)
        self._payload |= {name: each for name, each in event.items() if name != "candidates"}
        candidate = next(iter(objects_in(event.get("candidates"))), None)
        if candidate is None:
            return []
        self._candidate |= {name: each for name, each in candidate.items() if name != "content"}
        found = [
            self._part(part) for part in objects_in(object_at(candidate, "content").get("parts"))
        ]
        return [piece for piece in found if piece is not None]

    def whole(self) -> Json:
        """Return the response that the events add up to."""
        parts = [
            {**part, "text": "".join(self._joined[place])} if place in self._joined else part
            for place, part in enumerate(self._parts)
        ]
        if not (parts or self._candidate):
            return {**self._payload, "candidates": []}
        candidate = {**self._candidate, "content": {"role": "model", "parts": parts}}
        used = _sum(self._used, object_at(self._payload, "usageMetadata"))
        return {**self._payload, "candidates": [candidate], "usageMetadata": used}

    def _part(self, part: Json) -> Piece | None:
        text = text_at(part, "text")
        self._keep(part, text)
        if text is not None:
            if is_thought(part):
                return Reasoning(text) if text else None
            self._texts.append(text)
            return Text(text) if text else None
        if "functionCall" in part:
            return self._call(object_at(part, "functionCall"))
        match media_of(part):
            case AudioPart(Inline(data)):
                return Audio(data)
        return None

    def _keep(self, part: Json, text: str | None) -> None:
        place = len(self._parts) - 1
        if text is None or part.keys() not in _PLAIN:
            self._parts.append(part)
        elif place in self._joined and self._parts[place].keys() == part.keys():
            self._joined[place].append(text)
        else:
            self._parts.append(part)
            self._joined[place + 1] = [text]

    def _call(self, call: Json) -> Piece:
        if not self.ids:
            self._taken = ids_in(self._messages)
        call_id = own_id((text_at(call, "id") or "").strip(), self._taken)
        self.ids.append(call_id)
        return CallArguments(
            len(self.ids) - 1,
            call_id,
            text_at(call, "name") or "unnamed",
            arguments_of(call.get("args")),
        )


def _sum(usage: Json, more: Json) -> Json:
    """Return the usage of two requests: numbers are added, lists of details joined."""
    both = dict(usage)
    for name, value in more.items():
        match both.get(name), value:
            case (int(known), int(new)):
                both[name] = known + new
            case (list(known), list(new)):
                both[name] = [*known, *new]
            case _:
                both[name] = value
    return both
