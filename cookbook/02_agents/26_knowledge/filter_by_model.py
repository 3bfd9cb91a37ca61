"""Filters: those that always hold, and those by which the model narrows its search further.

The model is told which fields there are. It can leave nothing out that agent or run demand.
"""

from kern.agent import Agent
from kern.filters import GT
from kern.knowledge import Knowledge
from kern.models.openai import OpenAIResponses
from kern.vectordb.sqlite import SqliteVec

minutes = Knowledge("minutes", vector_db=SqliteVec(":memory:"))

MEETINGS = [
    ("The board raises the price of ferns.", {"board": "sales", "year": 2024}),
    ("The board lowers the price of ferns.", {"board": "sales", "year": 2026}),
    ("The board moves the ferns into the shade.", {"board": "garden", "year": 2026}),
]

clerk = Agent(
    name="Clerk",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    knowledge=minutes,
    knowledge_filters=[GT("year", 2025)],
    enable_agentic_knowledge_filters=True,
)

if __name__ == "__main__":
    for text, metadata in MEETINGS:
        minutes.insert(text_content=text, metadata=metadata)
    run = clerk.run("What did sales decide about ferns?")
    for tool in run.tools:
        print(tool.tool_args, "->", tool.result)
    print(run.content)
