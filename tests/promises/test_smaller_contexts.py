"""Promise 4: thoughts and a context that was made smaller are steps, done once.

A process dies before, in the middle of and after each of them; another goes on, asks for nothing
that was answered, and tells the model the same bytes.
"""

import asyncio
import json
import signal
from typing import Any

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.compression import Compaction, CompressionManager
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

BODY = """
from kern.compression import Compaction, CompressionManager

def look(n: int) -> str:
    'Look at a page.'
    return f"page {n} " * 100

def model(id):
    return OpenAIResponses(id, max_retries=0)

agent = Agent(
    "Tester", model("main"), db=db, tools=[look], reasoning_model=model("thinker"),
    compression_manager=CompressionManager(model("shortener"), compress_tool_results_limit=2),
    compaction=Compaction(max_tokens=None, max_turns=3, keep_turns=1, model=model("summer")),
    add_history_to_context=True,
)
await agent.arun("Read on.", background=True, run_id="run", session_id="session")
await hear()
"""


def look(n: int) -> str:
    """Look at a page."""
    return f"page {n} " * 100


@pytest.fixture
def heir(shared_db: Database, server: ResponsesServer) -> Agent[dict[str, object]]:
    """The same agent in the process of the test."""

    def model(id: str) -> OpenAIResponses:
        return OpenAIResponses(id, base_url=server.base_url, api_key="sk-test", max_retries=0)

    manager = CompressionManager(model("shortener"), compress_tool_results_limit=2)
    compaction = Compaction(max_tokens=None, max_turns=3, keep_turns=1, model=model("summer"))
    return Agent(
        "Tester",
        model("main"),
        db=shared_db,
        tools=[look],
        reasoning_model=model("thinker"),
        compression_manager=manager,
        compaction=compaction,
        add_history_to_context=True,
    )


THOUGHT = Reply.text(
    json.dumps(
        {
            "steps": [
                {
                    "title": "Plan",
                    "action": None,
                    "result": None,
                    "reasoning": "Read all pages.",
                    "next_action": "final_answer",
                    "confidence": 1,
                }
            ]
        }
    )
)
LOOKS = [Reply.tool_calls(("look", {"n": n})) for n in range(3)]
SHORT = [Reply.text(f"short {n}") for n in range(2)]
# In the order in which they are given: who is asked, and what is answered.
SCRIPT = [
    ("thinker", THOUGHT),
    ("main", LOOKS[0]),
    ("main", LOOKS[1]),
    ("shortener", SHORT[0]),
    ("shortener", SHORT[1]),
    ("main", LOOKS[2]),
    ("summer", Reply.text("Two pages were read.")),
    ("main", Reply.text("All is read.")),
]


def _asked(server: ResponsesServer) -> list[object]:
    return [each.body["model"] for each in server.requests]


async def _is_kept(db: Database, kind: str) -> bool:
    store = await db.store()
    return any(each.type == kind for each in await store.events("run", 0))


async def _carried_on(agent: Agent[Any], db: Database) -> RunOutput:
    await expire(db, "run")
    (await open_runtime(db)).serve(agent)
    run: RunOutput | None = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "All is read.")
    return run


# With the thoughts there, between two results, as the conversation is summed up, and after that.
@pytest.mark.parametrize("at", [1, 4, 6, 7])
async def test_a_lost_process_changes_nothing_of_what_the_model_is_told(
    heir: Agent[dict[str, object]],
    shared_db: Database,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    at: int,
) -> None:
    held = SCRIPT[at][1].held()
    server.script += [
        *(reply for _, reply in SCRIPT[:at]),
        held,
        *(reply for _, reply in SCRIPT[at:]),
    ]
    process = elsewhere(BODY, KERN_IN_PROCESS_WORKER="1")
    async with asyncio.timeout(20):
        while len(server.requests) <= at:  # noqa: ASYNC110 # the server tells nobody
            await asyncio.sleep(0.01)
        while at == 4 and not await _is_kept(shared_db, "ResultsCompressed"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.send(signal.SIGKILL)
    await process.ended()
    held.release()
    run = await _carried_on(heir, shared_db)
    names = [name for name, _ in SCRIPT]
    assert _asked(server) == [*names[: at + 1], *names[at:]]
    assert server.requests[at].body == server.requests[at + 1].body
    assert [each.title for each in run.reasoning_steps or ()] == ["Plan"]
    told = server.requests[-1].body["input"]
    assert "Two pages were read." in str(told)
    assert "page 0" not in str(told)
    assert "Read all pages." in str(told)
    assert "page 0" in str(run.messages)
    details = run.metrics.details or {}
    assert {"model", "reasoning_model", "compression_model", "compaction_model"} <= {*details}
