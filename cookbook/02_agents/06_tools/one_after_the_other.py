"""Calls of one answer are made side by side; a sequential tool's one after the other, in order.

So each sees what those before it have left in the state. `call_limit` bounds the calls of one tool.
"""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext
from kern.tools import tool


@tool(sequential=True, call_limit=3)
def stack(run_context: RunContext, crate: str) -> str:
    """Put a crate on the pile.

    Args:
        crate: what it holds.
    """
    run_context.session_state["pile"].append(crate)
    return " < ".join(run_context.session_state["pile"])


docker = Agent(
    name="Docker",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[stack],
    session_state={"pile": []},
)

if __name__ == "__main__":
    run = docker.run("Stack the pears, the plums, the figs and the nuts.")
    for tool_run in run.tools:
        print(tool_run.tool_call_error, tool_run.result)
    print(run.session_state["pile"], run.content)
