"""A journal that cannot be read ends its run in ERROR, says which row it is, and is kept."""

import json
import re
import sqlite3
from collections.abc import Callable

import asyncpg
import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.errors import JournalError, NewerJournalError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

_REMEDY = "It was kept as it is; repair it and retry the run, or fork the run from an earlier step."
ANSWER = {"message": {"role": "assistant"}, "metrics": {}}
CALL = {"id": "call", "name": "work"}


async def change(db: Database, run_id: str, seq: int, kind: str, payload: str) -> None:
    """Write a row of a journal anew."""
    if isinstance(db, PostgresDb):
        connection = await asyncpg.connect(db._dsn)
        await connection.execute(
            f"UPDATE {db._names.events} SET type = $1, payload = $2 WHERE run_id = $3 AND seq = $4",
            *(kind, payload, run_id, seq),
        )
        await connection.close()
        return
    assert isinstance(db, SqliteDb)
    with sqlite3.connect(db._file.path, timeout=30) as file:
        file.execute(
            f'UPDATE "{db.session_table}_run_events" SET type = ?, payload = ? '
            "WHERE run_id = ? AND seq = ?",
            (kind, payload, run_id, seq),
        )
    file.close()


async def rows(db: Database, run_id: str) -> list[tuple[int, str, str]]:
    """Return a run's journal as it is stored."""
    store = await db.store()
    return [(each.seq, each.type, each.payload) for each in await store.events(run_id, 0)]


async def ended(agent: Agent, run_id: str) -> RunOutput:
    """Return the run once it has ended."""
    run = await agent.await_run(run_id, timeout=15)
    assert run is not None
    return run


async def resume(db: Database, run_id: str) -> None:
    """Have a run in ERROR executed again, though nobody has looked at its journal."""
    store = await db.store()
    record = await store.get(run_id)
    assert record is not None
    assert await store.resume(run_id, RunStatus.error, record.attempt, [])


async def work(step: str) -> str:
    """Do a step."""
    return f"{step} is done"


def without(name: str) -> Callable[[dict[str, object]], object]:
    return lambda payload: {key: value for key, value in payload.items() if key != name}


def having(**changes: object) -> Callable[[dict[str, object]], object]:
    return lambda payload: payload | changes


ANSWERS: dict[str, Callable[[dict[str, object]], object]] = {
    "a list": lambda payload: [1],
    "a number": lambda payload: 1,
    "nothing": lambda payload: None,
    "no message": without("message"),
    "no metrics": without("metrics"),
    "a message of a kind": having(message="Hello"),
    "a message of nobody": having(message={"role": "nobody"}),
    "a content of a kind": having(message={"role": "assistant", "content": 3}),
    "calls of a kind": having(message={"role": "assistant", "tool_calls": 3}),
    "a call of a kind": having(message={"role": "assistant", "tool_calls": [3]}),
    "half a call": having(message={"role": "assistant", "tool_calls": [CALL]}),
    "metrics of a kind": having(metrics=[]),
    "texts in metrics": having(metrics={"input_tokens": "3"}),
    "history of a kind": having(history="run"),
    "a history of numbers": having(history=[3]),
    "slices of a kind": having(slices="3"),
    "starts of nothing": having(starts=[7]),
    "starts before the first": having(starts=[-1]),
    "no calls": having(**ANSWER),
}
RESULTS: dict[str, Callable[[dict[str, object]], object]] = {
    "no place": without("place"),
    "no result": without("content"),
    "a place of a kind": having(place="0"),
    "a place that is not there": having(place=7),
    "a place before the first": having(place=-1),
    "a place that is true": having(place=True),
    "a result of a kind": having(content={"a": 1}),
    "a result of nothing": having(content=None),
}


