"""Knowledge bases over the vector databases that come with kern."""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.db.database import Database
from kern.db.sqlite import SqliteDb
from kern.dispatch.opening import open_runtime
from kern.knowledge import Chunking, Knowledge
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus
from kern.testing import WordsEmbedder
from kern.vectordb.base import VectorDb
from kern.vectordb.pgvector import PgVector
from kern.vectordb.sqlite import SqliteVec

WAIT = 20.0

DYING = """
from pathlib import Path
from tests.knowledge.test_on_databases import Logging, of, vector_db
folder = Path(os.environ["FOLDER"])
embedder = Logging(folder / "log", killed_at=int(os.environ["KILLED_AT"]))
plants = of(vector_db(os.environ["VECTORS"], embedder))
await plants.aload(path=folder, include=["*.md"], db=db, background=True, run_id="run")
await asyncio.Event().wait()
"""


class Logging(WordsEmbedder):
    """Writes down what it embeds, and may have its process killed before."""

    def __init__(self, log: Path, killed_at: int | None = None) -> None:
        super().__init__()
        self._log, self._killed_at = log, killed_at

    async def aembed(self, texts: Any) -> list[list[float]]:
        if len(self.calls) == self._killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._log.open("a") as log:
            log.writelines(f"{text}\n" for text in texts)
        return await super().aembed(texts)


def vector_db(where: str, embedder: WordsEmbedder) -> VectorDb:
    if where.startswith("postgresql"):
        url, table = where.split(" ")
        return PgVector(table, "vectors", url, embedder)
    return SqliteVec(where, embedder=embedder)


def of(vectors: VectorDb) -> Knowledge:
    return Knowledge("plants", vector_db=vectors, chunking=Chunking(40, 0), batch_size=2)


@pytest.fixture
def where(shared_db: Database, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The vector database that goes with each of kern's own."""
    if isinstance(shared_db, SqliteDb):
        return str(tmp_path / "vectors.db")
    postgres: EmbeddedPostgres = request.getfixturevalue("postgres")
    return f"{postgres.url}?sslmode=disable {request.getfixturevalue('table')}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plants"
    made.mkdir()
    for name in ("fern", "oak"):
        texts = [f"The {name} number{number} likes its own soil." for number in range(5)]
        (made / f"{name}.md").write_text("\n\n".join(texts))
    return made


async def test_documents_are_loaded_changed_found_and_removed(where: str, folder: Path) -> None:
    log = folder / "log"
    plants = of(vectors := vector_db(where, Logging(log)))
    loaded = await plants.ainsert(path=folder, include=["*.md"], metadata={"year": 2026})
    assert (loaded.contents, loaded.chunks, loaded.embedded) == (2, 10, 10)
    again = await plants.ainsert(path=folder, include=["*.md"], metadata={"year": 2026})
    assert again.embedded == 0
    oak = folder / "oak.md"
    oak.write_text(oak.read_text().replace("number3", "number7"))
    assert (await plants.ainsert(path=oak, metadata={"year": 2026})).embedded == 1
    assert len(log.read_text().splitlines()) == 11
    (found,) = await plants.asearch("fern number3", 1, {"year": 2026})
    assert found.content == "The fern number3 likes its own soil."
    assert (found.name, found.meta_data) == ("fern.md", {"year": 2026})
    assert await plants.asearch("fern number3", 1, {"year": 2025}) == []
    every = {each.content for each in await plants.asearch("oak number3", 10)}
    assert "The oak number7 likes its own soil." in every
    assert "The oak number3 likes its own soil." not in every
    assert await plants.aget_valid_filters() == ["year"]
    assert await plants.aremove_content_by_id(again.ids[0]) == 5
    assert await vectors.acount() == 5
    await plants.aremove_all_content()
    assert not await vectors.aexists()
    await vectors.aclose()


async def test_a_killed_load_goes_on_and_embeds_nothing_twice(
    shared_db: Database, elsewhere: Elsewhere, where: str, folder: Path
) -> None:
    dying = elsewhere(DYING, FOLDER=str(folder), VECTORS=where, KILLED_AT="3")
    assert await dying.ended() == -9
    log = folder / "log"
    assert len(log.read_text().splitlines()) in (5, 6)
    plants = of(vectors := vector_db(where, Logging(log)))
    loader = plants.loader(shared_db)
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(loader)
    run = await loader.await_run("run", timeout=WAIT)
    assert run is not None
    assert run.status is RunStatus.completed, run.error
    assert await vectors.acount() == 10
    # What was embedded and not kept yet as the process died is embedded again.
    counts = Counter(log.read_text().splitlines())
    assert len(counts) == 10
    assert sum(counts.values()) <= 10 + 6
    await vectors.aclose()
