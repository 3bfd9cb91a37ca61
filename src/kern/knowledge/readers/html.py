"""Web pages and Word documents, as Markdown (extra ``knowledge``)."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from kern.errors import ContentError
from kern.extras import extra
from kern.knowledge.readers.base import TOO_DEEP, Part, Reader

# How many bytes of text a Word document may hold, unpacked, and a page, without what is embedded in
# it; and how many tags: each costs a kilobyte of memory, and a tenth of a millisecond.
_UNPACKED, _PAGE, _TAGS = 20_000_000, 10_000_000, 200_000

# Pictures and fonts within a page.
_EMBEDDED = re.compile(rb"data:[\w/+.;=-]{0,100};base64,[\w+/=%-]+")

# What of a page is not its text.
_LEFT_OUT = ("script", "style", "noscript", "template", "nav", "svg", "iframe", "form", "head")


class HTMLReader(Reader):
    """Reads web pages as Markdown, without navigation, forms, scripts and pictures.

    Example:
        >>> HTMLReader.media_types
        ('text/html', 'application/xhtml+xml')
    """

    suffixes: ClassVar[tuple[str, ...]] = (".html", ".htm", ".xhtml")
    media_types: ClassVar[tuple[str, ...]] = ("text/html", "application/xhtml+xml")

    def __init__(self) -> None:
        """Have what it needs at hand.

        Raises:
            MissingExtraError: markdownify is not installed.
        """
        with extra("knowledge"):
            import markdownify  # noqa: F401

    def read(self, path: Path) -> Iterator[Part]:
        """See :meth:`Reader.read`."""
        text, title = markdown(path.read_bytes())
        yield Part(text, {"title": title} if title else {})


class DocxReader(Reader):
    """Reads Word documents as Markdown, without pictures.

    Example:
        >>> DocxReader.suffixes
        ('.docx',)
    """

    suffixes: ClassVar[tuple[str, ...]] = (".docx",)
    media_types: ClassVar[tuple[str, ...]] = (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    )

    def __init__(self) -> None:
        """Have what it needs at hand.

        Raises:
            MissingExtraError: mammoth or markdownify is not installed.
        """
        with extra("knowledge"):
            import mammoth  # noqa: F401
            import markdownify  # noqa: F401

    def read(self, path: Path) -> Iterator[Part]:
        """See :meth:`Reader.read`."""
        import mammoth

        try:
            with zipfile.ZipFile(path) as archive:
                texts = [each for each in archive.infolist() if _is_text(archive, each)]
                size = sum(each.file_size for each in texts)
        except zipfile.BadZipFile:
            raise ContentError("it is no Word document") from None
        if size > _UNPACKED:
            raise ContentError(
                f"it holds {size:,} bytes of text, unpacked, and {_UNPACKED:,} are read"
            )
        with path.open("rb") as file:
            html: str = mammoth.convert_to_html(
                file, convert_image=mammoth.images.img_element(lambda image: {})
            ).value
        yield Part(markdown(html.encode("utf-8", "replace"), "utf-8")[0])


def _is_text(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Say whether a part of a document may be XML, whatever its name; pictures are not read."""
    with archive.open(member) as file:
        return file.read(64).strip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n")[:1] in (b"<", b"")


def markdown(html: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Return a page as Markdown, and its title.

    Args:
        html: the page.
        encoding: how its characters are written; by default it is found as browsers do.

    Raises:
        ContentError: it is too large, or nested too deep.
    """
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    page = _EMBEDDED.sub(b"", html)
    for what, found, most in (("bytes", len(page), _PAGE), ("tags", page.count(b"<"), _TAGS)):
        if found > most:
            raise ContentError(f"as a page it has {found:,} {what}, and {most:,} are read")
    try:
        soup = BeautifulSoup(page, "html.parser", from_encoding=encoding)
        title = "" if soup.title is None else soup.title.get_text(" ", strip=True)
        for each in soup(_LEFT_OUT):
            each.decompose()
        shown = soup.find("main") or soup.find("article") or soup.body or soup
        text = MarkdownConverter(heading_style="ATX", strip=["img"]).convert_soup(shown)
    except RecursionError:
        raise ContentError(TOO_DEEP) from None
    return text.strip(), title[:500]
