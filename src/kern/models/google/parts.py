"""Between the parts of kern's messages and those of the Gemini API.

Source: https://ai.google.dev/api/caching#Part
"""

import base64
import mimetypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from kern.errors import ModelError
from kern.models.google.values import Json, a_number, a_text, an_object, objects
from kern.models.media import note_for, type_of
from kern.run.content import (
    AudioPart,
    CitationPart,
    FilePart,
    ImagePart,
    Inline,
    Part,
    ReasoningPart,
    Source,
    TextPart,
    Url,
)

Media: TypeAlias = ImagePart | AudioPart | FilePart
"""What is seen or heard."""

_RAW_SOUND = ("audio/L16", "audio/pcm")

_SOURCES = ("web", "retrievedContext", "maps", "image")
"""The kinds of sources that an answer can rest on."""


def without_foreign(parts: Sequence[Part]) -> list[Part]:
    """Return parts with a text in place of media that the API is not known to take.

    What is answered already, by another model perhaps, or was made by a tool, nobody can choose; of
    anything else the API itself says whether it takes it.
    """
    return [note_for(part) if _is_foreign(part) else part for part in parts]


def input_parts(parts: Sequence[Part]) -> list[Json]:
    """Return what is said in a message, as the API takes it; sources and reasoning are left out.

    Raises:
        ModelError: media was not loaded before the call.
    """
    return [each for part in parts if (each := _input_part(part)) is not None]


def _is_foreign(part: Part) -> bool:
    if not isinstance(part, ImagePart | AudioPart | FilePart):
        return False
    kind = type_of(part) or _USUAL.get(type(part), "")
    if not kind and isinstance(part.source, Url):
        return False  # The API looks itself.
    return kind not in _TAKEN and not kind.startswith(("audio/", "video/", "text/"))


# Source: https://ai.google.dev/gemini-api/docs/file-input-methods
_TAKEN = (
    *("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"),
    *("application/pdf", "application/json", "application/xml", "application/rtf"),
)
_USUAL = {ImagePart: "image/png", AudioPart: "audio/wav"}


def _input_part(part: Part) -> Json | None:
    match part:
        case TextPart(text):
            return {"text": text} if text else None
        case ImagePart(source) | AudioPart(source) | FilePart(source):
            return _media(source, type_of(part), _USUAL.get(type(part), "application/octet-stream"))
        case ReasoningPart() | CitationPart():
            return None


def _media(source: Source, mime_type: str | None, usual: str) -> Json:
    match source:
        case Inline(data):
            encoded = base64.b64encode(data).decode()
            return {"inlineData": {"mimeType": mime_type or usual, "data": encoded}}
        case Url(url):
            kind = mime_type or mimetypes.guess_type(urlsplit(url).path)[0]
            return {"fileData": {"fileUri": url, **({"mimeType": kind} if kind else {})}}
    raise ModelError(
        f"Media of the message is kept in the database ({source.hash}) and was not loaded before "
        "the call.",
        kind="invalid_request",
    )


def answer_content(
    parts: Sequence[Json], candidate: Mapping[str, object]
) -> str | tuple[Part, ...]:
    """Return the content of an answer: its text, or the parts where it has more than that.

    Args:
        parts: the parts of the answer.
        candidate: the answer, for the sources that it names.
    """
    thoughts = [text for each in parts if is_thought(each) and (text := a_text(each, "text"))]
    said = [each for each in parts if not is_thought(each)]
    text = "".join(a_text(each, "text") or "" for each in said)
    media = _in_one(found for each in said if (found := media_of(each)) is not None)
    sources = list(_citations(candidate, parts, text))
    if not (thoughts or media or sources):
        return text
    return (
        *map(ReasoningPart, thoughts),
        *((TextPart(text),) if text else ()),
        *media,
        *sources,
    )


def is_thought(part: Mapping[str, object]) -> bool:
    """Say whether a part is what the model says of how it comes to its answer."""
    return part.get("thought") is True


