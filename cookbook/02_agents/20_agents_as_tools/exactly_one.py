"""A kill in the middle of a sub-agent: its run goes on, and no second one is begun.

Kill this script when it prints "measured", and start it again.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def measure(room: str) -> str:
    """Measure a room.

    Args:
        room: which one.
    """
    print("measured", room, flush=True)
    return "4 m by 5 m"


surveyor = Agent(name="Surveyor", model=OpenAIResponses(id="gpt-5.4-nano"), tools=[measure])
architect = Agent(
    name="Architect",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/house.db"),
    tools=[surveyor.as_tool("surveyor", "Have a room measured.")],
)

if __name__ == "__main__":
    architect.run("How large is the kitchen?", run_id="kitchen", background=True)
    run = architect.wait_run("kitchen")
    print(run.status.value, run.content)
    print("children:", len({call.child_run_id for call in run.tools}))
