"""How well and how fast documents are found, beside statements written by hand.

    python bench/retrieval.py postgresql://ai:ai@localhost:5532/ai --docs HTML/_sources
        [--chunks 100000] [--only recall,load,fill,times,agreement] [--json FILE]

What is searched: ``retrieval_corpus.py``; the model: ``retrieval_model.py``. Embeddings are kept in
``build/retrieval``. For the times, each chunk is there many times, its embedding moved a little
and numbered words put behind it, so that each is another one. Everything is in the schema
``kern_retrieval``, and stays there: ``--only times`` asks it again. ``retrieval_report.py`` writes
the figures into ``docs/explanation/retrieval.md``, and draws them.
"""

import argparse
import asyncio
import json
import pickle
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import asyncpg
import numpy as np
from retrieval_corpus import Chunk, Question, read

from kern.embedders.base import Embedder
from kern.filters import EQ
from kern.vectordb.base import VectorDb
from kern.vectordb.document import Document
from kern.vectordb.pgvector import PgVector
from kern.vectordb.sqlite import SqliteVec

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build/retrieval"
SCHEMA = "kern_retrieval"
KINDS = ("vector", "keyword", "hybrid")
SIZE = 384
BATCH, ROUNDS = 1000, 3


class Known(Embedder):
    """Knows the embeddings of the questions, so that times are those of the searches alone."""

    id, dimensions = "known", SIZE

    def __init__(self, known: dict[str, list[float]]) -> None:
        """Know these."""
        self._known = known

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return what is known."""
        return [self._known[text] for text in texts]


class Corpus(NamedTuple):
    """What is searched and asked, with the embeddings of both as rows."""

    chunks: list[Chunk]
    questions: list[Question]
    embeddings: "np.ndarray"
    asked: "np.ndarray"

    def embedder(self) -> Known:
        """Return what embeds the questions."""
        texts = [each.text for each in self.questions]
        return Known(dict(zip(texts, self.asked.tolist(), strict=True)))


def corpus(sources: Path) -> Corpus:
    """Return the corpus, embedded once and kept."""
    chunks, questions = read(sources)
    texts = [each.text for each in chunks]
    file = KEPT / f"{sha256(repr((texts, questions)).encode()).hexdigest()[:16]}.pickle"
    if not file.exists():
        from retrieval_model import MiniLM

        model = MiniLM()
        rows = model.matrix(texts), model.matrix([each.text for each in questions])
        KEPT.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(rows))
    embeddings, asked = pickle.loads(file.read_bytes())
    return Corpus(chunks, questions, embeddings, asked)


async def recall(url: str, given: Corpus) -> dict[str, dict[str, float]]:
    """Return how many questions have an answer among the first 1, 5 and 10, by ways of search."""
    documents = [
        Document(each.text, str(n), each.page, content_id=each.section, embedding=row)
        for n, (each, row) in enumerate(zip(given.chunks, given.embeddings.tolist(), strict=True))
    ]
    embedder = given.embedder()
    found: dict[str, dict[str, float]] = {}
    for name, made in (
        ("PgVector", lambda kind: PgVector("recall", SCHEMA, url, embedder, kind)),
        ("SqliteVec", lambda kind: SqliteVec(KEPT / "recall.db", "recall", embedder, kind)),
    ):
        for kind in KINDS:
            vectors: VectorDb = made(kind)
            if kind == KINDS[0]:
                await vectors.aupsert(documents)
                if isinstance(vectors, PgVector):
                    await analyze(url, "recall")

            async def ask(question: Question, vectors: VectorDb = vectors) -> list[str]:
                hits = await vectors.asearch(question.text, 10)
                return [each.content_id or "" for each in hits]

            found[f"{name}, {kind}"] = await shares(given, ask)
        await vectors.adrop()
        await vectors.aclose()
    sections = [each.section for each in given.chunks]

    async def exactly(question: Question) -> list[str]:
        [row] = await embedder.aembed([question.text])
        best = np.argsort(-(given.embeddings @ np.array(row)))[:10]
        return [sections[int(each)] for each in best]

    found["every embedding compared, by hand"] = await shares(given, exactly)
    return found


async def analyze(url: str, table: str) -> None:
    """Have PostgreSQL count what is in a table, as autovacuum does within a minute."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"VACUUM ANALYZE {SCHEMA}.{table}")
    await connection.close()


