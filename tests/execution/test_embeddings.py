"""What embeddings use within a run is counted with it, once."""

from collections.abc import Sequence

import pytest
from typing_extensions import override

from kern import Agent, RunContext
from kern.db.in_memory import InMemoryDb
from kern.embedders.usage import count
from kern.errors import UsageLimitError
from kern.knowledge import Knowledge
from kern.run.metrics import ModelMetrics
from kern.run.usage import UsageLimits
from kern.testing import Reply, ScriptedModel, WordsEmbedder
from kern.vectordb.sqlite import SqliteVec


class Counted(WordsEmbedder):
    """Uses three tokens a text."""

    @override
    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        tokens = 3 * len(texts)
        count(ModelMetrics("words", "Here", input_tokens=tokens, total_tokens=tokens))
        return await super().aembed(texts)


def knowledge() -> Knowledge:
    """Return a knowledge base with one text."""
    found = Knowledge("Pumps", vector_db=SqliteVec(":memory:", embedder=Counted()))
    found.insert(text_content="Heat pumps move heat.", name="pumps")
    return found


@pytest.mark.parametrize("told", [True, False])
async def test_a_search_counts(told: bool) -> None:
    script: list[Reply | str] = ["Heat pumps do."]
    if not told:
        script.insert(0, Reply.tool_calls(("search_knowledge_base", {"query": "heat"})))
    agent = Agent(
        "Guide",
        ScriptedModel(script),
        db=InMemoryDb(),
        knowledge=knowledge(),
        search_knowledge=not told,
        add_knowledge_to_context=told,
    )
    run = await agent.arun("What moves heat?")
    assert run.metrics is not None
    [used] = (run.metrics.details or {})["embedder_model"]
    assert (used.id, used.provider, used.input_tokens) == ("words", "Here", 3)
    again = await agent.aget_run_output(run.run_id, run.session_id)
    assert again is not None
    assert again.metrics == run.metrics
    assert run.metrics.model_calls == len(script)


async def test_a_step_counts_and_limits_hold() -> None:
    embedder = Counted()

    async def learn(context: RunContext) -> str:
        """Learn."""
        for name in ("one", "two"):
            await context.step(name, embedder.aembed, ["a", "b"])
        return "Learnt."

    script: list[Reply | str] = [Reply.tool_calls(("learn", {})), "Done."]
    agent = Agent("Pupil", ScriptedModel(script), db=InMemoryDb(), tools=[learn])
    run = await agent.arun("Learn.")
    assert run.metrics is not None
    [used] = (run.metrics.details or {})["embedder_model"]
    assert used.total_tokens == 12
    limited = Agent(
        "Pupil",
        ScriptedModel(script),
        tools=[learn],
        usage_limits=UsageLimits(total_tokens=11),
    )
    with pytest.raises(UsageLimitError):
        await limited.arun("Learn.")
