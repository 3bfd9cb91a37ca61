"""A timeline shows what was thought, and how a context was made smaller."""

import json

from kern.agent import Agent
from kern.compression import Compaction, CompressionManager
from kern.db.in_memory import InMemoryDb
from kern.memory import MemoryManager
from kern.operations.timeline import timeline
from kern.testing import Reply, ScriptedModel

STEP = {
    "title": "Plan",
    "action": None,
    "result": None,
    "reasoning": "Read.",
    "next_action": "continue",
    "confidence": 1,
}

REMEMBERS = Reply.tool_calls(("add_memory", {"memory": "Likes fish.", "topics": []}))


def look(n: int) -> str:
    """Look at a page."""
    return f"page {n} " * 100


async def test_it_says_what_models_were_asked_beside_the_answer() -> None:
    db = InMemoryDb()
    agent = Agent(
        "Reader",
        ScriptedModel([*(Reply.tool_calls(("look", {"n": n})) for n in range(3)), "Done."]),
        db=db,
        tools=[look],
        reasoning_model=ScriptedModel([json.dumps({"steps": [STEP]})]),
        compression_manager=CompressionManager(ScriptedModel(list("abc"))),
        compaction=Compaction(None, 3, 1, ScriptedModel(["Sum."])),
        memory_manager=MemoryManager(ScriptedModel([REMEMBERS])),
        update_memory_on_run=True,
    )
    run = await agent.arun("Read.")
    store = await db.store()
    record = await store.get(run.run_id)
    assert record is not None
    told = {each.kind: each for each in timeline(record, await store.events(run.run_id, 0))}
    assert told["ReasoningStep"].detail == "Plan: Read."
    assert told["ReasoningCompleted"].detail == "10 + 5 tokens: thought in 1 steps"
    assert told["CompressionCompleted"].detail.endswith("700 characters of results in 1")
    assert told["CompactionCompleted"].detail.endswith("5 messages, summed up")
    assert told["CompactionStarted"].payload is None
    assert told["MemoryUpdateCompleted"].detail.startswith("10 + 5 tokens: ")
    assert "Likes fish." in told["MemoryUpdateCompleted"].detail
