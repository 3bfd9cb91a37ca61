"""What a run may say of time: which comes first, not before when, and how long at most."""

import asyncio
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elsewhere import Elsewhere
from leases import expire
from load import all_asked, all_ended, asked, ended, status_of, submit
from stores import execute
from workers import NewWorker

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.dispatch.opening import open_runtime
from kern.errors import InvalidInputError, RunTimeoutError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer

# How late a run may begin after its moment on a machine that is busy with other things.
SOON = 5.0


async def test_of_the_runs_that_are_due_the_highest_priority_starts_first(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    held = Reply.text("Hello.").held()
    server.script.append(held)
    agent = Agent("Tester", model, db=db)
    await submit(agent, ["first"])
    await server.wait_for_requests(1)
    runs = []
    for name, priority in (("b", 0), ("d", -7), ("a1", 5), ("c", -1), ("a2", 5)):
        runs += await submit(agent, [name], priority=priority)
    held.release()
    await all_ended(agent, runs)
    assert all_asked(server.requests) == ["first", "a1", "a2", "b", "c", "d"]


def _in(seconds: float) -> tuple[datetime, float]:
    """Return a moment, and on the clock of the server's records one that is no later."""
    due = time.monotonic() + seconds
    return datetime.now(UTC) + timedelta(seconds=seconds), due


async def test_a_run_starts_at_its_moment_and_not_before(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    moment, due = _in(0.5)
    await submit(agent, ["now"])
    await submit(agent, ["later"], run_at=moment.astimezone())
    await submit(agent, ["past"], run_at=moment - timedelta(days=1))
    await all_ended(agent, ["now", "past", "later"])
    [later] = [each for each in server.requests if asked(each) == "later"]
    assert due <= later.arrived <= due + SOON


async def test_a_delayed_run_outlives_its_process(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    process = elsewhere(
        """
        from datetime import UTC, datetime, timedelta
        moment = datetime.now(UTC) + timedelta(seconds=1)
        await agent.arun("later", background=True, run_id="later", run_at=moment)
        say(moment.timestamp())
        await asyncio.Event().wait()
        """
    )
    moment = float(await process.said())
    due = time.monotonic() + moment - time.time()
    process.send(signal.SIGKILL)
    await new_worker(shared_db).ready()
    begun = time.monotonic()
    agent = Agent("Tester", model, db=shared_db)
    assert (await ended(agent, "later")).status is RunStatus.completed
    assert due <= server.requests[-1].arrived <= max(due, begun) + SOON


async def test_a_cancelled_run_never_comes(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The only slot is taken, so it cannot begin before its cancel however long that takes.
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    held = Reply.text("Hello.").held()
    server.script.append(held)
    agent = Agent("Tester", model, db=db)
    await submit(agent, ["first"])
    await server.wait_for_requests(1)
    await submit(agent, ["never"], run_at=_in(0.1)[0])
    assert await agent.acancel_run("never")
    await submit(agent, ["later"], run_at=_in(0.2)[0])
    held.release()
    await all_ended(agent, ["later"])
    assert all_asked(server.requests) == ["first", "later"]


async def test_a_run_that_takes_too_long_ends_and_its_model_call_is_closed(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, timeout=0.2)
    server.default = Reply.hang()
    await submit(agent, ["slow"], "talk")
    run = await ended(agent, "slow")
    assert run.status is RunStatus.error
    assert "The run was not done within its timeout of 0.2 s" in str(run.error)
    await server.wait_until(lambda server: server.disconnects == len(server.requests))
    server.default = Reply.text("Hello.")
    patient = await agent.arun("Hi", background=True, timeout=30, session_id="talk")
    assert (await ended(agent, patient.run_id)).status is RunStatus.completed


async def test_a_caller_who_waits_is_told_that_it_took_too_long(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.hang()
    for each in (db, None):
        with pytest.raises(RunTimeoutError, match=r"its timeout of 0\.1 s"):
            await Agent("Tester", model, db=each).arun("Hi", run_id="slow", timeout=0.1)
    assert await status_of(Agent("Tester", model, db=db), "slow") is RunStatus.error
    await server.wait_until(lambda server: server.disconnects == len(server.requests))


async def test_a_synchronous_tool_is_told_that_the_time_is_up(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def dig(context: RunContext) -> str:
        while not context.cancelled:
            time.sleep(0.01)
        loop.call_soon_threadsafe(told.set)
        return "too late"

    agent = Agent("Tester", model, db=InMemoryDb(), tools=[dig])
    server.script.append(Reply.tool_calls(("dig", {})))
    run = await ended(agent, (await agent.arun("Dig", background=True, timeout=3)).run_id)
    assert run.status is RunStatus.error
    assert "timeout of 3 s" in str(run.error)
    assert run.tools == []
    async with asyncio.timeout(20):
        await told.wait()
    assert len(server.requests) == 1


AN_HOUR_AGO: dict[type[Database], str] = {
    PostgresDb: "started_at = started_at - interval '1 hour' RETURNING run_id",
    SqliteDb: "started_at = started_at - 3600 RETURNING run_id",
}


async def test_the_time_counts_over_all_attempts(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.script.append(Reply.hang())
    agent = Agent("Tester", model, db=shared_db)
    worker = new_worker(shared_db)
    await submit(agent, ["slow"], timeout=3000)
    await server.wait_for_requests(1, timeout=20)
    worker.send(signal.SIGKILL)
    await worker.ended()
    await execute(await shared_db.store(), f"UPDATE {{runs}} SET {AN_HOUR_AGO[type(shared_db)]}")
    await expire(shared_db, "slow")

    (await open_runtime(shared_db)).serve(agent)
    run = await ended(agent, "slow")
    assert run.status is RunStatus.error
    assert "timeout of 3000 s" in str(run.error)
    assert len(server.requests) == 1

    # It has as much time again.
    await agent.aretry_run("slow")
    assert (await ended(agent, "slow")).status is RunStatus.completed


async def test_a_run_whose_time_was_up_before_it_went_on_keeps_what_it_did(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    def dig() -> str:
        """Dig."""
        return "gold"

    server.script += [Reply.tool_calls(("dig", {})), Reply.hang()]
    agent = Agent("Tester", model, db=shared_db, tools=[dig])
    (await open_runtime(shared_db)).serve(agent)
    await agent.arun("Dig", background=True, run_id="slow", timeout=3000)
    await server.wait_for_requests(2, timeout=20)
    store = await shared_db.store()
    await execute(store, f"UPDATE {{runs}} SET {AN_HOUR_AGO[type(shared_db)]}")
    await store.release("slow", 1)
    run = await ended(agent, "slow")
    assert (run.status, run.error_kind) == (RunStatus.error, "RunTimeoutError")
    assert [message.role for message in run.messages] == ["user", "assistant", "tool"]
    assert [call.result for call in run.tools] == ["gold"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    *[
        ({"timeout": value}, "timeout must be a number of seconds above 0, not ")
        for value in (0, -1, -0.5, float("nan"), float("inf"), "5", True, timedelta(seconds=5))
    ],
    *[
        ({"run_at": value}, "run_at must be a datetime with a time zone, not ")
        for value in (datetime(2030, 1, 1), "2030-01-01", 5, datetime(2030, 1, 1).date())
    ],
    *[
        ({"priority": value}, "priority must be a whole number")
        for value in ("5", 1.5, True, None, 2**31, float("nan"))
    ],
    *[
        ({"max_attempts": value}, "max_attempts must be a whole number from 1 on, not ")
        for value in (0, -1, 1.5, "3", True, 2**31)
    ],
]


@pytest.mark.parametrize(("option", "error"), REFUSED, ids=repr)
async def test_an_option_that_cannot_be_used_is_refused(
    model: OpenAIResponses, server: ResponsesServer, option: dict[str, Any], error: str
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    with pytest.raises(InvalidInputError) as raised:
        await agent.arun("Hi", background=True, run_id="refused", **option)
    assert error in str(raised.value)
    assert await agent.aget_run_output("refused") is None
    assert server.requests == []


@pytest.mark.parametrize(
    "option", [{"timeout": -1}, {"max_attempts": 0}, {"max_concurrent_runs": "2"}], ids=repr
)
def test_an_agent_refuses_them_as_well(model: OpenAIResponses, option: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(option))):
        Agent("Tester", model, **option)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", 1),
        ("run_at", datetime(2030, 1, 1, tzinfo=UTC)),
        ("max_attempts", 2),
        ("session_policy", "queue"),
        ("webhook", "https://example.org/hook"),
    ],
)
async def test_what_is_for_the_background_is_refused_in_the_foreground(
    model: OpenAIResponses, name: str, value: object
) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(InvalidInputError, match=f"{name}: only with background=True"):
        await Agent("Tester", model, db=InMemoryDb()).arun("Hi", **options)
