"""The knowledge base: what agents look things up in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from typing_extensions import Unpack

from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.filters import Filters
from kern.keywords import public, shown
from kern.knowledge.chunking import Chunking
from kern.knowledge.loader import Loader
from kern.knowledge.loading import Base, Loaded
from kern.knowledge.readers import Reader
from kern.knowledge.sources import Request
from kern.knowledge.sync import SyncKnowledgeMethods
from kern.run.agent import RunOutput
from kern.run.numbers import check_count
from kern.vectordb.base import VectorDb
from kern.vectordb.values import LIMIT


class WhatToLoad(TypedDict, total=False):
    """The keywords that say what is loaded; see :meth:`Knowledge.ainsert`."""

    path: str | Path | None
    paths: Sequence[str | Path] | None
    url: str | None
    urls: Sequence[str] | None
    text_content: str | None
    name: str | None
    description: str | None
    metadata: Mapping[str, object] | None
    include: Sequence[str] | None
    exclude: Sequence[str] | None
    upsert: bool
    skip_if_exists: bool


@public
class Knowledge(SyncKnowledgeMethods):
    """A knowledge base: documents that agents find things in.

    Each asynchronous method has a synchronous twin without the leading ``a``.

    Attributes:
        name: what people call it; runs that load it, and its contents, are known by it.
        description: what is in it.
        vector_db: where its documents are kept and found: one table for each knowledge base.
        contents_db: where it is written down what was loaded, and how far; None for nowhere.
        max_results: how many documents a search returns where nobody says.

    Example:
        >>> from kern import Agent
        >>> from kern.models.openai import OpenAIResponses
        >>> knowledge = Knowledge("plants", "How to keep plants.", max_results=5)
        >>> agent = Agent("Gardener", OpenAIResponses("gpt-5.4-mini"), knowledge=knowledge)
        >>> agent.knowledge.name
        'plants'
    """

    def __init__(
        self,
        name: str = "knowledge",
        description: str | None = None,
        vector_db: VectorDb | None = None,
        contents_db: Database | None = None,
        max_results: int = 10,
        readers: Sequence[Reader] | None = None,
        *,
        chunking: Chunking | None = None,
        max_file_size: int = 100_000_000,
        batch_size: int = 100,
    ) -> None:
        """Define the knowledge base; nothing is opened or made.

        Args:
            name: what people call it.
            description: what is in it.
            vector_db: where its documents are kept and found.
            contents_db: where it is written down what was loaded.
            max_results: how many documents a search returns, 1,000 at most.
            readers: what reads files, before kern's own readers do.
            chunking: how texts are cut.
            max_file_size: how many bytes a file, or a page of the web, may have.
            batch_size: how many chunks are embedded and kept at once.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        for what, value, kind in (
            ("vector_db", vector_db, VectorDb),
            ("contents_db", contents_db, Database),
            ("chunking", chunking, Chunking),
        ):
            if value is not None and not isinstance(value, kind):
                said = shown(value, type(value).__name__)
                raise ConfigurationError(f"{what} must be a {kind.__name__}, not {said}.")
        wrong = next((each for each in readers or () if not isinstance(each, Reader)), None)
        if wrong is not None:
            raise ConfigurationError(f"readers must be Readers, not {wrong!r:.80}.")
        self.name = name
        self.description = description
        self.vector_db = vector_db
        self.contents_db = contents_db
        if check_count("max_results", max_results, ConfigurationError) > LIMIT:
            raise ConfigurationError(f"max_results must be {LIMIT:,} at most, not {max_results}.")
        self.max_results: int = max_results
        self._loaders: dict[Database, Loader] = {}
        self._settings = None
        if vector_db is not None:
            self._settings = Base(
                name,
                vector_db,
                contents_db,
                tuple(readers or ()),
                chunking or Chunking(),
                check_count("max_file_size", max_file_size, ConfigurationError),
                check_count("batch_size", batch_size, ConfigurationError),
            )

    def __repr__(self) -> str:
        return f"Knowledge({self.name!r})"

    # Other names by which these are known.
    add_content = SyncKnowledgeMethods.insert
    aadd_content = SyncKnowledgeMethods.ainsert

    async def aretrieve(
        self, query: str, num_documents: int | None = None, filters: Filters = None
    ) -> list[dict[str, object]]:
        """Return what agents find: text, name and metadata of documents; see :meth:`asearch`.

        Args:
            query: what is looked for.
            num_documents: how many at most.
            filters: what their metadata must be.
        """
        return [
            # Ids would cost a model dozens of tokens each.
            {"content": each.content, "name": each.name, "meta_data": each.meta_data}
            for each in await self.asearch(query, num_documents, filters)
        ]

    async def aadd(self, text: str, name: str, metadata: Mapping[str, object]) -> None:
        """Add a text that an agent has written.

        Args:
            text: the text.
            name: what it is called; a later one of the same name takes its place.
            metadata: what it can be filtered by.
        """
        await self.ainsert(text_content=text, name=name, metadata=metadata)

    async def aload(
        self,
        *,
        db: Database | None = None,
        background: bool = False,
        user_id: str | None = None,
        run_id: str | None = None,
        **what: Unpack[WhatToLoad],
    ) -> RunOutput[Loaded]:
        """Load by a run, which survives this process: it embeds no batch again that it has kept.

        In the background this process executes it, and another goes on with it after a loss that
        serves the :meth:`loader`. Its stream tells :class:`KnowledgeProgress`. Where one of several
        contents cannot be read, the others are loaded.

        Args:
            db: where the run is kept; by default ``contents_db``.
            background: return at once; see :meth:`kern.agent.Agent.arun`.
            user_id: on whose behalf it runs.
            run_id: names the run: the same again is the same run.
            **what: what to load, as for :meth:`ainsert`.

        Returns:
            The run; its content is how much was loaded, once it has ended.

        Raises:
            ContentError: nothing could be read, and the run is in the foreground.
            ConfigurationError: there is no database for runs, or no vector database.
            InvalidInputError: nothing was given, or what cannot be used.
            DatabaseError: the run could not be kept.
        """
        request = Request.of(**what).to_text()
        return await self.loader(db).arun(
            request, background=background, user_id=user_id, run_id=run_id
        )

    def load(
        self,
        *,
        db: Database | None = None,
        background: bool = False,
        user_id: str | None = None,
        run_id: str | None = None,
        **what: Unpack[WhatToLoad],
    ) -> RunOutput[Loaded]:
        """Do what :meth:`aload` does, in code without an event loop."""
        request = Request.of(**what).to_text()
        return self.loader(db).run(request, background=background, user_id=user_id, run_id=run_id)

    def loader(self, db: Database | None = None) -> Loader:
        """Return the agent whose runs load this knowledge base: one for each database.

        Workers serve it as any other: ``kern worker app:loader``.

        Args:
            db: where the runs are kept; by default ``contents_db``.

        Raises:
            ConfigurationError: there is no database, or the knowledge base has no name.
        """
        db = db or self.contents_db
        if db is None:
            raise ConfigurationError(
                f"A run loads {self!r}, and there is no database to keep it: give db=."
            )
        found = self._loaders.get(db)
        if found is None:
            found = self._loaders[db] = Loader(self.name, lambda: self.base, db)
        return found
