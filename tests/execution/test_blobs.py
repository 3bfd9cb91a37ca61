"""What is too large for a row is in blobs: people see references, the model is told the whole."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from locally import LOCALLY
from typing_extensions import override

from kern.agent import Agent
from kern.db.blobs import Blobs
from kern.db.database import Database
from kern.errors import BlobNotFoundError, RunConflictError
from kern.execution.blobs import LIMIT, put_large
from kern.execution.middleware import CallTool, Middleware
from kern.models.base import Model, ModelRequest, ModelResponse, Piece
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput, RunOutputEvent
from kern.run.base import RunInfo, RunStatus
from kern.run.codec import join_halves
from kern.run.content import AudioPart, Blob, Content, FilePart, ImagePart, Inline, TextPart, Url
from kern.run.message import Message, Metrics
from kern.run.tool import ToolCall
from kern.testing import Reply, ResponsesServer
from kern.tools import ToolResult, tool

LOW = 2000
"""The limit in tests that are about other things than its size."""

IMAGE = bytes(range(256)) * 10
CALL = Reply.tool_calls(("read", {}))


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have little be too large for a row."""
    monkeypatch.setattr("kern.execution.blobs.LIMIT", LOW)


def reader(content: Content) -> Any:
    """Return a tool that returns a content."""

    async def read() -> ToolResult:
        return ToolResult(content)

    return read


def told(server: ResponsesServer, request: int = -1) -> list[Any]:
    items = server.requests[request].body["input"]
    return [item["output"] for item in items if item.get("type") == "function_call_output"]


async def found(agent: Agent, run_id: str = "run") -> RunOutput:
    output = await agent.aget_run_output(run_id)
    assert output is not None
    return output


async def rows_of(db: Database, run_id: str = "run") -> str:
    """Return everything that the rows of a run hold."""
    store = await db.store()
    record = await store.get(run_id, with_input=True)
    assert record is not None
    payloads = [row.payload for row in await store.events(run_id, 0)]
    return "".join([record.input or "", record.output or "", *payloads])


def blob_of(message: Message, place: int = 0) -> Blob:
    assert isinstance(message.content, tuple)
    source = cast(FilePart, message.content[place]).source
    assert isinstance(source, Blob)
    return source


TEXTS = {
    "plain": "abc" * 1000,
    "zeros": "\x00" * 3000,
    "halves": "\ud83d" * 1000,
    "halves that meet": "\ud83d\ude00" * 1000,
    "four bytes each": "\U0001f600" * 1000,
    "one line": '\u2028\\"' * 1000,
}


@pytest.mark.usefixtures("low")
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_a_long_result_is_kept_by_reference_and_told_whole(
    db: Database, model: OpenAIResponses, server: ResponsesServer, text: str
) -> None:
    agent = Agent("Tester", model, db=db, tools=[reader(text)])
    server.script.append(CALL)
    output = await agent.arun("Read", run_id="run")

    data = text.encode(errors="surrogatepass")
    blob = blob_of(output.messages[2])
    shown = (
        f"{join_halves(text[:1000])}… These are the first 1,000 characters of {len(data):,} "
        f"bytes, kept as the blob {blob.hash}."
    )
    assert output.messages[2].content == (
        FilePart(Blob(blob.hash, len(data), shown), "text/plain"),
    )
    assert output.tools[0].result == output.messages[2].text == shown
    assert await found(agent) == output
    assert await agent.aget_blob("run", blob.hash) == data
    assert data.decode(errors="surrogatepass") == text
    [whole] = told(server)
    assert whole == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize("character", ["a", "é", "\ud800", "\U0001f600"], ids=ascii)
