"""Media, and what else is no text, on the way to a provider that may not take it."""

from collections.abc import Callable, Sequence

from kern.errors import ModelError
from kern.models.values import Json
from kern.run.content import AudioPart, Blob, Content, Part, TextPart, text_of

_LEFT_OUT = TextPart("(Here was something that you cannot be shown.)")


def taken(
    parts: Sequence[Part], take: Callable[[Part], Sequence[Json]], *, is_past: bool = False
) -> list[Json]:
    """Return parts in the form of an API.

    Args:
        parts: of a message.
        take: returns one of them in that form, or nothing; raises ModelError if the API does not
            take it.
        is_past: whether the message is answered already, by another model perhaps: then a text
            says that something was left out.

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
            found += take(_LEFT_OUT)
    return found


def refused(reason: str) -> ModelError:
    """Return the error for a part that an API does not take."""
    return ModelError(reason, kind="invalid_request")


def not_loaded(source: Blob) -> ModelError:
    """Return the error for media of which there is only the hash."""
    return refused(
        f"Media of the message is kept in the database ({source.hash}) and was not loaded before "
        "the call."
    )


def parts_of(content: Content | None) -> Sequence[Part]:
    """Return the parts of a content; none where it is a text."""
    return content if isinstance(content, tuple) else ()


def said(content: Content | None) -> str:
    """Return the text of an answer; of one that was sound, what was said in it."""
    spoken = [part.transcript or "" for part in parts_of(content) if isinstance(part, AudioPart)]
    return text_of(content) or " ".join(spoken)
