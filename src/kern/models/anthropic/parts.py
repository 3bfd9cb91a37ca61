"""From the parts of kern's messages to the blocks of the Messages API.

Source: https://platform.claude.com/docs/en/api/messages
"""

import base64
from collections.abc import Mapping
from functools import partial

from kern.models.media import by_type, is_video, not_loaded, refused, taken
from kern.models.values import Json
from kern.run.content import (
    AudioPart,
    CitationPart,
    Content,
    FilePart,
    ImagePart,
    Inline,
    Part,
    ReasoningPart,
    Source,
    TextPart,
    Url,
)

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_SIGNATURES: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n": "image/png",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
}


def input_blocks(
    content: Content | None, *, citations: bool = False, is_past: bool = False
) -> list[Json]:
    """Return what a user or a tool gave, as the API takes it: without blank texts.

    Args:
        content: what was given.
        citations: whether the model is to cite the documents in it.
        is_past: whether it is answered already, see :func:`taken`.

    Raises:
        ModelError: the API does not take it.
    """
    if not isinstance(content, tuple):
        return text_blocks(content or "")
    return taken(content, partial(_input_blocks, citations=citations), is_past=is_past)


def text_blocks(text: str) -> list[Json]:
    """Return a text as a block, or none where it is blank, which the API refuses."""
    return [{"type": "text", "text": text}] if text.strip() else []


def images_of(content: Content | None) -> list[Json]:
    """Return the images of an answer, which the API takes from a user only."""
    images = tuple(
        part
        for part in (content if isinstance(content, tuple) else ())
        if isinstance(part, ImagePart)
    )
    return input_blocks(images, is_past=True)


def _input_blocks(part: Part, *, citations: bool) -> list[Json]:
    match part:
        case TextPart(text):
            return text_blocks(text)
        case ImagePart():
            return [_image(part)]
        case FilePart():
            if is_video(part):
                raise refused("Claude takes no video. Give images of it.")
            known = by_type(part)
            if not isinstance(known, FilePart):
                return _input_blocks(known, citations=citations)
            return [_document(part, citations)]
        case AudioPart(transcript=str(transcript)) if transcript.strip():
            return text_blocks(transcript)
        case AudioPart():
            raise refused("Claude takes no sound. Give its transcript with it.")
        case ReasoningPart() | CitationPart():
            return []


def _image(part: ImagePart) -> Json:
    match _opened(part.source, part.mime_type):
        case str(url):
            return {"type": "image", "source": {"type": "url", "url": url}}
        case data, mime_type:
            # What it is counts: the API refuses an image that is called something else.
            kind = _kind_of(data) or mime_type
            if kind not in _IMAGES:
                raise refused(
                    f"An image of the message cannot be read: it is {kind or 'of no known kind'}. "
                    "Claude takes JPEG, PNG, GIF and WebP."
                )
            return {"type": "image", "source": _encoded(data, kind)}


def _document(part: FilePart, citations: bool) -> Json:
    match _opened(part.source, part.mime_type):
        case str(url):
            source: Json = {"type": "url", "url": url}
        case data, mime_type:
            kind = _kind_of(data) or mime_type
            if kind == "application/pdf":
                source = _encoded(data, kind)
            else:
                source = {"type": "text", "media_type": "text/plain", "data": _text(data, part)}
    block: Json = {"type": "document", "source": source}
    if part.name:
        block["title"] = part.name
    if citations:
        block["citations"] = {"enabled": True}
    return block


def _opened(source: Source, mime_type: str | None) -> str | tuple[bytes, str | None]:
    """Return the address of media, or its bytes and what they are said to be."""
    match source:
        case Url(url) if url.startswith("data:"):
            head, _, data = url.removeprefix("data:").partition(",")
            kind, _, encoding = head.partition(";")
            try:
                content = base64.b64decode(data) if encoding.endswith("base64") else data.encode()
            except ValueError:
                raise refused("A data: URL of the message holds no base64.") from None
            return content, kind or mime_type
        case Url(url) if url.startswith(("https:", "http:")):
            return url
        case Url(url):
            raise refused(f"Claude fetches media by https:// only, not from {url:.80}.")
        case Inline(data):
            return data, mime_type
    raise not_loaded(source)


def _kind_of(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in _SIGNATURES.items() if data.startswith(begin)), None)


def _encoded(data: bytes, mime_type: str) -> Json:
    return {
        "type": "base64",
        "media_type": mime_type,
        "data": base64.b64encode(data).decode(),
    }


def _text(data: bytes, part: FilePart) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        name = f"The file {part.name!r}" if part.name else "A file"
        raise refused(
            f"{name} of the message cannot be read: it is {part.mime_type or 'of no known kind'}. "
            "Claude takes PDF and text."
        ) from None
