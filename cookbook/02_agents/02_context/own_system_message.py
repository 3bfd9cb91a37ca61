"""Write the whole system message yourself: as a text, or as a function; with a role of its own."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

referee = Agent(
    name="Referee",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    description="This is left out, for the message below replaces all of it.",
    system_message="You settle arguments about chess. Quote the rule.",
)


def house_rules(agent: Agent) -> str:
    """Say the rules of this house."""
    return f"{agent.name} settles arguments about cards. House rules come first."


croupier = Agent(
    name="Croupier",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    system_message=house_rules,
    system_message_role="developer",  # OpenAI's name for it; every provider is sent its own
)

if __name__ == "__main__":
    for agent in (referee, croupier):
        run = agent.run("Who is right?")
        first = run.messages[0]
        print(f"{first.role}: {first.content}")
        print(run.content)
