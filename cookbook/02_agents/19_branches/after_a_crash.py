"""Continue a run in the foreground whose process was killed: what it has done is not done again.

Kill this script while it writes, and start it again: the run goes on in place, with its id.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def dig(metres: int) -> str:
    """Dig.

    Args:
        metres: how deep.
    """
    print("digging", flush=True)
    return f"At {metres} m: a shard with a lion."


digger = Agent(
    name="Excavation",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/dig.db"),
    tools=[dig],
)

if __name__ == "__main__":
    if digger.get_run_output("trench-2") is None:
        run = digger.run("What is below trench 2?", run_id="trench-2", session_id="summer")
    else:
        run = digger.continue_run(run_id="trench-2", session_id="summer")
    print(run.run_id, run.status.value, run.content)
