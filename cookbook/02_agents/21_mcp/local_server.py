"""The tools of an MCP server that kern starts itself, some of them, under a prefix."""

import sys
from pathlib import Path

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools.mcp import MCPTools

shed = MCPTools(
    command=f"{sys.executable} {Path(__file__).with_name('tool_shed.py')}",
    include_tools=["look", "throw_away"],
    tool_name_prefix="shed",
    requires_confirmation_tools=["throw_away"],
)

neighbour = Agent(name="Neighbour", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[shed])

if __name__ == "__main__":
    run = neighbour.run("What is on the top shelf?")
    print(run.tools[0].tool_name, "->", run.tools[0].result)
    print(run.content)

    run = neighbour.run("Throw the plane away.")
    print(run.status.value, [call.tool_name for call in run.tools_requiring_confirmation])
    for requirement in run.active_requirements:
        requirement.confirm()
    run = neighbour.continue_run(run_response=run)
    print(run.tools[0].result, run.content)
