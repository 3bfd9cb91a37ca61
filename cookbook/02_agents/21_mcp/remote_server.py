"""An MCP server over HTTP: which headers it gets depends on whose run it is.

Start `python tool_shed.py http 8931` first.
"""

import os

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext
from kern.tools.mcp import MCPTools


def headers(run_context: RunContext) -> dict[str, str]:
    """Return the headers of this run's requests."""
    return {"X-Neighbour": run_context.user_id}


shed = MCPTools(
    url=os.environ.get("SHED_URL", "http://127.0.0.1:8931/mcp"),
    transport="streamable-http",
    header_provider=headers,
)

neighbour = Agent(name="Neighbour", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[shed])

if __name__ == "__main__":
    for user in ("ada", "bob"):
        run = neighbour.run("Whose shed is this?", user_id=user)
        print(user, run.tools[0].result, run.content)
