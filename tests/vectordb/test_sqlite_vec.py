"""What holds of SQLite alone: its file, its thread, and who else must not use it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from kern.db.sqlite import SqliteDb
from kern.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError
from kern.testing import WordsEmbedder
from kern.vectordb.document import Document
from kern.vectordb.sqlite import SqliteVec


async def test_what_is_kept_outlives_the_object(tmp_path: Path) -> None:
    file = tmp_path / "vectors.db"
    first = SqliteVec(file, embedder=WordsEmbedder())
    await first.aupsert([Document("heat pumps"), Document("solar cells")])
    await first.aclose()
    await first.aclose()
    second = SqliteVec(file, embedder=WordsEmbedder())
    assert [each.content for each in await second.asearch("heat", 1)] == ["heat pumps"]
    assert await first.acount() == 2  # It opens the file again.


async def test_two_tables_of_a_file_are_apart(tmp_path: Path) -> None:
    one, two = (SqliteVec(tmp_path / "v.db", name, WordsEmbedder()) for name in ("one", "two"))
    await asyncio.gather(
        *(
            each.aupsert([Document(f"Text {number}.", str(number)) for number in range(220)])
            for each in (one, two)
        )
    )
    await one.adrop()
    assert [await each.acount() for each in (one, two)] == [0, 220]


async def test_a_file_of_runs_is_refused(tmp_path: Path) -> None:
    db = SqliteDb(tmp_path / "kern.db")
    db.get_sessions()
    vectors = SqliteVec(tmp_path / "kern.db", embedder=WordsEmbedder())
    with pytest.raises(ConfigurationError, match="a file of its own"):
        await vectors.acreate()
    db.close()
    with pytest.raises(ConfigurationError, match="holds runs"):
        await vectors.acreate()


def test_runs_do_not_go_into_a_file_of_vectors(tmp_path: Path) -> None:
    vectors = SqliteVec(tmp_path / "vectors.db", embedder=WordsEmbedder())
    vectors.create()
    (tmp_path / "link.db").symlink_to(tmp_path / "vectors.db")
    for name in ("vectors.db", "link.db"):
        with pytest.raises(ConfigurationError, match="a file of its own"):
            SqliteDb(tmp_path / name).get_sessions()
    vectors.close()


async def test_embeddings_of_another_size_are_refused_by_name(tmp_path: Path) -> None:
    vectors = SqliteVec(tmp_path / "v.db", embedder=WordsEmbedder())
    await vectors.aupsert([Document("One.")])
    other = SqliteVec(tmp_path / "v.db", embedder=WordsEmbedder(32))
    for call in (other.acreate(), other.aupsert([Document("Two.")]), other.asearch("two")):
        with pytest.raises(ConfigurationError, match="64 numbers, and words-32 makes 32"):
            await call
    await other.adrop()
    await other.aupsert([Document("Two.")])
    with pytest.raises(ConfigurationError, match="32 numbers, and words-64 makes 64"):
        await vectors.aupsert([Document("Three.")])
    assert len(await other.asearch("two")) == 1


async def test_a_batch_is_kept_as_a_whole_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = SqliteVec(tmp_path / "v.db", embedder=WordsEmbedder())
    await vectors.aupsert([Document("Zero.", "0")])
    with monkeypatch.context() as broken:
        broken.setattr(type(vectors._table), "read", "INSERT INTO nowhere VALUES (?1, ?2)")
        with pytest.raises(DatabaseError, match="nowhere"):
            await vectors.aupsert([Document("One.", "1"), Document("Two.", "2")])
    assert await vectors.acount() == 1
    await vectors.aupsert([Document("One.", "1"), Document("Two.", "2")])
    assert await vectors.acount() == 3


async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x" * 5000)
    with pytest.raises(DatabaseError, match="plain"):
        await SqliteVec(tmp_path / "plain", embedder=WordsEmbedder()).acount()
    with pytest.raises(DatabaseUnavailableError, match="plain"):
        await SqliteVec(tmp_path / "plain/v.db", embedder=WordsEmbedder()).acount()


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_forked_child_goes_on_with_a_connection_of_its_own(tmp_path: Path) -> None:
    vectors = SqliteVec(tmp_path / "v.db", embedder=WordsEmbedder())
    vectors.upsert([Document("heat pumps")])
    child = os.fork()
    if not child:
        try:
            vectors.upsert([Document("solar cells")])
            os._exit(vectors.count())
        except BaseException:
            os._exit(99)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2
    assert vectors.count() == 2


@pytest.mark.parametrize(
    "given", [{"db_file": ""}, {"db_file": 7}, {"db_file": "sqlite:///v.db"}, {"table_name": "a b"}]
)
def test_what_cannot_be_is_refused_at_once(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        SqliteVec(**{"embedder": WordsEmbedder(), **given})
