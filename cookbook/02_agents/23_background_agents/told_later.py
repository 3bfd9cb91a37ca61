"""A run ends before what it has started: a new run of the same agent tells how that has ended."""

import time

from kern.agent import Agent, RunOutput
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def count_birds(hours: float) -> str:
    """Count the birds at the lake.

    Args:
        hours: for how long.
    """
    time.sleep(1.0)
    return "two herons, 40 coots"


observer = Agent(
    name="Observer",
    model=OpenAIResponses(id="gpt-5.4-nano"),
    description="Counts birds; that takes long.",
    tools=[count_birds],
)
warden = Agent(
    name="Warden",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/lake.db"),
    tools=[observer.as_tool(background=True)],
)


def next_run(session_id: str) -> RunOutput:
    """Return the second run of a session, once there is one and it has ended."""
    while len(runs := warden.list_runs(session_id=session_id)) < 2:
        time.sleep(0.1)
    return warden.wait_run(runs[0].run_id)


if __name__ == "__main__":
    run = warden.run("How many birds are there?", background=True)
    ended = warden.wait_run(run.run_id)
    print("first:", ended.content)

    told = next_run(run.session_id)
    print("later:", told.content)
    print("nobody has written:", told.messages[0].text.splitlines()[0][:24] + "…")
