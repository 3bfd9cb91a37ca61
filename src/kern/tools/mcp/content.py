"""What a tool of a server returned, as what a model is told."""

import json
from typing import TYPE_CHECKING

from kern.errors import InvalidInputError
from kern.media import Audio, File, Image, Media, Video, max_media_size
from kern.run.content import Part, TextPart
from kern.tools.base import ToolResult

if TYPE_CHECKING:
    from mcp.types import (
        BlobResourceContents,
        CallToolResult,
        ContentBlock,
        TextResourceContents,
    )

_KINDS: dict[str, type[Media]] = {"image": Image, "audio": Audio, "video": Video}


def result_of(returned: "CallToolResult") -> ToolResult:
    """Return what a server returned as a result; media that cannot be used is named in its place.

    Args:
        returned: what it returned.
    """
    parts = [*map(_part, returned.content)]
    data = returned.structured_content
    if not parts and data is not None:
        parts = [TextPart(json.dumps(data, ensure_ascii=False))]
    texts = [each.text for each in parts if isinstance(each, TextPart)]
    content = "\n".join(texts) if len(texts) == len(parts) else tuple(parts)
    return ToolResult(content, data, returned.is_error, metadata=returned.meta)


def _part(block: "ContentBlock") -> Part:
    match block.type:
        case "text":
            return TextPart(block.text)
        case "image" | "audio":
            return _media(block.data, block.mime_type)
        case "resource_link":
            about = [block.title or block.name, block.description, block.mime_type]
            return TextPart(f"{block.uri} ({', '.join(each for each in about if each)})")
        case "resource":
            return _resource(block.resource)


def _resource(resource: "TextResourceContents | BlobResourceContents") -> Part:
    if (text := getattr(resource, "text", None)) is not None:
        return TextPart(text)
    name = resource.uri.rstrip("/").rpartition("/")[2]
    return _media(getattr(resource, "blob", ""), resource.mime_type, name or None)


def _media(data: str, mime_type: str | None, name: str | None = None) -> Part:
    kind = _KINDS.get((mime_type or "").partition("/")[0], File)
    named = {"filename": name} if kind is File else {}
    try:
        media = kind.from_base64(data, mime_type=mime_type, **named)
        return media.to_part(max_media_size())
    except InvalidInputError as error:  # The rest of the result is of use.
        return TextPart(f"({error})")
