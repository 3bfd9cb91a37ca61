"""Instructions that a function makes for each run, from what its parameters name.

A function is called once a run, before the model is asked. It may be asynchronous.
"""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext

LANGUAGES = {"amina": "French", "bo": "Danish"}


def instructions(agent: Agent, run_context: RunContext) -> list[str]:
    """Say how to answer this user."""
    language = LANGUAGES.get(run_context.user_id or "", "English")
    return [f"You are {agent.name}.", f"Answer in {language}.", "Be brief."]


concierge = Agent(
    name="Concierge",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions=instructions,
)

if __name__ == "__main__":
    for user in ("amina", "bo", None):
        run = concierge.run("When is breakfast?", user_id=user)
        print(user, "|", run.messages[0].content.replace("\n", " "))
        print(run.content)
