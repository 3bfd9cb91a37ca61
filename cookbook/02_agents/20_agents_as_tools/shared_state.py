"""Agents share the state of the session: what a sub-agent puts into it, its caller sees."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def reserve(run_context: RunContext, seats: int) -> str:
    """Reserve seats.

    Args:
        seats: how many.
    """
    run_context.session_state["free"] -= seats
    return f"{run_context.session_state['free']} are left."


def look(run_context: RunContext) -> str:
    """Look how many seats are free."""
    return f"{run_context.session_state['free']} are free."


box_office = Agent(name="Box office", model=OpenAIResponses(id="gpt-5.4-nano"), tools=[reserve])
usher = Agent(
    name="Usher",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/theatre.db"),
    tools=[box_office.as_tool("box_office", "Reserve seats."), look],
    session_state={"free": 20},
)

if __name__ == "__main__":
    run = usher.run("A class of 15 comes.", session_id="tonight")
    print([call.result for call in run.tools], run.content)
    print(usher.get_session_state(session_id="tonight"))
