"""Vector databases of both kinds, each with tables that no other test uses."""

from collections.abc import AsyncIterator

import pytest

from kern.local.postgres import EmbeddedPostgres
from kern.testing import WordsEmbedder
from kern.vectordb.base import VectorDb
from kern.vectordb.pgvector import PgVector


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


@pytest.fixture(params=["pgvector"])
def vectors(request: pytest.FixtureRequest) -> VectorDb:
    found: VectorDb = request.getfixturevalue(request.param)
    return found
