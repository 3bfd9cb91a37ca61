"""Of a run that is erased, or was not to be stored, nothing is left, whoever is killed meanwhile.

A process dies after each of its statements in turn; then the test's process sweeps.
"""

import asyncio
from dataclasses import replace

import pytest
from at_rest import at_rest, is_at_rest
from killed import SECRET, is_killed_after, secretive
from stores import execute, row, seconds_ago, sweep

from kern.agent import Agent
from kern.compression import Compaction
from kern.db.base import Store
from kern.db.database import Database
from kern.db.erasing import Erasing
from kern.db.in_memory import InMemoryDb
from kern.errors import (
    BlobNotFoundError,
    DatabaseUnavailableError,
    InvalidInputError,
    RunConflictError,
    RunNotFoundError,
)
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.event import RunCompletedEvent, RunEvent
from kern.session.agent import AgentSession
from kern.testing import FunctionModel, Reply, ResponsesServer, ScriptedModel
from kern.tools import FunctionTool


async def test_of_an_unstored_run_only_its_caller_has_anything(shared_db: Database) -> None:
    agent, store = secretive(shared_db), await shared_db.store()
    run = await agent.arun(SECRET, store=False, run_id="run", metadata={"of": SECRET})
    assert run.status is RunStatus.completed
    assert run.content == f"Done: {SECRET}"
    assert not await is_at_rest(store, SECRET)
    assert await agent.aget_run_output("run") is None
    assert await agent.await_run("run") is None
    assert await agent.alist_runs() == []
    assert await shared_db.aget_sessions() == []  # type: ignore[attr-defined] # each kind has them
    with pytest.raises(RunNotFoundError):
        _ = [event async for event in agent.astream_run("run")]
    with pytest.raises(RunConflictError, match="erased"):
        await agent.arun(SECRET, store=False, run_id="run")
    with pytest.raises(RunConflictError, match="erased"):
        await agent.arun(SECRET, run_id="run")
    assert not await is_at_rest(store, SECRET)


async def test_an_unstored_run_is_streamed_as_any_other(shared_db: Database) -> None:
    agent, store = secretive(shared_db), await shared_db.store()
    events = [
        event
        async for event in agent.arun(
            SECRET, store=False, stream=True, stream_events=True, yield_run_output=True
        )
    ]
    *_, last, run = events
    assert isinstance(last, RunCompletedEvent)
    assert run.content == f"Done: {SECRET}"
    assert not await is_at_rest(store, SECRET)


async def test_an_unstored_run_can_hold_its_events(shared_db: Database) -> None:
    agent = secretive(shared_db, store_events=True)
    run = await agent.arun(SECRET, store=False)
    assert run.events
    assert run.events[-1].event is RunEvent.run_completed
    assert not await is_at_rest(await shared_db.store(), SECRET)


async def test_an_unstored_run_that_fails_raises_and_leaves_nothing(shared_db: Database) -> None:
    agent = secretive(shared_db, Reply.http_error(400, SECRET))
    with pytest.raises(Exception, match=SECRET) as raised:
        await agent.arun(SECRET, store=False)
    assert raised.value.run_output.status is RunStatus.error  # type: ignore[attr-defined]
    assert not await is_at_rest(await shared_db.store(), SECRET)


async def test_an_unstored_run_whose_caller_leaves_is_cancelled_and_leaves_nothing(
    shared_db: Database,
) -> None:
    agent, store = secretive(shared_db, Reply.text(SECRET).slow(pause=5)), await shared_db.store()
    task = asyncio.create_task(agent.arun(SECRET, store=False, run_id="run"))
    async with asyncio.timeout(20):
        while await store.get("run") is None:  # noqa: ASYNC110 # nobody tells of it
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(20):  # Its row may have come first of what its acceptance says.
        while (await row(store))["status"] == "RUNNING":  # noqa: ASYNC110 # nobody tells of it
            await asyncio.sleep(0.01)
    assert (await row(store))["status"] == "CANCELLED"
    assert not await is_at_rest(store, SECRET)


