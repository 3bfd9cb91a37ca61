"""Documents in a SQLite file, with the extension ``sqlite-vec``."""

import re
from array import array
from collections.abc import Collection, Sequence
from os import PathLike
from typing import Any

from typing_extensions import override

from kern.db.database import check_identifier
from kern.embedders.base import Embedder
from kern.errors import ConfigurationError, InvalidInputError
from kern.filters import Filters, filter_of
from kern.run.codec import dump
from kern.vectordb.base import SearchType, VectorDb
from kern.vectordb.document import Document
from kern.vectordb.sqlite_file import Transaction, VectorFile
from kern.vectordb.sqlite_sql import Table
from kern.vectordb.sqlite_where import sqlite_where
from kern.vectordb.values import (
    BATCH,
    Kept,
    check_limit,
    check_search_type,
    check_weight,
    checked_embedder,
    cleaned,
    document_of,
    embed,
    embedded,
    kept,
    latest,
    query_of,
    wrong_size,
)

_WORD = re.compile(r"\w+")


class SqliteVec(VectorDb):
    """Documents in a SQLite file, found by meaning, by words, or by both.

    A search by meaning compares with every embedding: it is exact, and its time grows with their
    number. The file is one of its own, never that of the runs.

    Attributes:
        embedder: embeds what is kept and what is looked for.
        search_type: how documents are found.

    Example:
        >>> from kern.testing import WordsEmbedder
        >>> vectors = SqliteVec(":memory:", embedder=WordsEmbedder())
        >>> vectors.upsert([Document("Heat pumps move heat."), Document("Solar cells.")])
        >>> [each.content for each in vectors.search("heat", limit=1)]
        ['Heat pumps move heat.']
    """

    def __init__(
        self,
        db_file: "str | PathLike[str]" = "vectors.db",
        table_name: str = "documents",
        embedder: Embedder | None = None,
        search_type: SearchType | str = SearchType.hybrid,
        vector_score_weight: float = 0.7,
    ) -> None:
        """Name the file; it is made on first use, and its directory if that is missing.

        Args:
            db_file: the file, or ``":memory:"``.
            table_name: the table in it.
            embedder: embeds what is kept and looked for; by default
                :class:`~kern.embedders.openai.OpenAIEmbedder`.
            search_type: ``"vector"`` (by meaning), ``"keyword"`` (by words) or ``"hybrid"``.
            vector_score_weight: how much meaning counts beside words, from 0 to 1, in a hybrid
                search.

        Raises:
            ConfigurationError: an argument cannot be used.
            MissingExtraError: the extra ``sqlite-vec`` is not installed.
        """
        check_identifier("table_name", table_name)
        if not isinstance(db_file, str | PathLike) or "://" in str(db_file) or not str(db_file):
            raise ConfigurationError(
                f"db_file must be the path of a file, as in SqliteVec('vectors.db'), not "
                f"{type(db_file).__name__ if not isinstance(db_file, str) else 'a URL'}."
            )
        self.search_type: SearchType = check_search_type(search_type)
        self.embedder: Embedder = checked_embedder(embedder)
        self._weight = check_weight(vector_score_weight)
        self._file = VectorFile(str(db_file))
        self._table = Table(table_name)
        self._is_made = False

    def __repr__(self) -> str:
        return f"SqliteVec({self._file.path!r}, {self._table.name!r})"

    @override
    async def acreate(self) -> None:
        self._is_made = False
        await self._check()

    async def _check(self) -> None:
        """Make the table where it is not there, and check that its embeddings are of our size."""
        if self._is_made:
            return
        size = await self.embedder.aget_dimensions()
        self._compare(await self._file.do(self._size), size)
        self._is_made = True

    def _compare(self, found: int | None, size: int) -> None:
        if found not in (None, size):
            raise wrong_size(repr(self), found or 0, self.embedder, size)

    @override
    async def aexists(self) -> bool:
        return await self._file.do(self._is_there)

    @override
    async def adrop(self) -> None:
        def drop(transaction: Transaction) -> None:
            for statement in self._table.removal:
                transaction.rows(statement)

        await self._file.do(drop)
        self._is_made = False

    @override
    async def aupsert(self, documents: Sequence[Document]) -> None:
        await self._check()
        new = latest(documents)
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            await embed(batch, self.embedder, repr(self))
            rows = [(kept(each), _blob(each.embedding or [])) for each in batch]

            def write(
                transaction: Transaction,
                rows: list[tuple[Kept, bytes]] = rows,
            ) -> None:
                # Who has dropped the table meanwhile may have made it for another embedder.
                self._compare(self._size(transaction), len(rows[0][1]) // 4)
                for row, embedding in rows:
                    [(number,)] = transaction.rows(self._table.upsert, *row)
                    transaction.rows(self._table.embed, number, embedding)
                    transaction.rows(self._table.read, number, row[4])

            await self._file.do(write)

    @override
    async def asearch(self, query: str, limit: int = 5, filters: Filters = None) -> list[Document]:
        check_limit(limit)
        condition, text = filter_of(filters), query_of(query)
        words = " OR ".join(f'"{word}"' for word in _WORD.findall(text)) or '""'
        values: list[Any] = [words, limit]
        await self._check()
        if self.search_type is not SearchType.keyword:
            size = await self.embedder.aget_dimensions()
            values[0] = _blob(await embedded(text, size, self.embedder, repr(self)))
        if self.search_type is SearchType.hybrid:
            values += [words, max(50, 2 * limit), self._weight, 1.0 - self._weight]
            statement = self._table.by_both(sqlite_where(condition, values))
        elif self.search_type is SearchType.vector:
            statement = self._table.by_meaning(sqlite_where(condition, values))
        else:
            statement = self._table.by_words(sqlite_where(condition, values))
        return [document_of(row) for row in await self._ask(statement, values)]

    @override
    async def amissing(self, ids: Sequence[str]) -> list[str]:
        asked = [cleaned(each) for each in ids]
        rows = await self._ask(
            f'SELECT id FROM "{self._table.name}" WHERE id IN (SELECT value FROM json_each(?1))',
            [dump(asked)],
        )
        found = {row[0] for row in rows}
        return [each for each in ids if cleaned(each) not in found]

    @override
    async def acount(
        self, *, content_id: str | None = None, name: str | None = None, filters: Filters = None
    ) -> int:
        values: list[object] = []
        where = sqlite_where(filter_of(filters), values)
        for column, value in (("content_id", content_id), ("name", name)):
            if value is not None:
                values.append(cleaned(value))
                where += f" AND {column} = ?{len(values)}"
        [(number,)] = await self._ask(
            f'SELECT count(*) FROM "{self._table.name}" WHERE {where}', values
        )
        return int(number)

    @override
    async def afilter_keys(self) -> list[str]:
        rows = await self._ask(
            f'SELECT DISTINCT key FROM "{self._table.name}", json_each(meta_data) ORDER BY key', []
        )
        return [row[0] for row in rows]

    @override
    async def adelete_by_id(self, id: str) -> int:
        return await self._delete("id = ?1", [cleaned(id)])

    @override
    async def adelete_by_name(self, name: str) -> int:
        return await self._delete("name = ?1", [cleaned(name)])

    @override
    async def adelete_by_content_id(self, content_id: str, *, keep: Collection[str] = ()) -> int:
        return await self._delete(
            "content_id = ?1 AND id NOT IN (SELECT value FROM json_each(?2))",
            [cleaned(content_id), dump([cleaned(each) for each in keep])],
        )

    @override
    async def adelete_by_metadata(self, filters: Filters) -> int:
        condition = filter_of(filters)
        if condition is None:
            raise InvalidInputError("There are no filters: drop() deletes everything.")
        values: list[object] = []
        return await self._delete(sqlite_where(condition, values), values)

    @override
    async def aclose(self) -> None:
        await self._file.aclose()

    async def _ask(self, statement: str, values: list[Any]) -> list[Any]:
        if not self._is_made:
            await self._file.do(self._make)

        def ask(transaction: Transaction) -> list[Any]:
            return transaction.rows(statement, *values)

        return await self._file.do(ask, writes=False)

    async def _delete(self, where: str, values: list[Any]) -> int:
        def delete(transaction: Transaction) -> int:
            self._make(transaction)
            transaction.rows(f'DELETE FROM "{self._table.name}" WHERE {where}', *values)
            return transaction.changes

        return await self._file.do(delete)

    def _size(self, transaction: Transaction) -> int | None:
        """Make the table; return how many numbers its embeddings have, if there are any."""
        self._make(transaction)
        statement = f'SELECT length(embedding) / 4 FROM "{self._table.name}_embeddings" LIMIT 1'
        found = transaction.rows(statement)
        return int(found[0][0]) if found else None

    def _is_there(self, transaction: Transaction) -> bool:
        statement = "SELECT 1 FROM sqlite_master WHERE name = ?1"
        return bool(transaction.rows(statement, self._table.name))

    def _make(self, transaction: Transaction) -> None:
        if not self._is_there(transaction):
            for statement in self._table.creation:
                transaction.rows(statement)


def _blob(embedding: Sequence[float]) -> bytes:
    return array("f", embedding).tobytes()
