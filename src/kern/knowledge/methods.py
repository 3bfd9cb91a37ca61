"""What a knowledge base answers: it is loaded, searched, and relieved of contents."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kern.db.contents import Content, Contents, ContentStatus
from kern.errors import ConfigurationError
from kern.filters import Filters
from kern.knowledge.loading import Base, Loaded, Loading
from kern.knowledge.sources import Request
from kern.run.codec import check_id
from kern.run.numbers import check_count
from kern.vectordb.document import Document


class Based:
    """A knowledge base, as far as its methods need it.

    Attributes:
        max_results: how many documents a search returns where nobody says.
    """

    max_results: int
    _settings: Base | None

    @property
    def base(self) -> Base:
        """What is loaded, and how.

        Raises:
            ConfigurationError: there is no vector database.
        """
        if self._settings is None:
            raise ConfigurationError(
                "The knowledge base has no vector_db, in which its documents are kept and found. "
                "Give it one: Knowledge(..., vector_db=PgVector(...))."
            )
        return self._settings

    async def _contents(self) -> Contents:
        contents = await self.base.contents()
        if contents is None:
            raise ConfigurationError(
                f"The knowledge base {self.base.name!r} has no contents_db, which would know what "
                "was loaded. Give it one: Knowledge(..., contents_db=PostgresDb(...))."
            )
        return contents


class KnowledgeMethods(Based):
    """The contents of a knowledge base."""

    async def ainsert(
        self,
        *,
        path: str | Path | None = None,
        paths: Sequence[str | Path] | None = None,
        url: str | None = None,
        urls: Sequence[str] | None = None,
        text_content: str | None = None,
        name: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, object] | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        upsert: bool = True,
        skip_if_exists: bool = False,
    ) -> Loaded:
        """Load files, pages of the web or a text, here and now.

        What is there already takes its own place: chunks that have not changed are not embedded
        again, and those that are gone are deleted. For many files take
        :meth:`kern.knowledge.Knowledge.aload`, whose run survives the process.

        Args:
            path: a file, or a folder, whose files are loaded wherever they lie in it.
            paths: several of these.
            url: a page or file of the web, by ``https``.
            urls: several of these.
            text_content: a text; with a ``name`` a later one of the same name takes its place.
            name: what people call it, of one content; by default as file and URL are called.
            description: what it is, for people.
            metadata: what its chunks can be filtered by: JSON values.
            include: patterns such as ``"*.md"``: of folders only files that fit one are loaded.
            exclude: patterns: of folders no files are loaded that fit one.
            upsert: False to refuse a content that is there already.
            skip_if_exists: whether a content that is there already is left alone, unread.

        Returns:
            How much was loaded, and what could not be read.

        Raises:
            InvalidInputError: nothing was given, or what cannot be used.
            ContentError: there is one content only, and it cannot be read.
            ConfigurationError: there is no vector database, or it has embeddings of another size.
            ModelError: the embedder failed.
            DatabaseError: a database could not be reached, or refused.
        """
        request = Request.of(
            path=path,
            paths=paths,
            url=url,
            urls=urls,
            text_content=text_content,
            name=name,
            description=description,
            metadata=metadata,
            include=include,
            exclude=exclude,
            upsert=upsert,
            skip_if_exists=skip_if_exists,
        )
        return await Loading(self.base, request).all()

    async def asearch(
        self, query: str, max_results: int | None = None, filters: Filters = None
    ) -> list[Document]:
        """Return the documents that fit a query best, the best first.

        Args:
            query: what is looked for.
            max_results: how many at most; by default as many as the knowledge base says.
            filters: what their metadata must be, such as ``{"year": 2026}`` or
                ``[GT("year", 2020)]``.

        Raises:
            InvalidInputError: the number or the filters cannot be used.
            ConfigurationError: there is no vector database.
            ModelError: the embedder failed.
            DatabaseError: the database did not answer.
        """
        limit = self.max_results if max_results is None else max_results
        return await self.base.vector_db.asearch(query, limit, filters)

    async def aget_valid_filters(self) -> list[str]:
        """Return the names by which documents can be filtered, in alphabetical order.

        Raises:
            ConfigurationError: there is no vector database.
            DatabaseError: the database did not answer.
        """
        return await self.base.vector_db.afilter_keys()

    async def aget_content(self, limit: int = 100, after: str | None = None) -> list[Content]:
        """Return what was loaded, in the order of the ids.

        Args:
            limit: how many at most.
            after: the id of the last one of the page before.

        Raises:
            InvalidInputError: ``limit`` is no number above 0.
            ConfigurationError: there is no ``contents_db``, which knows that.
            DatabaseError: the database did not answer.
        """
        contents = await self._contents()
        return [*await contents.list(self.base.name, check_count("limit", limit), after or "")]

    async def aget_content_by_id(self, content_id: str) -> Content | None:
        """Return a content, or None where there is none.

        Args:
            content_id: its id; see :attr:`Loaded.ids`.

        Raises:
            InvalidInputError: ``content_id`` cannot be an id.
            ConfigurationError: there is no ``contents_db``, which knows that.
            DatabaseError: the database did not answer.
        """
        contents = await self._contents()
        return await contents.find(self.base.name, check_id("content_id", content_id))

    async def aget_content_status(self, content_id: str) -> tuple[ContentStatus | None, str | None]:
        """Return how far a content has come, and why it failed; None twice where there is none.

        Args:
            content_id: its id.

        Raises:
            InvalidInputError: ``content_id`` cannot be an id.
            ConfigurationError: there is no ``contents_db``, which knows that.
            DatabaseError: the database did not answer.
        """
        contents = await self._contents()
        found = await contents.find(self.base.name, check_id("content_id", content_id))
        return (None, None) if found is None else (found.status, found.status_message)

    async def aremove_content_by_id(self, content_id: str) -> int:
        """Delete a content with all its documents, and return how many these were.

        Args:
            content_id: its id.

        Raises:
            InvalidInputError: ``content_id`` cannot be an id.
            ConfigurationError: there is no vector database.
            DatabaseError: it could not be deleted.
        """
        base = self.base
        count = await base.vector_db.adelete_by_content_id(check_id("content_id", content_id))
        contents = await base.contents()
        if contents is not None:
            await contents.delete(base.name, content_id)
        return count

    async def aremove_all_content(self) -> None:
        """Delete everything: the documents with what they are kept in, and what was loaded.

        Raises:
            ConfigurationError: there is no vector database.
            DatabaseError: it could not be deleted.
        """
        base = self.base
        await base.vector_db.adrop()
        contents = await base.contents()
        if contents is not None:
            await contents.delete(base.name)

    async def aremove_vectors_by_name(self, name: str) -> int:
        """Delete the documents of a name, and return how many there were.

        Args:
            name: the name of their content.

        Raises:
            ConfigurationError: there is no vector database.
            DatabaseError: they could not be deleted.
        """
        return await self.base.vector_db.adelete_by_name(name)

    async def aremove_vectors_by_metadata(self, metadata: Filters) -> int:
        """Delete the documents whose metadata is so, and return how many there were.

        Args:
            metadata: what it must be; not empty.

        Raises:
            InvalidInputError: it is empty, or cannot be used.
            ConfigurationError: there is no vector database.
            DatabaseError: they could not be deleted.
        """
        return await self.base.vector_db.adelete_by_metadata(metadata)
