"""Keep the history short: so many messages, and only the newest of the tool calls."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

LEVELS = {"Elbe": "1.9 m", "Oder": "2.4 m", "Spree": "1.1 m"}


def level(river: str) -> str:
    """Tell the water level of a river.

    Args:
        river: its name.
    """
    return LEVELS[river]


gauge = Agent(
    name="Gauge",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/rivers.db"),
    tools=[level],
    add_history_to_context=True,
    max_tool_calls_from_history=1,
)

note_taker = Agent(
    name="Note taker",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/rivers.db"),
    add_history_to_context=True,
    num_history_messages=2,
)

if __name__ == "__main__":
    for river in LEVELS:
        run = gauge.run(f"How high is the {river}?", session_id="rivers")
    results = [message.tool_name for message in run.messages if message.role == "tool"]
    print(len(results), "results are shown in the last run:", results)

    for note in ("Bring boots.", "Bring a rope.", "What do I have to bring?"):
        run = note_taker.run(note, session_id="notes")
    print([message.get_content_string() for message in run.messages])
