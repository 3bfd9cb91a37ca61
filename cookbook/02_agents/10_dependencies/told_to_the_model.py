"""Dependencies as a part of what the model is told, behind the user's text.

The model is told them; the run's messages, and what later runs are shown, have the text alone.
"""

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
    print("asked:", run.messages[-2].content)
    print(run.content)