async def test_every_damaged_row_is_named_and_kept_and_can_be_repaired(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db, tools=[work])
    server.script += [
        Reply.tool_calls(("work", {"step": "a"})),
        Reply.http_error(500, "On strike."),
    ]
    await agent.arun("Work", background=True, run_id="run")
    assert (await ended(agent, "run")).status is RunStatus.error
    journal = await rows(shared_db, "run")
    cases: list[tuple[str, int, str, str]] = []
    for kind, damages in (("ModelAnswered", ANSWERS), ("ToolEnded", RESULTS)):
        [(seq, sound)] = [(seq, text) for seq, type_, text in journal if type_ == kind]
        for name, damage in damages.items():
            cases.append((name, seq, kind, json.dumps(damage(json.loads(sound)))))
    result, text = next((seq, text) for seq, type_, text in journal if "Tool" in type_)
    answer = next(seq for seq, type_, _ in journal if type_ == "ModelAnswered")
    cases.append(("a result before its answer", answer, "ToolEnded", text))
    if isinstance(shared_db, SqliteDb):  # PostgreSQL sees to it that it is JSON.
        cases.append(("half of a row", result, "ToolEnded", text[:-3]))

    for name, seq, kind, payload in cases:
        untouched = {each[0]: each for each in journal}[seq]
        await change(shared_db, "run", seq, kind, payload)
        # A row may be sound in itself, and the next one not fit to it.
        named = rf"^Row ({seq}|{result}) of the journal of run run is damaged \(.*{_REMEDY}$"
        with pytest.raises(JournalError, match=f"(?s){named}"):
            await agent.aretry_run("run")
        await resume(shared_db, "run")
        run = await ended(agent, "run")
        assert run.status is RunStatus.error, name
        assert re.search(named, str(run.error), re.DOTALL), f"{name}: {run.error}"
        assert (seq, kind, payload) in await rows(shared_db, "run"), name
        with pytest.raises(JournalError, match=r"Row \d+ of the journal of run run is damaged"):
            async for _ in agent.astream_run("run"):
                pass
        await change(shared_db, "run", *untouched)

    await agent.aretry_run("run")
    run = await ended(agent, "run")
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    assert [tool.result for tool in run.tools] == ["a is done"]
    assert len(server.requests) == 3


async def test_a_row_of_an_unknown_kind_asks_for_a_newer_kern(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db, tools=[work])
    server.script += [
        Reply.tool_calls(("work", {"step": "a"})),
        Reply.http_error(500, "On strike."),
    ]
    await agent.arun("Work", background=True, run_id="run")
    await ended(agent, "run")
    seq, kind, sound = (await rows(shared_db, "run"))[0]
    await change(shared_db, "run", seq, "OfTheFuture", sound)
    with pytest.raises(NewerJournalError) as refused:
        await agent.aretry_run("run")
    assert str(refused.value) == (
        f"Row {seq} of the journal of run run holds a 'OfTheFuture', which this kern does not "
        "know. Upgrade kern, then retry the run."
    )
    assert (seq, "OfTheFuture", sound) in await rows(shared_db, "run")
    await change(shared_db, "run", seq, kind, sound)
    await agent.aretry_run("run")
    assert (await ended(agent, "run")).status is RunStatus.completed


async def test_a_tool_that_is_gone_is_named_and_the_run_goes_on_once_it_is_back(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db, tools=[work])
    server.script += [
        Reply.tool_calls(("work", {"step": "a"})),
        Reply.http_error(500, "On strike."),
    ]
    await agent.arun("Work", background=True, run_id="origin")
    await ended(agent, "origin")
    [answer] = [
        event.seq
        async for event in agent.astream_run("origin")
        if event.event is RunEvent.model_request_completed
    ]
    without_tools = Agent("Tester", model, db=shared_db)
    await without_tools.acontinue_run("origin", from_seq=answer, new_run_id="run")
    run = await ended(without_tools, "run")

    assert run.status is RunStatus.error
    assert run.error == (
        "The run has to call the tool 'work', which the agent 'tester' does not have any more. "
        "Give the agent this tool again, then retry the run."
    )
    assert len(server.requests) == 2
    await agent.aretry_run("run")
    run = await ended(agent, "run")
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    assert [tool.result for tool in run.tools] == ["a is done"]
