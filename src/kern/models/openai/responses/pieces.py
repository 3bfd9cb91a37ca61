"""From the events of a streamed response to the pieces of an answer."""

from collections.abc import Sequence

from typing_extensions import override

from kern.errors import ModelError
from kern.models.base import Audio, CallArguments, Kept, Piece, Reasoning, Text
from kern.models.calls import arguments_of
from kern.models.hosted import unfinished
from kern.models.openai.api import Reader
from kern.models.openai.failed import failed_answer
from kern.models.openai.media import decoded
from kern.models.openai.responses.answer import read_response
from kern.models.origin import Origin
from kern.models.values import Json, object_at, text_at
from kern.run.message import Message

CREATED = "response.created"
"""The event that says under which id the answer is kept."""

ENDS = ("response.completed", "response.incomplete", "response.failed")
"""The events that hold the whole response."""

_TEXTS = ("response.output_text.delta", "response.refusal.delta")
_REASONING = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_ARGUMENTS = "response.function_call_arguments.delta"
_ITEM, _WHOLE_ITEM = "response.output_item.added", "response.output_item.done"
_AUDIO, _TRANSCRIPT = "response.audio.delta", "response.audio.transcript.delta"

WANTED = frozenset(
    name.encode()
    for name in (
        *ENDS,
        *_TEXTS,
        *_REASONING,
        _ARGUMENTS,
        _ITEM,
        _WHOLE_ITEM,
        _AUDIO,
        _TRANSCRIPT,
        "error",
    )
)
"""The events that are read; the others repeat what these say."""


class Pieces(Reader):
    """Reads the events of one response."""

    def __init__(
        self,
        origin: Origin,
        messages: Sequence[Message] = (),
        *,
        handle: str | None = None,
        is_kept: bool = False,
    ) -> None:
        """Begin.

        Args:
            origin: who answers.
            messages: the conversation before it.
            handle: of an answer that the provider keeps, what is known of it already.
            is_kept: whether the provider keeps the answer.
        """
        super().__init__()
        self._origin = origin
        self._messages = messages
        self._handle = handle
        self._is_kept = is_kept
        self._calls: dict[object, int] = {}
        self._items: dict[int, Json] = {}

    @override
    def read(self, event: Json) -> Sequence[Piece]:
        kind, delta = event.get("type"), event.get("delta")
        if kind in _TEXTS and isinstance(delta, str):  # It should be; it need not be.
            self.texts.append(delta)
            return (Text(delta),)
        if kind in ENDS:
            return self._end(event.get("response"))
        if kind == "error" or (kind is None and "error" in event):
            raise failed_answer(object_at(event, "error") or event, self._origin.model)
        if kind == _ITEM:
            return self._call(event)
        if kind == _WHOLE_ITEM:
            item, place = event.get("item"), event.get("output_index")
            if isinstance(item, dict) and isinstance(place, int):
                self._items[place] = item
            return ()
        if kind == CREATED and self._is_kept:
            handle = handle_in(event)
            return () if handle in (None, self._handle) else (Kept(handle),)
        if not isinstance(delta, str):
            return ()
        if kind in _REASONING:
            return (Reasoning(delta),)
        if kind == _ARGUMENTS and (index := self._calls.get(event.get("output_index"))) is not None:
            return (CallArguments(index, None, None, delta),)
        if kind == _AUDIO:
            return (self._audio(delta),)
        if kind == _TRANSCRIPT:
            return (Audio(b"", delta),)
        return ()

    @override
    def end(self) -> Sequence[Piece]:
        raise unfinished(self._origin.model)

    def _end(self, payload: object) -> Sequence[Piece]:
        if isinstance(payload, dict) and not payload.get("output") and self._items:
            # Servers that keep nothing may leave the items out of it.
            payload = {**payload, "output": [self._items[place] for place in sorted(self._items)]}
        response = read_response(payload, self._origin, self._messages)
        return (*self._rest(response.message.text), response)

    def _rest(self, whole: str) -> Sequence[Piece]:
        """Return what no event has said of a text that is whole."""
        text = self.text
        if len(whole) <= len(text) or not whole.startswith(text):
            return ()
        self.texts.append(whole[len(text) :])
        return (Text(self.texts[-1]),)

    def _call(self, event: Json) -> Sequence[Piece]:
        item = event.get("item")
        if not isinstance(item, dict) or item.get("type") != "function_call":
            return ()
        index = self._calls[event.get("output_index")] = len(self._calls)
        arguments = arguments_of(item.get("arguments"))
        id, name = text_at(item, "call_id"), text_at(item, "name")
        return (CallArguments(index, id, name, arguments),)

    def _audio(self, delta: str) -> Piece:
        if (data := decoded(delta)) is None:
            raise ModelError(
                f"{self._origin.model} answered with sound that is no base64.", kind="malformed"
            )
        return Audio(data)


def handle_in(event: Json) -> str | None:
    """Return the id of the answer that an event is about, or None where it does not say."""
    handle = object_at(event, "response").get("id")
    return handle if isinstance(handle, str) else None
