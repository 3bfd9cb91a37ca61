"""Between the parts of kern's messages and those of the Responses API.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeAlias

from kern.errors import ModelError
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

Json: TypeAlias = dict[str, object]

_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}


def input_parts(parts: Sequence[Part]) -> list[Json]:
    """Return what a user or a tool gave, as the API takes it.

    Raises:
        ModelError: the API does not take it.
    """
    return [each for part in parts if (each := _input_part(part)) is not None]


def _input_part(part: Part) -> Json | None:
    match part:
        case TextPart(text):
            return {"type": "input_text", "text": text}
        case ImagePart(source, mime_type, detail):
            url = _address(source, mime_type or "image/png")
            return {"type": "input_image", "image_url": url, "detail": detail or "auto"}
        case FilePart(Url(url)):
            return {"type": "input_file", "file_url": url}
        case FilePart(source, mime_type, name):
            data = _address(source, mime_type or "application/octet-stream")
            return {"type": "input_file", "file_data": data, "filename": name or "file"}
        case AudioPart(Inline(data), mime_type) if mime_type in _FORMATS:
            encoded = base64.b64encode(data).decode()
            sound = {"data": encoded, "format": _FORMATS[mime_type]}
            return {"type": "input_audio", "input_audio": sound}
        case AudioPart():
            raise ModelError(
                "The API takes sound within the message only, as audio/mpeg or audio/wav.",
                kind="invalid_request",
            )
        case ReasoningPart() | CitationPart():
            return None


def _address(source: Source, mime_type: str) -> str:
    match source:
        case Url(url):
            return url
        case Inline(data):
            return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
    raise ModelError(
        f"Media of the message is kept in the database ({source.hash}) and was not loaded before "
        "the call.",
        kind="invalid_request",
    )


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
            for part in _objects(item.get("content")):
                if part.get("type") in ("output_text", "text"):
                    after += _citations(part, len(text))
                    text += str(part.get("text") or "")
                elif part.get("type") == "refusal":
                    refused, text = True, text + str(part.get("refusal") or "")
        elif kind == "image_generation_call":
            after += _images(item)
    if not before and not after:
        return text, refused
    return (*before, *((TextPart(text),) if text else ()), *after), refused


def _reasoning(item: Json) -> list[Part]:
    said = _objects(item.get("summary")) or _objects(item.get("content"))
    texts = [text for each in said if isinstance(text := each.get("text"), str) and text]
    return [ReasoningPart(text) for text in texts]


def _images(item: Json) -> list[Part]:
    result, kind = item.get("result"), item.get("output_format")
    try:
        data = base64.b64decode(result, validate=True) if isinstance(result, str) else b""
    except binascii.Error:
        data = b""
    return [ImagePart(Inline(data), f"image/{kind or 'png'}")] if data else []


def _citations(part: Json, offset: int) -> list[Part]:
    """Return the citations of a part of the text that begins at a place of it."""
    return [
        CitationPart(
            url,
            title if isinstance(title := each.get("title"), str) else None,
            _place(each.get("start_index"), offset),
            _place(each.get("end_index"), offset),
        )
        for each in _objects(part.get("annotations"))
        if each.get("type") == "url_citation" and isinstance(url := each.get("url"), str)
    ]


def _place(value: object, offset: int) -> int | None:
    return value + offset if isinstance(value, int) else None


def _objects(values: object) -> list[Json]:
    if not isinstance(values, list):
        return []
    return [value for value in values if isinstance(value, dict)]
