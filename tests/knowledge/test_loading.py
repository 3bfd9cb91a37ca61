"""What becomes of files and texts in a knowledge base."""

import asyncio
import logging
import os
import tempfile
from pathlib import Path

import pytest
from words_db import WordsDb

from kern.db.database import Database
from kern.db.sqlite import SqliteDb
from kern.errors import ConfigurationError, ContentError, DatabaseError, InvalidInputError
from kern.filters import EQ
from kern.knowledge import Chunking, ContentStatus, Knowledge, TextReader

FERNS = "Ferns like shade.\n\nOaks like light.\n\nMoss likes rain."


@pytest.fixture
def words() -> WordsDb:
    return WordsDb()


@pytest.fixture
def plants(words: WordsDb) -> Knowledge:
    return Knowledge("plants", vector_db=words, chunking=Chunking(20, 0), batch_size=2)


async def test_a_text_is_found_with_what_is_known_of_it(plants: Knowledge) -> None:
    loaded = await plants.ainsert(text_content=FERNS, name="ferns", metadata={"year": 2026})
    assert (loaded.contents, loaded.chunks, loaded.embedded) == (1, 3, 3)
    (found,) = await plants.asearch("oaks")
    assert found.content == "Oaks like light."
    assert (found.name, found.meta_data) == ("ferns", {"year": 2026})
    assert found.content_id == loaded.ids[0]
    assert len(await plants.asearch("like likes", max_results=2)) == 2
    assert await plants.asearch("oaks", filters={"year": 2025}) == []
    assert await plants.asearch("oaks", filters=[EQ("year", 2026)])
    assert await plants.aget_valid_filters() == ["year"]


def test_code_without_an_event_loop_has_the_same(plants: Knowledge, tmp_path: Path) -> None:
    (tmp_path / "ferns.md").write_text(FERNS)
    assert plants.insert(path=tmp_path / "ferns.md").chunks == 3
    assert plants.search("moss")[0].name == "ferns.md"
    assert plants.add_content(path=tmp_path / "ferns.md").embedded == 0
    plants.remove_all_content()
    assert plants.search("moss") == []


async def test_what_is_loaded_again_takes_its_own_place(
    plants: Knowledge, words: WordsDb, tmp_path: Path
) -> None:
    file = tmp_path / "ferns.md"
    file.write_text(FERNS)
    await plants.ainsert(path=file)
    again = await plants.ainsert(path=file)
    assert (again.chunks, again.embedded) == (3, 0)
    file.write_text(FERNS.replace("Oaks like light.", "Oaks like sun."))
    changed = await plants.ainsert(path=str(file))
    assert (changed.chunks, changed.embedded) == (3, 1)
    assert words.embedded[-1] == "Oaks like sun."
    assert {each.content for each in words.documents.values()} == {
        *("Ferns like shade.", "Oaks like sun.", "Moss likes rain."),
    }
    other = await plants.ainsert(path=file, metadata={"year": 2026})
    assert (other.embedded, len(words.documents)) == (3, 3)


