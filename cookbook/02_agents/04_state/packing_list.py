"""State of a session: a tool changes it, instructions show it, and it is there the next time."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def pack(run_context: RunContext, item: str) -> str:
    """Put something on the packing list.

    Args:
        item: what to take along.
    """
    run_context.session_state["items"].append(item)
    return f"On the list: {', '.join(run_context.session_state['items'])}"


packer = Agent(
    name="Packer",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/packing.db"),
    tools=[pack],
    instructions="Help to pack for {days} days. On the list so far: {items}",
    session_state={"items": [], "days": 3},
)

if __name__ == "__main__":
    for wish in ("A torch, please.", "And a tin opener."):
        run = packer.run(wish, session_id="hike")
        print(run.messages[0].content)
        print(run.content)
    kept = packer.get_session_state(session_id="hike")
    print("kept:", kept["items"], kept == run.session_state)