async def test_an_unstored_run_that_is_asked_for_twice_at_once_is_one_run(
    shared_db: Database,
) -> None:
    agent = secretive(shared_db, Reply.text(SECRET).slow(pause=0.3))
    runs = await asyncio.gather(
        *(agent.arun(SECRET, store=False, run_id="run") for _ in range(3)), return_exceptions=True
    )
    outputs = [each for each in runs if isinstance(each, RunOutput)]
    assert {each.content for each in outputs} == {SECRET}
    others = [each for each in runs if not isinstance(each, RunOutput)]
    assert all(isinstance(each, RunConflictError) for each in others)
    assert not await is_at_rest(await shared_db.store(), SECRET)


async def test_an_unstored_run_whose_lease_is_lost_ends_cancelled(shared_db: Database) -> None:
    held = Reply.text(SECRET).held()
    agent, store = secretive(shared_db, held), await shared_db.store()
    running = asyncio.create_task(agent.arun(SECRET, store=False, run_id="run"))
    async with asyncio.timeout(20):
        while await store.get("run") is None:  # noqa: ASYNC110 # nobody tells of it
            await asyncio.sleep(0.01)
    await recover(store)
    held.release()
    ended = await asyncio.wait_for(running, 30)
    assert ended.status is RunStatus.cancelled
    assert not await is_at_rest(store, SECRET)


async def test_an_unstored_run_is_in_nobodys_history(shared_db: Database) -> None:
    agent = Agent(
        "Tester",
        model := ScriptedModel([Reply.text(SECRET), "Hello.", "Again."]),
        db=shared_db,
        add_history_to_context=True,
        enable_session_summaries=False,
    )
    await agent.arun(SECRET, store=False, session_id="chat")
    await agent.arun("Hi", session_id="chat")
    await agent.arun("Bye", session_id="chat")
    texts = [[each.text for each in request.messages] for request in model.requests]
    assert texts == [[SECRET], ["Hi"], ["Hi", "Hello.", "Bye"]]
    session = await agent.aget_session("chat")
    assert isinstance(session, AgentSession)
    assert len(session.runs or []) == 2


async def test_no_later_run_is_told_an_erased_one_by_what_sums_it_up(
    shared_db: Database,
) -> None:
    def sum_up(request: ModelRequest) -> str:
        return "It was about " + ("a secret" if SECRET in request.messages[1].text else "nothing")

    odd = "\x00\ud800"
    model = FunctionModel(lambda _: f"Well {odd}")
    agent = Agent(
        "Tester",
        model,
        db=shared_db,
        session_id="session",
        add_history_to_context=True,
        num_history_runs=50,
        compaction=Compaction(None, 3, 1, FunctionModel(sum_up)),
    )
    first = await agent.arun(SECRET, session_id="session")
    runs = [await agent.arun(f"Ask {number}", session_id="session") for number in range(4)]
    assert "about a secret" in model.requests[-1].messages[0].text
    before = await agent.aget_run_output(runs[-1].run_id)
    assert before is not None
    assert await agent.aerase_run(first.run_id)
    await agent.arun("And now?", session_id="session")
    told = str([each.text for each in model.requests[-1].messages])
    assert "secret" not in told
    kept = await agent.aget_run_output(runs[-1].run_id)
    assert kept is not None
    assert kept.compaction is None
    assert before.compaction is not None
    assert kept.messages[-1].text == f"Well {odd}"
    assert replace(kept, more={}) == replace(before, more={})


async def test_no_summary_is_made_of_an_unstored_run(shared_db: Database) -> None:
    model = ScriptedModel([Reply.text(SECRET)])
    agent = Agent("Tester", model, db=shared_db, enable_session_summaries=True)
    await agent.arun("Hi", store=False, session_id="chat")
    assert len(model.requests) == 1
    assert not await is_at_rest(await shared_db.store(), SECRET)


