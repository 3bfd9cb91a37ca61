"""A run whose caller was killed goes on in place, as soon as that process is known to be gone."""

import asyncio
import signal

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

BODY = """
def work(step: str) -> str:
    say(step)
    return f"{step} is done"

worker = Agent("Tester", agent.model, db=db, tools=[work])
await worker.arun("Work.", run_id="run", session_id="session")
"""


async def test_a_run_of_a_killed_caller_goes_on_at_once(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    held = Reply.text("Held.").held()
    server.script += [Reply.tool_calls(("work", {"step": "a"})), held]
    calls: list[str] = []

    def work(step: str) -> str:
        calls.append(step)
        return f"{step} is done"

    agent = Agent("Tester", model, db=shared_db, tools=[work])
    process = elsewhere(BODY)
    assert await process.said() == "a"
    await server.wait_for_requests(2, timeout=20)
    waiting = asyncio.create_task(agent.acontinue_run("run", session_id="session"))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done, "its caller lives, so it is waited for"
    waiting.cancel()
    process.send(signal.SIGKILL)
    await process.ended()
    held.release()
    left = await agent.aget_run_output("run")
    assert left is not None
    assert left.status is RunStatus.running, "nobody has noticed"

    answers = await asyncio.wait_for(
        asyncio.gather(
            *(agent.acontinue_run("run", session_id="session") for _ in range(3)),
            return_exceptions=True,
        ),
        20,
    )
    ended = [each for each in answers if not isinstance(each, BaseException)]
    assert ended
    assert {each.content for each in ended} == {"Hello."}
    run = ended[0]
    assert (run.run_id, run.status, run.attempt) == ("run", RunStatus.completed, 2)
    assert [each.result for each in run.tools] == ["a is done"]
    assert calls == [], "what was done is not done again"
    assert len(server.requests) == 3


async def test_who_waits_for_a_run_goes_on_with_it_once_its_caller_is_killed(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")

    def work(step: str) -> str:
        return f"{step} is done"

    server.script += [Reply.tool_calls(("work", {"step": "a"})), Reply.hang()]
    process = elsewhere(BODY)
    assert await process.said() == "a"
    await server.wait_for_requests(2, timeout=20)
    agent = Agent("Tester", model, db=shared_db, tools=[work])
    waiting = asyncio.create_task(agent.acontinue_run("run"))
    await asyncio.wait({waiting}, timeout=0.7)
    process.send(signal.SIGKILL)
    await process.ended()
    run = await asyncio.wait_for(waiting, 20)
    assert (run.run_id, run.content, run.status) == ("run", "Hello.", RunStatus.completed)


async def test_a_run_whose_lease_has_expired_goes_on_with_its_new_caller(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script += [Reply.tool_calls(("work", {"step": "a"})), Reply.hang()]

    def work(step: str) -> str:
        return f"{step} is done"

    process = elsewhere(BODY)
    assert await process.said() == "a"
    await server.wait_for_requests(2, timeout=20)
    process.send(signal.SIGKILL)
    await process.ended()
    await expire(shared_db, "run")
    left = await (await shared_db.store()).get("run")
    assert left is not None
    assert (left.status, left.foreground) == (RunStatus.pending, True)

    agent = Agent("Tester", model, db=shared_db, tools=[work])
    events = [each async for each in agent.acontinue_run("run", stream=True)]
    assert "".join(str(each.content or "") for each in events) == "Hello."
    run = await agent.aget_run_output("run")
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    assert len(server.requests) == 3