async def shares(
    given: Corpus, ask: Callable[[Question], Awaitable[list[str]]]
) -> dict[str, float]:
    """Return the shares of questions that are answered among the first of what is found."""
    answers = [(each, await ask(each)) for each in given.questions]
    return {
        str(count): sum(
            not set(question.sections).isdisjoint(sections[:count])
            for question, sections in answers
        )
        / len(answers)
        for count in (1, 5, 10)
    }


def many(given: Corpus, count: int) -> list[Document]:
    """Return so many documents, made of the chunks."""
    draw = np.random.default_rng(18)
    places = np.arange(count) % len(given.chunks)
    rows = given.embeddings[places] + draw.normal(0, 0.4 / SIZE**0.5, (count, SIZE))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    embeddings = rows.astype(np.float32).tolist()
    return [
        Document(
            f"{given.chunks[place].text} n{number} m{number % 997}",
            str(number),
            given.chunks[place].page,
            {"hundredth": number % 100 == 0, "number": number},
            given.chunks[place].section,
            embeddings[number],
        )
        for number, place in enumerate(map(int, places))
    ]


class ByHand:
    """Statements of pgvector's documentation, over the same driver, and nothing else."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Take a connection."""
        self.connection = connection

    async def create(self) -> None:
        """Make the table with its indexes."""
        await self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await self.connection.execute(
            f"CREATE TABLE {SCHEMA}.hand (id text PRIMARY KEY, content text, meta_data jsonb, "
            f"embedding vector({SIZE}), words tsvector "
            "GENERATED ALWAYS AS (to_tsvector('english', content)) STORED)"
        )
        for index in (
            "hnsw (embedding vector_cosine_ops)",
            "gin (words)",
            "gin (meta_data jsonb_path_ops)",
        ):
            await self.connection.execute(f"CREATE INDEX ON {SCHEMA}.hand USING {index}")

    async def upsert(self, documents: list[Document]) -> None:
        """Insert documents, a statement each, in one round trip."""
        await self.connection.executemany(
            f"INSERT INTO {SCHEMA}.hand VALUES ($1, $2, $3, $4::text::vector) "
            "ON CONFLICT (id) DO UPDATE SET content = excluded.content, "
            "meta_data = excluded.meta_data, embedding = excluded.embedding",
            [
                (each.id, each.content, json.dumps(each.meta_data), str(each.embedding))
                for each in documents
            ],
        )

    async def search(self, embedding: list[float], filtered: bool = False) -> list[Any]:
        """Return the five nearest."""
        where = "WHERE meta_data @> '{\"hundredth\": true}'" if filtered else ""
        return await self.connection.fetch(
            f"SELECT id, content, meta_data FROM {SCHEMA}.large {where} "
            "ORDER BY embedding <=> $1::text::vector LIMIT 5",
            str(embedding),
        )


async def fill(url: str, given: Corpus, count: int) -> None:
    """Keep the documents of the times."""
    documents, embedder = many(given, count), given.embedder()
    (KEPT / "large.db").unlink(missing_ok=True)
    for vectors in (
        PgVector("large", SCHEMA, url, embedder),
        SqliteVec(KEPT / "large.db", "large", embedder),
    ):
        await vectors.aupsert(documents)
        await vectors.aclose()
    await analyze(url, "large")


async def load(url: str, given: Corpus) -> dict[str, list[float]]:
    """Return how many documents a second are kept, in turns, in tables that are empty at first."""
    documents, embedder = many(given, ROUNDS * BATCH), given.embedder()
    connection = await asyncpg.connect(url)
    hand, vectors = ByHand(connection), PgVector("loaded", SCHEMA, url, embedder)
    await vectors.acreate()
    await hand.create()
    (KEPT / "loaded.db").unlink(missing_ok=True)
    writes: dict[str, Callable[..., Awaitable[None]]] = {
        "PgVector": vectors.aupsert,
        "pgvector by hand": hand.upsert,
        "SqliteVec": SqliteVec(KEPT / "loaded.db", "loaded", embedder).aupsert,
    }
    found: dict[str, list[float]] = {name: [] for name in writes}
    for start in range(0, len(documents), BATCH):
        for name, write in writes.items():
            began = time.perf_counter()
            await write(documents[start : start + BATCH])
            found[name].append(BATCH / (time.perf_counter() - began))
    await connection.close()
    return found


