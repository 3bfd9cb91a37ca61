"""Several MCP servers at once, opened and closed by hand."""

import asyncio
import sys
from pathlib import Path

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools.mcp import MultiMCPTools

SERVER = f"{sys.executable} {Path(__file__).with_name('tool_shed.py')}"


async def main() -> None:
    """Use the sheds of two neighbours."""
    async with MultiMCPTools(commands=[SERVER, SERVER], include_tools=["look"]) as sheds:
        neighbour = Agent(name="Neighbour", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[sheds])
        run = await neighbour.arun("Where is a saw?")
        print([call.result for call in run.tools], run.content)


if __name__ == "__main__":
    asyncio.run(main())
