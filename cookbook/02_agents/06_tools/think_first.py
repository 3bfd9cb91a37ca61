"""A toolkit that comes with kern: the model notes its thoughts, step by step, before it answers."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools.reasoning import ReasoningTools


def fare(zones: int) -> float:
    """Tell the fare for so many zones."""
    return 1.5 + 0.7 * zones


planner = Agent(
    name="Route planner",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[fare, ReasoningTools(add_instructions=True)],
)

if __name__ == "__main__":
    run = planner.run("Is a day ticket of 6 euros worth it for two trips of 3 zones?")
    print([tool.tool_name for tool in run.tools])
    print(run.content)
