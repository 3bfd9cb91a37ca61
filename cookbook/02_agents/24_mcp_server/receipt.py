"""A call that takes longer returns a receipt, by which its answer is fetched."""

import asyncio
import os
import sys
from pathlib import Path

from mcp import StdioServerParameters, stdio_client
from mcp.client import Client

HERE = Path(__file__).parent

desk = StdioServerParameters(
    command=str(Path(sys.executable).with_name("kern")),
    args=["mcp", "desk:agents"],
    env={
        **os.environ,
        "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "KERN_MCP_WAIT": "0",  # By default it waits for 25 seconds.
    },
)


async def main() -> None:
    """Get a receipt, and then the answer: with this client, or any other of the same user."""
    async with Client(stdio_client(desk)) as client:
        receipt = await client.call_tool("librarian", {"input": "Where is Emma?"})
        run = receipt.structured_content
        print(run["status"] in ("PENDING", "RUNNING"))

        answer = await client.call_tool("get_run", {"run_id": run["run_id"], "wait": 60})
        print(answer.content[0].text)


if __name__ == "__main__":
    asyncio.run(main())
