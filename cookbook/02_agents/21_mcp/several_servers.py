"""Several MCP servers in one object, opened and closed by hand; all of their tools are offered."""

import asyncio
import sys
from pathlib import Path

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools.mcp import MultiMCPTools

SERVERS = [Path(__file__).with_name(name) for name in ("tool_shed.py", "flower_bed.py")]


async def main() -> None:
    """Use the shed and the flower bed."""
    commands = [f"{sys.executable} {server}" for server in SERVERS]
    async with MultiMCPTools(commands, include_tools=["look", "water"]) as servers:
        neighbour = Agent(
            name="Neighbour", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[servers]
        )
        run = await neighbour.arun("Find a can and water the rose.")
        print([call.result for call in run.tools], run.content)


if __name__ == "__main__":
    asyncio.run(main())
