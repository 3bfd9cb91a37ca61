"""A member that needs a person pauses the team's run, which is answered there, by any process."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.team import Team
from kern.tools import tool


@tool(requires_confirmation=True)
def close_valve(valve: str) -> str:
    """Close a valve.

    Args:
        valve: which one.
    """
    print("closed:", valve)
    return "It is closed."


plumber = Agent(
    name="Plumber",
    role="Works on the pipes.",
    model=OpenAIResponses(id="gpt-5.4-nano"),
    tools=[close_valve],
)
house = Team(
    [plumber], name="House", model=OpenAIResponses("gpt-5.4-mini"), db=SqliteDb("tmp/house.db")
)

if __name__ == "__main__":
    house.run("Water runs down the stairs!", run_id="leak", background=True)
    run = house.wait_run("leak")
    for requirement in run.active_requirements:
        call = requirement.tool_execution
        print(run.status.value, "|", requirement.member_agent_name, call.tool_name, call.tool_args)
        requirement.confirm()
    house.continue_run(run_id="leak", requirements=run.requirements)
    run = house.wait_run("leak", until="end")
    print(run.status.value, run.content)
