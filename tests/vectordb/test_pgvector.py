"""What holds of PostgreSQL alone: its table, its indexes, and what is said where they lack."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from kern.db.postgres import PostgresDb
from kern.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError
from kern.filters import EQ, GT
from kern.local.postgres import EmbeddedPostgres
from kern.testing import WordsEmbedder
from kern.vectordb import postgres_pool
from kern.vectordb.document import Document
from kern.vectordb.pgvector import HNSW, PgVector


def numbered(number: int, draw: random.Random) -> Document:
    """Return a document with a random embedding."""
    embedding = [draw.gauss(0, 1) for _ in range(64)]
    meta_data: dict[str, object] = {"tenth": number % 10 == 0, "n": number}
    return Document(
        f"word{number % 50} text", str(number), meta_data=meta_data, embedding=embedding
    )


async def explained(url: str, statement: str, *values: object) -> str:
    """Return the plan of a statement, made for these values."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET enable_seqscan = off")  # As a large table has it.
        rows = await connection.fetch(f"EXPLAIN {statement}", *values)
        return "\n".join(row[0] for row in rows)
    finally:
        await connection.close()


async def test_searches_are_served_by_indexes(
    pgvector: PgVector, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(7)
    await pgvector.aupsert([numbered(n, draw) for n in range(300)])
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f'ANALYZE "vectors"."{pgvector._name}"')
    await connection.close()
    pool = await pgvector._pool()
    plans: list[str] = []
    fetch = pool.fetch

    async def explain(statement: str, *values: object) -> Any:
        plans.append(await explained(postgres.url, statement, *values))
        return await fetch(statement, *values)

    with monkeypatch.context() as watched:
        watched.setattr(pool, "fetch", explain)
        await pgvector.asearch("word7")
        await pgvector.acount(filters=EQ("n", 7))
        await pgvector.acount(content_id="c")
        await pgvector.adelete_by_name("n")
    assert "_embedding_idx" in plans[0]
    assert "_words_idx" in plans[0]
    assert "_meta_data_idx" in plans[1]
    assert "_content_id_idx" in plans[2]
    assert "_name_idx" in plans[3]


async def test_a_filter_leaves_as_many_as_were_asked_for(
    postgres: EmbeddedPostgres, table: str, embedder: WordsEmbedder
) -> None:
    vectors = PgVector(
        table, "vectors", postgres.url, embedder, "vector", vector_index=HNSW(ef_search=10)
    )
    draw = random.Random(3)
    await vectors.aupsert([numbered(n, draw) for n in range(300)])
    found = await vectors.asearch("anything", 25, {"tenth": True})
    assert len(found) == 25
    assert all(each.meta_data["tenth"] for each in found)
    # Rows that are gone stay in the index until a vacuum.
    await vectors.aupsert([numbered(n, draw) for n in range(300)])
    assert len(await vectors.asearch("anything", 60)) == 60
    await vectors.adrop()
    await vectors.aclose()


