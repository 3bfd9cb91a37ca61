"""A call for which a person fills in what the model cannot know."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_user_input=True, user_input_fields=["berth", "nights"])
def moor(boat: str, berth: int, nights: int) -> str:
    """Give a boat its place in the harbour.

    Args:
        boat: its name.
        berth: the number of the place.
        nights: for how long.
    """
    return f"{boat} lies at berth {berth} for {nights} nights."


harbour = Agent(
    name="Harbour master",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/harbour.db"),
    tools=[moor],
)

SAID = {"berth": 12, "nights": 3}

if __name__ == "__main__":
    run = harbour.run("The Swallow comes in.")
    [requirement] = run.active_requirements
    for field in requirement.user_input_schema:
        print(f"{field.name} ({field.field_type}): {field.value} | {field.description}")
        if field.value is None:
            field.value = SAID[field.name]  # or: requirement.provide_user_input(SAID)
    run = harbour.continue_run(run_id=run.run_id, requirements=run.requirements)
    print(run.tools[0].result)
    print(run.content)
