"""A client of the official SDK starts desk.py, asks an agent, and has its user asked back."""

import asyncio
import os
import sys
from pathlib import Path

from mcp import StdioServerParameters, stdio_client
from mcp.client import Client
from mcp.types import ElicitResult

HERE = Path(__file__).parent

desk = StdioServerParameters(
    command=str(Path(sys.executable).with_name("kern")),
    args=["mcp", "desk:agents"],
    env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
)


async def progress(progress: float, total: float | None = None, message: str | None = None) -> None:
    """Show how far a call has come."""
    print(f"({message})")


async def ask_the_user(context: object, question: object) -> ElicitResult:
    """Ask the user: here they accept everything."""
    print(question.message)
    return ElicitResult(action="accept", content={})


async def main() -> None:
    """Ask both agents."""
    async with Client(stdio_client(desk), elicitation_callback=ask_the_user) as client:
        print([tool.name for tool in (await client.list_tools()).tools])

        found = await client.call_tool(
            "librarian", {"input": "Where is Emma?"}, progress_callback=progress
        )
        print(found.content[0].text)

        lent = await client.call_tool("lending-desk", {"input": "Lend Emma to Ada."})
        print(lent.content[0].text)


if __name__ == "__main__":
    asyncio.run(main())