async def test_a_folder_is_loaded_file_by_file(plants: Knowledge, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.md", "b.txt", "deep/c.md", "deep/d.log", ".hidden.md"):
        (tmp_path / name).write_text(f"All about {name[-4]}.")
    outside = tmp_path.parent / f"{tmp_path.name}-secret.md"
    outside.write_text("All about secrets.")
    (tmp_path / "link.md").symlink_to(outside)
    loaded = await plants.ainsert(path=tmp_path, include=["*.md", "*.txt"], exclude=["deep/*"])
    assert loaded.contents == 2
    found = await plants.asearch("about")
    assert sorted(str(each.name) for each in found) == ["a.md", "b.txt"]
    loaded = await plants.ainsert(paths=[tmp_path, tmp_path / "a.md"])
    assert loaded.contents == 4
    assert "deep/c.md" in {each.name for each in await plants.asearch("about")}
    with pytest.raises(ContentError, match="no file to load"):
        await plants.ainsert(path=tmp_path, include=["*.pdf"])
    with pytest.raises(ContentError, match=r"There is no file .*nowhere\.md"):
        await plants.ainsert(path=tmp_path / "nowhere.md")
    with pytest.raises(ContentError, match="xxx: File name too long"):
        await plants.ainsert(path=tmp_path / ("x" * 300))


async def test_a_file_is_read_where_it_is(
    plants: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ferns.md").write_text(FERNS)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert (await plants.ainsert(path=tmp_path / "ferns.md")).chunks == 3


async def test_what_cannot_be_read_is_named_and_stops_nothing(
    words: WordsDb, sqlite_db: Database, tmp_path: Path
) -> None:
    plants = Knowledge("plants", vector_db=words, contents_db=sqlite_db, max_file_size=1000)
    (tmp_path / "good.md").write_text(FERNS)
    (tmp_path / "binary.dat").write_bytes(b"\x7fELF\0\0\0" * 10)
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "large.md").write_text("x" * 1001)
    (tmp_path / "latin.txt").write_bytes("Fähre".encode("cp1252"))
    (tmp_path / "damaged.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 900)
    (tmp_path / "no.pdf").write_text("%PDF-1.7 nothing")
    (tmp_path / "no.docx").write_text("nothing")
    loaded = await plants.ainsert(path=tmp_path, exclude=["kern.db*"])
    assert (loaded.contents, {*loaded.failed}) == (
        1,
        {each for each in os.listdir(tmp_path) if each[:4] not in ("good", "kern")},
    )
    told = loaded.failed
    assert told["binary.dat"] == "binary.dat: it is no text, and no reader is for such files"
    assert "1,001 bytes, and 1,000 are read" in told["large.md"]
    assert "no text in utf-8 (at byte 1)" in told["latin.txt"]
    assert "it is no JSON" in told["damaged.json"]
    assert "there is no text in it" in told["empty.md"]
    assert "damaged" in told["no.pdf"]
    assert told["no.docx"] == "no.docx: it is no Word document"
    with pytest.raises(ContentError, match=r"binary\.dat: it is no text"):
        await plants.ainsert(path=tmp_path / "binary.dat")
    contents = await plants.aget_content()
    status = {each.name: (each.status, each.status_message) for each in contents}
    assert status["good.md"] == (ContentStatus.COMPLETED, None)
    assert status["large.md"] == (ContentStatus.FAILED, told["large.md"])
    assert len(contents) == 9


async def test_what_fails_is_told_of_each_though_two_have_one_name(
    plants: Knowledge, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.json").write_text("{")
    loaded = await plants.ainsert(paths=[tmp_path / "one/same.json", tmp_path / "two/same.json"])
    assert len(loaded.failed) == 2
    assert "same.json" in loaded.failed


async def test_what_a_text_says_twice_is_one_chunk(plants: Knowledge, words: WordsDb) -> None:
    loaded = await plants.ainsert(text_content="\n\n".join(["Ferns like shade."] * 9 + ["Moss."]))
    assert (loaded.chunks, loaded.embedded) == (2, 2)
    assert sorted(words.embedded) == ["Ferns like shade.", "Moss."]


async def test_a_content_deleted_while_it_is_loaded_is_whole_in_the_end(
    plants: Knowledge, words: WordsDb
) -> None:
    def delete(documents: object) -> None:
        if len(words.embedded) == 2:  # As another load of it does, or who removes it.
            words.documents.clear()

    words.before = delete
    loaded = await plants.ainsert(text_content=FERNS)
    assert (loaded.chunks, len(words.documents)) == (3, 3)
    words.before = lambda documents: words.documents.clear()
    words.documents.clear()
    with pytest.raises(ContentError, match="deleted while it was loaded: load it again"):
        await plants.ainsert(text_content=FERNS)


async def test_no_content_of_a_failed_load_is_told_to_be_under_way(
    words: WordsDb, sqlite_db: SqliteDb, tmp_path: Path
) -> None:
    plants = Knowledge("plants", vector_db=words, contents_db=sqlite_db)
    for number in range(6):
        (tmp_path / f"{number}.md").write_text(f"Fern {number}.")

    def fail(documents: object) -> None:
        raise DatabaseError("The disk is full.")

    words.before = fail
    with pytest.raises(DatabaseError, match="disk is full"):
        await plants.ainsert(path=tmp_path, include=["*.md"])
    contents = await plants.aget_content()
    assert {(each.status, each.status_message) for each in contents} == {
        (ContentStatus.FAILED, "The disk is full."),
    }


async def test_a_cancelled_load_is_told_to_have_failed(sqlite_db: SqliteDb) -> None:
    begun = asyncio.Event()

    class Slow(WordsDb):
        async def aupsert(self, documents: object) -> None:
            begun.set()
            await asyncio.Event().wait()

    plants = Knowledge("plants", vector_db=Slow(), contents_db=sqlite_db)
    load = asyncio.create_task(plants.ainsert(text_content="Ferns."))
    await asyncio.wait_for(begun.wait(), 20)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    [content] = await plants.aget_content()
    assert (content.status, content.status_message) == ("failed", "it was cancelled")


async def test_special_files_are_not_read(plants: Knowledge, tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="zero: it is no file"):
        await plants.ainsert(path="/dev/zero")


async def test_contents_are_known_by_what_became_of_them(
    words: WordsDb, shared_db: Database, tmp_path: Path
) -> None:
    plants = Knowledge("plants", vector_db=words, contents_db=shared_db, chunking=Chunking(20, 0))
    (tmp_path / "ferns.md").write_text(FERNS)
    loaded = await plants.ainsert(
        path=tmp_path / "ferns.md", description="On ferns", metadata={"a": 1}
    )
    (content,) = await plants.aget_content()
    assert content.id == loaded.ids[0]
    assert (content.name, content.status, content.chunks) == ("ferns.md", "completed", 3)
    assert (content.size, content.source) == (len(FERNS), str(tmp_path / "ferns.md"))
    assert (content.description, content.metadata) == ("On ferns", {"a": 1})
    assert await plants.aget_content_by_id(content.id) == content
    assert await plants.aget_content_status(content.id) == (ContentStatus.COMPLETED, None)
    assert await plants.aget_content_status("nobody") == (None, None)
    assert await plants.aremove_content_by_id(content.id) == 3
    assert (await plants.aget_content(), words.documents) == ([], {})
    for name in "abc":
        await plants.ainsert(text_content=f"About {name}.", name=name)
    first = await plants.aget_content(limit=2)
    assert len([*first, *await plants.aget_content(after=first[-1].id)]) == 3
    assert await plants.aremove_vectors_by_name("a") == 1
    await plants.ainsert(text_content="About d.", metadata={"kind": "d"})
    assert await plants.aremove_vectors_by_metadata({"kind": "d"}) == 1


@pytest.mark.parametrize("knows", [True, False], ids=["contents_db", "none"])
async def test_what_is_there_is_left_alone_or_refused(
    words: WordsDb, sqlite_db: SqliteDb, knows: bool
) -> None:
    plants = Knowledge("plants", vector_db=words, contents_db=sqlite_db if knows else None)
    await plants.ainsert(text_content="One.", name="it")
    skipped = await plants.ainsert(text_content="Two.", name="it", skip_if_exists=True)
    assert (skipped.skipped, skipped.contents, words.embedded) == (1, 0, ["One."])
    with pytest.raises(ContentError, match="there already"):
        await plants.ainsert(text_content="Two.", name="it", upsert=False)
    assert words.embedded == ["One."]
    if knows:
        assert [each.status for each in await plants.aget_content()] == ["completed"]
    await plants.ainsert(text_content="Two.", name="it")
    assert [each.content for each in words.documents.values()] == ["Two."]
    if knows:
        assert len(await plants.aget_content()) == 1


async def test_a_failed_embedder_is_told_and_what_was_kept_stays(
    plants: Knowledge, words: WordsDb, sqlite_db: SqliteDb, caplog: pytest.LogCaptureFixture
) -> None:
    plants = Knowledge(
        "plants", vector_db=words, contents_db=sqlite_db, chunking=Chunking(20, 0), batch_size=1
    )

    def fail(documents: object) -> None:
        if len(words.embedded) == 2:
            raise DatabaseError("The disk is full.")

    words.before = fail
    with pytest.raises(DatabaseError, match="disk is full"):
        await plants.ainsert(text_content=FERNS, name="ferns")
    (content,) = await plants.aget_content()
    assert (content.status, content.status_message) == ("failed", "The disk is full.")
    words.before = lambda documents: None
    assert (await plants.ainsert(text_content=FERNS, name="ferns")).embedded == 1
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_hostile_texts_become_texts(plants: Knowledge, words: WordsDb) -> None:
    await plants.ainsert(text_content="a\0b \ud800 c", name="n\0", metadata={"x": "y"})
    (found,) = words.documents.values()
    assert found.content == "a\N{REPLACEMENT CHARACTER}b \N{REPLACEMENT CHARACTER} c"
    assert found.name == "n\N{REPLACEMENT CHARACTER}"


async def test_what_cannot_be_asked_for_is_refused(words: WordsDb, plants: Knowledge) -> None:
    for given, told in (
        ({}, "nothing to load"),
        ({"text_content": " "}, "says nothing"),
        ({"urls": "https://example.com"}, "must be a list"),
        ({"path": "x", "exclude": "*.md"}, "must be a list"),
        ({"text_content": "x", "metadata": {"a": {1}}}, "no JSON form"),
        ({"text_content": "x", "metadata": {1: "a"}}, "text as keys, not"),
        ({"text_content": "x", "metadata": ["a"]}, "text as keys, not"),
        ({"text_content": 7}, "text_content must be a text, not 7"),
        ({"text_content": "x", "name": 7}, "name must be a text"),
        ({"urls": [7]}, "url must be a text"),
        ({"path": "x", "include": [7]}, "include must be a text"),
        ({"path": ""}, "path must be a file or a folder, not ''"),
        ({"paths": [b"x"]}, "path must be a file or a folder"),
        ({"path": "~nobody-of-this-name/x"}, "home directory"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            await plants.ainsert(**given)
    with pytest.raises(ConfigurationError, match="has no vector_db"):
        await Knowledge("empty").asearch("x")
    with pytest.raises(ConfigurationError, match="has no contents_db"):
        await plants.aget_content()
    with pytest.raises(ConfigurationError, match="vector_db must be a VectorDb, not str"):
        Knowledge(vector_db="postgresql://...")  # type: ignore[arg-type] # as somebody might
    with pytest.raises(ConfigurationError, match="max_results must be 1,000 at most"):
        Knowledge(max_results=1001)
    with pytest.raises(ConfigurationError, match="readers must be Readers"):
        Knowledge(readers=[TextReader])  # type: ignore[list-item] # as somebody might
    with pytest.raises(TypeError, match="Did you mean 'text_content'"):
        await plants.ainsert(text_contents="x")  # type: ignore[call-arg] # as somebody might
