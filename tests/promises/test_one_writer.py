"""Promise 3: only the newest attempt of a run writes; one that was only asleep is refused."""

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from elsewhere import Elsewhere, Process
from freezing import freeze
from journals import row
from leases import expire
from stores import CLAIM, LOST, ending, new_run, same, settled_as, sweep

from kern.agent import Agent
from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.record import JournalRow
from kern.run.steps import TextSlice
from kern.testing import Reply, ResponsesServer

HEARTBEAT = "1.5"
"""Of the processes that are put to sleep: how soon they notice what they missed."""

EXECUTE = """
run = await agent.arun("Sleep", background=True, run_id="asleep")
say("begun")
while (question := await hear()) != "end":
    other = await agent.arun(question, background=True)
    ended = await agent.await_run(other.run_id, timeout=20)
    say(ended.status.value, ended.content)
"""

EXECUTE_TOOL = f"""
from kern.tools import FunctionTool

async def slow() -> str:
    say("in tool")
    try:
        await asyncio.Event().wait()
    finally:
        say("out of tool")
    return "too late"

agent.tools["slow"] = FunctionTool(slow)
{EXECUTE}
"""


async def _everything(db: Database, run_id: str) -> list[str]:
    """Return what is stored of a run: its row, and its journal."""
    if isinstance(db, PostgresDb):
        connection = await asyncpg.connect(db._dsn)
        names = db._names
        rows = await connection.fetch(
            f"SELECT runs::text FROM {names.runs} AS runs WHERE run_id = $1", run_id
        ) + await connection.fetch(
            f"SELECT events::text FROM {names.events} AS events WHERE run_id = $1 ORDER BY seq",
            run_id,
        )
        await connection.close()
        return [row[0] for row in rows]
    assert isinstance(db, SqliteDb)
    with sqlite3.connect(db._file.path, timeout=30) as file:
        found = [
            repr(row)
            for table in ("runs", "run_events")
            for row in file.execute(
                f'SELECT * FROM "{db.session_table}_{table}" WHERE run_id = ?', (run_id,)
            )
        ]
    file.close()
    return found


async def _events(agent: Agent, run_id: str) -> list[tuple[int, RunEvent, str | None]]:
    async with asyncio.timeout(20):
        return [(e.seq, e.event, e.content) async for e in agent.astream_run(run_id)]


async def _take_over(agent: Agent, sleeper: Process, run_id: str = "asleep") -> RunOutput:
    """Stop the process, and end its run here."""
    assert agent.db is not None
    await freeze(sleeper, agent.db)
    await expire(agent.db, run_id)
    (await open_runtime(agent.db)).serve(agent)
    run = await agent.await_run(run_id, timeout=20)
    assert run is not None
    return run


