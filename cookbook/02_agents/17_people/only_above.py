"""A function decides whether a person has to allow a call: by its arguments, and by who asks."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext
from kern.tools import tool


def is_much(litres: float, run_context: RunContext) -> bool:
    """Say whether the call needs a person; it names what it wants to see, as a tool does."""
    return litres > 100 and run_context.user_id != "head gardener"


@tool(requires_confirmation=is_much)
def water(bed: str, litres: float) -> str:
    """Water a bed.

    Args:
        bed: which bed.
        litres: how much.
    """
    return f"{litres:.0f} litres on the {bed}"


garden = Agent(name="Garden", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[water])

if __name__ == "__main__":
    for user, wish in (
        ("apprentice", "A little for the herbs."),
        ("apprentice", "Plenty for the rice."),
        ("head gardener", "Plenty for the rice."),
    ):
        run = garden.run(wish, user_id=user)
        print(user, run.status.value, [call.result for call in run.tools])
