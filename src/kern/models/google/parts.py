"""Between the parts of kern's messages and those of the Gemini API.

Source: https://ai.google.dev/api/caching#Part
"""

import base64
import mimetypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from kern.errors import ModelError
from kern.models.media import not_loaded, note_for, type_of
from kern.models.values import Json, number_at, object_at, objects_in, text_at
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


def input_parts(parts: Sequence[Part], *, each_in_detail: bool = False) -> list[Json]:
    """Return what is said in a message, as the API takes it; sources and reasoning are left out.

    Args:
        parts: what is said.
        each_in_detail: whether the model takes from each image how closely it is to look.

    Raises:
        ModelError: media was not loaded before the call.
    """
    found = []
    for part in parts:
        if (one := _input_part(part)) is None:
            continue
        if each_in_detail and isinstance(part, ImagePart) and part.detail in _DETAILS:
            one["mediaResolution"] = {"level": f"MEDIA_RESOLUTION_{part.detail.upper()}"}
        found.append(one)
    return found


_DETAILS = ("low", "medium", "high", "ultra_high")


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
    raise not_loaded(source)


def answer_content(
    parts: Sequence[Json], candidate: Mapping[str, object]
) -> str | tuple[Part, ...]:
    """Return the content of an answer: its text, or the parts where it has more than that.

    Args:
        parts: the parts of the answer.
        candidate: the answer, for the sources that it names.
    """
    thoughts = [text for each in parts if is_thought(each) and (text := text_at(each, "text"))]
    said = [each for each in parts if not is_thought(each)]
    text = "".join(text_at(each, "text") or "" for each in said)
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
    held, kept = object_at(part, "inlineData"), object_at(part, "fileData")
    uri, encoded = text_at(kept, "fileUri"), text_at(held, "data")
    kind = text_at(held or kept, "mimeType")
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
    return FilePart(source, kind, text_at(held or kept, "displayName"))


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
    grounding = object_at(candidate, "groundingMetadata")
    chunks = [_source_of(each) for each in objects_in(grounding.get("groundingChunks"))]
    places = _Places(parts, text)
    cited: set[str] = set()
    for support in objects_in(grounding.get("groundingSupports")):
        start, end = places.of(object_at(support, "segment"))
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else []:
            if isinstance(index, int) and 0 <= index < len(chunks) and (found := chunks[index]):
                cited.add(found[0])
                yield CitationPart(*found, start, end)
    for found in filter(None, chunks):
        if found[0] not in cited:
            cited.add(found[0])
            yield CitationPart(*found)
    for each in objects_in(object_at(candidate, "citationMetadata").get("citations")):
        if uri := text_at(each, "uri"):
            cited.add(uri)
            yield CitationPart(uri, text_at(each, "title"), *places.of(each))
    for each in objects_in(object_at(candidate, "urlContextMetadata").get("urlMetadata")):
        uri, status = text_at(each, "retrievedUrl"), text_at(each, "urlRetrievalStatus")
        if uri and uri not in cited and status in (None, "URL_RETRIEVAL_STATUS_SUCCESS"):
            yield CitationPart(uri)


def _source_of(chunk: Json) -> tuple[str, str | None] | None:
    for kind in _SOURCES:
        source = object_at(chunk, kind)
        if uri := text_at(source, "uri") or text_at(source, "sourceUri"):
            return uri, text_at(source, "title")
    return None


class _Places:
    """Where in a text segments are: the API counts bytes of its parts, kern characters of it."""

    def __init__(self, parts: Sequence[Json], text: str) -> None:
        self._bytes = text.encode(errors="surrogatepass")
        self._parts = parts

    def of(self, segment: Mapping[str, object]) -> tuple[int | None, int | None]:
        """Return where a segment begins and ends, as far as it says so; 0 is left out there."""
        end = number_at(segment, "endIndex")
        if not end:
            return None, None
        before = self._before(number_at(segment, "partIndex"))
        start = number_at(segment, "startIndex")
        return self._characters(before + start), self._characters(before + end)

    def _before(self, index: int) -> int:
        texts = [
            text_at(each, "text") or "" for each in self._parts[:index] if not is_thought(each)
        ]
        return len("".join(texts).encode(errors="surrogatepass"))

    def _characters(self, place: int) -> int:
        return len(self._bytes[:place].decode(errors="ignore"))
