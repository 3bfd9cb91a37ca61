"""State is committed with the step that changed it: after a kill nothing is counted twice.

Kill this script while it waits, and start it again: the run goes on where it was.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext

SHELVES = {"A": 12, "B": 30}


def count(run_context: RunContext, shelf: str) -> str:
    """Count the jars on a shelf.

    Args:
        shelf: A or B.
    """
    run_context.session_state["jars"] += SHELVES[shelf]
    print("counted", shelf, flush=True)
    return f"{run_context.session_state['jars']} jars so far"


storekeeper = Agent(
    name="Storekeeper",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/store.db"),
    tools=[count],
    session_state={"jars": 0},
)

if __name__ == "__main__":
    storekeeper.run(
        "Count both shelves, one after the other.",
        session_id="cellar",
        run_id="stocktaking",
        background=True,
    )
    run = storekeeper.wait_run("stocktaking")
    print(run.status.value, run.content)
    print(storekeeper.get_session_state(session_id="cellar"))
