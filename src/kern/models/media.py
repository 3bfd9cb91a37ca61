"""Media, and what else is no text, on the way to a provider that may not take it."""

import mimetypes
from collections.abc import Callable, Sequence

from kern.errors import ModelError
from kern.models.values import Json
from kern.run.content import (
    AudioPart,
    Blob,
    Content,
    FilePart,
    ImagePart,
    MediaPart,
    Part,
    TextPart,
    text_of,
)

_TEXTS = ("json", "xml", "yaml", "javascript", "x-python", "x-sh", "toml", "sql")


def taken(
    parts: Sequence[Part], take: Callable[[Part], Sequence[Json]], *, is_past: bool = False
) -> list[Json]:
    """Return parts in the form of an API.

    Args:
        parts: of a message.
        take: returns one of them in that form, or nothing; raises ModelError if the API does not
            take it.
        is_past: whether nobody can choose them here: they are answered already, by another model
            perhaps, or a tool has made them. Then a text stands for what the API does not take.

    Raises:
        ModelError: the API does not take one of them.
    """
    found: list[Json] = []
    for part in parts:
        try:
            found += take(part)
        except ModelError:
            if not is_past or isinstance(getattr(part, "source", None), Blob):
                raise
            found += take(note_for(part))
    return found


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


def refused(reason: str) -> ModelError:
    """Return the error for a part that an API does not take."""
    return ModelError(reason, kind="invalid_request")


def not_loaded(source: Blob) -> ModelError:
    """Return the error for media of which there is only the hash."""
    return refused(
        f"Media of the message is kept in the database ({source.hash}) and was not loaded before "
        "the call."
    )


def said(content: Content | None) -> str:
    """Return the text of an answer; of one that was sound, what was said in it."""
    parts = content if isinstance(content, tuple) else ()
    spoken = [part.transcript or "" for part in parts if isinstance(part, AudioPart)]
    return text_of(content) or " ".join(spoken)
