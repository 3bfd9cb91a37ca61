"""An agent that looks things up in your files: loaded by what they mean, found by its model.

What is loaded again takes its own place, and only what has changed is embedded.
"""

from pathlib import Path

from kern.agent import Agent
from kern.knowledge import Knowledge
from kern.models.openai import OpenAIResponses
from kern.vectordb.sqlite import SqliteVec

plants = Knowledge(
    name="plants",
    description="How plants are kept, and what they cost.",
    vector_db=SqliteVec("tmp/plants.db"),
    max_results=3,
)

gardener = Agent(
    name="Gardener",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    knowledge=plants,
    instructions="Answer by what you find, and name the file.",
)

if __name__ == "__main__":
    folder = Path(__file__).parent / "plants"
    for _ in range(2):
        loaded = plants.insert(path=folder)
        print(f"{loaded.contents} files, {loaded.chunks} chunks, {loaded.embedded} embedded")
    run = gardener.run("What does a large fern cost?")
    for reference in run.references:
        names = [document["name"] for document in reference.references]
        print(f"looked for {reference.query!r}, found in {', '.join(sorted({*names}))}")
    print(run.content)
