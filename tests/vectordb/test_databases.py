"""What every vector database promises, over each of them."""

import random
from collections.abc import Callable, Sequence
from string import ascii_letters
from typing import Any

import numpy
import pytest

from kern.embedders.base import Embedder
from kern.errors import ConfigurationError, InvalidInputError
from kern.filters import EQ, GT, NOT
from kern.testing import WordsEmbedder
from kern.vectordb.base import VectorDb
from kern.vectordb.document import Document
from kern.vectordb.pgvector import PgVector
from kern.vectordb.sqlite import SqliteVec

PUMPS = Document("Heat pumps move heat into a house.", name="pumps.md", content_id="pumps")
CELLS = Document("Solar cells turn light into current.", name="cells.md", content_id="cells")
WIND = Document("Wind turbines turn wind into current.", name="wind.md", content_id="wind")


def documents() -> list[Document]:
    """Return three documents, with what is known of them."""
    return [
        Document(PUMPS.content, name="pumps.md", content_id="pumps", meta_data={"year": 2024}),
        Document(CELLS.content, name="cells.md", content_id="sun", meta_data={"year": 2025}),
        Document(
            WIND.content,
            id="wind-1",
            name="wind.md",
            content_id="wind",
            meta_data={"year": 2026, "tags": ["a"], "deep": {"a": None}},
            size=37,
            usage={"total_tokens": 7},
        ),
    ]


async def test_what_is_kept_is_found_as_it_was(vectors: VectorDb) -> None:
    given = documents()
    await vectors.aupsert(given)
    [found] = await vectors.asearch("wind turbines", 1)
    assert found.score is not None
    found.score = None
    expected = documents()[2]
    assert found == expected
    assert given[2].embedding is not None  # and what was embedded is not embedded again


async def test_words_that_ask_find_what_answers(vectors: VectorDb) -> None:
    await vectors.aupsert(documents())
    found = await vectors.asearch("What are the heat pumps of a house?", 3)
    assert found[0].name == "pumps.md"
    scores = [each.score or 0.0 for each in found]
    assert scores == sorted(scores, reverse=True)


async def test_what_is_kept_twice_is_there_once(vectors: VectorDb, embedder: WordsEmbedder) -> None:
    given = documents()
    await vectors.aupsert(given)
    calls = len(embedder.calls)
    await vectors.aupsert(given)
    assert len(embedder.calls) == calls
    await vectors.aupsert([Document("Wind.", id="wind-1"), Document("Wind, again.", id="wind-1")])
    assert await vectors.acount() == 3
    [found] = await vectors.asearch("wind", 1)
    assert found.content == "Wind, again."
    assert (found.name, found.meta_data, found.size, found.usage) == (None, {}, None, None)
    assert "turbines" not in str(await vectors.asearch("turbines", 3))


async def test_nothing_is_kept_of_nothing(vectors: VectorDb) -> None:
    await vectors.aupsert([])
    assert await vectors.acount() == 0
    assert await vectors.asearch("anything") == []


async def test_filters_narrow_a_search(vectors: VectorDb) -> None:
    await vectors.aupsert(documents())
    found = await vectors.asearch("heat light wind", 3, {"year": [2025, 2026]})
    assert {each.name for each in found} == {"cells.md", "wind.md"}
    found = await vectors.asearch("heat light wind", 3, [GT("year", 2024), NOT(EQ("year", 2026))])
    assert [each.name for each in found] == ["cells.md"]
    assert await vectors.asearch("heat light wind", 3, {"year": 1999}) == []


async def test_documents_are_counted_and_named(vectors: VectorDb) -> None:
    await vectors.aupsert(documents())
    assert await vectors.acount() == 3
    assert await vectors.acount(name="cells.md") == 1
    assert await vectors.acount(content_id="wind", filters={"year": 2026}) == 1
    assert await vectors.acount(content_id="wind", filters={"year": 2025}) == 0
    assert await vectors.afilter_keys() == ["deep", "tags", "year"]
    first = documents()[0].chunk_id
    assert await vectors.amissing(["no", "wind-1", first, "none"]) == ["no", "none"]
    assert await vectors.amissing([]) == []


async def test_documents_are_deleted(vectors: VectorDb) -> None:
    given = documents()
    await vectors.aupsert(given)
    assert await vectors.adelete_by_id("wind-1") == 1
    assert await vectors.adelete_by_id("wind-1") == 0
    assert await vectors.adelete_by_name("cells.md") == 1
    assert await vectors.acount() == 1
    assert await vectors.afilter_keys() == ["year"]
    assert "Wind" not in str(await vectors.asearch("wind turbines solar cells"))
    assert await vectors.adelete_by_metadata(GT("year", 2000)) == 1
    assert await vectors.acount() == 0
    with pytest.raises(InvalidInputError, match="drop"):
        await vectors.adelete_by_metadata({})


async def test_a_content_loaded_anew_loses_the_rest(vectors: VectorDb) -> None:
    chunks = [Document(f"Part {n} of it.", id=f"c-{n}", content_id="c") for n in range(4)]
    await vectors.aupsert([*chunks, Document("Another.", content_id="d")])
    assert await vectors.adelete_by_content_id("c", keep=["c-1", "c-3", "x"]) == 2
    assert await vectors.amissing([each.chunk_id for each in chunks]) == ["c-0", "c-2"]
    assert await vectors.adelete_by_content_id("c") == 2
    assert await vectors.acount() == 1


