"""A client for the conformance tests of MCP: an agent that calls every tool of a server.

``npx @modelcontextprotocol/conformance client --scenario tools_call --command "python
tests/tools/mcp/conformance_client.py"``; it needs Node.js 22. Those of OAuth are not for it.
"""

import asyncio
import sys

from kern.agent import Agent
from kern.run.base import RunStatus
from kern.testing import Reply, ScriptedModel
from kern.tools.mcp import MCPTools


async def main(url: str) -> None:
    async with MCPTools(url=url, timeout_seconds=30) as tools:
        script = [Reply.tool_calls((name, {"a": 5, "b": 3})) for name in tools.functions]
        agent = Agent("Client", ScriptedModel([*script, "Done."]), tools=[tools])
        run = await agent.arun("Call every tool.")
        while run.status is RunStatus.paused:
            for each in run.active_requirements:
                each.confirm()
            run = await agent.acontinue_run(run)
        for call in run.tools:
            print(call.tool_name, call.result, file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
