"""What a message holds beside plain text: its parts, as values and as JSON."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

from kern.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Url:
    """Media that the provider fetches from an address."""

    url: str


@dataclass(frozen=True, slots=True)
class Inline:
    """Media held in the message itself."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Blob:
    """Media kept in the database beside the run.

    Attributes:
        hash: what it is found by.
        size: its length in bytes.
    """

    hash: str
    size: int


Source: TypeAlias = Url | Inline | Blob
"""Where media is."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of the message's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image.

    Attributes:
        source: where it is.
        mime_type: such as ``"image/png"``, or None where only the source knows.
        detail: how closely the model is to look, in the provider's words (``"low"``, ``"high"``).
    """

    source: Source
    mime_type: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A recording.

    Attributes:
        source: where it is.
        mime_type: such as ``"audio/wav"``, or None where only the source knows.
        transcript: what is said in it, where that is known.
    """

    source: Source
    mime_type: str | None = None
    transcript: str | None = None


@dataclass(frozen=True, slots=True)
class FilePart:
    """A document.

    Attributes:
        source: where it is.
        mime_type: such as ``"application/pdf"``, or None where only the source knows.
        name: its file name, or None.
    """

    source: Source
    mime_type: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """What the model says of how it came to its answer; no part of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class CitationPart:
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


Part: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | ReasoningPart | CitationPart
"""A part of a message."""

_KINDS: dict[str, type[Part]] = {
    "text": TextPart,
    "image": ImagePart,
    "audio": AudioPart,
    "file": FilePart,
    "reasoning": ReasoningPart,
    "citation": CitationPart,
}
_NAMES: dict[type[Part], str] = {kind: name for name, kind in _KINDS.items()}
_FIELDS: dict[type[Part], tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind) if each.name != "source") for kind in _NAMES
}
_NUMBERS = ("start", "end")


def is_part(value: object) -> bool:
    """Say whether a value is a part of a message."""
    return type(value) in _NAMES


def text_of(content: str | Sequence[Part] | None) -> str:
    """Return the text of a content: of parts those that are text, joined; of nothing ``""``."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content if isinstance(part, TextPart))


def parts_to_json(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Return parts as JSON values, each an object with ``type``; what is None is left out."""
    return [_part_to_json(part) for part in parts]


def parts_from_json(values: Sequence[object]) -> tuple[Part, ...]:
    """Return the parts that :func:`parts_to_json` gave; unknown keys are ignored.

    Raises:
        InvalidInputError: there is no such type, or a field is missing or of another kind.
    """
    return tuple(_part_from_json(value) for value in values)


def _part_to_json(part: Part) -> dict[str, object]:
    values: dict[str, object] = {"type": _NAMES[type(part)]}
    if isinstance(part, ImagePart | AudioPart | FilePart):
        match part.source:
            case Url(url):
                values["url"] = url
            case Inline(data):
                values["data"] = base64.b64encode(data).decode()
            case Blob(hash, size):
                values["blob"] = {"hash": hash, "size": size}
    for name in _FIELDS[type(part)]:
        if (value := getattr(part, name)) is not None:
            values[name] = value
    return values


def _part_from_json(value: object) -> Part:
    kind = _KINDS.get(str(value.get("type"))) if isinstance(value, dict) else None
    if kind is None or not isinstance(value, dict):
        known = ", ".join(_KINDS)
        raise InvalidInputError(
            f"A part of a message must be an object whose type is one of {known}, "
            f"not {value!r:.100}."
        )
    given = {name: value[name] for name in _FIELDS[kind] if value.get(name) is not None}
    for name, found in given.items():
        expected = int if name in _NUMBERS else str
        if not isinstance(found, expected) or isinstance(found, bool):
            raise InvalidInputError(
                f"{name} of a part of a message must be of the type {expected.__name__}, "
                f"not {type(found).__name__}."
            )
    if kind in (ImagePart, AudioPart, FilePart):
        given["source"] = _source(value)
    try:
        return kind(**given)
    except TypeError:
        raise InvalidInputError(f"A part of the type {value['type']} is not complete.") from None


def _source(value: dict[str, object]) -> Source:
    match value:
        case {"url": str(url)}:
            return Url(url)
        case {"data": str(data)}:
            try:
                return Inline(base64.b64decode(data, validate=True))
            except (binascii.Error, ValueError):
                raise InvalidInputError("The data of a part of a message is no base64.") from None
        case {"blob": {"hash": str(hash), "size": int(size)}}:
            return Blob(hash, size)
    raise InvalidInputError(
        f"A part of the type {value['type']} needs a url, data in base64, or a blob."
    )