async def test_there_is_nothing_after_a_drop(vectors: VectorDb) -> None:
    assert not await vectors.aexists()
    await vectors.acreate()
    await vectors.acreate()
    assert await vectors.aexists()
    await vectors.aupsert(documents())
    await vectors.adrop()
    await vectors.adrop()
    assert not await vectors.aexists()
    await vectors.aupsert(documents()[:1])
    assert await vectors.acount() == 1


HOSTILE = [
    "'; DROP TABLE x; --",
    '" OR 1=1',
    "heat & pumps | !house <-> :*",
    "back\\slash 'quote'",
    'NEAR(heat) AND (pumps OR) NOT ^"',
    "*",
    "",
    "\0 \ud800 é 😀",
    "$1 {table} %s ?",
    "url http://example.com/a&b?c=d|e mail@example.com -x +y",
    "x" * 20_000,
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_text_is_a_part_of_a_statement(vectors: VectorDb, text: str) -> None:
    hostile = Document(
        f"{text} here", id=f"id {text[:99]}", name=text, content_id=text, meta_data={text: text}
    )
    await vectors.aupsert([*documents(), hostile])
    assert await vectors.acount() == 4
    await vectors.asearch(text)
    assert (
        hostile.chunk_id in [each.id for each in await vectors.asearch("here", 4)] or "\0" in text
    )
    if text:
        assert await vectors.acount(filters={text: text}) == 1
        assert await vectors.acount(filters=EQ(text, "another")) == 0
        assert await vectors.acount(filters=GT(text, "")) == 1
        found = await vectors.asearch("here", filters={text: text})
        assert len(found) == 1
    assert await vectors.acount(name=text) == 1
    assert await vectors.adelete_by_content_id(text) == 1


@pytest.mark.parametrize("limit", [0, -1, 1001, True, 2.5, "5", None])
async def test_a_limit_that_cannot_be_is_refused(vectors: VectorDb, limit: Any) -> None:
    with pytest.raises(InvalidInputError, match="limit"):
        await vectors.asearch("wind", limit)


async def test_what_has_no_json_form_is_refused(vectors: VectorDb) -> None:
    with pytest.raises(InvalidInputError, match="known of 'x'"):
        await vectors.aupsert([Document("a", id="x", meta_data={"now": object()})])
    assert await vectors.acount() == 0


async def test_names_may_be_long_and_ids_are_refused_that_are(vectors: VectorDb) -> None:
    long = "".join(random.Random(1).choices(ascii_letters, k=9_000))  # which no index compresses
    given = Document("a", name=long, content_id=long, meta_data={long: long})
    await vectors.aupsert([given])
    assert await vectors.acount(name=long, content_id=long, filters={long: long}) == 1
    with pytest.raises(InvalidInputError, match="more than 2,000 bytes"):
        await vectors.aupsert([Document("a", id=long)])


async def test_what_is_nested_too_deep_is_refused(vectors: VectorDb) -> None:
    deep: object = 1
    for _ in range(2_000):
        deep = [deep]
    with pytest.raises(InvalidInputError, match="nested too deep"):
        await vectors.aupsert([Document("a", meta_data={"a": deep})])


class Made(Embedder):
    """Answers with anything."""

    id, dimensions = "made", 2

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self.answer = answer

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        answer: list[list[float]] = self.answer(len(texts))
        return answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda n: [[1.0, 0.0]] * (n - 1), "made [01] embeddings of [12] texts"),
        (lambda n: [[1.0, 0.0]] * (n + 1), "made [23] embeddings of [12] texts"),
        (lambda n: None, "made no embeddings"),
        (lambda n: [None] * n, "no list of numbers"),
        (lambda n: [["a", "b"]] * n, "no list of numbers"),
        (lambda n: ["ab"] * n, "no list of numbers"),
        (lambda n: [[1e39, 1.0]] * n, "not of finite numbers"),
        (lambda n: [[1.0, float("nan")]] * n, "not of finite numbers"),
        (lambda n: [[1.0]] * n, "for embeddings of 2 numbers, and made makes 1"),
    ],
    ids=range(9),
)
async def test_what_is_no_embedding_is_refused_by_name(
    vectors: PgVector | SqliteVec, answer: Callable[[int], Any], told: str
) -> None:
    vectors.embedder = Made(answer)
    for call in (vectors.aupsert([Document("a"), Document("b")]), vectors.asearch("a")):
        with pytest.raises(ConfigurationError, match=told):
            await call
    assert await vectors.acount() == 0


async def test_embeddings_of_numpy_are_embeddings(vectors: PgVector | SqliteVec) -> None:
    vectors.embedder = Made(lambda n: numpy.eye(n, 2, dtype="float32"))
    await vectors.aupsert(
        [Document("a"), Document("b"), Document("c", embedding=numpy.ones(2))]  # type: ignore[arg-type] # as many have it
    )
    assert [each.content for each in await vectors.asearch("a")] == ["a", "c", "b"]


@pytest.mark.parametrize("query", [None, 7, b"a"])
async def test_a_query_that_is_no_text_is_refused(vectors: VectorDb, query: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be a text"):
        await vectors.asearch(query)


def test_it_serves_code_without_a_loop(vectors: VectorDb) -> None:
    vectors.create()
    vectors.upsert(documents())
    assert [each.name for each in vectors.search("solar cells", 1)] == ["cells.md"]
    assert vectors.count() == 3
    vectors.drop()
    vectors.close()
