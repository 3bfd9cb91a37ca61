"""Promise 4: what the model was told is told again, to the byte, by a process that carries on.

What functions return, the time and the state of a session may have changed by then.
"""

import asyncio
import json
import signal
from collections.abc import Mapping

from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

BODY = """
def note() -> str:
    "Note."
    return "noted"

def instructions(run_context):
    return f"Process {os.getpid()} serves {{user_id}} with {{plan}}."

agent = Agent(
    "Tester",
    OpenAIResponses("test-model", max_retries=0),
    db=db,
    tools=[note],
    instructions=instructions,
    dependencies={"plan": lambda: f"plan {os.getpid()}"},
    knowledge_retriever=lambda query: [f"found by {os.getpid()}"],
    add_knowledge_to_context=True,
    add_dependencies_to_context=True,
    add_datetime_to_context=True,
    datetime_format="%f",
)
await agent.arun("Who?", background=True, run_id="run", user_id="ada")
await hear()
"""


def another(run_context: object) -> str:
    raise AssertionError("it is not called again")


def nowhere(query: str) -> list[str]:
    raise AssertionError("it is not looked up again")


def note() -> str:
    """Note."""
    return "noted"


def _told(body: Mapping[str, object]) -> tuple[str, list[object]]:
    given = body["input"]
    assert isinstance(given, list)
    return json.dumps(body["instructions"]), given


async def test_after_a_kill_the_model_is_told_the_same(
    shared_db: Database, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    held = Reply.text("Lost.").held()
    asks = Reply.tool_calls(("note", {}), ("search_knowledge_base", {"query": "more"}))
    server.script += [asks, held, Reply.text("Done.")]
    process = elsewhere(BODY, KERN_IN_PROCESS_WORKER="1")
    async with asyncio.timeout(30):
        while len(server.requests) < 2:  # noqa: ASYNC110 # the server tells nobody
            await asyncio.sleep(0.01)
    process.send(signal.SIGKILL)
    await process.ended()
    held.release()
    heir = Agent(
        "Tester",
        OpenAIResponses("test-model", base_url=server.base_url, api_key="sk-test", max_retries=0),
        db=shared_db,
        tools=[note],
        instructions=another,
        dependencies={"plan": "another"},
        knowledge_retriever=nowhere,
        add_knowledge_to_context=True,
        add_dependencies_to_context=True,
    )
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(heir)
    run = await heir.await_run("run", timeout=20, user_id="ada")
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Done.")
    (system, first), (lost_system, lost), (again_system, again) = (
        _told(each.body) for each in server.requests
    )
    assert "serves ada with plan" in system
    assert (lost_system, again_system) == (system, system)
    assert again == lost
    assert lost[: len(first)] == first
    assert "found by" in json.dumps(first)
    assert run.references is not None
    assert [each.query for each in run.references] == ["Who?", "more"]
    assert run.messages[0].text == "Who?"
