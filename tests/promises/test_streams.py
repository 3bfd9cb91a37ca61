"""The same numbered events, live or later, in any process; a reader goes on where it left off."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise

import asyncpg
import pytest
from elsewhere import Elsewhere, Process
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.dispatch.opening import open_runtime
from kern.errors import ModelError, RunNotFoundError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutputEvent
from kern.run.base import RunStatus
from kern.run.steps import PIECE_KINDS
from kern.testing import Reply, ResponsesServer
from kern.tools import tool

WITHIN = 20.0

READ = """
async for event in agent.astream_run({run_id!r}, after={after}):
    say(event.seq, event.event.value, repr(event.content))
say("end")
"""

Stream = AsyncGenerator[RunOutputEvent, None]


def _line(event: RunOutputEvent) -> str:
    return f"{event.seq} {event.event.value} {event.content!r}"


def _kinds(events: list[RunOutputEvent]) -> list[RunEvent]:
    return [event.event for event in events]


def _text(events: list[RunOutputEvent]) -> str:
    return "".join(e.content or "" for e in events if e.event is RunEvent.run_content)


def _is_numbered(events: list[RunOutputEvent]) -> bool:
    return all(first.seq + 1 == second.seq for first, second in pairwise(events))


async def _rest(events: Stream) -> list[RunOutputEvent]:
    """Read to the end."""
    async with asyncio.timeout(WITHIN), aclosing(events):
        return [event async for event in events]


async def _until(events: Stream, text: str) -> list[RunOutputEvent]:
    """Read on until the pieces of text have come to this text."""
    found: list[RunOutputEvent] = []
    async with asyncio.timeout(WITHIN):
        while _text(found) != text:
            found.append(await anext(events))
    return found


async def _said_until_end(process: Process) -> list[str]:
    lines = []
    while (line := await process.said()) != "end":
        assert line, "the process has died"
        lines.append(line)
    return lines


async def _pieces_stored(db: Database, run_id: str) -> int:
    if isinstance(db, PostgresDb):
        connection = await asyncpg.connect(db._dsn)
        count: int = await connection.fetchval(
            f"SELECT count(*) FROM {db._names.events} WHERE run_id = $1 AND type = ANY($2)",
            *(run_id, list(PIECE_KINDS)),
        )
        await connection.close()
        return count
    assert isinstance(db, SqliteDb)
    with sqlite3.connect(db._file.path) as file:
        [count] = file.execute(
            f'SELECT count(*) FROM "{db.session_table}_run_events" '
            "WHERE run_id = ? AND type IN (?, ?)",
            (run_id, *PIECE_KINDS),
        ).fetchone()
    file.close()
    return count


async def test_the_same_events_come_here_and_in_another_process(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    reply = Reply.text("One ", "two ", "three.").held(after=2)
    server.script.append(reply)
    stream = agent.arun(
        "Count", stream=True, background=True, stream_events=True, run_id="streamed"
    )
    here = await _until(stream, "One two ")
    other = elsewhere(READ.format(run_id="streamed", after=0))
    there = [await other.said() for _ in here]
    assert there == [_line(event) for event in here]
    assert server.in_flight == 1

    reply.release()
    here += await _rest(stream)
    there += await _said_until_end(other)

    assert there == [_line(event) for event in here]
    assert _is_numbered(here)
    assert _text(here) == "One two three."
    assert [each for each in _kinds(here) if each is not RunEvent.run_content] == [
        RunEvent.run_started,
        RunEvent.model_request_started,
        RunEvent.model_request_completed,
        RunEvent.run_content_completed,
        RunEvent.run_completed,
    ]
    assert here[-1].content == "One two three."


async def test_pieces_come_from_another_process_while_its_model_call_is_under_way(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    reply = Reply.text("One ", "two ", "three.").held(after=1)
    server.script.append(reply)
    other = elsewhere(
        'stream = agent.arun("Count", stream=True, background=True, run_id="there")\n'
        'await anext(stream)\nsay("begun")\nawait hear()'
    )
    assert await other.said() == "begun"

    stream = agent.astream_run("there")
    found = await _until(stream, "One ")
    assert server.in_flight == 1
    reply.release()
    found += await _rest(stream)

    assert _text(found) == "One two three."
    assert _is_numbered(found)
    assert found[-1].event is RunEvent.run_completed


async def test_a_reader_that_breaks_off_anywhere_goes_on_with_exactly_the_rest(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, tools=[_look])
    reply = Reply.text("One ", "two ", "three.").held(after=2)
    server.script += [Reply.tool_calls(("look", {"at": "it"})), reply]
    run_id = f"broken-off-{id(db)}"
    stream = agent.arun("Look", stream=True, background=True, stream_events=True, run_id=run_id)
    first = await _until(stream, "One two ")
    assert _is_numbered(first)

    live: dict[int, Stream] = {}
    for seq in range(first[-1].seq):
        events = live[seq] = agent.astream_run(run_id, after=seq)
        due = [event.seq for event in first if event.seq > seq]
        async with asyncio.timeout(WITHIN):
            assert [(await anext(events)).seq for _ in due] == due
    reply.release()
    rest = await _rest(stream)
    for events in live.values():
        assert list(map(_line, await _rest(events))) == list(map(_line, rest))

    whole = await _rest(agent.astream_run(run_id))
    assert list(map(_line, whole)) == list(map(_line, first + rest))
    assert _is_numbered(whole)
    for event in whole:
        later = await _rest(agent.astream_run(run_id, after=event.seq))
        assert later == [each for each in whole if each.seq > event.seq]


async def test_late_readers_get_the_whole_text_though_its_pieces_are_folded(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    reply = Reply.text("One ", "two ", "three.").held(after=1)
    server.script.append(reply)
    stream = agent.arun("Count", stream=True, background=True, stream_events=True, run_id="folded")
    live = await _until(stream, "One ")
    reply.release()
    live += await _rest(stream)
    assert len([each for each in _kinds(live) if each is RunEvent.run_content]) > 1
    assert agent.db is not None
    assert await _pieces_stored(agent.db, "folded") == 0

    late = await _rest(agent.astream_run("folded"))
    other = elsewhere(READ.format(run_id="folded", after=0))

    assert await _said_until_end(other) == [_line(event) for event in late]
    assert _text(live) == _text(late) == "One two three."
    assert list(map(_line, late)) == list(map(_line, live))


@pytest.mark.parametrize("pause", [0.0, 0.004, 0.015])
async def test_the_pieces_of_a_live_reader_add_up_to_the_content(
    db: Database, model: OpenAIResponses, server: ResponsesServer, pause: float
) -> None:
    words = tuple(f"word{number} " for number in range(30))
    server.default = Reply.text(*words).slow(pause=pause)
    agent = Agent("Tester", model, db=db)

    async def read(number: int) -> str:
        pieces = await _rest(
            agent.arun("Go", stream=True, background=True, run_id=f"live-{number}-{id(words)}")
        )
        kinds = [RunEvent.run_content] * (len(pieces) - 1)
        assert _kinds(pieces) == [*kinds, RunEvent.run_completed]
        assert _is_numbered(pieces[:-1])
        return _text(pieces)

    texts = await asyncio.gather(*(read(number) for number in range(5)))
    assert texts == ["".join(words)] * 5


@tool(name="look")
async def _look(at: str) -> str:
    if at == "nothing":
        raise LookupError("nothing there")
    return f"saw {at}"


async def test_the_events_of_tools_say_which_call_and_what_became_of_it(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, tools=[_look])
    server.script += [
        Reply.text("Let me look.").calling(("look", {"at": "a tree"})),
        Reply.tool_calls(("look", {"at": "nothing"})),
        Reply.text("I looked."),
    ]
    run_id = f"tools-{id(db)}"
    live = await _rest(
        agent.arun("Look", stream=True, background=True, stream_events=True, run_id=run_id)
    )
    late = await _rest(agent.astream_run(run_id))
    for events in (live, late):
        assert _is_numbered(events)
        assert _text(events) == "Let me look.I looked."
        calls = [
            (event.event, event.tool.tool_name, event.tool.tool_args, event.tool.result)
            for event in events
            if event.tool is not None
        ]
        tree, nothing = {"at": "a tree"}, {"at": "nothing"}
        failed = "LookupError: nothing there"
        assert [(event, name, args) for event, name, args, _ in calls] == [
            (RunEvent.tool_call_started, "look", tree),
            (RunEvent.tool_call_completed, "look", tree),
            (RunEvent.tool_call_started, "look", nothing),
            (RunEvent.tool_call_error, "look", nothing),
        ]
        assert [result for *_, result in calls if result] == ["saw a tree", failed]


async def test_a_failed_run_ends_with_what_went_wrong(
    agent: Agent, server: ResponsesServer
) -> None:
    server.script.append(Reply.failed("server_error", "Out of order.", "Half"))
    live: list[RunOutputEvent] = []

    async def read() -> None:
        stream = agent.arun(
            "Fail", stream=True, background=True, stream_events=True, run_id="failed"
        )
        async for event in stream:
            live.append(event)

    with pytest.raises(ModelError, match="Out of order"):
        await read()
    assert live[-1].event is RunEvent.run_error
    assert "Out of order." in (live[-1].content or "")
    late = await _rest(agent.astream_run("failed"))
    assert list(map(_line, late)) == list(map(_line, live))
    assert await _rest(agent.astream_run("failed", after=live[-1].seq)) == []


async def test_a_cancelled_run_ends_with_its_cancel(agent: Agent, server: ResponsesServer) -> None:
    server.script.append(Reply.text("Half", " of it").held(after=1))
    stream = agent.arun("Go", stream=True, background=True, stream_events=True, run_id="cancelled")
    live = await _until(stream, "Half")
    assert await agent.acancel_run("cancelled")
    live += await _rest(stream)
    assert live[-1].event is RunEvent.run_cancelled
    assert live[-1].content == "Half"
    assert list(map(_line, await _rest(agent.astream_run("cancelled")))) == list(map(_line, live))


async def test_a_run_that_was_cancelled_before_it_started_has_one_event(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    await agent.arun("Never", background=True, run_id="never-started")
    reading = asyncio.create_task(_rest(agent.astream_run("never-started")))
    await asyncio.sleep(0)
    assert await agent.acancel_run("never-started")
    assert _kinds(await reading) == [RunEvent.run_cancelled]
    assert _kinds(await _rest(agent.astream_run("never-started"))) == [RunEvent.run_cancelled]


async def test_a_paused_run_ends_its_stream(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.tool_calls(("pay", {})))
    process = elsewhere(
        """
        import signal
        from kern.tools import FunctionTool

        async def pay() -> str:
            os.kill(os.getpid(), signal.SIGKILL)
            return "never"

        agent.tools["pay"] = FunctionTool(pay, on_interrupt="pause")
        await agent.arun("Pay", background=True, run_id="paused")
        await agent.await_run("paused")
        """.replace("\n        ", "\n")
    )
    assert await process.ended() == -signal.SIGKILL

    @tool(on_interrupt="pause")
    async def pay() -> str:
        return "paid"

    agent = Agent("Tester", model, db=shared_db, tools=[pay])
    stream = agent.astream_run("paused")
    await expire(shared_db, "paused")
    (await open_runtime(shared_db)).serve(agent)
    found = await _rest(stream)
    assert found[-1].event is RunEvent.run_paused
    assert _is_numbered(found)

    assert list(map(_line, await _rest(agent.astream_run("paused")))) == list(map(_line, found))


async def test_an_unknown_run_has_no_stream(db: Database, model: OpenAIResponses) -> None:
    agent = Agent("Tester", model, db=db)
    with pytest.raises(RunNotFoundError, match="no-such-run"):
        await anext(agent.astream_run("no-such-run"))


async def test_a_run_that_nobody_streams_writes_no_pieces(
    agent: Agent, server: ResponsesServer
) -> None:
    assert agent.db is not None
    server.script.append(Reply.hang())
    server.default = Reply.text("One ", "two ").slow(pause=0.05)
    await agent.arun("Cancel", background=True, run_id="unread-cancelled")
    await server.wait_for_requests(1)
    await agent.arun("Count", background=True, run_id="unread")
    await agent.await_run("unread", timeout=WITHIN)
    assert await agent.acancel_run("unread-cancelled")
    await agent.await_run("unread-cancelled", timeout=WITHIN)
    for run_id in ("unread", "unread-cancelled"):
        assert await _pieces_stored(agent.db, run_id) == 0
    assert [request.body.get("stream") for request in server.requests] == [None, None]


async def test_a_reader_that_arrives_in_mid_run_sees_the_next_call_as_it_comes(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    go_on = asyncio.Event()

    async def wait() -> str:
        await go_on.wait()
        return "waited"

    agent = Agent("Tester", model, db=shared_db, tools=[wait])
    reply = Reply.text("One ", "two.").held(after=1)
    server.script += [Reply.text("Wait.").calling(("wait", {})), reply]
    await agent.arun("Wait", background=True, run_id="mid-run")
    await server.wait_until(lambda seen: len(seen.requests) == 1 and not seen.in_flight)

    other = elsewhere(READ.format(run_id="mid-run", after=0))
    here = agent.astream_run("mid-run")
    found = await _until(here, "Wait.")
    there = [await other.said() for _ in found]
    assert there == list(map(_line, found))
    # Both have asked by now; that the executor has heard of it shows in what it writes.
    runtime = await open_runtime(shared_db)
    async with asyncio.timeout(WITHIN):
        execution = runtime._executor._executing["mid-run"]
        while not execution.attempt.journal.is_read:  # noqa: ASYNC110 # it has no event
            await asyncio.sleep(0.01)
    go_on.set()
    found += await _until(here, "One ")
    assert server.in_flight == 1
    reply.release()
    found += await _rest(here)

    assert there + await _said_until_end(other) == list(map(_line, found))
    assert _text(found) == "Wait.One two."


async def test_a_model_call_that_is_made_again_after_a_crash_voids_the_half_text(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    assert agent.db is not None
    server.script += [
        Reply.text("Half of ", "it.").held(after=1),
        Reply.text("The whole ", "of it."),
    ]
    process = elsewhere(
        """
