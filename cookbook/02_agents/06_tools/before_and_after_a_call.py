"""Hooks of one tool: before its call and after it; they see the call, and may stop it."""

from kern.agent import Agent
from kern.exceptions import StopAgentRun
from kern.models.openai import OpenAIResponses
from kern.tools import FunctionCall, tool


def weigh(fc: FunctionCall) -> None:
    """Look at the arguments before the call."""
    print("before:", fc.function.name, fc.arguments)
    if fc.arguments["kilos"] > 30:
        raise StopAgentRun("Too heavy for the lift: a person has to come.")


def report(fc: FunctionCall, agent: Agent) -> None:
    """Look at the result after the call."""
    print("after:", agent.name, fc.result)


@tool(pre_hook=weigh, post_hook=report)
def lift(kilos: int, floor: int) -> str:
    """Bring something up.

    Args:
        kilos: how heavy it is.
        floor: where to.
    """
    return f"{kilos} kg are on floor {floor}"


porter = Agent(name="Porter", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[lift])

if __name__ == "__main__":
    print(porter.run("This chair to floor 3.").content)
    heavy = porter.run("This piano to floor 4.")
    print(heavy.status.value, [tool.result for tool in heavy.tools])
