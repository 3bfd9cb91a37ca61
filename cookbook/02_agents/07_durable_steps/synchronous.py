"""The same from a tool that is not asynchronous: step_sync; steps of one name are counted."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def develop(roll: str) -> str:
    """Develop a roll of film."""
    print("developing", roll)
    return f"{roll.upper()}: 36 pictures"


def develop_all(run_context: RunContext, rolls: list[str]) -> str:
    """Develop rolls of film, one after the other.

    Args:
        rolls: their labels.
    """
    return "; ".join(run_context.step_sync("develop", develop, roll) for roll in rolls)


lab = Agent(
    name="Photo lab",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/lab.db"),
    tools=[develop_all],
)

if __name__ == "__main__":
    run = lab.run("Develop the rolls from Crete.")
    print(run.tools[0].result)
    print(run.content)