async def test_a_text_of_a_mebibyte_is_plain_text_and_one_above_is_not(
    sqlite_db: Database, character: str
) -> None:
    blobs = (await sqlite_db.store()).blobs
    size = len(character.encode(errors="surrogatepass"))
    text = character * (LIMIT // size) + "b" * (LIMIT % size)
    assert await put_large(blobs, "run", text) is text
    content = await put_large(blobs, "run", text + "b")
    assert blob_of(Message("tool", content)).size == LIMIT + 1


@LOCALLY
@pytest.mark.parametrize(
    "content", ["x" * LIMIT, (TextPart("x" * LIMIT), ImagePart(Url("https://example.com/a.png")))]
)
async def test_what_a_row_takes_costs_no_statement(
    db: Database, model: OpenAIResponses, server: ResponsesServer, content: Content
) -> None:
    store = await db.store()

    class Unused(Blobs):
        @override
        async def drop(self, *_: object) -> None:
            raise AssertionError("a blob was deleted")

        @override
        async def _write(self, *_: object) -> None:
            raise AssertionError("a blob was written")

        @override
        async def _read(self, *_: object) -> list[bytes]:
            raise AssertionError("a blob was read")

    store.blobs = Unused()
    agent = Agent("Tester", model, db=db, tools=[reader(content)], add_history_to_context=True)
    server.script.append(CALL)
    given = Message("user", (TextPart("Read"), FilePart(Url("https://example.com/a.pdf"))))
    for run_id in ("run", "later"):
        output = await agent.arun(given, run_id=run_id, session_id="session")
    assert output.content == "Hello."
    assert (await found(agent)).messages[2].content == content
    row = next(row for row in await store.events("run", 0) if row.type == "ToolEnded")
    if isinstance(content, str):
        assert row.payload == f'{{"place":0,"content":"{content}","error":false,"state":null}}'


@pytest.mark.usefixtures("low")
async def test_media_of_a_result_are_told_as_they_were(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    parts = (
        TextPart("Look:"),
        ImagePart(Inline(IMAGE), "image/png"),
        ImagePart(Inline(b"small"), "image/png"),
        FilePart(Inline(b"notes " * 500), "text/plain", "notes.txt"),
        TextPart("z" * 3000),
    )
    agent = Agent("Tester", model, db=db, tools=[reader(parts)])
    server.script.append(CALL)
    output = await agent.arun("Read", run_id="run")

    content = output.messages[2].content
    assert isinstance(content, tuple)
    assert content[0] == parts[0]
    sizes = [blob_of(output.messages[2], place).size for place in (1, 2, 3, 4)]
    assert sizes == [2560, 5, 3000, 3000]
    assert (output.tools[0].result or "").startswith("Look:zzz")
    assert len(await rows_of(db)) < 12_000
    [items] = told(server)
    image, small = (base64.b64encode(data).decode() for data in (IMAGE, b"small"))
    assert [item.get("image_url") for item in items[1:3]] == [
        f"data:image/png;base64,{image}",
        f"data:image/png;base64,{small}",
    ]
    assert items[3]["type"] == "input_file"  # A file stays one, though it is a text.
    assert items[3]["filename"] == "notes.txt"
    assert items[4] == {"type": "input_text", "text": "z" * 3000}


@pytest.mark.usefixtures("low")
@pytest.mark.parametrize("background", [False, True])
async def test_media_of_the_input_are_kept_by_reference_and_told_whole(
    db: Database, model: OpenAIResponses, server: ResponsesServer, background: bool
) -> None:
    agent = Agent("Tester", model, db=db)
    given = Message("user", (TextPart("What is it?"), ImagePart(Inline(IMAGE), "image/png")))
    for _ in range(2):  # The same id with the same input is the same run.
        await agent.arun(given, run_id="run", background=background)
        output = await agent.await_run("run", timeout=20)
    assert output is not None
    assert blob_of(output.messages[0], 1).size == len(IMAGE)
    assert output.messages[0].text == "What is it?"
    assert len(await rows_of(db)) < 3000
    assert len(server.requests) == 1
    [item] = server.requests[0].body["input"]
    url = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
    assert item["content"][1]["image_url"] == url

    other = Message("user", (TextPart("What is it?"), ImagePart(Inline(IMAGE + b"1"))))
    with pytest.raises(RunConflictError):
        await agent.arun(other, run_id="run", background=background)


@pytest.mark.usefixtures("low")
async def test_a_later_run_is_told_the_whole_of_an_earlier_one(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, tools=[reader("a" * 3000)], add_history_to_context=True)
    server.script.append(CALL)
    given = Message("user", (TextPart("Read"), ImagePart(Inline(IMAGE))))
    await agent.arun(given, run_id="first", session_id="session")
    output = await agent.arun("And now?", run_id="second", session_id="session")
    earlier, later = (each.body["input"] for each in server.requests[1:])
    assert later[: len(earlier)] == earlier
    assert told(server) == ["a" * 3000]
    assert [each.from_history for each in output.messages] == [True] * 4 + [False] * 2


@LOCALLY
@pytest.mark.usefixtures("low")
async def test_readers_of_the_run_see_the_same_reference_everywhere(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, tools=[reader("a" * 3000)])
    server.script.append(CALL)
    own = agent.arun("Read", run_id="run", stream=True, stream_events=True)
    live = [shape(event) async for event in own]
    assert [shape(event) async for event in agent.astream_run("run")] == live
    results = [result for _, _, result in live if result]
    assert len(results) == 1
    assert len(results[0]) < 1200


def shape(event: RunOutputEvent) -> tuple[str, int, str | None]:
    return event.event.value, event.seq, event.tool.result if event.tool else None


class Speaker(Model):
    """A model that answers with a recording and a call, then with a text."""

    id, provider = "speaker", "test"

    def __init__(self) -> None:
        self.asked: list[ModelRequest] = []

    @override
    async def respond(self, request: ModelRequest) -> ModelResponse:
        self.asked.append(request)
        if len(self.asked) > 1:
            return ModelResponse(Message("assistant", "Done."), Metrics(model_calls=1))
        content = (TextPart("Hear:"), AudioPart(Inline(IMAGE), "audio/wav", "hm"))
        message = Message("assistant", content, [ToolCall("1", "read", "{}")])
        return ModelResponse(message, Metrics(model_calls=1))

    @override
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        yield await self.respond(request)


@LOCALLY
@pytest.mark.usefixtures("low")
async def test_media_of_an_answer_are_kept_by_reference_and_handed_back(db: Database) -> None:
    speaker = Speaker()
    agent = Agent("Tester", speaker, db=db, tools=[reader("read")])
    output = await agent.arun("Speak", run_id="run")
    assert output.content == "Done."
    blob = blob_of(output.messages[1], 1)
    assert output.messages[1].content == (TextPart("Hear:"), AudioPart(blob, "audio/wav", "hm"))
    assert await agent.aget_blob("run", blob.hash) == IMAGE
    assert speaker.asked[1].messages[1].content == (
        TextPart("Hear:"),
        AudioPart(Inline(IMAGE), "audio/wav", "hm"),
    )
    assert len(await rows_of(db)) < 5000


@pytest.mark.usefixtures("low")
async def test_without_a_database_nothing_is_replaced(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, tools=[reader("a" * 3000)])
    server.script.append(CALL)
    output = await agent.arun(Message("user", (TextPart("Hi"), ImagePart(Inline(IMAGE)))))
    assert output.tools[0].result == output.messages[2].content == "a" * 3000
    assert told(server) == ["a" * 3000]


@LOCALLY
@pytest.mark.usefixtures("low")
async def test_what_is_around_a_tool_sees_the_whole(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    seen: list[Content] = []

    class Watching(Middleware):
        @override
        async def tool_call(self, run: RunInfo, call: ToolCall, make: CallTool) -> ToolResult:
            result = await make(call)
            seen.append(result.content)
            return result

    agent = Agent("Tester", model, db=db, tools=[reader("a" * 3000)], middleware=[Watching()])
    server.script.append(CALL)
    await agent.arun("Read")
    assert seen == ["a" * 3000]


@LOCALLY
@pytest.mark.usefixtures("low")
async def test_a_long_error_is_kept_by_reference_too(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    async def read() -> str:
        raise ValueError("b" * 3000)

    agent = Agent("Tester", model, db=db, tools=[read])
    server.script.append(CALL)
    output = await agent.arun("Read", run_id="run")
    assert output.tools[0].tool_call_error
    assert blob_of(output.messages[2]).size == 3012
    assert told(server) == ["ValueError: " + "b" * 3000]


@pytest.mark.usefixtures("low")
async def test_a_long_result_from_elsewhere_is_kept_by_reference_too(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    @tool(requires_confirmation=True)
    async def read() -> str:
        raise AssertionError("it was called")

    agent = Agent("Tester", model, db=db, tools=[read])
    server.script.append(CALL)
    await agent.arun("Read", background=True, run_id="run")
    paused = await agent.await_run("run", timeout=20)
    assert paused is not None
    call_id = paused.requirements[0].tool_execution.tool_call_id
    await agent.acontinue_run("run", results={call_id: "c" * 3000})
    output = await agent.await_run("run", timeout=20, until="end")
    assert output is not None
    assert blob_of(output.messages[2]).size == 3000
    assert told(server) == ["c" * 3000]


@pytest.mark.usefixtures("low")
async def test_a_run_whose_blob_is_gone_says_so(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    gone = Message("user", (TextPart("Look"), ImagePart(Blob("0" * 64, 7))))
    agent = Agent("Tester", model, db=db)
    with pytest.raises(BlobNotFoundError, match="of run 'run' is not there"):
        await agent.arun(gone, run_id="run")
    output = await found(agent)
    assert (output.status, output.error_kind) == (RunStatus.error, "BlobNotFoundError")
    assert server.requests == []
    with pytest.raises(BlobNotFoundError):
        await agent.aget_blob("run", "0" * 64)


@pytest.mark.usefixtures("low")
async def test_a_result_that_came_before_the_cancel_is_kept(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    store = await db.store()
    began, write = asyncio.Event(), store.blobs._write

    async def hanging(*arguments: Any) -> None:
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        await write(*arguments)

    cast(Any, store.blobs)._write = hanging
    agent = Agent("Tester", model, db=db, tools=[reader("a" * 3000)])
    server.script.append(CALL)
    await agent.arun("Read", background=True, run_id="run")
    async with asyncio.timeout(20):
        await began.wait()
    assert await agent.acancel_run("run")
    output = await agent.await_run("run", timeout=20)
    assert output is not None
    assert output.status is RunStatus.cancelled
    blob = blob_of(output.messages[2])
    assert await agent.aget_blob("run", blob.hash) == b"a" * 3000


def test_code_without_an_event_loop_can_read_one(sqlite_db: Database) -> None:
    agent = Agent("Tester", Speaker(), db=sqlite_db)
    with pytest.raises(BlobNotFoundError):
        agent.get_blob("run", "0" * 64)
