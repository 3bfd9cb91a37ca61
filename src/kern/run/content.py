"""What a message holds beside plain text: its parts, as values and as JSON."""

from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TypeAlias, TypeGuard, get_args
from urllib.parse import unquote_to_bytes

import msgspec

from kern.errors import InvalidInputError


class Url(msgspec.Struct, frozen=True, omit_defaults=True, tag="url"):
    """Media that the provider fetches from an address.

    Example:
        >>> ImagePart(Url("https://example.com/cat.png"), detail="low").source.url
        'https://example.com/cat.png'
    """

    url: str


class Inline(msgspec.Struct, frozen=True, omit_defaults=True, tag="inline"):
    """Media held in the message itself, in memory; what is written refers to it by its hash.

    Example:
        >>> Inline(b"%PDF-1.7")
        Inline(<8 bytes>)
    """

    data: bytes

    def __repr__(self) -> str:
        return f"Inline(<{len(self.data):,} bytes>)"


class Blob(msgspec.Struct, frozen=True, omit_defaults=True, tag="blob"):
    """Media, or a long text, kept in the database beside the run.

    Attributes:
        hash: what it is found by: the SHA-256 of its bytes, in hexadecimal digits.
        size: its length in bytes.
        shown: of a text, what people see in its place; None where it is media. The model is told
            the whole.
    """

    hash: str
    size: int
    shown: str | None = None


Source: TypeAlias = Url | Inline | Blob
"""Where media is."""


class TextPart(msgspec.Struct, frozen=True, omit_defaults=True, tag="text"):
    """A piece of the message's text.

    Example:
        >>> TextPart("What is this?").text
        'What is this?'
    """

    text: str


class ImagePart(msgspec.Struct, frozen=True, omit_defaults=True, tag="image"):
    """An image.

    Attributes:
        source: where it is.
        mime_type: such as ``"image/png"``, or None where only the source knows.
        detail: how closely the model is to look, in the provider's words (``"low"``, ``"high"``).

    Example:
        >>> from kern.run.message import Message
        >>> picture = ImagePart(Url("https://example.com/cat.png"))
        >>> Message("user", (TextPart("What is this?"), picture)).text
        'What is this?'
    """

    source: Source
    mime_type: str | None = None
    detail: str | None = None


class AudioPart(msgspec.Struct, frozen=True, omit_defaults=True, tag="audio"):
    """A recording.

    Attributes:
        source: where it is.
        mime_type: such as ``"audio/wav"``, or None where only the source knows.
        transcript: what is said in it, where that is known.
    """

    source: Source
    mime_type: str | None = None
    transcript: str | None = None


class FilePart(msgspec.Struct, frozen=True, omit_defaults=True, tag="file"):
    """A document, or a video.

    Attributes:
        source: where it is.
        mime_type: such as ``"application/pdf"`` or ``"video/mp4"``, or None where only the source
            knows.
        name: its file name, or None.

    Example:
        >>> FilePart(Inline(b"%PDF-1.7"), "application/pdf", name="invoice.pdf").name
        'invoice.pdf'
    """

    source: Source
    mime_type: str | None = None
    name: str | None = None


class ReasoningPart(msgspec.Struct, frozen=True, omit_defaults=True, tag="reasoning"):
    """What the model says of how it came to its answer; no part of the text."""

    text: str


class CitationPart(msgspec.Struct, frozen=True, omit_defaults=True, tag="citation"):
    """A source that the answer names.

    Attributes:
        url: where it is.
        title: what it is called, or None.
        start: where the passage that rests on it begins, in characters of the message's text, or
            None.
        end: where that passage ends, or None.
    """

    url: str
    title: str | None = None
    start: int | None = None
    end: int | None = None


class Citations(msgspec.Struct, frozen=True):
    """The sources that an answer names.

    Attributes:
        urls: each with ``url`` and ``title``, in the order of the passages that rest on them.

    Example:
        >>> Citations([CitationPart("https://example.com/heat", "Heat pumps")]).urls[0].title
        'Heat pumps'
    """

    urls: list[CitationPart]


Part: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | ReasoningPart | CitationPart
"""A part of a message."""

MediaPart: TypeAlias = ImagePart | AudioPart | FilePart
"""A part that holds media; a :class:`FilePart` may also be a long text."""

Content: TypeAlias = str | tuple[Part, ...]
"""What is said: a text, or the parts where there is more than text."""


def is_content(value: object) -> TypeGuard[Content]:
    """Say whether a value is a text or a tuple of parts."""
    if isinstance(value, tuple):
        return all(isinstance(each, get_args(Part)) for each in value)
    return isinstance(value, str)


def text_of(content: str | Sequence[Part] | None) -> str:
    """Return the text of a content: of parts those that are text, joined; of nothing ``""``."""
    if isinstance(content, str):
        return content
    return "" if content is None else "".join(map(_text, content))


def _text(part: Part) -> str:
    match part:
        case TextPart(text) | FilePart(Blob(shown=str(text))):
            return text
    return ""


def data_in(part: Part) -> bytes | None:
    """Return the media that a part holds itself, as bytes or in a ``data:`` URL, or None."""
    match part:
        case ImagePart(Inline(data)) | AudioPart(Inline(data)) | FilePart(Inline(data)):
            return data
        case ImagePart(Url(url)) | AudioPart(Url(url)) | FilePart(Url(url)) if is_data(url):
            head, _, text = url.partition(",")
            data = unquote_to_bytes(text)
            with suppress(ValueError):  # What cannot be read is for the provider to refuse.
                return b64decode(data) if head.lower().endswith(";base64") else data
            return data
    return None


def is_data(url: str) -> bool:
    """Say whether an URL holds what it leads to."""
    return url[:5].lower() == "data:"


def blob_of(data: bytes) -> Blob:
    """Return what refers to data in a database."""
    return Blob(sha256(data).hexdigest(), len(data))


def detached(part: Part, found: dict[str, bytes]) -> Part:
    """Return a part with a reference in place of the media that it holds.

    Args:
        part: the part.
        found: what references stand for, by their hash; it is added to.
    """
    if not isinstance(part, ImagePart | AudioPart | FilePart):
        return part
    data = data_in(part)
    if data is None:
        return part
    blob = blob_of(data)
    found[blob.hash] = data
    kind = part.mime_type
    if kind is None and isinstance(part.source, Url):
        kind = part.source.url[5:].partition(",")[0].partition(";")[0] or None
    return msgspec.structs.replace(part, source=blob, mime_type=kind)


def parts_to_json(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Return parts as JSON values, each an object with ``type``; media as its hash and size."""
    values: list[dict[str, object]] = msgspec.to_builtins([detached(each, {}) for each in parts])
    return values


def parts_from_json(values: Sequence[object]) -> tuple[Part, ...]:
    """Return the parts that :func:`parts_to_json` gave; unknown keys are ignored.

    Raises:
        InvalidInputError: there is no such type, or a field is missing or of another kind.
    """
    try:
        return msgspec.convert(values, tuple[Part, ...])
    except msgspec.ValidationError as error:
        known = ", ".join(str(each.__struct_config__.tag) for each in get_args(Part))
        raise InvalidInputError(
            f"A part of a message cannot be used: {error}. Its type must be one of {known}."
        ) from None
