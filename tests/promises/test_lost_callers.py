"""A run whose caller was killed goes on in place, as soon as that process is known to be gone."""

import asyncio
import signal

from elsewhere import Elsewhere

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
        10,
    )
    ended = [each for each in answers if not isinstance(each, BaseException)]
    assert ended
    assert {each.content for each in ended} == {"Hello."}
    run = ended[0]
    assert (run.run_id, run.status, run.attempt) == ("run", RunStatus.completed, 2)
    assert [each.result for each in run.tools] == ["a is done"]
    assert calls == [], "what was done is not done again"
    assert len(server.requests) == 3
