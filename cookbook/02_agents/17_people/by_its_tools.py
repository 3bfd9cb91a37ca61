"""The older way to answer: set it on the calls of the paused run, and pass them back."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_confirmation=True)
def light(lamp: str) -> str:
    """Light a lamp of the lighthouse.

    Args:
        lamp: which one.
    """
    return f"The {lamp} lamp burns."


keeper = Agent(
    name="Lighthouse",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/lighthouse.db"),
    tools=[light],
)

if __name__ == "__main__":
    run = keeper.run("It gets dark.")
    for call in run.tools_requiring_confirmation:
        print("asks for:", call.tool_name, call.tool_args)
        call.confirmed = True
    run = keeper.continue_run(run_id=run.run_id, updated_tools=run.tools)
    print(run.tools[0].result)
    print(run.content)
