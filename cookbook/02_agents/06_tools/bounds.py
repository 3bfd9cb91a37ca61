"""Bounds of tool calls: how many a run may make, and how long one may take."""

import asyncio

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(timeout=0.2)
async def ask_the_oracle(question: str) -> str:
    """Ask the oracle."""
    await asyncio.sleep(60 if "meaning" in question else 0)
    return "yes"


pilgrim = Agent(
    name="Pilgrim",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[ask_the_oracle],
    tool_call_limit=2,
)

if __name__ == "__main__":
    run = pilgrim.run("Ask whether it rains, for the meaning of life, and for the time.")
    for tool_run in run.tools:
        print(tool_run.tool_args["question"], "|", tool_run.tool_call_error, "|", tool_run.result)
    print(run.status.value, run.content)
