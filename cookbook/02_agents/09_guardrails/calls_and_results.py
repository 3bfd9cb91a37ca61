"""Look at tool calls and at their results: refuse a call, and hide what a result must not show."""

import re
from collections.abc import Callable
from typing import Any

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?\d{2,4}){3,}\b")


def within_limit(function_name: str, arguments: dict[str, Any]) -> None:
    """Refuse to pay too much; the model is told why."""
    if function_name == "pay" and arguments["euros"] > 100:
        raise PermissionError("More than 100 euros need a signature.")


def guarded(
    function_name: str, function_call: Callable[..., Any], arguments: dict[str, Any]
) -> Any:
    """Check the call before it is made, and its result before the model sees it."""
    within_limit(function_name, arguments)
    return IBAN.sub("[account]", str(function_call(**arguments)))


def pay(to: str, euros: int) -> str:
    """Pay somebody."""
    return f"{euros} euros went from DE89 3704 0044 0532 0130 00 to {to}"


treasurer = Agent(
    name="Treasurer",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[pay],
    tool_hooks=[guarded],
)

if __name__ == "__main__":
    run = treasurer.run("Pay the gardener 80 and the roofer 4000 euros.")
    for tool in run.tools:
        print(tool.tool_args["to"], tool.tool_call_error, tool.result)
    print(run.content)
