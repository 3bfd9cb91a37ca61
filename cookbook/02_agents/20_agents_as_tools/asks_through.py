"""A sub-agent that needs a person pauses the run that has called it, which shows what for."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_confirmation=True)
def close_pass(pass_name: str) -> str:
    """Close a mountain pass.

    Args:
        pass_name: which one.
    """
    print("closed:", pass_name)
    return "The barrier is down."


road_service = Agent(
    name="Road service", model=OpenAIResponses(id="gpt-5.4-nano"), tools=[close_pass]
)
region = Agent(
    name="Region",
    model=OpenAIResponses(id="gpt-5.4-nano"),
    tools=[road_service.as_tool("road_service", "Have roads closed or cleared.")],
)
country = Agent(
    name="Country",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/roads.db"),
    tools=[region.as_tool("region", "Tell a region what to do.")],
)

if __name__ == "__main__":
    country.run("It snows on the Furka.", run_id="snow", background=True)
    run = country.wait_run("snow")
    for requirement in run.active_requirements:
        call = requirement.tool_execution
        print(run.status.value, "|", requirement.member_agent_name, call.tool_name, call.tool_args)
        requirement.confirm()
    country.continue_run(run_id="snow", requirements=run.requirements)
    run = country.wait_run("snow", until="end")
    print(run.status.value, run.content)
