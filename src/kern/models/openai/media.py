"""Images, sound and files, as both protocols take and give them."""

import base64
import binascii

from kern.models.media import is_video, not_loaded, refused
from kern.models.values import Json
from kern.run.content import AudioPart, CitationPart, FilePart, ImagePart, Inline, Source, Url

_SOUNDS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}

# How the formats of sound that the API makes begin; raw samples begin anyhow.
_BEGINNINGS = {
    b"RIFF": "audio/wav",
    b"ID3": "audio/mpeg",
    b"\xff": "audio/mpeg",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
}


def address(source: Source, mime_type: str) -> str:
    """Return where media is, or the media itself, as a URL.

    Raises:
        ModelError: it is in the database, and was not loaded.
    """
    match source:
        case Url(url) if url.startswith(("https:", "http:", "data:")):
            return url
        case Url(url):
            raise refused(
                f"The API fetches media by https:// and http:// only, not from {url:.80}."
            )
        case Inline(data):
            return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
    raise not_loaded(source)


def refuse_video(part: FilePart) -> None:
    """Raise where a file is a video.

    Raises:
        ModelError: it is.
    """
    if is_video(part):
        raise refused("OpenAI's APIs take no video. Use Gemini, or give images of it.")


def sound_input(part: AudioPart) -> Json:
    """Return a recording as Chat Completions takes it.

    Raises:
        ModelError: it does not take it.
    """
    kind = _SOUNDS.get(part.mime_type or "")
    if kind is None or not isinstance(part.source, Inline):
        given = "sound at an address" if isinstance(part.source, Url) else f"{part.mime_type}"
        raise refused(
            "The API takes sound within the message only, as audio/mpeg or audio/wav, not "
            f"{given}. Give it so, or with its transcript."
        )
    data = base64.b64encode(part.source.data).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


def image_of(data: object, mime_type: str) -> list[ImagePart]:
    """Return an image that an answer holds in base64; none where it is no such text."""
    content = decoded(data)
    return [ImagePart(Inline(content), mime_type)] if content else []


def image_at(url: object) -> list[ImagePart]:
    """Return an image that an answer holds by its URL, with or without data in it, or none."""
    if not isinstance(url, str):
        return []
    if not url.startswith("data:"):
        return [ImagePart(Url(url))]
    head, _, data = url.removeprefix("data:").partition(",")
    return image_of(data, head.partition(";")[0] or "image/png")


def sound_type(data: bytes) -> str:
    """Return the media type of sound that the API made."""
    known = (kind for beginning, kind in _BEGINNINGS.items() if data.startswith(beginning))
    return next(known, "audio/pcm")


def decoded(data: object) -> bytes | None:
    """Return the bytes of a text in base64, or None where it is none."""
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except binascii.Error:
        return None


def citation(values: Json, offset: int) -> CitationPart | None:
    """Return a citation of a text, or None where it names no source.

    Args:
        values: the citation in the API's form.
        offset: where the text begins in that of the message.
    """
    url, title = values.get("url"), values.get("title")
    if not isinstance(url, str):
        return None
    return CitationPart(
        url,
        title if isinstance(title, str) else None,
        _place(values.get("start_index"), offset),
        _place(values.get("end_index"), offset),
    )


def _place(value: object, offset: int) -> int | None:
    return value + offset if isinstance(value, int) else None
