"""Parts of a message as OpenAI's APIs write them, which users have at hand, as kern's own."""

from kern.errors import InvalidInputError


def own_part(value: object) -> object:
    """Return a part as kern writes it; what is no part of OpenAI's APIs as it is.

    Args:
        value: a part of Chat Completions, such as ``{"type": "image_url", "image_url": {"url":
            ...}}``, or of the Responses API.

    Raises:
        InvalidInputError: it has not what its type asks for.

    Example:
        >>> own_part({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})
        {'type': 'image', 'source': {'type': 'url', 'url': 'https://example.com/a.png'}}
    """
    if not isinstance(value, dict):
        return {"type": "text", "text": value} if isinstance(value, str) else value
    match value:
        case {"type": "input_text" | "output_text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "image_url", "image_url": {"url": str(url), **rest}}:
            return _part("image", url, detail=rest.get("detail"))
        case {"type": "image_url" | "input_image", "image_url": str(url)}:
            return _part("image", url, detail=value.get("detail"))
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(format)}}:
            return _part("audio", f"data:audio/{format};base64,{data}")
        case {"type": "file", "file": {"file_data": str(data), **rest}}:
            return _part("file", data, name=rest.get("filename"))
        case {"type": "input_file", "file_data": str(source)} | {"file_url": str(source)}:
            return _part("file", source, name=value.get("filename"))
        case {"type": "image_url" | "input_image" | "input_audio" | "input_file" as kind}:
            raise InvalidInputError(
                f"A part of a message of the type {kind!r} has not what OpenAI's API has there: "
                f"{value!r:.200}. Pass its URL, or its data, or images=[Image(...)]."
            )
    return value


def _part(kind: str, url: str, **more: object) -> dict[str, object]:
    given = {name: value for name, value in more.items() if value is not None}
    return {"type": kind, "source": {"type": "url", "url": url}, **given}
