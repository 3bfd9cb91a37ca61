"""Media as all providers see it: what a file is, and what stands for what one does not take."""

import mimetypes
from collections.abc import Callable, Sequence

from kern.errors import ModelError
from kern.run.content import AudioPart, Blob, FilePart, ImagePart, MediaPart, Part, TextPart
from kern.run.message import Message

_TEXTS = ("json", "xml", "yaml", "javascript", "x-python", "x-sh", "toml", "sql")


def last_answer(messages: Sequence[Message]) -> int:
    """Return the place of the last answer, or 0: what stands before it is past."""
    for place in reversed(range(len(messages))):
        if messages[place].role == "assistant":
            return place
    return 0


def by_type(part: FilePart) -> MediaPart:
    """Return a file that is an image or a recording as that."""
    kind = type_of(part) or ""
    if kind.startswith("image/"):
        return ImagePart(part.source, kind)
    if kind.startswith("audio/"):
        return AudioPart(part.source, kind)
    return part


def type_of(part: MediaPart) -> str | None:
    """Return what media is said to be, or what its name says."""
    if part.mime_type is None and isinstance(part, FilePart) and part.name:
        return mimetypes.guess_type(part.name)[0]
    return part.mime_type


def is_video(part: Part) -> bool:
    """Say whether a part is a video."""
    return isinstance(part, FilePart) and (type_of(part) or "").startswith("video/")


def is_text(part: FilePart) -> bool:
    """Say whether a file holds a text that everybody can read."""
    kind = type_of(part) or ""
    return kind.startswith("text/") or kind.rpartition("/")[2].rpartition("+")[2] in _TEXTS


def taken(parts: Sequence[Part], take: Callable[[Part], object]) -> tuple[Part, ...]:
    """Return parts with a text in place of the media that a provider does not take.

    Args:
        parts: what is said.
        take: encodes a part; raises a ModelError where the provider does not take it.

    Raises:
        ModelError: media was not loaded before the call.
    """
    return tuple(_or_note(part, take) for part in parts)


def note_for(part: Part) -> TextPart:
    """Return what a model is told in place of media that it cannot be given."""
    match part:
        case AudioPart(transcript=str(transcript)) if transcript.strip():
            return TextPart(transcript)
        case AudioPart():
            what = "a recording"
        case FilePart(name=name):
            kind = "a video" if is_video(part) else "a file"
            what = f"{kind}, {name!r:.80}," if name else kind
        case _:
            what = "an image"
    return TextPart(f"(Here was {what} that you cannot be shown.)")


def _or_note(part: Part, take: Callable[[Part], object]) -> Part:
    if not isinstance(part, ImagePart | AudioPart | FilePart):
        return part
    try:
        take(part)
    except ModelError:
        if isinstance(part.source, Blob):
            raise
        return note_for(part)
    return part
