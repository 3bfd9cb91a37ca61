"""Media is told to the model whole, kept once beside the run, and in no row, event or log."""

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from elsewhere import Elsewhere
from leases import expire
from media import encoded, holds, png, rows_of
from stores import execute

from kern.agent import Agent
from kern.db.blobs import CHUNK
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres.store import PostgresStore
from kern.dispatch.opening import open_runtime
from kern.errors import BudgetExceededError, InvalidInputError, ModelError, RunConflictError
from kern.media import Audio, File, Image, Video
from kern.models.anthropic import Claude
from kern.models.base import Model
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run.base import RunStatus
from kern.run.budget import Budget
from kern.run.content import ImagePart, TextPart, Url
from kern.run.message import Message
from kern.testing import ProtocolServer, Reply, Usage
from kern.tools import ToolResult

GIVEN, MADE, DRAWN = png(1), png(2), png(3)

DRAWINGS: dict[type[Model], dict[str, Any]] = {
    OpenAIResponses: {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "output_format": "png",
        "result": encoded(DRAWN),
    },
    OpenAIChat: {
        "images": [
            {
                "type": "image_url",
                "image_url": {"url": f"data:image/png;base64,{encoded(DRAWN)}"},
            }
        ]
    },
    Claude: {"type": "text", "text": "I cannot draw."},
    Gemini: {"inlineData": {"mimeType": "image/png", "data": encoded(DRAWN)}},
}
"""An image of each model, as its server writes it."""

CALL = Reply.tool_calls(("draw", {}))


async def draw() -> Image:
    """Draw."""
    return Image(content=MADE)


def made(kind: Any, server: ProtocolServer) -> Any:
    """Return a model at the server."""
    url = server.base_url if kind in (OpenAIResponses, OpenAIChat) else server.url
    return kind("test-model", base_url=url, api_key="sk-test", max_retries=0)


@pytest.fixture(params=[*DRAWINGS])
async def model(request: pytest.FixtureRequest, server: ProtocolServer) -> AsyncIterator[Model]:
    """A model of each provider."""
    model: Model = made(request.param, server)
    await model.prepare()  # To import an SDK takes seconds.
    yield model
    await model.aclose()


EACH_ONCE = pytest.mark.parametrize(
    ("shared_db", "model"),
    [
        *(("postgres", OpenAIResponses), ("sqlite", OpenAIResponses), ("sqlite", OpenAIChat)),
        *(("postgres", Claude), ("sqlite", Gemini)),
    ],
    indirect=True,
)
"""Each model on one of the databases, and one model on both."""


def sent(server: ProtocolServer, request: int = -1) -> str:
    return json.dumps(server.requests[request].body)


