"""A load is a run: it goes on after a loss, and embeds no batch again."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from elsewhere import Elsewhere
from leases import expire
from words_db import LoggedDb, WordsDb

from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.errors import ContentError, ModelError
from kern.knowledge import Chunking, Knowledge, KnowledgeProgress, Loaded
from kern.run.base import RunStatus
from kern.run.entry import read_row
from kern.run.tool_steps import StepEnded

WAIT = 20.0
COUNT = 12

DYING = """
from pathlib import Path
from kern.knowledge import Chunking, Knowledge
from words_db import LoggedDb
folder, log, killed_at = os.environ["FOLDER"], Path(os.environ["LOG"]), int(os.environ["KILLED_AT"])
plants = Knowledge(
    "plants",
    vector_db=LoggedDb(log, killed_at=killed_at),
    contents_db=db if os.environ["KNOWS"] else None,
    chunking=Chunking(40, 0),
    batch_size=2,
)
await plants.aload(path=folder, db=db, background=True, run_id="run")
await asyncio.Event().wait()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plants"
    made.mkdir()
    for name in ("a", "b"):
        texts = [f"Plant {name}{number} likes its own soil best." for number in range(COUNT // 2)]
        (made / f"{name}.md").write_text("\n\n".join(texts))
    return made


@pytest.mark.parametrize(
    ("killed_at", "knows"),
    [
        *((0, ""), (3, "1"), (-1, "")),
        *(pytest.param(*each, marks=pytest.mark.nightly) for each in ((0, "1"), (3, ""))),
        *(pytest.param(*each, marks=pytest.mark.nightly) for each in ((-1, "1"), (-6, ""))),
        (-6, "1"),
    ],
)
async def test_a_killed_load_goes_on_and_embeds_nothing_twice(
    shared_db: Database,
    elsewhere: Elsewhere,
    folder: Path,
    tmp_path: Path,
    killed_at: int,
    knows: str,
) -> None:
    log = tmp_path / "log"
    dying = elsewhere(
        DYING, FOLDER=str(folder), LOG=str(log), KILLED_AT=str(killed_at), KNOWS=knows
    )
    assert await dying.ended() == -9
    words = LoggedDb(log)
    before = len(words.embedded)
    plants = Knowledge(
        "plants",
        vector_db=words,
        contents_db=shared_db if knows else None,
        chunking=Chunking(40, 0),
        batch_size=2,
    )
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(plants.loader(shared_db))
    run = await plants.loader(shared_db).await_run("run", timeout=WAIT)
    assert run is not None
    assert run.status is RunStatus.completed
    loaded = run.content
    assert isinstance(loaded, Loaded)
    assert (loaded.contents, loaded.chunks, loaded.failed) == (2, COUNT, {})
    assert Counter(words.embedded) == {each.content: 1 for each in words.documents.values()}
    assert len(words.documents) == COUNT
    if killed_at == -6:
        assert before >= COUNT - 4
    if knows:
        assert {each.status for each in await plants.aget_content()} == {"completed"}


async def test_each_batch_and_each_end_is_a_step_and_tells_how_far_it_is(
    shared_db: Database, folder: Path
) -> None:
    plants = Knowledge(
        "plants", vector_db=WordsDb(), chunking=Chunking(40, 0), batch_size=2, contents_db=shared_db
    )
    run = await plants.aload(path=folder, background=True, run_id="run", user_id="ada")
    progress = [
        event
        async for event in plants.loader().astream_run("run", user_id="ada")
        if isinstance(event, KnowledgeProgress)
    ]
    assert (progress[-1].done, progress[-1].total) == (2, 2)
    completed = [each.name for each in progress if each.status == "completed"]
    assert sorted(completed) == ["a.md", "b.md"]  # Two files are read at once.
    assert len(progress) == COUNT // 2 + 2
    rows = await (await shared_db.store()).events("run", 0)
    steps = [step for row in rows if isinstance(step := read_row(row).step, StepEnded)]
    assert len(steps) == COUNT // 2 + 2
    assert {each.run_id for each in await plants.aget_content()} == {"run"}
    done = await plants.loader().aget_run_output(run.run_id, user_id="ada")
    assert done is not None
    assert (done.metrics.model_calls, done.metrics.tool_calls, done.metrics.cost) == (2, 1, 0.0)


async def test_batches_that_say_the_same_are_loaded_once(
    shared_db: Database, tmp_path: Path
) -> None:
    text = "".join([f"Fern {number} likes the shade of oaks.\n\n" for number in range(3)])
    (tmp_path / "same.md").write_text(text * 10)
    words = WordsDb()
    plants = Knowledge("plants", vector_db=words, chunking=Chunking(40, 0), batch_size=3)
    run = await plants.aload(path=tmp_path / "same.md", db=shared_db)
    assert run.content is not None
    assert (run.content.chunks, run.content.embedded, len(words.embedded)) == (3, 3, 3)


async def test_a_failed_load_is_retried_and_embeds_nothing_twice(
    shared_db: Database, folder: Path
) -> None:
    words = WordsDb()

    def fail(documents: object) -> None:
        if len(words.embedded) >= COUNT // 2:
            raise ModelError("The embedder is away.")

    words.before = fail
    plants = Knowledge(
        "plants", vector_db=words, chunking=Chunking(40, 0), batch_size=2, contents_db=shared_db
    )
    loader = plants.loader()
    await plants.aload(path=folder, background=True, run_id="run")
    run = await loader.await_run("run", timeout=WAIT)
    assert run is not None
    assert (run.status, str(run.error)) == (
        RunStatus.error,
        "The load failed: ModelError: The embedder is away.",
    )
    assert "The embedder is away." in [each.status_message for each in await plants.aget_content()]
    words.before = lambda documents: None
    await loader.aretry_run("run")
    run = await loader.await_run("run", timeout=WAIT)
    assert run is not None
    assert run.status is RunStatus.completed
    assert run.content is not None
    assert (run.content.contents, run.content.chunks) == (2, COUNT)
    assert Counter(words.embedded) == {each.content: 1 for each in words.documents.values()}
    assert {each.status for each in await plants.aget_content()} == {"completed"}


async def test_a_load_is_cancelled_as_any_run(shared_db: Database, folder: Path) -> None:
    words = WordsDb()
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(WordsDb):
        async def amissing(self, ids: object) -> list[str]:
            begun.set()
            await go_on.wait()
            return []

    plants = Knowledge("plants", vector_db=Slow(), contents_db=shared_db)
    await plants.aload(path=folder, background=True, run_id="run")
    await asyncio.wait_for(begun.wait(), WAIT)
    await plants.loader().acancel_run("run")
    run = await plants.loader().await_run("run", timeout=WAIT)
    assert run is not None
    assert run.status is RunStatus.cancelled
    assert words.documents == {}


async def test_a_load_of_what_cannot_be_read_fails_with_the_reason(
    shared_db: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "binary.dat").write_bytes(b"\0\1\2")
    plants = Knowledge("plants", vector_db=WordsDb(), contents_db=shared_db)
    with pytest.raises(ContentError, match=r"binary\.dat: it is no text"):
        await plants.aload(path=tmp_path / "binary.dat")
    run = await plants.aload(path=tmp_path / "binary.dat", background=True)
    ended = await plants.loader().await_run(run.run_id, timeout=WAIT)
    assert ended is not None
    assert ended.status is RunStatus.error
    assert "no text" in str(ended.error)
    (tmp_path / "good.md").write_text("Ferns.")
    run = await plants.aload(path=tmp_path, exclude=["*.db*"])
    assert run.content is not None
    assert run.content.contents == 1
    assert [*run.content.failed] == ["binary.dat"]
    assert not [each for each in caplog.records if each.exc_info]


def test_code_without_an_event_loop_loads_by_a_run(shared_db: Database, folder: Path) -> None:
    plants = Knowledge("plants", vector_db=WordsDb(), contents_db=shared_db)
    run = plants.load(path=folder)
    assert run.content is not None
    assert run.content.contents == 2
    run = plants.load(text_content="Moss.", background=True)
    ended = plants.loader().wait_run(run.run_id, timeout=WAIT)
    assert ended is not None
    assert ended.content is not None
    assert ended.content.embedded == 1
