"""Dependencies as a part of what the model is told, beside the user's text."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses


def weather() -> dict[str, object]:
    """Look at the weather."""
    return {"sky": "clear", "wind_knots": 14}


def broken() -> str:
    """Fail: this is logged as a warning, and the run goes on without it."""
    raise ConnectionError("The barometer does not answer.")


skipper = Agent(
    name="Skipper",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    dependencies={"weather": weather, "pressure": broken},
    add_dependencies_to_context=True,
)

if __name__ == "__main__":
    run = skipper.run("Do we sail?", dependencies={"crew": 3})
    print(run.messages[-2].content)
    print(run.content)
