"""What all media have in common: where it comes from, how it is read, and of what type it is."""

import mimetypes
import os
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from dataclasses import dataclass, field, fields
from stat import S_ISREG
from typing import ClassVar, Self
from urllib.parse import urlsplit

from kern.errors import InvalidInputError
from kern.media.types import family, recognised
from kern.run.content import ImagePart, Inline, MediaPart, Source, Url, blob_of, data_in, is_data
from kern.run.numbers import size_in

_SCHEMES = ("https", "http", "gs")


@dataclass(kw_only=True)
class Media(ABC):
    """What all media have in common. Exactly one of url, filepath and content is given.

    Attributes:
        url: where the provider fetches it: ``https:``, ``http:``, or ``gs:`` for Gemini. A
            ``data:`` URL is its content.
        filepath: a file of this machine.
        content: its bytes. Of media of a run that was read from a database they are there after
            ``await agent.aload_media(run)``.
        id: what its user calls it; of media of a run, its hash.
        format: such as ``"png"``, for what neither its name nor its bytes tell.
        mime_type: such as ``"image/png"``; by default what its bytes or its name say.
        hash: of media of a run, the SHA-256 of its bytes, by which the database has it.
        size: of media of a run, its length in bytes.

    Example:
        >>> from kern.media import Image
        >>> Image.from_base64("aGk=", mime_type="image/png").content
        b'hi'
    """

    kind: ClassVar[str]
    """What people call it."""

    url: str | None = None
    filepath: str | os.PathLike[str] | None = None
    content: bytes | None = field(default=None, repr=False)
    id: str | None = None
    format: str | None = None
    mime_type: str | None = None
    hash: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        """Check that there is one source, and that it can be used.

        Raises:
            InvalidInputError: it cannot.
        """
        given = [each for each in (self.url, self.filepath, self.content) if each is not None]
        if len(given) != 1 and (given or self.hash is None):
            raise InvalidInputError(
                f"{self._name} needs exactly one of url, filepath and content; {len(given)} were "
                "given."
            )
        if self.url is not None:
            self._take_url(self.url)
        if self.content is not None:
            if not isinstance(self.content, bytes | bytearray | memoryview):
                kind = type(self.content).__name__
                raise InvalidInputError(
                    f"The content of {self._name} must be bytes, not {kind}. Use "
                    f"{type(self).__name__}.from_base64(...) for a text in base64."
                )
            self.content = bytes(self.content)
            if not self.content and self.hash is None:
                raise InvalidInputError(f"{self._name} is empty.")

    @property
    def _name(self) -> str:
        name = self._file_name or self.id
        return f"The {self.kind} {name!r:.80}" if name else f"The {self.kind}"

    @property
    def _file_name(self) -> str | None:
        return None if self.filepath is None else os.path.basename(self.filepath)

    def _take_url(self, url: str) -> None:
        if isinstance(url, str) and is_data(url):
            part = ImagePart(Url(url))
            head = url[5:].partition(",")[0]
            self.url, self.content = None, data_in(part)
            self.mime_type = self.mime_type or head.partition(";")[0] or None
            return
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme.lower() not in _SCHEMES or not parts.netloc:
            raise InvalidInputError(
                f"The url of {self._name[0].lower()}{self._name[1:]} must begin with https://, "
                f"http://, gs:// or data:, not {url!r:.80}. Give a file of this machine with "
                "filepath=..."
            )

    @classmethod
    def from_base64(cls, base64_content: str, **options: object) -> Self:
        """Return media from a text in base64.

        Args:
            base64_content: the text.
            options: the other arguments, such as ``mime_type``.

        Raises:
            InvalidInputError: it is no base64, or an option cannot be used.
        """
        try:
            content = b64decode(base64_content, validate=True)
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"The content is no base64: {error}.") from None
        return cls(content=content, **options)  # type: ignore[arg-type] # They are checked there.

    def get_content_bytes(self) -> bytes:
        """Return its bytes; a file is read, in this thread.

        Raises:
            InvalidInputError: they are not here: it is at an address, or in the database; or the
                file cannot be read.
        """
        if self.content is not None:
            return self.content
        if self.filepath is not None:
            return self._read(None)
        if self.url is not None:
            raise InvalidInputError(
                f"{self._name} is at {self.url:.80}; kern fetches nothing. Load it from there."
            )
        raise InvalidInputError(
            f"{self._name} is in the database, and was not loaded. Do that for all media of its "
            "run: await agent.aload_media(run)."
        )

    def to_base64(self) -> str:
        """Return its bytes in base64.

        Raises:
            InvalidInputError: as :meth:`get_content_bytes` does.
        """
        return b64encode(self.get_content_bytes()).decode()

    def to_dict(self) -> dict[str, object]:
        """Return what is known of it as JSON values; of its bytes the hash and the size only."""
        values: dict[str, object] = {
            each.name: value
            for each in fields(self)
            if each.name != "content" and (value := getattr(self, each.name)) is not None
        }
        if self.filepath is not None:
            values["filepath"] = os.fspath(self.filepath)
        if self.content is not None:
            blob = blob_of(self.content)
            values |= {"hash": blob.hash, "size": blob.size}
        return values

    def to_part(self, limit: int | None = None) -> MediaPart:
        """Return it as a part of a message; a file is read, in this thread.

        Args:
            limit: how many bytes it may have; by default any number.

        Raises:
            InvalidInputError: the file cannot be read, it is too large, or of no known type.
        """
        if self.url is not None:
            return self._part(Url(self.url), self._said())
        data = self.get_content_bytes() if self.filepath is None else self._read(limit)
        if limit is not None and len(data) > limit:
            raise self._too_large(len(data), limit)
        return self._part(Inline(data), self._type_of(data))

    @abstractmethod
    def _part(self, source: Source, mime_type: str | None) -> MediaPart:
        """Return the part of a message with this source."""

    def _read(self, limit: int | None) -> bytes:
        assert self.filepath is not None, "it is read where it is given by its path"
        path = os.fspath(self.filepath)
        try:
            about = os.stat(path)
            if S_ISREG(about.st_mode) and (limit is None or about.st_size <= limit):
                with open(path, "rb") as file:
                    data = file.read()
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"{self._name} cannot be read: {error}.") from error
        if not S_ISREG(about.st_mode):
            raise InvalidInputError(f"{self._name} is no file: {path}.")
        if limit is not None and about.st_size > limit:
            raise self._too_large(about.st_size, limit)
        if not data:
            raise InvalidInputError(f"{self._name} is empty: {path}.")
        return data

    def _too_large(self, size: int, limit: int) -> InvalidInputError:
        return InvalidInputError(
            f"{self._name} has {size:,} bytes, more than the {limit:,} that KERN_MAX_MEDIA_SIZE "
            "allows. Make it smaller, or give its url."
        )

    def _said(self) -> str | None:
        """Return its type as its user, or its name, says it."""
        if self.mime_type is not None:
            return self.mime_type
        if self.format is not None:
            guessed = mimetypes.guess_type(f"a.{self.format}")[0] or f"{self.kind}/{self.format}"
        else:
            name = self._file_name or (urlsplit(self.url).path if self.url else "")
            guessed = mimetypes.guess_type(name)[0] or ""
        return guessed.replace("audio/x-", "audio/") or None

    def _type_of(self, data: bytes) -> str | None:
        """Return its type: what its bytes say, else what is said of it.

        Raises:
            InvalidInputError: it is something else, or nobody says what it is.
        """
        said, found = self._said(), recognised(data)
        if found is not None and family(found) != family(self.kind + "/"):
            raise InvalidInputError(f"{self._name} is no {self.kind}, but {found}.")
        if found is not None:
            # Whether there is sound or a picture in it, the beginning does not tell.
            return f"{self.kind}/{found.partition('/')[2]}"
        if said is not None and said.startswith(f"{self.kind}/"):
            return said
        raise InvalidInputError(
            f"{self._name} is of no known type. If it is one that your model takes, say which: "
            f'mime_type="{self.kind}/...".'
        )


def max_media_size() -> int:
    """Return how many bytes a medium may have (``KERN_MAX_MEDIA_SIZE``, by default 50 MiB).

    Raises:
        ConfigurationError: the environment says no size.
    """
    return size_in("KERN_MAX_MEDIA_SIZE", "50MB")
