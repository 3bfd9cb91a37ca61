"""What @tool can say: name, description, instructions for the system message, strictness."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(
    name="find_platform",
    description="Find the platform of a train.",
    instructions="Ask for the number of the train before you look for its platform.",
    add_instructions=True,
    strict=True,
)
def platform(train: str) -> str:
    """Return the platform; the model reads the description above instead."""
    return {"IC 204": "7", "RE 9": "12"}.get(train, "unknown")


@tool
def delay(train: str) -> str:
    """Tell how late a train is."""
    return "four minutes"


inspector = Agent(name="Station", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[platform, delay])

if __name__ == "__main__":
    print(platform.name, "|", platform.description)
    print("by hand:", platform.entrypoint(train="RE 9"))
    run = inspector.run("Where does the IC 204 stop?")
    print(run.messages[0].content)
    print(run.content)
