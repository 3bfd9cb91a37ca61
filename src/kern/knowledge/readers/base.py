"""What reads the files of a kind as texts."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from kern.errors import ContentError

TOO_DEEP = "it is nested too deep"


class Part(NamedTuple):
    """A part of a file that stands for itself, such as a page; no chunk reaches over its end.

    Attributes:
        text: what it says.
        meta_data: where it stands, such as ``{"page": 3}``; found with its chunks.

    Example:
        >>> Part("Ferns like shade.", {"page": 3}).meta_data
        {'page': 3}
    """

    text: str
    meta_data: dict[str, object] = {}  # noqa: RUF012 # nobody changes it


class Reader(ABC):
    r"""Reads the files of a kind as texts. A reader of your own is a subclass.

    Attributes:
        suffixes: how the names of such files end, in lower case.
        media_types: what web servers call them.

    Example:
        >>> class Subtitles(Reader):
        ...     suffixes = (".srt",)
        ...
        ...     def read(self, path):
        ...         for block in path.read_text().split("\n\n"):
        ...             yield Part(block.split("\n", 2)[-1])
        >>> from kern.knowledge import Knowledge
        >>> knowledge = Knowledge("films", readers=[Subtitles()])
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    media_types: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, path: Path) -> Iterator[Part]:
        """Yield what a file says, part by part; it is called in a thread.

        Args:
            path: the file, whose size was looked at.

        Raises:
            ContentError: it cannot be read, and why, in words that go on after its name.
            Exception: it is damaged.
        """


class TextReader(Reader):
    """Reads plain text and Markdown, and whatever else is text.

    Example:
        >>> TextReader("cp1252").encoding
        'cp1252'
    """

    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".text", ".md", ".markdown", ".rst", ".log")
    media_types: ClassVar[tuple[str, ...]] = ("text/plain", "text/markdown")

    # How many characters are a part; it ends with a line.
    _PART = 1_000_000

    def __init__(self, encoding: str = "utf-8") -> None:
        """Choose the encoding.

        Args:
            encoding: how characters are written; a byte order mark goes before it.
        """
        self.encoding = encoding

    def read(self, path: Path) -> Iterator[Part]:
        """See :meth:`Reader.read`."""
        with path.open("rb") as file:
            head = file.read(8192)
        encoding = _marked(head) or self.encoding
        if encoding == self.encoding and b"\0" in head:
            raise ContentError("it is no text, and no reader is for such files")
        try:
            with path.open(encoding=encoding) as text:
                while part := text.read(self._PART):
                    yield Part(part + text.readline(self._PART))
        except UnicodeDecodeError as error:
            raise ContentError(
                f"it is no text in {self.encoding} (at byte {error.start}): give "
                "readers=[TextReader('cp1252')], or the encoding that it has"
            ) from None


def _marked(head: bytes) -> str | None:
    """Return the encoding that a byte order mark says, if there is one."""
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return None