async def test_nothing_is_stored_of_the_background_on_demand() -> None:
    agent = Agent("Tester", ScriptedModel(["Hello."]), db=InMemoryDb())
    with pytest.raises(InvalidInputError, match="store=False: not with background=True"):
        await agent.arun("Hi", background=True, store=False)
    assert await agent.alist_runs() == []


async def test_without_a_database_nothing_is_stored_anyway() -> None:
    run = await Agent("Tester", ScriptedModel(["Hello."])).arun("Hi", store=False)
    assert run.content == "Hello."


async def test_an_erased_run_is_gone_in_every_table(shared_db: Database) -> None:
    agent, store = secretive(shared_db), await shared_db.store()
    run = await agent.arun(SECRET, run_id="run", user_id="alice", session_id="chat")
    assert run.status is RunStatus.completed
    assert await is_at_rest(store, SECRET)
    assert not await agent.aerase_run("run", user_id="bob")
    assert await agent.aerase_run("run", user_id="alice")
    assert not await is_at_rest(store, SECRET)
    assert await agent.aget_run_output("run") is None
    assert not await agent.aerase_run("run", user_id="alice")
    assert not await agent.aerase_run("unknown")
    assert not await agent.acancel_run("run")
    with pytest.raises(RunConflictError, match="erased"):
        await agent.arun("Hi", run_id="run", user_id="alice")
    assert "alice" in await at_rest(store)  # A tombstone.
    assert [each async for each in shared_db.aexport_user("alice") if each["kind"] == "run"] == []


def test_synchronous_code_erases_too() -> None:
    with InMemoryDb() as db:
        agent = Agent("Tester", ScriptedModel(["Hello."]), db=db)
        run = agent.run("Hi")
        assert agent.erase_run(run.run_id)
        assert agent.get_run_output(run.run_id) is None


async def test_a_run_that_executes_is_cancelled_and_erased(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.hang()]
    agent, store = Agent("Tester", model, db=shared_db), await shared_db.store()
    run = await agent.arun(SECRET, background=True, webhook="https://kern.invalid/hook")
    waiting = asyncio.create_task(agent.await_run(run.run_id))
    await server.wait_for_requests(1)
    assert await agent.aerase_run(run.run_id)
    assert await agent.aget_run_output(run.run_id) is None
    await asyncio.wait_for(server.wait_for_disconnects(1), 20)
    ended = await asyncio.wait_for(waiting, 20)
    assert ended is None or ended.status is RunStatus.cancelled
    async with asyncio.timeout(20):
        while await is_at_rest(store, SECRET):  # noqa: ASYNC110 # nobody sees it any more
            await asyncio.sleep(0.01)
    assert (await row(store, run.run_id))["status"] == "CANCELLED"
    assert await execute(store, "SELECT run_id FROM {webhooks}") == []


async def test_a_paused_and_a_waiting_run_are_erased_at_once(shared_db: Database) -> None:
    def act() -> str:
        """Act."""
        raise AssertionError("nobody has confirmed it")

    tool = FunctionTool(act, requires_confirmation=True)
    model = ScriptedModel([Reply.tool_calls(("act", {}))] * 2)
    agent, store = Agent("Tester", model, db=shared_db, tools=[tool]), await shared_db.store()
    paused = await agent.arun(SECRET, session_id="chat", background=True)
    await agent.await_run(paused.run_id, 20)
    waiting = await agent.arun(f"And {SECRET}", session_id="chat", background=True)
    for run in (waiting, paused):
        assert await agent.aerase_run(run.run_id)
        assert (await row(store, run.run_id))["status"] == "CANCELLED"
    assert not await is_at_rest(store, SECRET)
    with pytest.raises(RunNotFoundError):
        await agent.acontinue_run(paused.run_id, requirements=[])