@pytest.mark.parametrize("kind", ["vector", "hybrid"])
async def test_a_filter_finds_what_the_index_gives_up_to_look_for(
    postgres: EmbeddedPostgres,
    table: str,
    embedder: WordsEmbedder,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settings(self: object, scope: str) -> str:  # As among a million documents.
        return f"SET {scope} hnsw.max_scan_tuples = 1; SET {scope} enable_seqscan = off"

    monkeypatch.setattr(postgres_pool._Connector, "settings", settings)
    vectors = PgVector(table, "vectors", postgres.url, embedder, kind, pool_size=1, heartbeat=14)
    draw = random.Random(3)
    await vectors.aupsert([numbered(n, draw) for n in range(300)])
    found = await vectors.asearch("anything", 20, GT("n", 269))
    assert len(found) == 20
    assert {each.meta_data["n"] for each in found} <= {*range(270, 300)}
    assert len(await vectors.asearch("anything", 50, GT("n", 269))) == 30
    await vectors.adrop()
    await vectors.aclose()


async def test_what_is_the_same_is_not_written(
    pgvector: PgVector, postgres: EmbeddedPostgres
) -> None:
    given = [Document("One.", "1", meta_data={"a": 1}), Document("Two.", "2")]
    await pgvector.aupsert(given)
    connection = await asyncpg.connect(postgres.url)
    versions = f'SELECT xmin::text FROM "vectors"."{pgvector._name}" ORDER BY id'
    before = await connection.fetch(versions)
    given[1].name = "second"
    await pgvector.aupsert(given)
    after = await connection.fetch(versions)
    await connection.close()
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


async def test_places_in_both_lists_add_up(
    postgres: EmbeddedPostgres, table: str, embedder: WordsEmbedder
) -> None:
    there: dict[str, Any] = {"schema": "vectors", "db_url": postgres.url, "embedder": embedder}
    by = {kind: PgVector(table, search_type=kind, **there) for kind in ("vector", "keyword")}
    draw = random.Random(5)
    await by["vector"].aupsert([numbered(n, draw) for n in range(40)])
    lists = {
        kind: [each.id for each in await vectors.asearch("word7 word9", 40)]
        for kind, vectors in by.items()
    }
    assert len(lists["keyword"]) == 2
    both = PgVector(table, vector_score_weight=0.25, **there)
    expected = {
        id: 0.25 / (11 + place)
        + (0.75 / (11 + lists["keyword"].index(id)) if id in lists["keyword"] else 0)
        for place, id in enumerate(lists["vector"])
    }
    found = await both.asearch("word7 word9", 40)
    assert {each.id: each.score for each in found} == pytest.approx(expected)
    assert [each.id for each in found] == sorted(expected, key=lambda id: -expected[id])
    await both.adrop()


async def test_embeddings_of_another_size_are_refused_by_name(
    pgvector: PgVector, postgres: EmbeddedPostgres
) -> None:
    await pgvector.aupsert([Document("One.")])
    other = PgVector(pgvector._name, "vectors", postgres.url, WordsEmbedder(32))
    for call in (other.acreate(), other.aupsert([Document("Two.")]), other.asearch("two")):
        with pytest.raises(ConfigurationError, match="64 numbers, and words-32 makes 32") as told:
            await call
        assert pgvector._name in str(told.value)
        assert "drop()" in str(told.value)
    with pytest.raises(ConfigurationError, match="64 numbers, and words-64 makes 3"):
        await pgvector.aupsert([Document("Three.", embedding=[1.0, 2.0, 3.0])])
    with pytest.raises(ConfigurationError, match="not of finite numbers"):
        await pgvector.aupsert([Document("Four.", embedding=[float("nan")] * 64)])


@pytest.mark.parametrize("size", [2001, 4000])
async def test_large_embeddings_have_an_index_too(
    postgres: EmbeddedPostgres, table: str, size: int
) -> None:
    vectors = PgVector(table, "vectors", postgres.url, WordsEmbedder(size))
    await vectors.aupsert([Document("heat pumps"), Document("solar cells")])
    assert [each.content for each in await vectors.asearch("heat", 1)] == ["heat pumps"]
    await vectors.adrop()
    await vectors.aclose()


async def test_embeddings_that_no_index_takes_are_refused(
    postgres: EmbeddedPostgres, table: str
) -> None:
    vectors = PgVector(table, "vectors", postgres.url, WordsEmbedder(4001))
    with pytest.raises(ConfigurationError, match=r"4000 at most.*dimensions="):
        await vectors.acreate()


@pytest.mark.parametrize(
    "columns",
    [
        "id text",
        "id text, embedding vector",
        # As other libraries have it.
        "id text, content_id text, name text, meta_data jsonb, content text, usage jsonb, "
        "embedding vector(64)",
    ],
    ids=["other", "no size", "nearly"],
)
async def test_another_table_is_left_alone(
    postgres: EmbeddedPostgres, table: str, columns: str
) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f'CREATE TABLE public."{table}" ({columns})')
    vectors = PgVector(table, "public", postgres.url, WordsEmbedder())
    for call in (vectors.acreate(), vectors.aupsert([Document("One.")]), vectors.asearch("one")):
        with pytest.raises(ConfigurationError, match="is there, and is no table of documents"):
            await call
    await connection.execute(f'DROP TABLE public."{table}"')
    await connection.close()


async def test_a_table_made_anew_for_another_embedder_is_told_by_name(
    pgvector: PgVector, postgres: EmbeddedPostgres
) -> None:
    await pgvector.aupsert([Document("One.")])
    other = PgVector(pgvector._name, "vectors", postgres.url, WordsEmbedder(32))
    await other.adrop()
    await other.aupsert([Document("Two.")])
    with pytest.raises(DatabaseError, match="dimensions"):
        await pgvector.asearch("one")
    with pytest.raises(ConfigurationError, match="32 numbers, and words-64 makes 64"):
        await pgvector.asearch("one")


async def test_processes_that_begin_together_make_one_table(
    postgres: EmbeddedPostgres, table: str
) -> None:
    several = [
        PgVector(table, "vectors", postgres.url, WordsEmbedder(), pool_size=size)
        for size in range(1, 6)
    ]
    documents = [Document(f"Text {n}.", str(n)) for n in range(150)]
    await asyncio.gather(
        *(each.aupsert(random.Random(n).sample(documents, 150)) for n, each in enumerate(several))
    )
    assert await several[0].acount() == 150
    await several[0].adrop()


