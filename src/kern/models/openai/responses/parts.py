"""Between the parts of kern's messages and those of the Responses API.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Sequence

from kern.models.media import by_type, refused, taken, type_of
from kern.models.openai.media import address, citation, image_of, refuse_video
from kern.models.values import Json, objects_in
from kern.run.content import (
    AudioPart,
    CitationPart,
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    Url,
)


def input_parts(parts: Sequence[Part], *, is_past: bool = False) -> list[Json]:
    """Return what a user or a tool gave, as the API takes it.

    Args:
        parts: what was given.
        is_past: whether it is answered already, see :func:`taken`.

    Raises:
        ModelError: the API does not take it.
    """
    return taken(parts, _input_part, is_past=is_past)


def _input_part(part: Part) -> Sequence[Json]:
    match part:
        case TextPart(text):
            return ({"type": "input_text", "text": text},)
        case ImagePart(source, mime_type, detail):
            url = address(source, mime_type or "image/png")
            return ({"type": "input_image", "image_url": url, "detail": detail or "auto"},)
        case FilePart():
            return _file(part)
        case AudioPart(transcript=str(transcript)) if transcript.strip():
            return ({"type": "input_text", "text": transcript},)
        case AudioPart():
            raise refused(
                "The Responses API takes no sound. Give its transcript with it, or ask OpenAIChat."
            )
        case ReasoningPart() | CitationPart():
            return ()


def _file(part: FilePart) -> Sequence[Json]:
    refuse_video(part)
    known = by_type(part)
    if not isinstance(known, FilePart):
        return _input_part(known)
    url = address(part.source, type_of(part) or "application/octet-stream")
    if isinstance(part.source, Url):
        return ({"type": "input_file", "file_url": url},)
    return ({"type": "input_file", "file_data": url, "filename": part.name or "file"},)


def answer_content(items: Sequence[Json]) -> tuple[str | tuple[Part, ...], bool]:
    """Return the content of an answer, and whether the model declined to give one.

    The content is the text, or the parts where it has more than that.

    Args:
        items: the output of a response, whose messages have lists of objects as content.
    """
    before: list[Part] = []
    after: list[Part] = []
    text, refused = "", False
    for item in items:
        kind = item.get("type")
        if kind == "reasoning":
            before += _reasoning(item)
        elif kind == "message":
            for part in objects_in(item.get("content")):
                if part.get("type") in ("output_text", "text"):
                    if part.get("annotations"):
                        after += _citations(part, len(text))
                    text += str(part.get("text") or "")
                elif part.get("type") == "refusal":
                    refused, text = True, text + str(part.get("refusal") or "")
        elif kind == "image_generation_call":
            kind = item.get("output_format") or "png"
            after += image_of(item.get("result"), f"image/{kind}")
    if not before and not after:
        return text, refused
    return (*before, *((TextPart(text),) if text else ()), *after), refused


def _reasoning(item: Json) -> list[Part]:
    said = objects_in(item.get("summary")) or objects_in(item.get("content"))
    texts = [text for each in said if isinstance(text := each.get("text"), str) and text]
    return [ReasoningPart(text) for text in texts]


def _citations(part: Json, offset: int) -> list[Part]:
    """Return the citations of a part of the text that begins at a place of it."""
    return [
        found
        for each in objects_in(part.get("annotations"))
        if each.get("type") == "url_citation" and (found := citation(each, offset)) is not None
    ]
