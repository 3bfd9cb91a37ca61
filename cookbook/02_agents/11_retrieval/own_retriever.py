"""Knowledge from wherever you keep it: a function that finds, asked by the model's tool."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

RULES = [
    {"content": "Boats over six metres need a licence.", "name": "rule 4"},
    {"content": "Dogs are allowed on the pier from October to April.", "name": "rule 9"},
    {"content": "The harbour office opens at eight.", "name": "rule 1"},
]


def find(query: str, num_documents: int | None = None) -> list[dict[str, str]]:
    """Find the rules that share a word with the question."""
    words = {word for word in query.lower().split() if len(word) > 3}
    found = [rule for rule in RULES if words & set(rule["content"].lower().split())]
    return found[:num_documents]


harbour = Agent(
    name="Harbour office",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    knowledge_retriever=find,
    search_knowledge=True,
    instructions="Answer by the rules only, and name the rule.",
)

if __name__ == "__main__":
    run = harbour.run("May my dog walk there in May?")
    for tool in run.tools:
        print(tool.tool_name, tool.tool_args, "->", tool.result)
    print(run.content)
