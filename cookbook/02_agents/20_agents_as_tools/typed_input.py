"""A sub-agent that takes more than a text: its input schema is what the model fills in."""

from pydantic import BaseModel, Field

from kern.agent import Agent
from kern.models.openai import OpenAIResponses


class Route(BaseModel):
    """From where to where."""

    start: str
    end: str
    stops: int = Field(default=0, ge=0)


class Trip(BaseModel):
    """A trip."""

    minutes: int


planner = Agent(
    name="Planner",
    model=OpenAIResponses(id="gpt-5.4-nano"),
    input_schema=Route,
    output_schema=Trip,
)

concierge = Agent(
    name="Concierge",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[planner.as_tool(name="plan_route", description="Plan a route.")],
)

if __name__ == "__main__":
    run = concierge.run("How long from the hotel to the harbour, with a stop at the bank?")
    [call] = run.tools
    print(call.tool_args, "->", call.result)
    print(run.content)