@EACH_ONCE
@pytest.mark.parametrize("way", ["background", "foreground", "streamed"])
async def test_no_row_event_or_log_holds_media_and_each_model_is_told_it_whole(
    shared_db: Database,
    model: Model,
    server: ProtocolServer,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    caplog.set_level(logging.DEBUG, "kern")  # The SDKs log whole requests, if they are asked to.
    agent = Agent("Painter", model, db=shared_db, tools=[draw], add_history_to_context=True)
    drawing = Reply.output(DRAWINGS[type(model)])
    server.script += [CALL, drawing, Reply.text("Red."), Reply.text("Blue.")]
    images = [Image(content=GIVEN)]
    told: list[str] = []
    if way == "background":
        run = await agent.arun("Draw this.", images=images, session_id="s", background=True)
        told.append(str(run))
    else:
        events = agent.arun(
            "Draw this.",
            images=images,
            session_id="s",
            stream=True,
            stream_events=True,
            background=way == "streamed",
        )
        all_events = [event async for event in events]
        run = await agent.aget_run_output(all_events[0].run_id)  # type: ignore[assignment]
        told += map(str, all_events)
    output = await agent.await_run(run.run_id, timeout=20)
    assert output is not None
    assert output.status is RunStatus.completed, output.error
    assert encoded(GIVEN) in sent(server, 0)
    assert encoded(MADE) in sent(server, 1)
    await agent.arun("And now?", session_id="s")
    for image in (GIVEN, MADE):
        assert encoded(image) in sent(server)
    draws = not isinstance(model, Claude)
    assert (encoded(DRAWN) in sent(server)) == draws

    assert [each.content for each in output.images] == [None] * (1 + draws)
    await agent.aload_media(output)
    expected = [MADE, DRAWN] if draws else [MADE]
    assert [each.get_content_bytes() for each in output.images] == expected
    assert {each.mime_type for each in output.images} == {"image/png"}

    other = await agent.aget_run_output(output.run_id)
    assert other is not None
    told += [str(output), output.to_json(), str(other), str(other.to_dict()), caplog.text]
    told.append(await rows_of(await shared_db.store()))
    for image in (GIVEN, MADE, DRAWN):
        assert not any(holds(each, image) for each in told)


@EACH_ONCE
async def test_each_blob_is_kept_once_and_goes_with_its_run(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("Painter", model, db=shared_db)
    for _ in range(2):
        await agent.arun("What?", images=[Image(content=GIVEN)] * 2, run_id="run", background=True)
        output = await agent.await_run("run", timeout=20)
    assert output is not None
    [kept] = {part.source for part in output.messages[0].parts if isinstance(part, ImagePart)}
    assert len(server.requests) == 1
    with pytest.raises(RunConflictError):
        await agent.arun("What?", images=[Image(content=MADE)], run_id="run")
    assert await agent.aget_blob("run", kept.hash) == GIVEN  # type: ignore[union-attr]


async def test_an_image_of_a_run_without_a_database(model: Model, server: ProtocolServer) -> None:
    agent = Agent("Painter", model, tools=[draw])
    server.script += [CALL, Reply.output(DRAWINGS[type(model)])]
    output = await agent.arun("", images=[Image(content=GIVEN, detail="low")])
    assert encoded(GIVEN) in sent(server, 0)
    assert encoded(MADE) in sent(server, 1)
    assert output.images[0].get_content_bytes() == MADE
    assert not any(holds(output.to_json() + str(output), each) for each in (GIVEN, MADE, DRAWN))


@EACH_ONCE
async def test_the_caller_of_a_run_in_the_foreground_has_its_images_at_once(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("Painter", model, db=shared_db, tools=[draw])
    server.script += [CALL, Reply.output(DRAWINGS[type(model)])]
    output = await agent.arun("Draw.")
    draws = not isinstance(model, Claude)
    assert [each.content for each in output.images] == ([MADE, DRAWN] if draws else [MADE])


async def test_a_conversation_moves_between_all_providers_with_its_media(
    shared_db: Database, server: ProtocolServer
) -> None:
    models = [made(kind, server) for kind in DRAWINGS]
    for model in models:
        await model.prepare()
    for model in models:
        agent = Agent("Mover", model, db=shared_db, tools=[draw], add_history_to_context=True)
        agent.num_history_runs = 10
        server.script += [CALL, Reply.output(DRAWINGS[type(model)])]
        image = Image(content=png(10 + models.index(model)))
        output = await agent.arun("Draw.", images=[image], session_id="s", background=True)
        ended = await agent.await_run(output.run_id, timeout=20)
        assert ended is not None
        assert ended.status is RunStatus.completed, ended.error
        for place in range(models.index(model) + 1):
            assert encoded(png(10 + place)) in sent(server)
    for model in models:
        await model.aclose()


BODY = """
import sys
sys.path.insert(0, PATH)
from media import png
from kern.media import Image

async def draw() -> Image:
    return Image(content=png(2))

model = OpenAIResponses("test-model", max_retries=0)
agent = Agent("Tester", model, db=db, tools=[draw])
await agent.arun("Draw", images=[Image(content=png(1))], background=True, run_id="run")
await asyncio.Event().wait()
"""


async def test_after_a_kill_the_run_goes_on_with_its_media(
    shared_db: Database, server: ProtocolServer, elsewhere: Elsewhere
) -> None:
    server.script += [CALL, Reply.hang()]
    support = str(Path(__file__).parents[1] / "support")
    process = elsewhere(BODY.replace("PATH", repr(support)), KERN_IN_PROCESS_WORKER="1")
    await server.wait_for_requests(2, timeout=30)
    process.send(signal.SIGKILL)
    await process.ended()

    async def draw() -> Image:
        raise AssertionError("a completed call was made again")

    model = made(OpenAIResponses, server)
    agent = Agent("Tester", model, db=shared_db, tools=[draw])
    (await open_runtime(shared_db)).serve(agent)
    await expire(shared_db, "run")
    output = await agent.await_run("run", timeout=30)
    assert output is not None
    assert (output.status, output.attempt) == (RunStatus.completed, 2)
    assert server.requests[2].body["input"] == server.requests[1].body["input"]
    assert encoded(GIVEN) in sent(server)
    assert encoded(MADE) in sent(server)


@EACH_ONCE
async def test_a_fork_has_the_media_of_its_origin(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("Painter", model, db=shared_db)
    await agent.arun("Look.", images=[Image(content=GIVEN)], run_id="origin", session_id="one")
    await agent.acontinue_run("origin", from_seq=1, new_run_id="fork", session_id="two")
    output = await agent.await_run("fork", timeout=20)
    assert output is not None
    assert output.status is RunStatus.completed, output.error
    assert server.requests[1].body == server.requests[0].body


@pytest.mark.parametrize("commits", [True, False])
async def test_media_is_part_of_the_caller_s_transaction(
    postgres_db: PostgresDb, model: Model, server: ProtocolServer, commits: bool
) -> None:
    agent = Agent("Painter", model, db=postgres_db)
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    # More than one statement takes, where no other model has shown that yet.
    large = GIVEN + bytes(5_000_000 if isinstance(model, OpenAIResponses) else 500_000)
    connection = await asyncpg.connect(postgres_db._dsn)
    transaction = connection.transaction()
    await transaction.start()
    run = await agent.arun(
        "Look.", images=[Image(content=large)], background=True, connection=connection
    )
    count = f"SELECT count(*) FROM {store.names.blobs}"
    assert await store.pool.fetchval(count) == 0
    await (transaction.commit() if commits else transaction.rollback())
    await connection.close()
    assert await store.pool.fetchval(count) == (-(-len(large) // CHUNK) if commits else 0)
    if commits:
        output = await agent.await_run(run.run_id, timeout=20)
        assert output is not None
        assert output.status is RunStatus.completed, output.error
        assert encoded(large) in sent(server)


async def test_a_run_with_one_image_takes_one_statement_more(
    postgres_db: PostgresDb, server: ProtocolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(OpenAIResponses, server)
    agent = Agent("Painter", model, db=postgres_db, tools=[draw])
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    written, read = [], []
    write, get = store.blobs._write, store.blobs._read

    async def counted(*arguments: Any) -> None:
        written.append(arguments)
        await write(*arguments)

    async def looked(*arguments: Any) -> list[bytes]:
        read.append(arguments)
        return await get(*arguments)

    monkeypatch.setattr(store.blobs, "_write", counted)
    monkeypatch.setattr(store.blobs, "_read", looked)
    for _ in range(3):
        server.script += [CALL, CALL, Reply.text("Done.")]
        run = await agent.arun("Look.", images=[Image(content=GIVEN)], background=True)
        output = await agent.await_run(run.run_id, timeout=20)
        assert output is not None
        assert output.status is RunStatus.completed
    assert len(read) == 0  # It was written here, and is in memory.
    assert len(written) == 3 * 3  # The one that was given, and one of each call.


@EACH_ONCE
async def test_parts_of_messages_are_kept_in_the_same_way(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("Painter", model, db=shared_db)
    url = f"data:image/png;base64,{encoded(GIVEN)}"
    given = Message("user", (TextPart("What is this?"), ImagePart(Url(url))))
    run = await agent.arun([given], background=True)
    await agent.await_run(run.run_id, timeout=20)
    assert encoded(GIVEN) in sent(server)
    assert not holds(await rows_of(await shared_db.store()), GIVEN)


@EACH_ONCE
async def test_a_tool_may_say_more_than_its_media(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    async def draw() -> ToolResult:
        return ToolResult("Two of them:", images=[Image(content=MADE), Image(content=DRAWN)])

    agent = Agent("Painter", model, db=shared_db, tools=[draw])
    server.script.append(CALL)
    output = await agent.arun("Draw.")
    assert "Two of them:" in sent(server)
    assert encoded(MADE) in sent(server)
    assert encoded(DRAWN) in sent(server)
    assert output.tools[0].result == "Two of them:"
    assert [each.content for each in output.images] == [MADE, DRAWN]


@EACH_ONCE
async def test_a_synchronous_tool_may_return_the_path_of_a_file(
    shared_db: Database, model: Model, server: ProtocolServer, tmp_path: Path
) -> None:
    path = tmp_path / "chart.png"
    path.write_bytes(MADE)

    def draw() -> list[object]:
        return ["A chart:", Image(filepath=path)]

    agent = Agent("Painter", model, db=shared_db, tools=[draw])
    server.script.append(CALL)
    await agent.arun("Draw.")
    assert encoded(MADE) in sent(server)


@EACH_ONCE
@pytest.mark.parametrize("is_async", [True, False])
async def test_media_of_a_tool_that_cannot_be_read_is_its_error(
    shared_db: Database, model: Model, server: ProtocolServer, is_async: bool
) -> None:
    async def asynchronous() -> Image:
        return Image(filepath="/no/such/chart.png")

    def synchronous() -> Image:
        return Image(filepath="/no/such/chart.png")

    agent = Agent("Painter", model, db=shared_db, tools=[asynchronous, synchronous])
    name = "asynchronous" if is_async else "synchronous"
    server.script.append(Reply.tool_calls((name, {})))
    output = await agent.arun("Draw.")
    assert output.tools[0].tool_call_error
    assert "'chart.png' cannot be read" in (output.tools[0].result or "")


def unreadable(tmp_path: Path) -> dict[str, tuple[Any, str]]:
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.png").write_bytes(b"%PDF-1.7 ")
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    (tmp_path / "large.png").write_bytes(bytes(2000))
    return {
        "missing": (tmp_path / "gone.png", "'gone.png' cannot be read: .*No such file"),
        "directory": (tmp_path, "is no file"),
        "empty": (tmp_path / "empty.png", "'empty.png' is empty"),
        "another type": (tmp_path / "notes.png", "'notes.png' is no image, but application/pdf"),
        "no type": (tmp_path / "noise", "'noise' is of no known type"),
        "too large": (
            tmp_path / "large.png",
            "'large.png' has 2,000 bytes, more than the 1,024 that KERN_MAX_MEDIA_SIZE",
        ),
        "a NUL": ("a\0b", "cannot be read: embedded null"),
    }


@pytest.mark.parametrize(
    "case",
    ["missing", "directory", "empty", "another type", "no type", "too large", "a NUL"],
)
@pytest.mark.parametrize("background", [True, False])
async def test_a_file_that_cannot_be_used_is_refused_before_anything_is_stored_or_paid(
    shared_db: Database,
    server: ProtocolServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    background: bool,
) -> None:
    monkeypatch.setenv("KERN_MAX_MEDIA_SIZE", "1KiB")
    path, message = unreadable(tmp_path)[case]
    agent = Agent("Painter", made(OpenAIResponses, server), db=shared_db)
    images = [Image(url="https://example.com/a.png"), Image(filepath=path)]
    with pytest.raises(InvalidInputError, match=rf"images\[1\] cannot be used\. .*{message}"):
        await agent.arun("Look.", images=images, run_id="run", background=background)
    assert await agent.aget_run_output("run") is None
    assert server.requests == []


async def test_all_media_of_a_run_together_has_a_limit(
    shared_db: Database, server: ProtocolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_MAX_RUN_MEDIA_SIZE", "9KB")
    agent = Agent("Painter", made(OpenAIResponses, server), db=shared_db)
    with pytest.raises(InvalidInputError, match="bytes together, more than the 9,216"):
        await agent.arun("Look.", images=[Image(content=GIVEN), Image(content=MADE)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": Image(url="https://example.com")}, "images must be a list of Image"),
        ({"images": [File(content=b"%PDF-")]}, "images must be a list of Image"),
        ({"files": ["a.pdf"]}, "files must be a list of File"),
        ({"audio": [b"RIFF"]}, "audio must be a list of Audio"),
    ],
)
async def test_what_is_no_media_is_refused(
    server: ProtocolServer, options: dict[str, Any], message: str
) -> None:
    agent = Agent("Painter", made(OpenAIResponses, server))
    with pytest.raises(InvalidInputError, match=message):
        await agent.arun("Look.", **options)


async def test_a_schedule_holds_no_media(shared_db: Database, server: ProtocolServer) -> None:
    agent = Agent("Painter", made(OpenAIResponses, server), db=shared_db)
    url = f"data:image/png;base64,{encoded(GIVEN)}"
    with pytest.raises(InvalidInputError, match="The input of a schedule holds media"):
        await agent.aschedule("daily", Message("user", (ImagePart(Url(url)),)), cron="0 8 * * *")


@EACH_ONCE
async def test_what_a_provider_refuses_is_an_error_that_is_not_tried_again(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("Painter", model, db=shared_db)
    server.script.append(Reply.http_error(400, "Could not process image"))
    images = [Image(content=GIVEN)]
    await agent.arun("Look.", images=images, run_id="run", background=True)
    output = await agent.await_run("run", timeout=20)
    assert output is not None
    assert (output.status, output.error_kind) == (RunStatus.error, "ModelError")
    assert "Could not process image" in (output.error or "")
    assert len(server.requests) == 1
    await agent.aretry_run("run")  # The media is there still.
    output = await agent.await_run("run", timeout=20)
    assert output is not None
    assert output.status is RunStatus.completed
    assert encoded(GIVEN) in sent(server)


@EACH_ONCE
async def test_sound_that_a_model_does_not_take_is_named_before_anything_is_paid(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("Listener", model, db=shared_db)
    audio = [Audio(content=b"OggS" + bytes(100), format="ogg")]
    run = await agent.arun("Listen.", audio=audio, background=True)
    output = await agent.await_run(run.run_id, timeout=20)
    assert output is not None
    if isinstance(model, Gemini):
        assert output.status is RunStatus.completed
    else:
        assert output.status is RunStatus.error
        assert "sound" in (output.error or "")
        assert server.requests == []


def test_code_without_an_event_loop(sqlite_db: Database, server: ProtocolServer) -> None:
    asyncio.set_event_loop(None)
    agent = Agent("Painter", db=sqlite_db)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        agent.run("Look.", images=[Image(filepath="/no/such.png")])


VIDEO = (b"\0\0\0\x18ftypmp42" + bytes(100), "video/mp4")
OFFICE = (b"PK\3\4\xff" + bytes(100), "application/vnd.ms-excel")
TAKES: dict[type[Model], set[str]] = {
    OpenAIResponses: {"sheet.xls"},
    OpenAIChat: {"sheet.xls"},
    Claude: set(),
    Gemini: {"film.mp4"},
}
"""Which of these files each provider takes, or says itself whether it does."""


async def test_files_of_another_provider_s_conversation_are_told_of_where_one_takes_them_not(
    sqlite_db: Database, model: Model, server: ProtocolServer
) -> None:
    gemini = made(Gemini, server)
    files = [
        File(content=VIDEO[0], mime_type=VIDEO[1], name="film.mp4"),
        File(content=OFFICE[0], mime_type=OFFICE[1], name="sheet.xls"),
    ]
    options: dict[str, Any] = {"db": sqlite_db, "add_history_to_context": True}
    server.script.append(Reply.text("Seen."))
    await Agent("A", gemini, **options).arun("Look.", files=files, session_id="s")
    await Agent("B", model, history_agents="all", **options).arun("And?", session_id="s")
    for each, name in zip((VIDEO, OFFICE), ("film.mp4", "sheet.xls"), strict=True):
        is_told = encoded(each[0]) in sent(server)
        assert is_told == (name in TAKES[type(model)])
        assert (f"'{name}', that you cannot be shown" in sent(server)) == (not is_told)
    await gemini.aclose()


async def test_a_video_that_a_model_does_not_take_is_named_before_anything_is_paid(
    model: Model, server: ProtocolServer
) -> None:
    agent = Agent("Viewer", model)
    videos = [Video(content=VIDEO[0])]
    if isinstance(model, Gemini):
        await agent.arun("Look.", videos=videos)
        assert encoded(VIDEO[0]) in sent(server)
    else:
        with pytest.raises(ModelError, match="no video") as raised:
            await agent.arun("Look.", videos=videos)
        assert (raised.value.kind, raised.value.transient) == ("invalid_request", False)
        assert server.requests == []


@EACH_ONCE
async def test_a_video_that_a_tool_made_is_the_run_s_and_told_to_who_takes_it(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    async def film() -> Video:
        return Video(content=VIDEO[0])

    agent = Agent("Maker", model, db=shared_db, tools=[film])
    server.script.append(Reply.tool_calls(("film", {})))
    output = await agent.arun("Film.")
    is_told = isinstance(model, Gemini)
    assert (encoded(VIDEO[0]) in sent(server)) == is_told
    assert ("a video that you cannot be shown" in sent(server)) == (not is_told)
    assert [each.content for each in output.videos] == [VIDEO[0]]


async def test_the_text_of_a_file_is_told_to_each_model(
    sqlite_db: Database, model: Model, server: ProtocolServer
) -> None:
    agent = Agent("Reader", model, db=sqlite_db)
    await agent.arun("Sum up.", files=[File(content="a,b\n1,2", filename="numbers.csv")])
    body = sent(server)
    assert "a,b\\n1,2" in body or encoded(b"a,b\n1,2") in body


@EACH_ONCE
@pytest.mark.parametrize("is_async", [True, False])
async def test_only_tools_see_media_that_is_not_to_be_sent(
    shared_db: Database, model: Model, server: ProtocolServer, is_async: bool
) -> None:
    seen: list[bytes] = []

    async def looks(files: Sequence[File], images: list[Image] | None = None) -> str:
        seen.extend(each.get_content_bytes() for each in [*(images or []), *files])
        return "Red."

    def look(name: str, images: list[Image]) -> str:
        seen.extend(each.get_content_bytes() for each in images)
        return name

    agent = Agent("Blind", model, db=shared_db, tools=[looks, look], send_media_to_model=False)
    call = ("looks", {}) if is_async else ("look", {"name": "Red."})
    server.script.append(Reply.tool_calls(call))
    given: dict[str, Any] = {"images": [Image(content=GIVEN)], "files": [File(content=b"%PDF-")]}
    output = await agent.arun("Look.", **given)
    assert seen == ([GIVEN, b"%PDF-"] if is_async else [GIVEN])
    assert output.tools[0].result == "Red."
    assert encoded(GIVEN) not in sent(server, 0) + sent(server, 1)
    assert "Here was an image that you cannot be shown" in sent(server)
    assert "images" not in agent.tools["look"].schema.parameters["properties"]  # type: ignore[operator]


@EACH_ONCE
async def test_media_that_is_not_to_be_stored_is_gone_after_the_run(
    shared_db: Database, model: Model, server: ProtocolServer
) -> None:
    options: dict[str, Any] = {"db": shared_db, "tools": [draw], "add_history_to_context": True}
    agent = Agent("Forgetful", model, store_media=False, **options)
    drawing = Reply.output(DRAWINGS[type(model)])
    server.script += [Reply.http_error(400), CALL, drawing]
    images = [Image(content=GIVEN)]
    await agent.arun("Draw.", images=images, run_id="run", session_id="s", background=True)
    failed = await agent.await_run("run", timeout=20)
    assert failed is not None
    assert failed.status is RunStatus.error
    await agent.aretry_run("run")  # What has failed may be tried again, so it keeps its media.
    output = await agent.await_run("run", timeout=20)
    assert output is not None
    assert output.status is RunStatus.completed, output.error
    assert encoded(GIVEN) in sent(server)
    assert output.images == []
    store = await shared_db.store()
    [row] = await execute(store, "SELECT count(*) AS count FROM {blobs} WHERE run_id = {1}", "run")
    assert row["count"] == 0
    await agent.arun("And?", session_id="s")
    assert encoded(GIVEN) not in sent(server)
    assert "Here was an image that you cannot be shown" in sent(server)
    server.script.append(CALL)
    own = await agent.arun("Draw.")
    assert [each.content for each in own.images] == [MADE]


@EACH_ONCE
async def test_media_that_a_server_quotes_is_in_no_error(
    shared_db: Database,
    model: Model,
    server: ProtocolServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "kern")
    quoted = f"data:image/png;base64,{encoded(GIVEN)} is no image"
    server.script.append(Reply.http_error(400, quoted))
    agent = Agent("Painter", model, db=shared_db)
    await agent.arun("Look.", images=[Image(content=GIVEN)], run_id="run", background=True)
    output = await agent.await_run("run", timeout=20)
    assert output is not None
    assert output.status is RunStatus.error
    assert "base64,… is no image" in (output.error or "")
    assert not holds(await rows_of(await shared_db.store()), GIVEN)
    assert not holds(caplog.text, GIVEN)


async def test_media_of_a_run_that_is_refused_for_a_budget_is_not_stored(
    shared_db: Database, server: ProtocolServer
) -> None:
    await shared_db.aset_budget(Budget("alice", tokens=1))
    server.default = Reply.text("Done.").counting(Usage(1, 1))
    agent = Agent("Painter", made(OpenAIResponses, server), db=shared_db)
    await agent.arun("Hello", user_id="alice")
    for background in (False, True):
        with pytest.raises(BudgetExceededError, match="nothing was stored"):
            await agent.arun(
                "Look.", images=[Image(content=GIVEN)], user_id="alice", background=background
            )
    [row] = await execute(await shared_db.store(), "SELECT count(*) AS count FROM {blobs}")
    assert row["count"] == 0


async def test_media_of_a_run_that_is_there_already_is_not_written_once_more(
    shared_db: Database, server: ProtocolServer
) -> None:
    agent = Agent("Painter", made(OpenAIResponses, server), db=shared_db, store_media=False)
    for _ in range(2):
        await agent.arun("Look.", images=[Image(content=GIVEN)], run_id="run", background=True)
        assert await agent.await_run("run", timeout=20) is not None
    with pytest.raises(RunConflictError):
        await agent.arun("Look.", images=[Image(content=MADE)], run_id="run", background=True)
    assert len(server.requests) == 1
    [row] = await execute(await shared_db.store(), "SELECT count(*) AS count FROM {blobs}")
    assert row["count"] == 0
