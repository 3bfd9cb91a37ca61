"""Vector databases of both kinds, each with tables that no other test uses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kern.local.postgres import EmbeddedPostgres
from kern.testing import WordsEmbedder
from kern.vectordb.base import VectorDb
from kern.vectordb.pgvector import PgVector
from kern.vectordb.sqlite import SqliteVec


@pytest.fixture
def embedder() -> WordsEmbedder:
    return WordsEmbedder()


@pytest.fixture
async def pgvector(
    postgres: EmbeddedPostgres, table: str, embedder: WordsEmbedder
) -> AsyncIterator[PgVector]:
    vectors = PgVector(table, "vectors", postgres.url, embedder)
    yield vectors
    await vectors.adrop()
    await vectors.aclose()


@pytest.fixture
async def sqlite_vec(tmp_path: Path, embedder: WordsEmbedder) -> AsyncIterator[SqliteVec]:
    vectors = SqliteVec(tmp_path / "made/vectors.db", "docs", embedder)
    yield vectors
    await vectors.aclose()


@pytest.fixture(params=["pgvector", "sqlite_vec"])
def vectors(request: pytest.FixtureRequest) -> VectorDb:
    found: VectorDb = request.getfixturevalue(request.param)
    return found
