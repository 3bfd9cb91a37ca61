"""Promise 11: submitting a run id twice starts one run."""

import asyncio
from typing import Any

import pytest
from elsewhere import Elsewhere

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import RunConflictError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.record import RunRecord
from kern.testing import Reply, ResponsesServer


async def test_the_same_submit_again_returns_the_run_as_it_stands(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    first = await agent.arun("Hello?", background=True, run_id="same")
    await agent.await_run("same", timeout=20)
    again = await agent.arun("Hello?", background=True, run_id="same")

    assert (first.status, again.status) == (RunStatus.pending, RunStatus.completed)
    assert again.content == "Hello."
    assert again.session_id == first.session_id
    assert len(server.requests) == 1


async def test_a_foreground_run_with_the_same_id_waits_for_the_run_there_is(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    await agent.arun("Hello?", background=True, run_id="same")
    again = await agent.arun("Hello?", run_id="same")

    assert (again.status, again.content) == (RunStatus.completed, "Hello.")
    assert len(server.requests) == 1


async def test_many_submits_at_once_start_one_run(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    runs = await asyncio.gather(
        *(agent.arun("Hello?", background=True, run_id="same") for _ in range(50))
    )
    await agent.await_run("same", timeout=20)

    assert len({run.session_id for run in runs}) == 1
    assert len(server.requests) == 1


async def test_a_run_that_ends_while_it_is_submitted_again_is_not_executed_again(
    db: Database, model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, reply = Agent("Tester", model, db=db), Reply.text("Hello.").held()
    server.script.append(reply)
    first = asyncio.create_task(agent.arun("Hello?", run_id="same"))
    await server.wait_for_requests(1)
    store = await db.store()
    held, get = store.held, store.get

    async def held_late(*args: Any) -> RunRecord | None:
        found = await held(*args)
        reply.release()
        await first
        return found

    async def get_and_release(*args: Any, **options: Any) -> RunRecord | None:
        found = await get(*args, **options)
        reply.release()
        return found

    monkeypatch.setattr(store, "held", held_late)
    monkeypatch.setattr(store, "get", get_and_release)
    again = await agent.arun("Hello?", run_id="same")
    assert [each.content for each in (again, await first)] == ["Hello.", "Hello."]
    assert len(server.requests) == 1


async def test_submits_from_several_processes_start_one_run(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    body = """
    say("ready")
    await hear()
    await agent.arun("Hello?", background=True, run_id="same")
    say((await agent.await_run("same", timeout=20)).status)
    """
    processes = [elsewhere(body) for _ in range(3)]
    for process in processes:
        assert await process.said() == "ready"
    for process in processes:
        process.tell("go")
    for process in processes:
        assert await process.said() == "COMPLETED"
    assert len(server.requests) == 1


@pytest.mark.parametrize("background", [True, False])
async def test_the_same_id_for_another_input_or_agent_is_refused(
    db: Database, model: OpenAIResponses, server: ResponsesServer, background: bool
) -> None:
    agent, other = Agent("Tester", model, db=db), Agent("Other", model, db=db)
    await agent.arun("Hello?", background=True, run_id="same")

    for bad in (
        agent.arun("Bye.", background=background, run_id="same"),
        other.arun("Hello?", background=background, run_id="same"),
    ):
        with pytest.raises(RunConflictError, match="'same' is in use"):
            await bad
    ended = await agent.await_run("same", timeout=20)
    assert ended is not None
    assert ended.content == "Hello."
    assert len(server.requests) == 1
