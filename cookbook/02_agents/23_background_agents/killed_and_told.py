"""A kill in the middle of everything: what was started goes on, and is told exactly once.

Kill this script when it prints "measuring", and start it again.
"""

import time

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def measure(place: str) -> str:
    """Measure the depth of the snow.

    Args:
        place: where.
    """
    print("measuring", flush=True)
    time.sleep(0.5)
    return "1.4 m"


ranger = Agent(name="Ranger", model=OpenAIResponses(id="gpt-5.4-nano"), tools=[measure])
guide = Agent(
    name="Guide",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/snow.db"),
    tools=[BackgroundAgents([ranger])],
)

if __name__ == "__main__":
    guide.run("How deep is the snow?", run_id="tour", session_id="tour", background=True)
    first = guide.wait_run("tour")
    print(first.content)
    while len(runs := guide.list_runs(session_id="tour")) < 2:
        time.sleep(0.1)
    print(guide.wait_run(runs[0].run_id).content)
    print("runs of the guide:", len(guide.list_runs(session_id="tour")))
