"""In place of a tool: what is found for the question is told with it, as JSON or YAML.

`run.references` has what was found; the run's messages have the question alone.
"""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

LABELS = {"oak": "Oak: water every ten days.", "fern": "Fern: keep it out of the sun."}


async def find(query: str, agent: Agent, num_documents: int | None = None) -> list[dict[str, str]]:
    """Find the labels of the plants that the question names; retrievers may be asynchronous."""
    return [{"content": text} for plant, text in LABELS.items() if plant in query.lower()]


gardener = Agent(
    name="Gardener",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    knowledge_retriever=find,
    add_knowledge_to_context=True,
    search_knowledge=False,
    references_format="yaml",
)

if __name__ == "__main__":
    run = gardener.run("Where do I put the fern?")
    for reference in run.references:
        print("found for", repr(reference.query), reference.references)
    print(run.content)
