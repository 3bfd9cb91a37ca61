"""Knowledge bases: what agents look things up in, and how it gets there.

What may live here: reading files, cutting texts, and loading both into a vector database, at once
or by a run. Agents know of it what :class:`kern.execution.retriever.KnowledgeBase` says.
"""

from kern.db.contents import Content, ContentStatus
from kern.errors import ContentError
from kern.knowledge.chunking import Chunking
from kern.knowledge.knowledge import Knowledge
from kern.knowledge.loader import Loader
from kern.knowledge.loading import KnowledgeProgress, Loaded
from kern.knowledge.readers import (
    CSVReader,
    DocxReader,
    HTMLReader,
    JSONReader,
    Part,
    PDFReader,
    Reader,
    TextReader,
)
from kern.vectordb.document import Document

__all__ = [
    "CSVReader",
    "Chunking",
    "Content",
    "ContentError",
    "ContentStatus",
    "Document",
    "DocxReader",
    "HTMLReader",
    "JSONReader",
    "Knowledge",
    "KnowledgeProgress",
    "Loaded",
    "Loader",
    "PDFReader",
    "Part",
    "Reader",
    "TextReader",
]
