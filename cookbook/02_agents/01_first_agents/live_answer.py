"""What print_response shows beside the answer: the call of a tool, and the time it all took.

`show_message=False` leaves the question out. `show_full_reasoning=True` would show the thoughts of
a model that thinks, in full.
"""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

DEPARTURES = {"Oslo": ["07:12", "12:40"], "Bergen": ["08:05"]}


def departures(city: str) -> str:
    """Tell when the ferry to a city leaves.

    Args:
        city: the city, in English.
    """
    return ", ".join(DEPARTURES.get(city, [])) or "no ferry goes there"


clerk = Agent(
    name="Ferry clerk",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[departures],
    instructions="Tell the times of departure as a list.",
    markdown=True,
)

if __name__ == "__main__":
    clerk.print_response(
        "When does the ferry to Oslo leave?",
        stream=True,
        stream_events=True,
        show_message=False,
        show_reasoning=True,
    )
