"""The port behind which vector databases stand, and how they are searched."""

from enum import StrEnum

from kern.vectordb.sync import SyncVectorMethods


class SearchType(StrEnum):
    """How documents are found: by meaning, by words, or by both.

    Example:
        >>> SearchType("hybrid") is SearchType.hybrid
        True
    """

    vector = "vector"
    keyword = "keyword"
    hybrid = "hybrid"


class VectorDb(SyncVectorMethods):
    """Where documents are kept, and found again.

    Each method is there twice: ``asearch`` for code on an event loop, ``search`` for other code. A
    database of your own is a subclass with the asynchronous ones.

    Example:
        >>> from kern.vectordb.document import Document
        >>> class Words(VectorDb):
        ...     def __init__(self):
        ...         self.documents = {}
        ...     async def acreate(self):
        ...         pass
        ...     async def aexists(self):
        ...         return True
        ...     async def adrop(self):
        ...         self.documents.clear()
        ...     async def aupsert(self, documents):
        ...         self.documents.update((each.chunk_id, each) for each in documents)
        ...     async def asearch(self, query, limit=5, filters=None):
        ...         return [each for each in self.documents.values() if query in each.content]
        ...     async def amissing(self, ids):
        ...         return [each for each in ids if each not in self.documents]
        ...     async def acount(self, *, content_id=None, name=None, filters=None):
        ...         return len(self.documents)
        ...     async def afilter_keys(self):
        ...         return []
        ...     async def adelete_by_id(self, id):
        ...         return 1 if self.documents.pop(id, None) else 0
        ...     async def adelete_by_name(self, name):
        ...         return 0
        ...     async def adelete_by_content_id(self, content_id, *, keep=()):
        ...         return 0
        ...     async def adelete_by_metadata(self, filters):
        ...         return 0
        ...     async def aclose(self):
        ...         pass
        >>> words = Words()
        >>> words.upsert([Document("heat pumps"), Document("solar cells")])
        >>> [each.content for each in words.search("heat")]
        ['heat pumps']
    """
