"""The kinds of media, each as a part of a message, and back."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from typing_extensions import override

from kern.errors import InvalidInputError
from kern.media.base import Media
from kern.media.types import recognised
from kern.run.content import (
    AudioPart,
    Blob,
    FilePart,
    ImagePart,
    MediaPart,
    Part,
    Source,
    Url,
    blob_of,
    data_in,
    is_data,
)


@dataclass(kw_only=True)
class Image(Media):
    """An image.

    Attributes:
        detail: how closely the model is to look, in the provider's words (``"low"``, ``"high"``).
        alt_text: what it shows, for its user; the model is not told.
        original_prompt: of one that a model made, what it was asked for.
        revised_prompt: how the provider put that.

    Example:
        >>> chart = Image(url="https://example.com/chart.png", detail="low")
        >>> chart.to_dict()
        {'url': 'https://example.com/chart.png', 'detail': 'low'}
    """

    kind: ClassVar[str] = "image"

    detail: str | None = None
    alt_text: str | None = None
    original_prompt: str | None = None
    revised_prompt: str | None = None

    @override
    def _part(self, source: Source, mime_type: str | None) -> ImagePart:
        return ImagePart(source, mime_type, self.detail)


@dataclass(kw_only=True)
class Audio(Media):
    """A recording.

    Attributes:
        duration: its length in seconds, for its user, as all that follows but the transcript.
        sample_rate: samples a second.
        channels: how many there are.
        transcript: what is said in it; a model that takes no sound is told that.
        expires_at: until when the provider keeps it, in seconds since 1970.

    Example:
        >>> Audio(url="https://example.com/hello.mp3", transcript="Hello.").to_dict()
        {'url': 'https://example.com/hello.mp3', 'transcript': 'Hello.'}
    """

    kind: ClassVar[str] = "audio"

    duration: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    transcript: str | None = None
    expires_at: int | None = None

    @override
    def _part(self, source: Source, mime_type: str | None) -> AudioPart:
        return AudioPart(source, mime_type, self.transcript)


@dataclass(kw_only=True)
class Video(Media):
    """A video.

    Attributes:
        duration: its length in seconds, for its user, as all that follows.
        width: in pixels.
        height: in pixels.
        fps: pictures a second.

    Example:
        >>> Video(url="https://example.com/film.mp4", duration=12.5).to_dict()
        {'url': 'https://example.com/film.mp4', 'duration': 12.5}
    """

    kind: ClassVar[str] = "video"

    duration: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None

    @override
    def _part(self, source: Source, mime_type: str | None) -> FilePart:
        return FilePart(source, mime_type or "video/mp4", self._file_name)


@dataclass(kw_only=True)
class File(Media):
    """A document.

    Attributes:
        external: in place of the three sources, a file at the provider, as its SDK describes it:
            it has an address (``uri``), as those of Gemini do.
        filename: what the model is told that it is called; by default the name of its path.
        name: the same.

    Example:
        >>> File(content="a,b", filename="numbers.csv").to_part()
        FilePart(source=Inline(<3 bytes>), mime_type='text/csv', name='numbers.csv')
    """

    kind: ClassVar[str] = "file"

    content: bytes | str | None = field(default=None, repr=False)  # type: ignore[assignment] # A text is encoded.
    external: object = field(default=None, repr=False)
    filename: str | None = None
    name: str | None = None

    @override
    def __post_init__(self) -> None:
        if isinstance(self.content, str):
            self.content = self.content.encode(errors="surrogatepass")
        if self.external is not None:
            uri = getattr(self.external, "uri", None)
            if self.url is not None or not isinstance(uri, str):
                raise InvalidInputError(
                    "external must be a file with an address, as Gemini's SDK gives it (uri), and "
                    "the only source."
                )
            kind = getattr(self.external, "mime_type", None)
            self.url, self.external = uri, None
            self.mime_type: str | None = self.mime_type or (kind if isinstance(kind, str) else None)
        super().__post_init__()

    @property
    @override
    def _file_name(self) -> str | None:
        return self.filename or self.name or super()._file_name

    @override
    def _part(self, source: Source, mime_type: str | None) -> FilePart:
        return FilePart(source, mime_type, self._file_name)

    @override
    def _type_of(self, data: bytes) -> str | None:
        if (found := self._said() or recognised(data)) is not None:
            return found
        try:
            data.decode()
        except UnicodeDecodeError:
            raise InvalidInputError(
                f"{self._name} is of no known type. Say which it is, such as "
                'mime_type="application/pdf", or give it a name that tells.'
            ) from None
        return "text/plain"


def media_of(part: MediaPart, data: bytes | None = None) -> Media:
    """Return the media of a run.

    Args:
        part: it, in a message.
        data: its bytes, if they are loaded.
    """
    given: dict[str, Any] = {"mime_type": part.mime_type}
    match part:
        case ImagePart(detail=detail):
            kind: type[Media] = Image
            given["detail"] = detail
        case AudioPart(transcript=transcript):
            kind = Audio
            given["transcript"] = transcript
        case FilePart(mime_type=str(mime_type)) if mime_type.startswith("video/"):
            kind = Video
        case FilePart(name=name):
            kind = File
            given["filename"] = name
    if isinstance(part.source, Url) and not is_data(part.source.url):
        return kind(url=part.source.url, **given)
    if isinstance(part.source, Blob):
        blob = part.source
    else:
        data = data_in(part) or b""
        blob = blob_of(data)
    return kind(content=data, id=blob.hash, hash=blob.hash, size=blob.size, **given)


_NONE: Mapping[str, bytes] = MappingProxyType({})


def media_in(parts: Iterable[Part], loaded: Mapping[str, bytes] = _NONE) -> Iterator[Media]:
    """Yield the media in a message; a long text that is kept as a file is none.

    Args:
        parts: the parts of the message.
        loaded: the bytes that are loaded, by their hash.
    """
    for part in parts:
        match part:
            case FilePart(Blob(shown=str())):
                pass
            case ImagePart(source) | AudioPart(source) | FilePart(source):
                data = loaded.get(source.hash) if isinstance(source, Blob) else None
                yield media_of(part, data)
