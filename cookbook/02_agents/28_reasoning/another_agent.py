"""An agent thinks for another: its model, by its instructions."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

sceptic = Agent(
    name="Sceptic",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions="Look for what speaks against each claim.",
)
editor = Agent(
    name="Editor",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    reasoning_agent=sceptic,
    instructions="Say in one sentence whether a headline may be printed.",
)

if __name__ == "__main__":
    run = editor.run("'Coffee cures everything, study says.'")
    print("thought:", run.reasoning_content)
    print("answered:", run.content)
