"""From the events of a streamed response to the pieces of an answer."""

import base64
import binascii
from typing import cast

from kern.errors import ModelError
from kern.models.base import Audio, CallArguments, Piece, Reasoning, Text
from kern.models.failures import failure_of
from kern.models.openai.answer import arguments_of, text_in
from kern.models.openai.parts import Json

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


class Pieces:
    """Reads the events of one response.

    Attributes:
        texts: the pieces of text so far.
    """

    def __init__(self, model: str) -> None:
        """Begin.

        Args:
            model: the model's id, for errors.
        """
        self.texts: list[str] = []
        self._model = model
        self._calls: dict[object, int] = {}
        self._items: dict[int, Json] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)

    def read(self, event: Json) -> Piece | None:
        """Return the piece in an event, or None where it has none.

        Raises:
            ModelError: the event says that the answer failed.
        """
        kind, delta = event.get("type"), event.get("delta")
        if kind in _TEXTS and isinstance(delta, str):  # It should be; it need not be.
            self.texts.append(delta)
            return Text(delta)
        if kind == "error" or (kind is None and "error" in event):
            raise self._failure(event)
        if kind == _ITEM:
            return self._call(event)
        if kind == _WHOLE_ITEM:
            item, place = event.get("item"), event.get("output_index")
            if isinstance(item, dict) and isinstance(place, int):
                self._items[place] = item
            return None
        if not isinstance(delta, str):
            return None
        if kind in _REASONING:
            return Reasoning(delta)
        if kind == _ARGUMENTS and (index := self._calls.get(event.get("output_index"))) is not None:
            return CallArguments(index, None, None, delta)
        if kind == _AUDIO:
            return self._audio(delta)
        if kind == _TRANSCRIPT:
            return Audio(b"", delta)
        return None

    def whole(self, response: object) -> object:
        """Return a response that is complete; servers that keep nothing may leave its items out."""
        if isinstance(response, dict) and not response.get("output") and self._items:
            return {**response, "output": [self._items[place] for place in sorted(self._items)]}
        return response

    def rest(self, whole: str) -> Text | None:
        """Return what no event has said of a text that is whole, or None."""
        text = self.text
        if len(whole) <= len(text) or not whole.startswith(text):
            return None
        self.texts.append(whole[len(text) :])
        return Text(self.texts[-1])

    def _call(self, event: Json) -> Piece | None:
        item = event.get("item")
        if not isinstance(item, dict) or item.get("type") != "function_call":
            return None
        index = self._calls[event.get("output_index")] = len(self._calls)
        return CallArguments(
            index,
            text_in(item, "call_id"),
            text_in(item, "name"),
            arguments_of(item.get("arguments")),
        )

    def _audio(self, delta: str) -> Piece:
        try:
            return Audio(base64.b64decode(delta))
        except binascii.Error:
            raise ModelError(
                f"{self._model} answered with sound that is no base64.", kind="malformed"
            ) from None

    def _failure(self, event: Json) -> ModelError:
        error = event.get("error")
        said = cast(Json, error) if isinstance(error, dict) else event
        code = said.get("code") or said.get("type")
        failure = failure_of(code)
        reason = said.get("message") or code or "it does not say why"
        return ModelError(
            f"{self._model} failed: {reason}", kind=failure.kind, transient=failure.transient
        )
