"""What reads files as texts, a kind of files each."""

from collections.abc import Sequence
from pathlib import PurePath

from kern.knowledge.readers.base import Part, Reader, TextReader
from kern.knowledge.readers.html import DocxReader, HTMLReader
from kern.knowledge.readers.pdf import PDFReader
from kern.knowledge.readers.tables import CSVReader, JSONReader

__all__ = [
    "CSVReader",
    "DocxReader",
    "HTMLReader",
    "JSONReader",
    "PDFReader",
    "Part",
    "Reader",
    "TextReader",
    "reader_for",
]

_OWN: tuple[type[Reader], ...] = (CSVReader, JSONReader, HTMLReader, DocxReader, PDFReader)


def reader_for(path: PurePath, media_type: str | None, readers: Sequence[Reader]) -> Reader:
    """Return what reads a file: one of these, or kern's own; what nobody knows may be text.

    Args:
        path: the file's name.
        media_type: what a web server calls it; it goes before the name.
        readers: those of the user, the first of which that fits goes first.

    Raises:
        MissingExtraError: a package is not installed that reads such files.
    """
    suffix = path.suffix.lower()
    for named, value in (("media_types", media_type), ("suffixes", suffix)):
        if value is None or value == "text/plain" or value == "application/octet-stream":
            continue
        for reader in readers:
            if value in getattr(reader, named):
                return reader
        for kind in _OWN:
            if value in getattr(kind, named):
                return kind()
    texts = (each for each in readers if isinstance(each, TextReader))
    return next(texts, None) or TextReader()