async def times(url: str, given: Corpus) -> dict[str, dict[str, float]]:
    """Return the median and the 95th percentile of searches, in milliseconds."""
    embedder = given.embedder()
    # As kern has it; else a filter leaves less than was asked for.
    settings = {"jit": "off", "hnsw.ef_search": "100", "hnsw.iterative_scan": "strict_order"}
    connection = await asyncpg.connect(url, server_settings=settings)
    hand, found = ByHand(connection), {}
    asks: dict[str, Callable[[Question], Awaitable[object]]] = {}
    for kind in KINDS:
        kern = PgVector("large", SCHEMA, url, embedder, kind)
        lite = SqliteVec(KEPT / "large.db", "large", embedder, kind)
        asks[f"PgVector, {kind}"] = lambda each, kern=kern: kern.asearch(each.text)
        asks[f"SqliteVec, {kind}"] = lambda each, lite=lite: lite.asearch(each.text)
        asks[f"PgVector, {kind}, one of a hundred by a filter"] = lambda each, kern=kern: (
            kern.asearch(each.text, 5, EQ("hundredth", True))
        )
    known = embedder._known
    asks["pgvector by hand, vector"] = lambda each: hand.search(known[each.text])
    asks["pgvector by hand, vector, one of a hundred by a filter"] = lambda each: hand.search(
        known[each.text], True
    )
    taken: dict[str, list[float]] = {name: [] for name in asks}
    for number, question in enumerate([*given.questions[:3], *given.questions[::8]]):
        for name, ask in asks.items():  # In turns: what else the machine does meets all of them.
            began = time.perf_counter()
            await ask(question)
            if number >= 3:  # Those before have warmed up.
                taken[name].append((time.perf_counter() - began) * 1000)
    for name, each in taken.items():
        found[name] = {"median": median(each), "p95": quantiles(each, n=20)[-1]}
        print(f"  {name}: {found[name]['median']:.2f} ms", flush=True)
    await connection.close()
    return found


async def agreement(url: str, given: Corpus, count: int) -> dict[str, float]:
    """Return how many of the five nearest of all a search by meaning finds, with the index."""
    documents = many(given, count)
    rows = np.array([each.embedding for each in documents], np.float32)
    vectors = PgVector("large", SCHEMA, url, given.embedder(), "vector")
    connection = await asyncpg.connect(url)
    hand, total = ByHand(connection), {"PgVector": 0, "pgvector by hand": 0}
    for question, row in zip(given.questions, given.asked, strict=True):
        nearest = {str(int(each)) for each in np.argpartition(-(rows @ row), 5)[:5]}
        ours = {each.id for each in await vectors.asearch(question.text)}
        theirs = {each["id"] for each in await hand.search(row.tolist())}
        total["PgVector"] += len(nearest & ours)
        total["pgvector by hand"] += len(nearest & theirs)
    await connection.close()
    return {name: each / 5 / len(given.questions) for name, each in total.items()}


async def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--docs", type=Path, required=True)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--only", default="recall,load,fill,times,agreement")
    parser.add_argument("--json", type=Path, default=KEPT / "retrieval.json")
    options = parser.parse_args()
    given = corpus(options.docs)
    print(f"{len(given.chunks)} chunks, {len(given.questions)} questions")
    parts = options.only.split(",")
    found: dict[str, Any] = json.loads(options.json.read_text()) if options.json.exists() else {}
    found |= {"chunks": len(given.chunks), "questions": len(given.questions)}
    connection = await asyncpg.connect(options.url)
    if "recall" in parts:
        found["recall"] = await recall(options.url, given)
    if "load" in parts:
        await connection.execute(f"DROP TABLE IF EXISTS {SCHEMA}.loaded, {SCHEMA}.hand")
        found["load"] = await load(options.url, given)
        options.json.write_text(json.dumps(found, indent=1))
    if "fill" in parts:
        await connection.execute(f"DROP TABLE IF EXISTS {SCHEMA}.large")
        await fill(options.url, given, options.chunks)
    if "times" in parts:
        found["large"] = options.chunks
        found["times"] = await times(options.url, given)
        options.json.write_text(json.dumps(found, indent=1))
    if "agreement" in parts:
        found["agreement"] = await agreement(options.url, given, options.chunks)
    await connection.close()
    options.json.write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