stream = agent.arun("Go", stream=True, background=True, run_id="crashed")
await anext(stream)
say("half")
await hear()
"""
    )
    assert await process.said() == "half"
    stream = agent.astream_run("crashed")
    found = await _until(stream, "Half of ")
    process.send(signal.SIGKILL)
    assert await process.ended() == -signal.SIGKILL
    await expire(agent.db, "crashed")
    (await open_runtime(agent.db)).serve(agent)
    found += await _rest(stream)

    assert _is_numbered(found)
    resumed = _kinds(found).index(RunEvent.run_resumed)
    assert _text(found[:resumed]) == "Half of "
    assert _text(found[resumed:]) == "The whole of it."
    assert found[-1].event is RunEvent.run_completed
    assert found[-1].content == "The whole of it."
    run = await agent.aget_run_output("crashed")
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "The whole of it.")
    assert _kinds(found)[resumed - 1] is RunEvent.run_content_voided
    late = await _rest(agent.astream_run("crashed"))
    assert list(map(_line, late)) == list(map(_line, found))


def test_the_synchronous_twin_yields_the_same_events(
    shared_db: Database, model: OpenAIResponses
) -> None:
    with ResponsesServer(default=Reply.text("One ", "two.")) as server:
        model = OpenAIResponses(
            "test-model", base_url=server.base_url, api_key="sk-test", max_retries=0
        )
        agent = Agent("Tester", model, db=shared_db)
        live = list(
            agent.run("Go", stream=True, background=True, stream_events=True, run_id="sync")
        )
        late = list(agent.stream_run("sync"))
        assert _text(live) == _text(late) == "One two."
        assert late[-1].event is RunEvent.run_completed
        assert [event.seq for event in late] == sorted({event.seq for event in late})
        middle = late[len(late) // 2].seq
        assert list(agent.stream_run("sync", after=middle)) == [
            event for event in late if event.seq > middle
        ]