async def test_a_process_that_slept_through_its_model_call_cannot_write(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    assert agent.db is not None
    held = Reply.text("From the grave.").held()
    server.script += [held, Reply.text("From the heir.")]
    sleeper = elsewhere(EXECUTE, KERN_HEARTBEAT=HEARTBEAT)
    await server.wait_for_requests(1, timeout=20)
    assert await sleeper.said() == "begun"
    run = await _take_over(agent, sleeper)
    assert (run.status, run.content) == (RunStatus.completed, "From the heir.")
    stored, events = await _everything(agent.db, "asleep"), await _events(agent, "asleep")

    held.release()
    sleeper.send(signal.SIGCONT)
    sleeper.tell("Alive?")
    assert await sleeper.said() == "COMPLETED Hello."

    assert await _everything(agent.db, "asleep") == stored
    assert await _events(agent, "asleep") == events
    assert await agent.aget_run_output("asleep") == run
    sleeper.tell("end")
    assert await sleeper.ended() == 0
    assert await _everything(agent.db, "asleep") == stored


async def test_a_process_that_slept_closes_the_model_call_that_is_not_its_own_any_more(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    assert agent.db is not None
    server.script += [Reply.hang(), Reply.text("From the heir.")]
    sleeper = elsewhere(EXECUTE, KERN_HEARTBEAT=HEARTBEAT)
    await server.wait_for_requests(1, timeout=20)
    assert await sleeper.said() == "begun"
    run = await _take_over(agent, sleeper)
    stored = await _everything(agent.db, "asleep")
    assert server.disconnects == 0

    sleeper.send(signal.SIGCONT)
    await server.wait_for_disconnects(1, timeout=20)

    sleeper.tell("Alive?")
    assert await sleeper.said() == "COMPLETED Hello."
    assert await agent.aget_run_output("asleep") == run
    assert await _everything(agent.db, "asleep") == stored


async def test_a_process_that_slept_through_streamed_text_adds_no_piece(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    assert agent.db is not None
    held = Reply.text("Half", " a word, ", "and more, ", "and more.").held(after=1)
    server.script += [held, Reply.text("From the heir.")]
    sleeper = elsewhere(
        EXECUTE.replace(
            'run = await agent.arun("Sleep", background=True, run_id="asleep")',
            'stream = agent.arun("Sleep", background=True, run_id="asleep", stream=True)\n'
            "await anext(stream)",
        ),
        KERN_HEARTBEAT=HEARTBEAT,
    )
    assert await sleeper.said() == "begun"
    run = await _take_over(agent, sleeper)
    assert run.content == "From the heir."
    stored, events = await _everything(agent.db, "asleep"), await _events(agent, "asleep")

    held.release()
    sleeper.send(signal.SIGCONT)
    sleeper.tell("Alive?")
    assert await sleeper.said() == "COMPLETED Hello."

    assert await _everything(agent.db, "asleep") == stored
    assert await _events(agent, "asleep") == events


async def test_a_process_that_slept_inside_a_tool_stops_it_and_cannot_write(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    attempts = []

    async def slow(context: RunContext) -> str:
        attempts.append(context.attempt)
        return "in time"

    agent = Agent("Tester", model, db=shared_db, tools=[slow])
    server.script += [Reply.tool_calls(("slow", {})), Reply.text("Done in time.")]
    sleeper = elsewhere(EXECUTE_TOOL, KERN_HEARTBEAT=HEARTBEAT)
    assert {await sleeper.said(), await sleeper.said()} == {"begun", "in tool"}
    run = await _take_over(agent, sleeper)
    assert (run.status, run.content) == (RunStatus.completed, "Done in time.")
    assert [tool.result for tool in run.tools] == ["in time"]
    assert attempts == [2]
    stored, events = await _everything(shared_db, "asleep"), await _events(agent, "asleep")

    sleeper.send(signal.SIGCONT)
    assert await sleeper.said() == "out of tool"
    sleeper.tell("Alive?")
    assert await sleeper.said() == "COMPLETED Hello."

    assert await _everything(shared_db, "asleep") == stored
    assert await _events(agent, "asleep") == events
    assert len(server.requests) == 3


def _row(seq: int, text: str) -> JournalRow:
    return row("run", seq, TextSlice(text))


async def _stale_once(store: Store) -> None:
    """Have the run in its second attempt, which has written a row."""
    await store.submit(new_run())
    first = await store.claim("run", LOST)
    assert first is not None
    assert first.attempt == 1
    assert await store.append("run", 1, [_row(1, "first")], False)
    await sweep(store)
    second = await store.claim("run", CLAIM)
    assert second is not None
    assert (second.attempt, second.last_seq) == (2, 1)
    assert await store.append("run", 2, [_row(2, "second")], False)


Attack = Callable[[Store], Awaitable[Any]]

ATTACKS: dict[str, tuple[Attack, object]] = {
    "append": (lambda store: store.append("run", 1, [_row(3, "late")], True), None),
    "append over": (lambda store: store.append("run", 1, [_row(2, "late")], False), None),
    "settle": (lambda store: store.settle(ending(output='{"content":"late"}')), None),
    "fail": (lambda store: store.settle(ending(status=RunStatus.error)), None),
    "pause": (lambda store: store.settle(ending(status=RunStatus.paused)), None),
    "release": (lambda store: store.release("run", 1), None),
    "extend": (lambda store: store.extend([("run", 1)], 999.0), {}),
}


async def _state(store: Store) -> object:
    record = await store.get("run", with_input=True)
    return record, await store.events("run", 0)


@pytest.mark.parametrize("attack", ATTACKS)
async def test_the_store_refuses_a_stale_attempt(db: Database, attack: str) -> None:
    store = await db.store()
    await _stale_once(store)
    before = await _state(store)

    write, refusal = ATTACKS[attack]
    assert await write(store) == refusal

    assert await _state(store) == before
    assert await store.extend([("run", 2)], 60.0) == {"run": False}
    assert settled_as(await store.settle(ending(attempt=2))) is RunStatus.completed


async def test_the_store_refuses_every_attack_of_a_stale_attempt_at_once(
    db: Database,
) -> None:
    store = await db.store()
    await _stale_once(store)
    before = await _state(store)

    attacks = [each for each in ATTACKS.values() for _ in range(20)]
    answers = await asyncio.gather(*(write(store) for write, _ in attacks))

    assert answers == [refusal for _, refusal in attacks]
    assert await _state(store) == before


async def test_the_store_refuses_a_stale_attempt_after_the_end(db: Database) -> None:
    store = await db.store()
    await _stale_once(store)
    assert settled_as(await store.settle(ending(attempt=2))) is RunStatus.completed
    before = await _state(store)

    for write, refusal in ATTACKS.values():
        assert await write(store) == refusal
    assert await store.append("run", 2, [_row(9, "after the end")], False) is None
    assert await store.settle(ending(attempt=2, status=RunStatus.error)) is None

    assert await _state(store) == before


async def test_a_claim_knows_of_every_row_that_the_attempt_before_it_has_written(
    db: Database,
) -> None:
    store = await db.store()
    # The heir has connections of its own, so that it is not merely queued behind the sleeper.
    heir = same(db) if isinstance(db, PostgresDb | SqliteDb) else db
    other = await heir.store()
    for number in range(6):
        run_id = f"run-{number}"
        await store.submit(new_run(run_id))
        assert await store.claim(run_id, LOST) is not None
        written: list[int] = []

        async def append(seq: int, run_id: str = run_id, written: list[int] = written) -> bool:
            piece = row(run_id, seq, TextSlice("x" * 500))
            mine = bool(await store.append(run_id, 1, [piece], False))
            if mine:
                written.append(seq)
            return mine

        async def write_on(append: Callable[[int], Awaitable[bool]] = append) -> None:
            seq = 0
            while await append(seq := seq + 1):
                assert seq < 50_000, "the claim was never noticed"

        writing = asyncio.create_task(write_on())
        async with asyncio.timeout(20):
            while len(written) < 10 + 6 * number:
                assert not writing.done()
                await asyncio.sleep(0)
            # A sweep passes by a run that is just being written.
            while run_id not in (await sweep(other)).expired:
                assert not writing.done()
            claimed = await other.claim(run_id, CLAIM)
            await writing

        assert claimed is not None
        rows = [each.seq for each in await other.events(run_id, 0)]
        assert rows == written
        assert claimed.last_seq == len(rows), "rows were written after the claim"


async def test_a_run_does_not_expire_while_its_attempt_is_writing(
    postgres_db: PostgresDb,
) -> None:
    store = await postgres_db.store()
    names = postgres_db._names
    await store.submit(new_run())
    assert await store.claim("run", LOST) is not None
    sleeper = await asyncpg.connect(postgres_db._dsn)
    transaction = sleeper.transaction()
    await transaction.start()
    # What an append does, halted before its commit.
    await sleeper.execute(
        f"SELECT 1 FROM {names.runs} WHERE run_id = 'run' AND attempt = 1 FOR SHARE"
    )
    written = _row(1, "half")
    await sleeper.execute(
        f"INSERT INTO {names.events} (run_id, seq, event, type, skippable, payload) "
        "VALUES ('run', 1, $1, $2, $3, $4)",
        *(written.event, written.type, written.skippable, written.payload),
    )
    assert (await sweep(store)).expired == []

    await transaction.commit()

    assert (await sweep(store)).expired == ["run"]
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert (claimed.attempt, claimed.last_seq) == (2, 1)
    await sleeper.close()
