"""Narrow a search by filters: the agent's, and those of a run."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext

WINES = [
    {"content": "Riesling, dry, from the slate", "country": "Germany"},
    {"content": "Riesling, sweet, late harvest", "country": "France"},
    {"content": "Malbec, dark, from the high plains", "country": "Argentina"},
]


def find(
    query: str, filters: dict[str, str] | None, run_context: RunContext, num_documents: int | None
) -> list[dict[str, str]] | None:
    """Find wines; None says that there is nothing."""
    print(f"{run_context.user_id} looks for {query!r} with {filters}")
    kept = (filters or {}).items()
    return [w for w in WINES if all(w.get(key) == value for key, value in kept)] or None


sommelier = Agent(
    name="Sommelier",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    knowledge_retriever=find,
    knowledge_filters={"country": "Germany"},
)

if __name__ == "__main__":
    run = sommelier.run("Something dry?", user_id="rita")
    print(run.tools[0].result)
    run = sommelier.run("Something dark?", user_id="rita", knowledge_filters={"country": "Chad"})
    print(run.tools[0].result)
