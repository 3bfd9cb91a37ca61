"""The path that users know for documents."""

from kern.vectordb.document import Document as Document
