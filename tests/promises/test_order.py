"""Promise 9: background runs of a session execute one at a time, as they were accepted."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta

import pytest
from leases import expire
from load import all_asked, all_ended, asked, ended, most_at_once, status_of, submit, waiting
from stores import execute
from workers import NewWorker

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.errors import SessionBusyError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import tool

NAMES = ("first", "second", "third")


@pytest.fixture
def tester(db: Database, model: OpenAIResponses) -> Agent:
    """The agent, on each kind of database in turn."""
    return Agent("Tester", model, db=db)


async def test_runs_that_come_at_once_take_turns_in_the_order_of_their_acceptance(
    db: Database, tester: Agent, server: ResponsesServer
) -> None:
    runs = await asyncio.gather(
        *(
            tester.arun(
                str(number),
                background=True,
                run_id=str(number),
                session_id="talk",
                priority=number % 3,
            )
            for number in range(30)
        )
    )
    assert {run.status for run in await all_ended(tester, runs)} == {RunStatus.completed}
    rows = await execute(await db.store(), "SELECT run_id FROM {runs} ORDER BY position")
    assert all_asked(server.requests) == [row["run_id"] for row in rows]
    assert most_at_once(server.requests) == 1


async def test_two_workers_keep_the_order_of_every_session(
    shared_db: Database,
    agent: Agent,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.default = held = Reply.text("Hello.").slow(0.01).held()
    for worker in [new_worker(shared_db), new_worker(shared_db)]:
        await worker.ready()
    names = [f"{session}-{number}" for number in range(8) for session in "abcd"]
    runs = [(await submit(agent, [name], name[0]))[0] for name in names]
    # Sessions do not wait for each other.
    await server.wait_for_requests(4, timeout=20)
    held.release()
    assert {run.status for run in await all_ended(agent, runs)} == {RunStatus.completed}
    for session in "abcd":
        mine = [each for each in server.requests if asked(each)[0] == session]
        assert all_asked(mine) == [name for name in names if name[0] == session]
        assert most_at_once(mine) == 1


async def test_the_turn_outlives_the_process_that_executes(
    shared_db: Database,
    agent: Agent,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.script.append(Reply.hang())
    first = await new_worker(shared_db).ready()
    runs = await submit(agent, NAMES, "talk")
    await server.wait_for_requests(1)
    await new_worker(shared_db).ready()
    first.send(signal.SIGKILL)
    await first.ended()
    await expire(shared_db, "first")

    assert {run.status for run in await all_ended(agent, runs)} == {RunStatus.completed}
    assert all_asked(server.requests) == ["first", *NAMES]


async def test_a_cancel_of_the_next_one_lets_the_one_after_it_have_the_turn(
    tester: Agent, server: ResponsesServer
) -> None:
    server.script.append(Reply.hang())
    await submit(tester, NAMES, "talk")
    await server.wait_for_requests(1)
    assert await tester.acancel_run("second")
    assert await status_of(tester, "second") is RunStatus.cancelled
    assert await status_of(tester, "third") is RunStatus.pending
    assert await tester.acancel_run("first")

    assert (await ended(tester, "third")).status is RunStatus.completed
    assert await status_of(tester, "first") is RunStatus.cancelled
    assert all_asked(server.requests) == ["first", "third"]


async def test_an_error_passes_the_turn_on_and_a_retry_waits_for_its_own(
    db: Database, tester: Agent, server: ResponsesServer
) -> None:
    held = Reply.text("Hello.").held()
    server.script += [Reply.http_error(400), held]
    await submit(tester, NAMES, "talk")
    assert (await ended(tester, "first")).status is RunStatus.error
    await server.wait_for_requests(2)
    await tester.aretry_run("first")
    await waiting(db, "first")
    held.release()
    assert {run.status for run in await all_ended(tester, NAMES)} == {RunStatus.completed}
    # The retried run was accepted before the third.
    assert all_asked(server.requests) == ["first", "second", "first", "third"]
    assert most_at_once(server.requests) == 1


@pytest.mark.parametrize("decision", ["continue", "cancel"])
async def test_a_paused_run_keeps_the_turn(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
    decision: str,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    taken = tool(name="risk", on_interrupt="pause")(lambda: "done")
    agent = Agent("Tester", model, db=shared_db, tools=[taken])
    server.script.append(Reply.tool_calls(("risk", {})))
    worker = new_worker(shared_db, tools=("risk",))
    await submit(agent, ("first", "second"), "talk")
    assert await worker.ended() == -signal.SIGKILL
    await expire(shared_db, "first")
    (await open_runtime(shared_db)).serve(agent)
    async with asyncio.timeout(20):
        async for _ in agent.astream_run("first"):
            pass
    assert await status_of(agent, "first") is RunStatus.paused
    await all_ended(agent, await submit(agent, ["other"]))
    assert await status_of(agent, "second") is RunStatus.pending

    if decision == "continue":
        await agent.acontinue_run("first")
        assert (await ended(agent, "first")).status is RunStatus.completed
    else:
        assert await agent.acancel_run("first")
    assert (await ended(agent, "second")).status is RunStatus.completed
    continued = ["first"] if decision == "continue" else []
    assert all_asked(server.requests) == ["first", "other", *continued, "second"]


async def test_a_delayed_run_blocks_nobody_and_takes_its_turn_when_it_is_due(
    db: Database, tester: Agent, server: ResponsesServer
) -> None:
    held = Reply.text("Hello.").held()
    server.script.append(held)
    # By then the first one has begun, on a slow machine too.
    soon = datetime.now(UTC) + timedelta(seconds=3)
    await submit(tester, ["delayed"], "talk", run_at=soon)
    await submit(tester, ("first", "second"), "talk")
    await server.wait_for_requests(1)
    await waiting(db, "delayed")
    assert datetime.now(UTC) > soon
    held.release()
    assert (await ended(tester, "second")).status is RunStatus.completed
    assert all_asked(server.requests) == ["first", "delayed", "second"]
    assert most_at_once(server.requests) == 1


async def test_a_session_that_waits_blocks_no_other_whatever_the_cap(
    tester: Agent, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "2")
    held = Reply.text("Hello.").held()
    server.script.append(held)
    names = [f"run-{number}" for number in range(8)]
    runs = await submit(tester, names, "talk")
    await server.wait_for_requests(1)
    await all_ended(tester, await submit(tester, ["other"]))
    held.release()
    await all_ended(tester, runs)
    assert all_asked(server.requests) == ["run-0", "other", *names[1:]]


async def test_a_rejected_run_leaves_no_trace(tester: Agent, server: ResponsesServer) -> None:
    held = Reply.text("Hello.").held()
    server.script.append(held)
    await submit(tester, ["first"], "talk")
    await server.wait_for_requests(1)
    names = [f"rejected-{number}" for number in range(5)]
    answers = await asyncio.gather(
        *(submit(tester, [name], "talk", session_policy="reject") for name in names),
        return_exceptions=True,
    )
    assert {type(each) for each in answers} == {SessionBusyError}
    assert [await tester.aget_run_output(name) for name in names] == [None] * 5
    # The same run once more is not another one.
    await submit(tester, ["first"], "talk", session_policy="reject")

    held.release()
    await ended(tester, "first")
    await submit(tester, ["rejected-0"], "talk", session_policy="reject")
    assert (await ended(tester, "rejected-0")).status is RunStatus.completed
    assert all_asked(server.requests) == ["first", "rejected-0"]


async def test_of_runs_that_reject_each_other_at_once_one_is_accepted(
    tester: Agent, server: ResponsesServer
) -> None:
    server.default = held = Reply.text("Hello.").held()
    answers = await asyncio.gather(
        *(
            tester.arun("Hi", background=True, session_id=f"s{n % 3}", session_policy="reject")
            for n in range(30)
        ),
        return_exceptions=True,
    )
    accepted = [each for each in answers if isinstance(each, RunOutput)]
    assert sorted(run.session_id for run in accepted) == ["s0", "s1", "s2"]
    held.release()
    await all_ended(tester, accepted)
    assert len(server.requests) == 3


async def test_an_interrupt_stops_the_earlier_ones_before_it_starts(
    shared_db: Database,
    agent: Agent,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.script.append(Reply.hang())
    for worker in [new_worker(shared_db), new_worker(shared_db)]:
        await worker.ready()
    await submit(agent, NAMES, "talk")
    await server.wait_for_requests(1)
    await submit(agent, ["last"], "talk", session_policy="interrupt")
    assert (await ended(agent, "last")).status is RunStatus.completed
    assert {run.status for run in await all_ended(agent, NAMES)} == {RunStatus.cancelled}
    first, last = server.requests
    assert (asked(first), asked(last)) == ("first", "last")
    assert first.disconnected is not None
    assert first.disconnected <= last.arrived


async def test_of_interrupts_at_once_the_last_one_is_left(
    tester: Agent, server: ResponsesServer
) -> None:
    server.default = lambda body: (
        Reply.text("Hello.") if body["input"][0]["content"] == "last" else Reply.hang()
    )
    names = [f"run-{number}" for number in range(6)]
    await asyncio.gather(
        *(submit(tester, [name], "talk", session_policy="interrupt") for name in names)
    )
    await submit(tester, ["last"], "talk", session_policy="interrupt")
    assert (await ended(tester, "last")).status is RunStatus.completed
    assert {run.status for run in await all_ended(tester, names)} == {RunStatus.cancelled}
    assert most_at_once(server.requests) == 1


async def test_parallel_runs_wait_for_nobody_and_nobody_for_them(
    tester: Agent, server: ResponsesServer
) -> None:
    server.default = held = Reply.text("Hello.").held()
    await submit(tester, ["first"], "talk")
    await server.wait_for_requests(1)
    await submit(tester, ("second", "third"), "talk", session_policy="parallel")
    await server.wait_for_requests(3)
    assert await tester.acancel_run("first")
    await submit(tester, ["fourth"], "talk")
    await server.wait_for_requests(4)
    held.release()
    ends = await all_ended(tester, ("second", "third", "fourth"))
    assert {run.status for run in ends} == {RunStatus.completed}


async def test_a_child_in_the_same_session_does_not_wait_for_its_parent(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    helper = Agent("Helper", model, db=db)

    async def delegate(context: RunContext) -> str:
        child = await helper.arun("help", background=True, session_id=context.session_id)
        return str((await ended(helper, child.run_id, 10)).content)

    agent = Agent("Tester", model, db=db, tools=[delegate])
    server.script += [Reply.tool_calls(("delegate", {})), Reply.text("Helped."), Reply.text("Ok.")]
    parent, after = await all_ended(agent, await submit(agent, ("parent", "after"), "talk"))
    assert (parent.status, parent.content) == (RunStatus.completed, "Ok.")
    assert [each.result for each in parent.tools] == ["Helped."]
    assert after.status is RunStatus.completed
    assert all_asked(server.requests) == ["parent", "help", "parent", "after"]
