"""What a run was given and what it has made, as its messages say it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from kern.media import Audio, File, Image, Media, Video, media_in
from kern.run.given import RunInput, run_input_of
from kern.run.input import RunInput as StoredInput
from kern.run.message import Citations, Message


class Made:
    """The part of :class:`~kern.run.output.RunOutput` that is read from its messages.

    Attributes:
        messages: the conversation as it was sent and answered.
        media: the bytes of media in its messages, by their hash, as far as they are loaded.
        input_json: what the run was given, as JSON text, where that is known.
        more: what few runs have, by name.
    """

    __slots__ = ()

    messages: list[Message]
    media: Mapping[str, bytes] | None
    input_json: str | None
    more: dict[str, Any] | None

    @property
    def input(self) -> RunInput | None:
        """What it was given, where that is known."""
        begin: int = (self.more or {}).get("input_at", 0)
        if self.input_json is not None:
            given = [*StoredInput.from_json(self.input_json).messages[begin:]]
        else:
            # Of a run that has ended it is what comes before its first answer.
            own = [each for each in self.messages if begin or not each.from_history]
            own = [each for each in own if each.role != "system"][begin:]
            given = [*takewhile(_is_given, own)]
        return run_input_of(given, [*self._media_in(given)]) if given else None

    @property
    def reasoning_content(self) -> str | None:
        """What was thought before the answer, and what the model says of how it came to it."""
        own = [each.reasoning_content for each in self.messages if not each.from_history]
        thoughts = (self.more or {}).get("thoughts")
        return "\n\n".join(each for each in (thoughts, *own) if each).strip() or None

    @property
    def citations(self) -> Citations | None:
        """The sources that the answer names."""
        return self.messages[-1].citations if self.messages else None

    @property
    def images(self) -> list[Image]:
        """The images that its model and its tools made, in their order."""
        return [each for each in self._made() if isinstance(each, Image)]

    @property
    def audio(self) -> list[Audio]:
        """The recordings that its model and its tools made."""
        return [each for each in self._made() if isinstance(each, Audio)]

    @property
    def videos(self) -> list[Video]:
        """The videos that its model and its tools made."""
        return [each for each in self._made() if isinstance(each, Video)]

    @property
    def files(self) -> list[File]:
        """The other files that its model and its tools made."""
        return [each for each in self._made() if isinstance(each, File)]

    @property
    def response_audio(self) -> Audio | None:
        """The answer as sound, where the model has spoken it."""
        last = self.messages[-1:]
        if not last or last[0].role != "assistant":
            return None
        return next((each for each in self._media_in(last) if isinstance(each, Audio)), None)

    def _made(self) -> Iterator[Media]:
        made = (each for each in self.messages if each.role in ("assistant", "tool"))
        return self._media_in([each for each in made if not each.from_history])

    def _media_in(self, messages: Sequence[Message]) -> Iterator[Media]:
        parts = (part for message in messages for part in message.parts)
        return media_in(parts, self.media or {})


def _is_given(message: Message) -> bool:
    return message.role != "assistant"