def media_of(part: Mapping[str, object]) -> Media | None:
    """Return the media in a part of an answer, or None."""
    held, kept = an_object(part, "inlineData"), an_object(part, "fileData")
    uri, encoded = a_text(kept, "fileUri"), a_text(held, "data")
    kind = a_text(held or kept, "mimeType")
    if uri:
        source: Source = Url(uri)
    elif encoded:
        try:
            source = Inline(base64.b64decode(encoded, validate=True))
        except ValueError:
            raise ModelError(
                f"The answer holds {kind or 'media'} that is no base64.", kind="malformed"
            ) from None
    else:
        return None
    if kind is not None and kind.startswith("image/"):
        return ImagePart(source, kind)
    if kind is not None and kind.startswith("audio/"):
        return AudioPart(source, kind)
    return FilePart(source, kind, a_text(held or kept, "displayName"))


def _in_one(media: Iterable[Media]) -> list[Media]:
    """Return media with raw sound that came in several parts as one."""
    found: list[Media] = []
    for each in media:
        match each, found[-1:]:
            case AudioPart(Inline(more), kind), [AudioPart(Inline(data), known)] if (
                kind == known and (kind or "").startswith(_RAW_SOUND)
            ):
                found[-1] = AudioPart(Inline(data + more), kind)
            case _:
                found.append(each)
    return found


def _citations(
    candidate: Mapping[str, object], parts: Sequence[Json], text: str
) -> Iterator[CitationPart]:
    grounding = an_object(candidate, "groundingMetadata")
    chunks = [_source_of(each) for each in objects(grounding, "groundingChunks")]
    places = _Places(parts, text)
    cited: set[str] = set()
    for support in objects(grounding, "groundingSupports"):
        start, end = places.of(an_object(support, "segment"))
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else []:
            if isinstance(index, int) and 0 <= index < len(chunks) and (found := chunks[index]):
                cited.add(found[0])
                yield CitationPart(*found, start, end)
    for found in filter(None, chunks):
        if found[0] not in cited:
            cited.add(found[0])
            yield CitationPart(*found)
    for each in objects(an_object(candidate, "citationMetadata"), "citations"):
        if uri := a_text(each, "uri"):
            cited.add(uri)
            yield CitationPart(uri, a_text(each, "title"), *places.of(each))
    for each in objects(an_object(candidate, "urlContextMetadata"), "urlMetadata"):
        uri, status = a_text(each, "retrievedUrl"), a_text(each, "urlRetrievalStatus")
        if uri and uri not in cited and status in (None, "URL_RETRIEVAL_STATUS_SUCCESS"):
            yield CitationPart(uri)


def _source_of(chunk: Json) -> tuple[str, str | None] | None:
    for kind in _SOURCES:
        source = an_object(chunk, kind)
        if uri := a_text(source, "uri") or a_text(source, "sourceUri"):
            return uri, a_text(source, "title")
    return None


class _Places:
    """Where in a text segments are: the API counts bytes of its parts, kern characters of it."""

    def __init__(self, parts: Sequence[Json], text: str) -> None:
        self._bytes = text.encode(errors="surrogatepass")
        self._parts = parts

    def of(self, segment: Mapping[str, object]) -> tuple[int | None, int | None]:
        """Return where a segment begins and ends, as far as it says so; 0 is left out there."""
        end = a_number(segment, "endIndex")
        if end is None:
            return None, None
        before = self._before(a_number(segment, "partIndex") or 0)
        start = a_number(segment, "startIndex") or 0
        return self._characters(before + start), self._characters(before + end)

    def _before(self, index: int) -> int:
        texts = [a_text(each, "text") or "" for each in self._parts[:index] if not is_thought(each)]
        return len("".join(texts).encode(errors="surrogatepass"))

    def _characters(self, place: int) -> int:
        return len(self._bytes[:place].decode(errors="ignore"))
