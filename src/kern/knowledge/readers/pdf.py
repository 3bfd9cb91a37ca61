"""PDF, page by page (extra ``knowledge``)."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from kern.errors import ContentError
from kern.extras import extra
from kern.knowledge.readers.base import Part, Reader


class PDFReader(Reader):
    """Reads the text of PDF files; of a scan without text there is none.

    Example:
        >>> PDFReader.media_types
        ('application/pdf',)
    """

    suffixes: ClassVar[tuple[str, ...]] = (".pdf",)
    media_types: ClassVar[tuple[str, ...]] = ("application/pdf",)

    def __init__(self, password: str | None = None) -> None:
        """Have what it needs at hand.

        Args:
            password: opens files that are encrypted.

        Raises:
            MissingExtraError: pypdf is not installed.
        """
        with extra("knowledge"):
            import pypdf  # noqa: F401
        self._password = password

    def read(self, path: Path) -> Iterator[Part]:
        """See :meth:`Reader.read`."""
        from pypdf import PdfReader
        from pypdf.errors import FileNotDecryptedError

        try:
            with PdfReader(path, password=self._password) as pdf:
                for number, page in enumerate(pdf.pages, 1):
                    yield Part(page.extract_text(), {"page": number})
        except FileNotDecryptedError:
            raise ContentError("it is encrypted: give readers=[PDFReader(password=...)]") from None
