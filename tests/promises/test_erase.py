"""What belongs to a user can be exported, and erased without a trace."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stores import CLAIM, ending, execute, new_run, seconds_ago

from kern.agent import Agent
from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.store import SqliteStore
from kern.db.users import MANY
from kern.errors import RunStateError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

SECRET = "a secret of \x00 and \ud800"
LARGE = "Large. " * 200_000


async def everything(store: Store) -> str:
    """Return all rows of all tables as one text, and the queue's payloads as they are."""
    if isinstance(store, PostgresStore):
        names = store.names
        tables = [names.sessions, names.runs, names.events, names.webhooks, names.schedules]
        texts = [
            str(
                [
                    row["found"]
                    for row in await store.pool.fetch(f"SELECT t::text AS found FROM {table} AS t")
                ]
            )
            for table in tables
        ]
        texts += [
            str(await store.pool.fetch(f"SELECT run_id FROM {names.blobs}")),
            str(
                await store.pool.fetch(
                    f"SELECT payload, dedupe_key FROM {names.queue} "
                    "WHERE starts_with(entrypoint, $1)",
                    names.session_table,
                )
            ),
        ]
        return "\n".join(texts)
    assert isinstance(store, SqliteStore)

    def read(transaction: Transaction) -> str:
        tables = transaction.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return "\n".join(
            str([tuple(row) for row in transaction.execute(f'SELECT * FROM "{table[0]}"')])
            for table in tables.fetchall()
            if table[0] != "sqlite_sequence"
        )

    return await store._file.read(read)


async def fill(agent: Agent, server: ResponsesServer, user: str) -> None:
    """Give a user something of everything, all of which names the user."""
    options: dict[str, Any] = {"session_id": f"{user}/chat", "user_id": user, "background": True}
    server.script += [Reply.tool_calls(("read", {})), Reply.text(f"{SECRET} of {user}")]
    run = await agent.arun(
        f"{SECRET} for {user}",
        run_id=f"{user}/1",
        metadata={"who": user},
        webhook="https://kern.invalid/hook",
        **options,
    )
    await agent.await_run(run.run_id, 20)
    await agent.arun("Nobody's", run_id=f"{user}/2", session_id=f"{user}/chat")
    await agent.arun(
        "Later", run_id=f"{user}/3", **options, run_at=datetime.now(UTC) + timedelta(1)
    )
    server.script.append(Reply.hang())
    asked = len(server.requests)
    await agent.arun("Slow", run_id=f"{user}/4", **options)
    await server.wait_for_requests(asked + 1)  # Another one could be given its reply else.
    await agent.arun("Waits", run_id=f"{user}/5", **options)
    await agent.acancel_run(f"{user}/6", user_id=user)
    await agent.aschedule(f"{user}/daily", f"For {user}", cron="0 6 * * *", user_id=user)


def new_agent(db: Database, model: OpenAIResponses) -> Agent:
    def read() -> str:
        return LARGE

    return Agent("Tester", model, db=db, tools=[read])


async def test_nothing_of_an_erased_user_is_left_and_all_of_the_others(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = new_agent(db, model)
    await fill(agent, server, "alice")
    await fill(agent, server, "bob")
    store = await db.store()
    exported = [row async for row in db.aexport_user("bob")]

    erased = await db.adelete_user("alice")
    assert (erased.runs, erased.sessions, erased.schedules) == (6, 1, 1)
    left = await everything(store)
    assert "alice" not in left
    assert "bob/1" in left
    assert [row async for row in db.aexport_user("alice")] == []
    after = [row async for row in db.aexport_user("bob")]
    assert [row["kind"] for row in after] == [row["kind"] for row in exported]
    assert await db.adelete_user("alice") == (0, 0, 0, 0, 0)
    await asyncio.wait_for(server.wait_for_disconnects(1), 20)


async def test_an_export_holds_everything_that_names_the_user(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    await fill(new_agent(db, model), server, "alice")
    rows = [json.loads(json.dumps(row)) async for row in db.aexport_user("alice")]
    kinds = {
        kind: [row for row in rows if row["kind"] == kind] for row in rows if (kind := row["kind"])
    }

    assert set(kinds) == {"schedule", "session", "run", "event", "blob", "webhook"}
    assert [row["run_id"] for row in kinds["run"]] == [f"alice/{number}" for number in range(1, 7)]
    first = kinds["run"][0]
    assert first["status"] == "COMPLETED"
    assert first["output"]["content"] == f"{SECRET} of alice"
    assert first["input"]["messages"][0]["content"] == f"{SECRET} for alice"
    assert first["metadata"] == {"who": "alice"}
    assert datetime.fromisoformat(first["created_at"]).tzinfo is not None
    assert first["ordered"] is True
    assert b"".join(base64.b64decode(row["data"]) for row in kinds["blob"]).decode() == LARGE
    assert {row["run_id"] for row in kinds["event"]} >= {"alice/1"}
    assert kinds["schedule"][0]["input"]["messages"][0]["content"] == "For alice"
    assert kinds["session"][0]["user_id"] == "alice"


async def test_many_runs_are_erased_in_batches(db: Database) -> None:
    store = await db.store()
    for number in range(2 * MANY + 1):
        run = new_run(f"run {number}", session_id=f"session {number % 7}", user_id="alice")
        await store.submit(run)
    assert (await db.adelete_user("alice")).runs == 2 * MANY + 1
    assert "alice" not in await everything(store)
    assert (
        "session" not in str(await store.users.owners((), [f"session {n}" for n in range(7)]))[20:]
    )


async def test_a_run_that_does_not_stop_is_said_and_can_be_erased_later(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run("ended", user_id="alice"))
    await store.submit(new_run("stuck", user_id="alice", session_id="other"))
    assert await store.claim("stuck", CLAIM) is not None
    with pytest.raises(RunStateError, match="1 runs or more of the user 'alice' have not stopped"):
        await db.adelete_user("alice", timeout=0.1)
    assert await store.get("ended") is None
    assert await store.get("stuck") is not None

    settled = await store.settle(ending("stuck"))
    assert settled is not None
    assert settled.status is RunStatus.cancelled
    assert (await db.adelete_user("alice")).runs == 1


async def test_a_run_of_a_lost_process_is_erased_once_its_lease_has_expired(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run("lost", user_id="alice"))
    assert await store.claim("lost", CLAIM) is not None
    erasing = asyncio.create_task(db.adelete_user("alice"))
    while not await store.wanted(["lost"]):  # noqa: ASYNC110 # its cancel notifies its executor only
        await asyncio.sleep(0.01)
    assert not erasing.done()
    past = seconds_ago(store, 1)
    await execute(store, f"UPDATE {{runs}} SET lease_until = {past} WHERE run_id = 'lost'")
    assert (await erasing).runs == 1


async def test_of_a_session_with_others_runs_only_the_users_own_is_erased(db: Database) -> None:
    store = await db.store()
    for user in ("alice", "bob"):  # As before users were kept apart.
        await store.submit(new_run(f"{user}'s", session_id="both", user_id=user))
    await db.adelete_user("alice")
    assert "alice" not in await everything(store)
    assert await store.get("bob's") is not None
    assert (await store.users.owners((), ["both"])).sessions == {"both": None}


async def test_an_erased_id_begins_anew(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    for _ in range(2):
        await agent.arun("Hi", run_id="x", session_id="chat", user_id="alice")
        await db.adelete_user("alice")
    assert len(server.requests) == 2
    assert len(server.requests[-1].body["input"]) == 1
