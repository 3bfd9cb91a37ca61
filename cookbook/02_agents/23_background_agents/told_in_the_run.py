"""Agents that work in the background while the one that has started them goes on with its own."""

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def book_room(day: str) -> str:
    """Book the large room.

    Args:
        day: for which day.
    """
    return f"booked for {day}"


caterer = Agent(
    name="Caterer",
    model=OpenAIResponses(id="gpt-5.4-nano"),
    description="Finds out who can bring lunch, and for how much.",
)
organizer = Agent(
    name="Organizer",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/meeting.db"),
    tools=[BackgroundAgents([caterer]), book_room],
)

if __name__ == "__main__":
    run = organizer.run("Twelve people come on Tuesday. I need a room, and an offer for lunch.")
    for call in run.tools:
        print(call.tool_name, "->", str(call.result).split(":")[0])
    told = [each.text for each in run.messages if "<background_run " in each.text]
    print("told of", len(told), "end")
    print(run.content)
