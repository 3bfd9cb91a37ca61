"""Documents in PostgreSQL, with the extension ``vector``."""

import re
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from kern.aio.shared import Shared
from kern.db.database import check_identifier
from kern.db.postgres import AsyncPostgresDb, PostgresDb
from kern.db.postgres.address import Address, parse_address
from kern.db.postgres.reporting import sqlstate
from kern.embedders.base import Embedder
from kern.errors import ConfigurationError, DatabaseError, InvalidInputError
from kern.filters import Filters, filter_of
from kern.run.numbers import check_count, check_seconds
from kern.vectordb.base import SearchType, VectorDb
from kern.vectordb.document import Document
from kern.vectordb.postgres_pool import Pool, Target, targets
from kern.vectordb.postgres_sql import HNSW, MOST, Table
from kern.vectordb.postgres_where import postgres_where
from kern.vectordb.values import (
    BATCH,
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

if TYPE_CHECKING:
    import asyncpg

__all__ = ["HNSW", "PgVector", "SearchType"]

_LANGUAGE = re.compile(r"[a-z_]{1,60}")

# A table is not there, or has embeddings of another size: it is another one than before.
_OTHER_TABLE = ("42P01", "22000")

# How long the names of meta_data are remembered, in seconds: to find them takes a look at all.
_KEYS_KEPT = 60.0


class PgVector(VectorDb):
    """Documents in a table of PostgreSQL, found by meaning, by words, or by both.

    The table is made on first use. Objects for the same database share their connections on an
    event loop; these are kept until it ends, or until a little after the last of them is gone.

    Attributes:
        embedder: embeds what is kept and what is looked for.
        search_type: how documents are found.

    Example:
        >>> from kern.testing import WordsEmbedder
        >>> vectors = PgVector(
        ...     "recipes", db_url="postgresql://ai:ai@localhost/ai", embedder=WordsEmbedder()
        ... )
        >>> vectors
        PgVector("ai"."recipes" at localhost:5432)
    """

    def __init__(
        self,
        table_name: str,
        schema: str = "ai",
        db_url: str | None = None,
        embedder: Embedder | None = None,
        search_type: SearchType | str = SearchType.hybrid,
        vector_index: HNSW | None = None,
        vector_score_weight: float = 0.7,
        content_language: str = "english",
        *,
        db: PostgresDb | AsyncPostgresDb | None = None,
        pool_size: int = 4,
        heartbeat: float = 15.0,
    ) -> None:
        """Name the table; nothing is opened before the first use.

        Args:
            table_name: the table.
            schema: its schema, in lower case.
            db_url: the database, as :class:`~kern.db.postgres.PostgresDb` takes it.
            embedder: embeds what is kept and looked for; by default
                :class:`~kern.embedders.openai.OpenAIEmbedder`.
            search_type: ``"vector"`` (by meaning), ``"keyword"`` (by words) or ``"hybrid"``.
            vector_index: how the index of the embeddings is made and searched.
            vector_score_weight: how much meaning counts beside words, from 0 to 1, in a hybrid
                search.
            content_language: the text search configuration by which words are found, such as
                ``"german"``, or ``"simple"`` for words as they stand. What was made with one
                stays so.
            db: the database in place of ``db_url``: its address is used, with connections apart.
            pool_size: connections of an event loop at most.
            heartbeat: the seconds within which a dead connection is noticed; a statement may take
                two thirds of it.

        Raises:
            ConfigurationError: an argument cannot be used.
            MissingExtraError: the extra ``postgres`` is not installed.
        """
        check_identifier("table_name", table_name)
        check_identifier("schema", schema)
        check_count("pool_size", pool_size, ConfigurationError)
        check_seconds("heartbeat", heartbeat, ConfigurationError)
        if not _LANGUAGE.fullmatch(content_language):
            raise ConfigurationError(
                f"content_language must be the name of a text search configuration, such as "
                f"'english', not {content_language!r:.50}."
            )
        self.search_type: SearchType = check_search_type(search_type)
        self.embedder: Embedder = checked_embedder(embedder)
        self._index = vector_index or HNSW()
        self._weight = check_weight(vector_score_weight)
        self._schema, self._name, self._language = schema, table_name, content_language
        self._target = Target(_address(db_url, db), pool_size, heartbeat, self._index.ef_search)
        self._shared: Shared[Pool] = targets.find(self._target, self._target.open)
        self._made: Table | None = None
        self._keys: tuple[float, list[str]] | None = None

    def __repr__(self) -> str:
        return f'PgVector("{self._schema}"."{self._name}" at {self._target.address})'

    @override
    async def acreate(self) -> None:
        self._made = None
        await self._table()

    @override
    async def aexists(self) -> bool:
        pool = await self._pool()
        return await pool.size_of(self._schema, self._name) is not None

    @override
    async def adrop(self) -> None:
        pool = await self._pool()
        await pool.fetch(f'DROP TABLE IF EXISTS "{self._schema}"."{self._name}"')
        self._made = self._keys = None

    @override
    async def aupsert(self, documents: Sequence[Document]) -> None:
        table, new = await self._table(), latest(documents)
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            await embed(batch, self.embedder, repr(self))
            # In one order, so that two who write the same ones never wait for each other.
            batch.sort(key=lambda each: each.chunk_id)
            rows = [(*kept(each), _vector(each.embedding or [])) for each in batch]
            await self._fetch(table.upsert, *zip(*rows, strict=True))
        self._keys = None

    @override
    async def asearch(self, query: str, limit: int = 5, filters: Filters = None) -> list[Document]:
        check_limit(limit)
        condition, text = filter_of(filters), query_of(query)
        table = await self._table()
        values: list[object] = [text, limit]
        if self.search_type is not SearchType.keyword:
            embedding = await embedded(text, table.size, self.embedder, repr(self))
            values[0] = _vector(embedding)
        if self.search_type is SearchType.hybrid:
            # Beyond so many places a list changes nothing.
            many = max(50, 2 * limit)
            values += [text, many, self._weight, 1 - self._weight]
            statement = table.by_both(postgres_where(condition, values))
        elif self.search_type is SearchType.vector:
            statement = table.by_meaning(postgres_where(condition, values))
        else:
            statement = table.by_words(postgres_where(condition, values))
        return [document_of([*row]) for row in await self._fetch(statement, *values)]

    @override
    async def amissing(self, ids: Sequence[str]) -> list[str]:
        rows = await self._ask(
            "SELECT id FROM {table} WHERE id = ANY($1::text[])", [cleaned(each) for each in ids]
        )
        found = {row["id"] for row in rows}
        return [each for each in ids if cleaned(each) not in found]

    @override
    async def acount(
        self, *, content_id: str | None = None, name: str | None = None, filters: Filters = None
    ) -> int:
        values: list[object] = []
        where = postgres_where(filter_of(filters), values)
        for column, value in (("content_id", content_id), ("name", name)):
            if value is not None:
                values.append(cleaned(value))
                where += f" AND {column} = ${len(values)}::text"
        [row] = await self._ask(f"SELECT count(*) FROM {{table}} WHERE {where}", *values)
        return int(row[0])

    @override
    async def afilter_keys(self) -> list[str]:
        if self._keys is None or self._keys[0] < time.monotonic() - _KEYS_KEPT:
            rows = await self._ask("SELECT DISTINCT jsonb_object_keys(meta_data) FROM {table}")
            self._keys = time.monotonic(), sorted(row[0] for row in rows)
        return [*self._keys[1]]

    @override
    async def adelete_by_id(self, id: str) -> int:
        return await self._delete("id = $1::text", cleaned(id))

    @override
    async def adelete_by_name(self, name: str) -> int:
        return await self._delete("name = $1::text", cleaned(name))

    @override
    async def adelete_by_content_id(self, content_id: str, *, keep: Collection[str] = ()) -> int:
        return await self._delete(
            "content_id = $1::text AND id <> ALL($2::text[])",
            cleaned(content_id),
            [cleaned(each) for each in keep],
        )

    @override
    async def adelete_by_metadata(self, filters: Filters) -> int:
        condition = filter_of(filters)
        if condition is None:
            raise InvalidInputError("There are no filters: drop() deletes everything.")
        values: list[object] = []
        return await self._delete(postgres_where(condition, values), *values)

    @override
    async def aclose(self) -> None:
        await self._shared.aleave(self)

    async def _ask(self, statement: str, *values: object) -> "list[asyncpg.Record]":
        table = await self._table()
        return await self._fetch(statement.replace("{table}", table.quoted, 1), *values)

    async def _delete(self, where: str, *values: object) -> int:
        table = await self._table()
        [row] = await self._fetch(table.deletion(where), *values)
        self._keys = None
        return int(row[0])

    async def _fetch(self, statement: str, *values: object) -> "list[asyncpg.Record]":
        try:
            return await (await self._pool()).fetch(statement, *values)
        except DatabaseError as error:
            if sqlstate(error) in _OTHER_TABLE:  # The next use makes or checks it anew.
                self._made = None
            raise

    async def _pool(self) -> Pool:
        self._shared.join(self)
        return await self._shared.get()

    async def _table(self) -> Table:
        """Return the table, made where it is not there yet."""
        if self._made is None:
            self._made = await self._found()
        return self._made

    async def _found(self) -> Table:
        size = await self.embedder.aget_dimensions()
        if size > MOST:
            raise ConfigurationError(
                f"{self.embedder.id} makes embeddings of {size} numbers, and the index of "
                f"PostgreSQL's extension vector takes {MOST} at most: have it make fewer, as in "
                f"dimensions={MOST // 2}, if it can."
            )
        table = Table(self._schema, self._name, size, self._language)
        pool = await self._pool()
        found = await pool.size_of(self._schema, self._name)
        if found is None:
            await pool.make(table, self._index)
            found = await pool.size_of(self._schema, self._name)
        if found != size:
            raise wrong_size(repr(self), found or 0, self.embedder, size)
        return table


def _address(db_url: str | None, db: "PostgresDb | AsyncPostgresDb | None") -> Address:
    if (db_url is None) == (db is None):
        raise ConfigurationError(
            "PgVector needs to know where the database is: pass db_url='postgresql://…', or "
            "db=PostgresDb(…), and not both."
        )
    return parse_address(db_url) if db is None else db.connector().address


def _vector(embedding: Sequence[float]) -> str:
    return msgspec.json.encode(embedding).decode()
