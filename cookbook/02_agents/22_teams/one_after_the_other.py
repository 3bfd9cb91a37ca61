"""Members that build on each other: each is told what others have answered; state is shared."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.team import Team


def book(amount: int, session_state: dict[str, int]) -> str:
    """Book money for a part of the journey.

    Args:
        amount: how much, in francs.
    """
    session_state["left"] -= amount
    return f"{session_state['left']} are left."


planner = Agent(
    name="Planner", role="Finds a route.", model=OpenAIResponses("gpt-5.4-nano"), tools=[book]
)
host = Agent(name="Host", role="Finds a bed.", model=OpenAIResponses("gpt-5.4-nano"), tools=[book])
agency = Team(
    [planner, host],
    name="Travel agency",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    share_member_interactions=True,
    session_state={"left": 500},
)

if __name__ == "__main__":
    run = agency.run("A weekend in Soglio.")
    print(run.content, run.session_state)
