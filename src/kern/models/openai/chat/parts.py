"""Between the parts of kern's messages and those of the Chat Completions API.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Sequence

from kern.errors import ModelError
from kern.models.media import by_type, is_text, refused, taken, type_of
from kern.models.openai.media import (
    address,
    citation,
    decoded,
    image_at,
    refuse_video,
    sound_input,
    sound_type,
)
from kern.models.values import Json, object_at, objects_in, text_at
from kern.run.content import (
    AudioPart,
    CitationPart,
    FilePart,
    ImagePart,
    Inline,
    Part,
    ReasoningPart,
    TextPart,
    Url,
)


def input_parts(parts: Sequence[Part], *, is_past: bool = False) -> list[Json]:
    """Return what a user gave, as the API takes it.

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
            return ({"type": "text", "text": text},)
        case ImagePart(source, mime_type, detail):
            image: Json = {"url": address(source, mime_type or "image/png")}
            if detail:
                image["detail"] = detail
            return ({"type": "image_url", "image_url": image},)
        case FilePart():
            return _file(part)
        case AudioPart(transcript=transcript):
            try:
                return (sound_input(part),)
            except ModelError:
                if not (transcript or "").strip():
                    raise
                return ({"type": "text", "text": transcript},)
        case ReasoningPart() | CitationPart():
            return ()


def _file(part: FilePart) -> Sequence[Json]:
    refuse_video(part)
    known = by_type(part)
    if not isinstance(known, FilePart):
        return _input_part(known)
    match part.source:
        case Url():
            raise refused(
                "Chat Completions takes files within the message only, not by their address. Load "
                "the file first, or use OpenAIResponses."
            )
        case Inline(data) if is_text(part):  # Of files it takes PDF alone.
            text = data.decode(errors="replace")
            return ({"type": "text", "text": f"{part.name}:\n{text}" if part.name else text},)
    url = address(part.source, type_of(part) or "application/octet-stream")
    return ({"type": "file", "file": {"file_data": url, "filename": part.name or "file"}},)


def answer_content(message: Json) -> str | tuple[Part, ...]:
    """Return the content of an answer: the text, or the parts where it has more than that.

    Args:
        message: of a choice.
    """
    text = text_in(message.get("content")) + (text_at(message, "refusal") or "")
    _, thoughts = thoughts_in(message)
    before: list[Part] = [ReasoningPart(thoughts)] if thoughts else []
    after: list[Part] = [*_citations(message), *_images(message), *_sound(message)]
    if not before and not after:
        return text
    return (*before, *((TextPart(text),) if text else ()), *after)


def text_in(content: object) -> str:
    """Return the text of a content, which some servers give in parts."""
    if isinstance(content, str):
        return content
    return "".join(
        text_at(each, "text") or "" for each in objects_in(content) if each.get("type") == "text"
    )


def thoughts_in(values: Json) -> tuple[str, str]:
    """Return what a message, or a piece of one, says of the model's reasoning, and its name for it.

    OpenAI's own server says nothing. Others have a name of their own, or say it in the content.
    """
    for name in ("reasoning_content", "reasoning", "thinking"):
        if said := text_at(values, name):
            return name, said
    content = values.get("content")
    if not isinstance(content, list):
        return "thinking", ""
    parts = [each for each in objects_in(content) if each.get("type") == "thinking"]
    return "thinking", "".join(text_in(each.get("thinking")) for each in parts)


def _citations(message: Json) -> list[Part]:
    cited = [object_at(each, "url_citation") for each in objects_in(message.get("annotations"))]
    return [found for each in cited if (found := citation(each, 0)) is not None]


def _images(message: Json) -> list[Part]:
    shown = [object_at(each, "image_url") for each in objects_in(message.get("images"))]
    return [image for each in shown for image in image_at(each.get("url"))]


def _sound(message: Json) -> list[Part]:
    sound = object_at(message, "audio")
    data = decoded(sound.get("data"))
    if not data:
        return []
    return [AudioPart(Inline(data), sound_type(data), text_at(sound, "transcript"))]