async def test_a_table_that_another_has_dropped_is_made_again(
    pgvector: PgVector, postgres: EmbeddedPostgres
) -> None:
    await pgvector.aupsert([Document("One.")])
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f'DROP TABLE "vectors"."{pgvector._name}"')
    await connection.close()
    with pytest.raises(DatabaseError, match="does not exist"):
        await pgvector.asearch("one")
    assert await pgvector.asearch("one") == []


async def test_it_takes_the_address_of_a_database(
    postgres: EmbeddedPostgres, table: str, embedder: WordsEmbedder
) -> None:
    vectors = PgVector(table, "vectors", db=PostgresDb(postgres.url), embedder=embedder)
    await vectors.aupsert([Document("One.")])
    assert await vectors.acount() == 1
    await vectors.adrop()
    await vectors.aclose()


async def test_a_pooler_gets_what_it_can_carry(
    pgvector: PgVector, postgres: EmbeddedPostgres
) -> None:
    await pgvector.aupsert([Document("heat pumps"), Document("solar cells")])
    pooled = PgVector(
        pgvector._name, "vectors", f"{postgres.url}?pgbouncer=true", pgvector.embedder
    )
    assert [each.content for each in await pooled.asearch("heat", 1)] == ["heat pumps"]
    await pooled.aclose()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"table_name": 'x"; DROP TABLE y; --'}, "table_name"),
        ({"schema": "a.b"}, "schema"),
        ({"content_language": "english'::regconfig"}, "content_language"),
        ({"search_type": "fuzzy"}, "'vector', 'keyword' or 'hybrid'"),
        ({"vector_score_weight": 2}, "from 0 to 1"),
        ({"pool_size": 0}, "pool_size"),
        ({"db_url": "mysql://x"}, "db_url"),
        ({"db_url": None}, "pass db_url"),
    ],
)
def test_what_cannot_be_is_refused_at_once(given: dict[str, Any], told: str) -> None:
    right: dict[str, Any] = {"table_name": "t", "db_url": "postgresql://ai@localhost/ai"}
    with pytest.raises(ConfigurationError, match=told):
        PgVector(**{**right, "embedder": WordsEmbedder(), **given})


@pytest.mark.parametrize("given", [{"m": 1}, {"m": 101}, {"ef_construction": 31}, {"ef_search": 0}])
def test_an_index_that_cannot_be_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        HNSW(**given)


async def test_no_error_shows_the_password(table: str) -> None:
    vectors = PgVector(
        table, db_url="postgresql://ai:hush@127.0.0.1:9/ai", embedder=WordsEmbedder()
    )
    with pytest.raises(DatabaseUnavailableError, match="cannot be reached") as told:
        await vectors.acount()
    assert "hush" not in f"{told.value!r} {told.value} {vectors!r}"


async def test_what_the_server_lacks_is_explained(
    postgres: EmbeddedPostgres, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = PgVector(table, "vectors", postgres.url, WordsEmbedder())
    with monkeypatch.context() as older:
        older.setattr(postgres_pool, "EXTENSION", "vectorr")
        with pytest.raises(ConfigurationError, match="not have the extension vectorr: install"):
            await vectors.acreate()
    with monkeypatch.context() as older:
        older.setattr(postgres_pool, "LEAST_VERSION", (99, 0))
        with pytest.raises(ConfigurationError, match="ALTER EXTENSION vector UPDATE"):
            await vectors.acreate()
    assert await vectors.asearch("x") == []
    await vectors.adrop()
    await vectors.aclose()


async def test_who_may_not_make_the_extension_is_told_who_may(
    postgres: EmbeddedPostgres, table: str
) -> None:
    user = await asyncpg.connect(postgres.url)
    await user.execute(f'CREATE DATABASE "{table}"')
    admin = await asyncpg.connect(postgres.superuser_url, database=table)
    await admin.execute("DROP EXTENSION IF EXISTS vector")
    url = f"{postgres.url.rpartition('/')[0]}/{table}"
    vectors = PgVector(table, db_url=url, embedder=WordsEmbedder())
    with pytest.raises(ConfigurationError, match="have an administrator say CREATE EXTENSION"):
        await vectors.acreate()
    await admin.execute("CREATE SCHEMA apart; CREATE EXTENSION vector SCHEMA apart")
    with pytest.raises(ConfigurationError, match=r"the schema apart.*SET search_path"):
        await vectors.acreate()
    await admin.execute("ALTER EXTENSION vector SET SCHEMA public")
    await admin.execute(f'ALTER DATABASE "{table}" OWNER TO CURRENT_USER')
    with pytest.raises(ConfigurationError, match=r'may not make "ai".*GRANT CREATE'):
        await vectors.acreate()
    await admin.execute(f'ALTER DATABASE "{table}" OWNER TO "{postgres.user}"')
    await vectors.aupsert([Document("One.")])
    await vectors.aclose()
    await admin.close()
    await user.execute(f'DROP DATABASE "{table}"')
    await user.close()
