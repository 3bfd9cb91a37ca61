"""Generated from ``kern/vectordb/methods.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Collection, Sequence

from kern.aio.portal import finished
from kern.filters import Filters
from kern.vectordb.document import Document
from kern.vectordb.methods import VectorMethods


class SyncVectorMethods(VectorMethods):
    """The methods of :class:`VectorMethods`, for code without an event loop."""

    def create(self) -> None:
        """Make what the documents are kept in; where it is there already, nothing changes.

        Raises:
            ConfigurationError: it is there for embeddings of another size.
            DatabaseError: it could not be made.
        """
        return finished(self.acreate())

    def exists(self) -> bool:
        """Say whether there is what the documents are kept in.

        Raises:
            DatabaseError: the database did not answer.
        """
        return finished(self.aexists())

    def drop(self) -> None:
        """Delete all documents, and what they are kept in; where there is none, nothing changes.

        Raises:
            DatabaseError: it could not be deleted.
        """
        return finished(self.adrop())

    def upsert(self, documents: Sequence[Document]) -> None:
        """Keep documents, all or none; each takes the place of the one with its ``chunk_id``.

        Those without an embedding are embedded first, and are given it: what is written twice is
        the same, and is not embedded twice.

        Args:
            documents: the documents; the last one of an id counts.

        Raises:
            ConfigurationError: an embedding is of another size than those that are there.
            InvalidInputError: what is known of a document has no JSON form.
            ModelError: the embedder failed.
            DatabaseError: they could not be kept.
        """
        return finished(self.aupsert(documents))

    def search(self, query: str, limit: int = 5, filters: Filters = None) -> list[Document]:
        """Return the documents that fit best, the best first, each with its score.

        Args:
            query: what is looked for; as its author wrote it, it has no syntax.
            limit: how many to return at most.
            filters: what their ``meta_data`` must be: see :func:`kern.filters.filter_of`.

        Raises:
            InvalidInputError: the limit or the filters cannot be used.
            ModelError: the embedder failed.
            DatabaseError: the database did not answer.
        """
        return finished(self.asearch(query, limit, filters))

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Return those of the ids, see :attr:`Document.chunk_id`, that no document has.

        Args:
            ids: the ids, in any order.

        Raises:
            DatabaseError: the database did not answer.
        """
        return finished(self.amissing(ids))

    def count(
        self, *, content_id: str | None = None, name: str | None = None, filters: Filters = None
    ) -> int:
        """Return how many documents there are.

        Args:
            content_id: count those of this content.
            name: count those of this name.
            filters: count those whose ``meta_data`` is so.

        Raises:
            InvalidInputError: the filters cannot be used.
            DatabaseError: the database did not answer.
        """
        return finished(self.acount(content_id=content_id, name=name, filters=filters))

    def filter_keys(self) -> list[str]:
        """Return the names that ``meta_data`` has in any document, in alphabetical order.

        Raises:
            DatabaseError: the database did not answer.
        """
        return finished(self.afilter_keys())

    def delete_by_id(self, id: str) -> int:
        """Delete the document of an id, and return how many there were.

        Args:
            id: its id, see :attr:`Document.chunk_id`.

        Raises:
            DatabaseError: it could not be deleted.
        """
        return finished(self.adelete_by_id(id))

    def delete_by_name(self, name: str) -> int:
        """Delete the documents of a name, and return how many there were.

        Args:
            name: their name.

        Raises:
            DatabaseError: they could not be deleted.
        """
        return finished(self.adelete_by_name(name))

    def delete_by_content_id(self, content_id: str, *, keep: Collection[str] = ()) -> int:
        """Delete the documents of a content, and return how many there were.

        Args:
            content_id: the content.
            keep: the ids of documents that stay: who has loaded a content anew deletes the rest.

        Raises:
            DatabaseError: they could not be deleted.
        """
        return finished(self.adelete_by_content_id(content_id, keep=keep))

    def delete_by_metadata(self, filters: Filters) -> int:
        """Delete the documents whose ``meta_data`` is so, and return how many there were.

        Args:
            filters: what it must be; not empty: :meth:`drop` deletes everything.

        Raises:
            InvalidInputError: the filters cannot be used.
            DatabaseError: they could not be deleted.
        """
        return finished(self.adelete_by_metadata(filters))

    def close(self) -> None:
        """Close the connections of the running event loop; the next use opens others."""
        return finished(self.aclose())
