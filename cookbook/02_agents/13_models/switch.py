"""Another provider in the middle of a conversation: the history moves with it."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.anthropic import Claude
from kern.models.openai import OpenAIResponses

storyteller = Agent(
    name="Storyteller",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/stories.db"),
    add_history_to_context=True,
    instructions="Go on with the story, one sentence at a time.",
)

if __name__ == "__main__":
    first = storyteller.run("A fox finds a key.", session_id="fox")
    storyteller.model = Claude(id="claude-sonnet-5-5")
    second = storyteller.run("Go on.", session_id="fox")
    print(first.model, "|", first.content)
    print(second.model, "|", second.content)
