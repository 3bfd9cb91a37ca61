"""Let the model ask for values when it finds that they are missing, as often as it needs to."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools.user_control_flow import UserControlFlowTools


def stamp(grams: int, country: str) -> str:
    """Say which stamp a letter needs.

    Args:
        grams: its weight.
        country: where it goes.
    """
    return f"{grams} g to {country}: 1.25"


clerk = Agent(
    name="Post office",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[stamp, UserControlFlowTools()],
)

KNOWN = {"grams": 40, "country": "Chile"}

if __name__ == "__main__":
    run = clerk.run("I have a letter here.")
    while run.is_paused:
        for requirement in run.active_requirements:
            for field in requirement.user_input_schema:
                print("asked for:", field.name, "|", field.description)
                field.value = KNOWN[field.name]
        run = clerk.continue_run(run_response=run)
    print(run.content)
