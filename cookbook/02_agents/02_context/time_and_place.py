"""Tell the model what time it is, and where."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses


def where() -> str:
    """Say where the harbour is; asked anew for each run."""
    return "Reykjavík, Iceland"


watch = Agent(
    name="Harbour watch",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions="Say whether the lamps have to be lit.",
    add_datetime_to_context=True,
    timezone_identifier="Atlantic/Reykjavik",
    datetime_format="%A, %d %B %Y, %H:%M",
    add_location_to_context=where,
)

if __name__ == "__main__":
    run = watch.run("Lamps?")
    print(run.messages[0].content)
    print(run.content)
