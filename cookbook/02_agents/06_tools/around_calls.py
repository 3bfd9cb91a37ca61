"""Hooks around each tool call, nested, the first outermost: one counts, the other forbids."""

from collections.abc import Callable
from typing import Any

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext

FORBIDDEN = {"poison ivy"}


def counted(
    function_name: str,
    function_call: Callable[..., Any],
    arguments: dict[str, Any],
    run_context: RunContext,
) -> Any:
    """Print each call, and what came of it."""
    result = function_call(**arguments)
    print(f"{run_context.user_id} {function_name}({arguments}) -> {result}")
    return result


def allowed(name: str, func: Callable[..., Any], args: dict[str, Any]) -> Any:
    """Answer in place of the tool where a plant is forbidden, else change what is asked."""
    plant = args["plant"].lower()
    return "This plant is not sold." if plant in FORBIDDEN else func(plant=plant)


def stock(plant: str) -> str:
    """Tell how many of a plant are in stock."""
    return f"{len(plant)} of {plant}"


nursery = Agent(
    name="Nursery",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[stock],
    tool_hooks=[counted, allowed],
)

if __name__ == "__main__":
    print(nursery.run("Have you FERNS, and poison ivy?", user_id="eve").content)
