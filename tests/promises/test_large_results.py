"""Promises 4, 10 and 16: a long result costs its bytes once, and no row, and is told whole."""

import signal
from datetime import UTC, datetime, timedelta

import pytest
from elsewhere import Elsewhere
from leases import expire
from stores import execute

from kern.agent import Agent
from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres.store import PostgresStore
from kern.dispatch.maintenance import prune
from kern.dispatch.opening import open_runtime
from kern.errors import BlobNotFoundError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.content import Blob, FilePart
from kern.testing import Reply, ResponsesServer

LINE = "A line of a report, with é, \U0001f600 and a zero: \x00.\n"
LINES = 5_000_000 // len(LINE.encode()) + 1
CALL = Reply.tool_calls(("read", {}))

BODY = f"""
async def read() -> str:
    return {LINE!r} * int(os.environ["TEST_LINES"])

model = OpenAIResponses("test-model", max_retries=0)
await Agent("Tester", model, db=db, tools=[read]).arun("Read", background=True, run_id="run")
await asyncio.Event().wait()
"""


def told(server: ResponsesServer, request: int) -> str:
    """Return what a request tells the model of a call."""
    items = server.requests[request].body["input"]
    [output] = [item["output"] for item in items if "output" in item]
    return str(output)


def blob_of(output: RunOutput) -> Blob:
    content = output.messages[2].content
    assert isinstance(content, tuple)
    [part] = content
    assert isinstance(part, FilePart)
    assert isinstance(part.source, Blob)
    return part.source


async def sizes(store: Store, run_id: str) -> tuple[int, int]:
    """Return how many bytes the rows of a run and of its journal take, and its blobs."""
    record = await store.get(run_id, with_input=True)
    assert record is not None
    rows = await store.events(run_id, 0)
    small = [record.input or "", record.output or "", *(row.payload for row in rows)]
    [row] = await execute(
        store, "SELECT sum(length(data)) AS size FROM {blobs} WHERE run_id = {1}", run_id
    )
    return sum(map(len, small)), int(str(row["size"] or 0))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(LINES, id="5 MB"),
        pytest.param(10 * LINES, id="50 MB", marks=[pytest.mark.nightly, pytest.mark.timeout(180)]),
    ],
)
async def test_a_long_result_costs_its_bytes_once_and_is_told_whole_after_a_kill(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    lines: int,
) -> None:
    server.script += [CALL, Reply.hang()]
    process = elsewhere(BODY, KERN_IN_PROCESS_WORKER="1", TEST_LINES=str(lines))
    await server.wait_for_requests(2, timeout=60)
    process.send(signal.SIGKILL)
    await process.ended()

    async def read() -> str:
        raise AssertionError("a completed call was made again")

    agent = Agent("Tester", model, db=shared_db, tools=[read])
    (await open_runtime(shared_db)).serve(agent)
    await expire(shared_db, "run")
    output = await agent.await_run("run", timeout=60)
    assert output is not None
    assert (output.status, output.attempt) == (RunStatus.completed, 2)
    text = LINE * lines
    assert told(server, 1) == told(server, 2) == text
    data = await agent.aget_blob("run", blob_of(output).hash)
    assert data.decode() == text

    small, large = await sizes(await shared_db.store(), "run")
    assert large == len(data)
    assert small < 16_000
    assert len(str(output.to_dict())) < 8000
    result = output.tools[0].result or ""
    assert result.startswith(text[:1000])
    assert f"{len(data):,} bytes" in result


async def test_a_branch_is_told_the_whole_when_its_origin_is_gone(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    text = LINE * (LINES // 2)

    async def read() -> str:
        return text

    agent = Agent("Tester", model, db=shared_db, tools=[read])
    server.script.append(CALL)
    await agent.arun("Read", run_id="origin", session_id="one", background=True)
    origin = await agent.await_run("origin", timeout=20)
    assert origin is not None
    blob = blob_of(origin)
    done = [event.seq async for event in agent.astream_run("origin") if event.tool is not None][-1]
    # Its tool has ended by then, so only the model is asked again; and once more after a retry.
    server.script.append(Reply.http_error(500, "On strike."))
    await agent.acontinue_run("origin", from_seq=done, new_run_id="branch", session_id="two")
    failed = await agent.await_run("branch", timeout=20)
    assert failed is not None
    assert failed.status is RunStatus.error

    store = await shared_db.store()
    await _end_long_ago(store, "origin")
    before = datetime.now(UTC) - timedelta(days=30)
    assert sum([runs async for runs in prune(store.retention, before)]) == 1
    with pytest.raises(BlobNotFoundError):
        await agent.aget_blob("origin", blob.hash)
    await agent.aretry_run("branch")
    branch = await agent.await_run("branch", timeout=20)
    assert branch is not None
    assert branch.status is RunStatus.completed
    assert [told(server, request) for request in (1, 2, 3)] == [text] * 3
    assert (await agent.aget_blob("branch", blob.hash)).decode() == text


async def _end_long_ago(store: Store, run_id: str) -> None:
    moment = str((datetime.now(UTC) - timedelta(days=40)).timestamp())
    then = (
        "to_timestamp({2}::text::float8)"
        if isinstance(store, PostgresStore)
        else "CAST({2} AS REAL)"
    )
    await execute(
        store,
        f"UPDATE {{runs}} SET created_at = {then}, finished_at = {then} WHERE run_id = {{1}}",
        run_id,
        moment,
    )