async def test_a_branch_of_an_erased_run_goes_on(shared_db: Database) -> None:
    model = ScriptedModel(["One.", "Two.", "Three."])
    agent = Agent("Tester", model, db=shared_db)
    first = await agent.arun("First", session_id="chat")
    second = await agent.acontinue_run(first.run_id, input="Second", continue_from="end")
    assert await agent.aerase_run(first.run_id)
    third = await agent.acontinue_run(second.run_id, input="Third", continue_from="end")
    assert third.content == "Three."
    texts = [each.text for each in model.requests[-1].messages]
    assert texts == ["First", "One.", "Second", "Two.", "Third"]
    with pytest.raises(RunNotFoundError):
        await agent.acontinue_run(first.run_id, input="Again", continue_from="end")


async def test_a_blob_of_an_erased_run_is_not_found(shared_db: Database) -> None:
    agent = secretive(shared_db)
    run = await agent.arun(SECRET, run_id="run")
    hashes = await execute(await shared_db.store(), "SELECT hash FROM {blobs}")
    assert run.is_terminal
    assert hashes
    await agent.aerase_run("run")
    with pytest.raises(BlobNotFoundError):
        await agent.aget_blob("run", str(hashes[0]["hash"]))


async def test_an_erasure_that_the_database_interrupts_is_finished_by_the_sweep(
    shared_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, store = secretive(shared_db), await shared_db.store()
    run = await agent.arun(SECRET)

    async def away(*_: object) -> None:
        raise DatabaseUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(Erasing, "erase", away)
        with pytest.raises(DatabaseUnavailableError):
            await agent.aerase_run(run.run_id)
        assert await agent.aget_run_output(run.run_id) is None
        unstored = await secretive(shared_db).arun(SECRET, store=False)
        assert unstored.status is RunStatus.completed  # Its end is stored.
    assert await is_at_rest(store, SECRET)
    await sweep(store)
    assert not await is_at_rest(store, SECRET)


async def recover(store: Store) -> None:
    """Have the sweep see that whoever executed something is gone."""
    past = seconds_ago(store, 1)
    await execute(store, f"UPDATE {{runs}} SET lease_until = {past} WHERE status = 'RUNNING'")
    async with asyncio.timeout(20):
        while await execute(store, "SELECT run_id FROM {runs} WHERE status = 'RUNNING'"):
            await sweep(store)
    await sweep(store)


async def killed(statements: int, shared_db: Database, run_id: str, *, erases: bool) -> bool:
    return await asyncio.to_thread(is_killed_after, statements, shared_db, run_id, erases=erases)


@pytest.mark.timeout(180)
async def test_wherever_an_unstored_run_is_killed_nothing_is_left(
    shared_db: Database,
) -> None:
    store, statements = await shared_db.store(), 0
    while await killed(statements, shared_db, f"killed after {statements}", erases=False):
        statements += 1
    assert statements > 5
    assert await is_at_rest(store, SECRET)
    await recover(store)
    left = await execute(store, "SELECT run_id FROM {runs} WHERE input IS NOT NULL")
    assert left == []
    assert not await is_at_rest(store, SECRET)


@pytest.mark.timeout(180)
async def test_wherever_an_erasure_is_killed_it_is_finished_or_can_be_repeated(
    shared_db: Database,
) -> None:
    store, statements, hidden = await shared_db.store(), 0, 0
    while True:
        run_id = f"killed after {statements}"
        agent = secretive(shared_db)
        await agent.arun(SECRET, run_id=run_id)
        is_killed = await killed(statements, shared_db, run_id, erases=True)
        if await store.get(run_id) is None:
            hidden += 1
            await recover(store)
        else:
            assert is_killed
            assert await is_at_rest(store, SECRET)
            assert await agent.aerase_run(run_id)
        assert not await is_at_rest(store, SECRET), run_id
        if not is_killed:
            break
        statements += 1
    assert hidden > 1
